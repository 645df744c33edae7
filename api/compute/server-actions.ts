// POST /servers/{id}/action: what a machine can do, and what it cannot, said at once instead of failing later (section 8.6).
import type { Response } from "express";
import type { z } from "zod";
import type { InstanceService } from "../../compute/instances.ts";
import type { InstanceRecord } from "../../db/records.ts";
import { BaremetalError } from "../../lib/errors.ts";
import { HttpError } from "../http-error.ts";
import { requireAdmin } from "../request.ts";
import { consoleOutput, reboot, resetState } from "./server-schemas.ts";

/** An action without an answer of its own is answered 202. */
type Action = (service: InstanceService, instance: InstanceRecord, body: unknown, res: Response) => Promise<void>;

function argument<T extends z.ZodType>(schema: T, body: unknown, name: string): z.output<T> {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  throw new BaremetalError("BadInput", `Invalid input for the action ${name}: ${result.error.issues[0]?.message}`, {
    data: { field: name },
  });
}

const ACTIONS: Readonly<Record<string, Action>> = {
  "os-stop": (service, instance) => service.stop(instance),
  "os-start": (service, instance) => service.start(instance),
  reboot: (service, instance, body) => service.reboot(instance, argument(reboot, body, "reboot").type),
  forceDelete: (service, instance) => service.delete(instance),
  "os-getConsoleOutput": async (service, instance, body, res) => {
    const { length } = argument(consoleOutput, body, "os-getConsoleOutput");
    res.json({ output: await service.consoleOutput(instance, length) });
  },
  "os-resetState": (service, instance, body, res) => {
    requireAdmin(res, "os_compute_api:os-admin-actions:reset_state");
    return service.resetState(instance, argument(resetState, body, "os-resetState").state);
  },
};

/** What has no meaning on a physical machine, or is not built yet; the text says what to do instead. */
const REFUSED: Readonly<Record<string, string>> = {
  rebuild: "delete the instance and boot it again",
  rescue: "boot a rescue image on the node after deleting the instance",
  unrescue: "the instance cannot have been rescued",
  suspend: "stop it instead",
  resume: "start it instead",
  pause: "stop it instead",
  unpause: "start it instead",
  createImage: "copy the disk from within the instance",
  createBackup: "copy the disk from within the instance",
  resize: "a physical machine has the size it has; boot another",
  confirmResize: "a physical machine has the size it has",
  revertResize: "a physical machine has the size it has",
  migrate: "boot another instance",
  "os-migrateLive": "boot another instance",
  evacuate: "boot another instance",
  shelve: "stop it instead",
  shelveOffload: "stop it instead",
  unshelve: "start it instead",
  restore: "a deleted instance's disk is wiped by the next deployment",
  lock: "there are no locks",
  unlock: "there are no locks",
  changePassword: "set it from within the instance, or by user data at boot",
  "os-getVNCConsole": "look at the node's own console",
  "os-getSPICEConsole": "look at the node's own console",
  "os-getRDPConsole": "look at the node's own console",
  "os-getSerialConsole": "look at the node's own console",
  addFloatingIp: "there is no network service",
  removeFloatingIp: "there is no network service",
  addFixedIp: "there is no network service",
  removeFixedIp: "there is no network service",
  addSecurityGroup: "there is no network service",
  removeSecurityGroup: "there is no network service",
  resetNetwork: "there is no network service",
  injectNetworkInfo: "there is no network service",
  trigger_crash_dump: "send a diagnostic interrupt by the BMC",
};

/** Does the one action that the body names. @throws HttpError 501, BaremetalError `BadInput`, `Conflict` */
export async function serverAction(
  service: InstanceService,
  instance: InstanceRecord,
  body: unknown,
  res: Response,
): Promise<void> {
  const entries = typeof body === "object" && body !== null ? Object.entries(body) : [];
  const [first] = entries;
  if (first === undefined || entries.length !== 1) {
    throw new BaremetalError("BadInput", "Malformed request body: it must name one action");
  }
  const [name, value] = first;
  const action = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined;
  if (action !== undefined) {
    await action(service, instance, value, res);
    return;
  }
  const advice = Object.hasOwn(REFUSED, name) ? REFUSED[name] : undefined;
  if (advice !== undefined) throw new HttpError(501, `A bare-metal instance does not support '${name}': ${advice}.`);
  throw new BaremetalError("BadInput", `There is no such action: ${name.slice(0, 64)}`);
}
