// /os-baremetal-deployments: each deployment explains itself, with its timeline (DESIGN.md promise 2). Administrators only.
import { Router } from "express";
import type { ComputeServices } from "../../compute/compute-services.ts";
import type { DeploymentRecord, EventRecord } from "../../db/records.ts";
import { BaremetalError } from "../../lib/errors.ts";
import { queryOf, requireAdmin } from "../request.ts";

function time(date: Date | null): string | null {
  return date === null ? null : date.toISOString();
}

function eventView(event: EventRecord): object {
  const { id, source, step, kind, message, data } = event;
  return { id, at: time(event.at), source, step, kind, message, data };
}

/** What is shown of a deployment: neither the deploy key's hash nor where the config drive's secrets are. */
function deploymentView(row: DeploymentRecord, events: readonly EventRecord[]): object {
  return {
    id: row.id,
    node_id: row.nodeId,
    node_uuid: row.nodeUuid,
    instance_uuid: row.instanceUuid,
    instance_name: row.instanceName,
    service_host: row.serviceHost,
    state: row.state,
    step: row.step,
    error: row.error,
    bytes_done: row.bytesDone,
    bytes_total: row.bytesTotal,
    image_format: row.imageFormat,
    image_sha256: row.imageSha256,
    iqn: row.iqn,
    agent_address: row.agentAddress,
    agent_port: row.agentPort,
    root_mb: row.rootMb,
    swap_mb: row.swapMb,
    ephemeral_mb: row.ephemeralMb,
    root_uuid: row.rootUuid,
    result: row.result,
    attempts: row.attempts,
    lease_holder: row.leaseHolder,
    cancel_requested: row.cancelRequested,
    created_at: time(row.createdAt),
    updated_at: time(row.updatedAt),
    finished_at: time(row.finishedAt),
    events: events.map(eventView),
  };
}

/** `GET ?instance_uuid=`: all attempts for an instance, newest first; an instance that is deleted still has them. */
export function deploymentsRouter(services: ComputeServices): Router {
  const { deployments, events } = services.repositories;
  const router = Router();
  router.get("/", async (req, res) => {
    requireAdmin(res, "compute_extension:baremetal_deployments");
    const instanceUuid = queryOf(req, "instance_uuid");
    if (instanceUuid === undefined || instanceUuid === "" || instanceUuid.length > 36) {
      throw new BaremetalError("BadInput", "Say whose deployments: ?instance_uuid=<uuid>", {
        data: { field: "instance_uuid" },
      });
    }
    const views: object[] = [];
    for (const row of await deployments.listByInstance(instanceUuid)) {
      views.push(deploymentView(row, await events.list({ deploymentId: row.id })));
    }
    res.json({ deployments: views });
  });
  return router;
}
