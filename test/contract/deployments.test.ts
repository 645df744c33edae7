// DeploymentRepository and the state table on both engines: one winner, no late writer, no lost job.
import { expect } from "chai";
import { DeploymentRepository } from "../../db/deployments.ts";
import { NODE_TRANSITIONS, type NodeTransitionName, nextDeploymentState } from "../../db/node-states.ts";
import type { DeploymentRecord, DeploymentState, ProvisionState, TaskState } from "../../db/records.ts";
import { call, KEY_HASH, LEASE_MS, preparation, Rack } from "./baremetal.ts";
import { onEachEngine, open } from "./engines.ts";

onEachEngine("deployments", (context) => {
  let rack: Rack;
  beforeEach(() => {
    rack = new Rack(context().databases);
  });
  const rows = async ({ id, nodeId }: DeploymentRecord) => {
    const { baremetal } = context().databases;
    return [
      await baremetal("bm_nodes").where({ id: nodeId }).first(),
      await baremetal("bm_deployments").where({ id }).first(),
    ];
  };

  it("goes the whole way from building to active", async () => {
    const { id, nodeId } = await rack.taken();
    expect(await rack.deployments.prepare(id, preparation)).to.equal(true);
    const row = await context().databases.baremetal("bm_nodes").where({ id: nodeId }).first();
    expect(row).to.include({
      deploy_key: KEY_HASH,
      root_mb: 2048,
      swap_mb: 1,
      ephemeral_mb: 512,
      image_path: "/cache/image",
    });
    expect(await rack.node(nodeId)).to.include({ taskState: "prepared", provisionState: "wait call-back" });
    expect(await rack.reread(id)).to.include({ state: "prepared", iqn: "iqn-1", imageFormat: "qcow2" });

    const queued = await rack.deployments.acceptCall(nodeId, call);
    expect(queued).to.include({
      id,
      state: "queued",
      deployKeyHash: null,
      agentAddress: "127.0.0.20",
      agentPort: 3260,
    });
    const job = await rack.deployments.claim("helper-1", LEASE_MS);
    expect(job).to.include({ id, state: "deploying", leaseHolder: "helper-1", attempts: 1 });
    expect(job?.leaseExpiresAt?.getTime()).to.equal(rack.clock.now() + LEASE_MS);
    expect(await rack.node(nodeId)).to.include({ taskState: "deploying", provisionState: "deploying" });

    const progress = { step: "write image", bytesDone: 5_000_000_000, bytesTotal: 9_000_000_000 };
    expect(await rack.deployments.renew(id, "helper-1", LEASE_MS, progress)).to.deep.equal({ cancelRequested: false });
    expect(await rack.reread(id)).to.include(progress);
    const outcome = { rootUuid: "f0f0", result: { bytesWritten: 5 } };
    expect(await rack.deployments.complete(id, "helper-1", outcome)).to.equal(true);
    expect(await rack.node(nodeId)).to.include({ taskState: "deploy complete" });
    expect(await rack.nodes.transition(id, "activate")).to.equal(true);
    expect(await rack.node(nodeId)).to.include({
      taskState: "active",
      provisionState: "active",
      targetProvisionState: null,
    });
    const end = await rack.reread(id);
    expect(end).to.include({ state: "active", rootUuid: "f0f0", leaseHolder: null });
    expect(end.result).to.deep.equal({ bytesWritten: 5 });
    expect(end.finishedAt).to.deep.equal(new Date(rack.clock.now()));
    expect(await rack.deployments.listUnfinished("compute-1")).to.deep.equal([]);
  });

  it("takes the deploy key once, and no other (S1, S2)", async () => {
    const { id, nodeId } = await rack.prepared();
    expect(await rack.deployments.acceptCall(nodeId, { ...call, keyHash: "00".repeat(32) })).to.equal(undefined);
    expect(await rack.deployments.acceptCall(nodeId + 999, call)).to.equal(undefined);
    expect(await rack.reread(id)).to.include({ state: "prepared", agentAddress: null, deployKeyHash: KEY_HASH });
    const calls = await Promise.all(Array.from({ length: 5 }, () => rack.deployments.acceptCall(nodeId, call)));
    expect(calls.filter((one) => one !== undefined)).to.have.length(1);
    expect(await rack.deployments.acceptCall(nodeId, call)).to.equal(undefined);
  });

  it("does not take a call before the files are ready", async () => {
    const { nodeId } = await rack.taken();
    expect(await rack.deployments.acceptCall(nodeId, call)).to.equal(undefined);
  });

  it("hands 20 jobs to 50 claimers, each to one, from two connections", async () => {
    for (let index = 0; index < 20; index++) await rack.queued();
    const second = await open(context().urls);
    try {
      const rival = new DeploymentRepository(second.baremetal, rack.clock);
      const claims = Array.from({ length: 50 }, (_, index) =>
        (index % 2 === 0 ? rack.deployments : rival).claim(`helper-${index}`, LEASE_MS),
      );
      const won = (await Promise.all(claims)).filter((job) => job !== undefined);
      expect(won).to.have.length(20);
      expect(new Set(won.map(({ id }) => id)).size).to.equal(20);
      for (const job of won)
        expect(await rack.reread(job.id)).to.include({ leaseHolder: job.leaseHolder, attempts: 1 });
    } finally {
      await second.close();
    }
  });

  it("claims the oldest first", async () => {
    const first = await rack.queued();
    const second = await rack.queued();
    expect((await rack.deployments.claim("h", LEASE_MS))?.id).to.equal(first.id);
    expect((await rack.deployments.claim("h", LEASE_MS))?.id).to.equal(second.id);
    expect(await rack.deployments.claim("h", LEASE_MS)).to.equal(undefined);
  });

  it("gives a job whose lease ran out to another, and stops the first", async () => {
    const job = await rack.claimed("slow");
    rack.clock.advance(LEASE_MS);
    expect(await rack.deployments.claim("fast", LEASE_MS), "at its very end the lease still holds").to.equal(undefined);
    rack.clock.advance(1);
    expect(await rack.deployments.claim("fast", LEASE_MS)).to.include({ id: job.id, leaseHolder: "fast", attempts: 2 });
    const before = await rows(job);
    expect(await rack.deployments.renew(job.id, "slow", LEASE_MS, { bytesDone: 7 })).to.equal(undefined);
    expect(await rack.deployments.complete(job.id, "slow", { rootUuid: "x", result: {} })).to.equal(false);
    expect(await rack.deployments.fail(job.id, "slow", "late")).to.equal(false);
    expect(await rows(job)).to.deep.equal(before);
    expect(await rack.deployments.complete(job.id, "fast", { rootUuid: "y", result: {} })).to.equal(true);
  });

  it("keeps a lease that is renewed in time", async () => {
    const job = await rack.claimed("h");
    for (let round = 0; round < 3; round++) {
      rack.clock.advance(LEASE_MS - 1);
      expect(await rack.deployments.claim("other", LEASE_MS)).to.equal(undefined);
      expect(await rack.deployments.renew(job.id, "h", LEASE_MS)).to.not.equal(undefined);
    }
  });

  it("lets the holder, and nobody else, give up the lease of an ended deployment", async () => {
    const job = await rack.claimed("h");
    await rack.deployments.letGo(job.id, job.leaseHolder ?? "");
    expect(await rack.reread(job.id), "work to be done keeps its lease").to.include({ leaseHolder: job.leaseHolder });
    expect(await rack.nodes.transition(job.id, "fail", { lastError: "deleted" })).to.equal(true);
    await rack.deployments.letGo(job.id, "somebody else");
    expect(await rack.reread(job.id)).to.include({ leaseHolder: job.leaseHolder });
    await rack.deployments.letGo(job.id, job.leaseHolder ?? "");
    expect(await rack.reread(job.id)).to.include({ leaseHolder: null, leaseExpiresAt: null, state: "failed" });
  });

  it("lets a late worker write nothing after the release (R2)", async () => {
    const job = await rack.claimed("late");
    expect(await rack.nodes.release(job.id)).to.equal(true);
    const next = await rack.taken(await rack.node(job.nodeId));
    const before = [await rows(job), await rows(next)];
    expect(await rack.deployments.renew(job.id, "late", LEASE_MS, { step: "write" })).to.equal(undefined);
    expect(await rack.deployments.complete(job.id, "late", { rootUuid: "x", result: {} })).to.equal(false);
    expect(await rack.deployments.fail(job.id, "late", "x")).to.equal(false);
    expect(await rack.deployments.fail(job.id, null, "x")).to.equal(false);
    expect(await rack.nodes.transition(job.id, "activate")).to.equal(false);
    expect(await rack.nodes.transition(job.id, "fail", { error: "x" })).to.equal(false);
    expect(await rack.nodes.release(job.id)).to.equal(false);
    expect([await rows(job), await rows(next)]).to.deep.equal(before);
  });

  it("releases to a free node with nothing of the tenant's left on it", async () => {
    const job = await rack.prepared();
    await rack.nodes.setLastError(job.nodeId, "x");
    expect(await rack.nodes.release(job.id)).to.equal(true);
    const [node, deployment] = await rows(job);
    expect(node).to.include({
      instance_uuid: null,
      instance_name: null,
      task_state: "deleted",
      provision_state: "available",
      target_provision_state: null,
      deployment_id: null,
      image_path: null,
      pxe_config_path: null,
      deploy_key: null,
      root_mb: 0,
      swap_mb: 0,
      ephemeral_mb: 0,
      last_error: null,
    });
    expect(deployment).to.include({ state: "cancelled", deploy_key_hash: null, lease_holder: null });
    expect(deployment.finished_at).to.not.equal(null);
    expect(await rack.taken(await rack.node(job.nodeId))).to.include({ state: "building" });
  });

  it("fails with the agent's own text, and keeps the node for its instance", async () => {
    const job = await rack.prepared();
    expect(await rack.deployments.fail(job.id, null, "no disk found")).to.equal(true);
    expect(await rack.node(job.nodeId)).to.include({
      taskState: "deploy failed",
      provisionState: "deploy failed",
      lastError: "no disk found",
      instanceUuid: job.instanceUuid,
    });
    expect(await rack.reread(job.id)).to.include({ state: "failed", error: "no disk found", deployKeyHash: null });
    expect(await rack.deployments.acceptCall(job.nodeId, call)).to.equal(undefined);
    expect(await rack.nodes.transition(job.id, "fail", { error: "undo failed" })).to.equal(true);
    expect(await rack.node(job.nodeId)).to.include({ taskState: "error", instanceUuid: job.instanceUuid });
    expect(await rack.nodes.release(job.id)).to.equal(true);
    expect(await rack.reread(job.id), "its end stays").to.include({ state: "failed", error: "undo failed" });
  });

  it("takes the agent's error with its key, once, and only before a call was taken", async () => {
    const failing = await rack.prepared();
    expect(await rack.deployments.failCall(failing.nodeId, "00".repeat(32), "x")).to.equal(false);
    expect(await rack.deployments.failCall(failing.nodeId + 999, KEY_HASH, "x")).to.equal(false);
    expect(await rack.reread(failing.id)).to.include({ state: "prepared", deployKeyHash: KEY_HASH });
    expect(await rack.deployments.failCall(failing.nodeId, KEY_HASH, "no disk found")).to.equal(true);
    expect(await rack.reread(failing.id)).to.include({ state: "failed", error: "no disk found", deployKeyHash: null });
    expect(await rack.node(failing.nodeId)).to.include({ taskState: "deploy failed", lastError: "no disk found" });
    expect(await rack.deployments.failCall(failing.nodeId, KEY_HASH, "again")).to.equal(false);

    const job = await rack.claimed("h");
    const before = await rows(job);
    expect(await rack.deployments.failCall(job.nodeId, KEY_HASH, "late")).to.equal(false);
    expect(await rows(job)).to.deep.equal(before);
  });

  it("marks as written for the holder only, and gives the mark to the next claimer", async () => {
    const job = await rack.claimed("h");
    const outcome = { rootUuid: "f0f0", result: { bytesWritten: 5 } };
    expect(await rack.deployments.markWritten(job.id, "other", outcome)).to.equal(false);
    expect((await rack.reread(job.id)).result).to.deep.equal({});
    expect(await rack.deployments.markWritten(job.id, "h", outcome)).to.equal(true);
    rack.clock.advance(LEASE_MS + 1);
    const next = await rack.deployments.claim("next", LEASE_MS);
    expect(next).to.include({ id: job.id, attempts: 2, rootUuid: "f0f0" });
    expect(next?.result).to.deep.equal({ bytesWritten: 5, written: true });
    expect(await rack.deployments.markWritten(job.id, "h", { rootUuid: "late", result: {} })).to.equal(false);
    await rack.nodes.release(job.id);
    expect(await rack.deployments.markWritten(job.id, "next", { rootUuid: "late", result: {} })).to.equal(false);
    expect(await rack.reread(job.id)).to.include({ rootUuid: "f0f0" });
  });

  it("tells the holder of a wish to cancel", async () => {
    const job = await rack.claimed("h");
    expect(await rack.deployments.requestCancel(job.id)).to.equal(true);
    expect(await rack.deployments.renew(job.id, "h", LEASE_MS)).to.deep.equal({ cancelRequested: true });
    expect(await rack.deployments.fail(job.id, "h", "cancelled")).to.equal(true);
    expect(await rack.deployments.requestCancel(job.id)).to.equal(false);
  });

  it("drops a queued job whose node is being taken down, instead of looking at it for ever", async () => {
    const stuck = await rack.queued();
    const next = await rack.queued();
    await rack.nodes.transition(stuck.id, "startDelete");
    expect((await rack.deployments.claim("h", LEASE_MS))?.id).to.equal(next.id);
    expect(await rack.reread(stuck.id)).to.include({ state: "cancelled" });
    expect(await rack.nodes.release(stuck.id)).to.equal(true);
  });

  it("lists the attempts of an instance and the unfinished ones of a host", async () => {
    const a = await rack.prepared();
    const b = await rack.queued();
    await rack.nodes.release(a.id);
    expect((await rack.deployments.listUnfinished("compute-1")).map(({ id }) => id)).to.deep.equal([b.id]);
    expect(await rack.deployments.listUnfinished("compute-2")).to.deep.equal([]);
    expect((await rack.deployments.listByInstance(a.instanceUuid)).map(({ id }) => id)).to.deep.equal([a.id]);
    expect(await rack.deployments.current(a.nodeId)).to.equal(undefined);
  });

  it("keeps the timeline in order", async () => {
    const { id, nodeId, instanceUuid } = await rack.taken();
    for (const step of ["one", "two", "three"]) {
      await rack.events.append({
        deploymentId: id,
        nodeId,
        instanceUuid,
        source: "driver",
        step,
        kind: "start",
        message: step,
      });
      rack.clock.advance(5);
    }
    await rack.events.append({ source: "api", step: "other", kind: "info", message: "ü", data: { a: [1] } });
    const events = await rack.events.list({ deploymentId: id });
    expect(events.map(({ step }) => step)).to.deep.equal(["one", "two", "three"]);
    expect(Number(events[2]?.at) - Number(events[0]?.at)).to.equal(10);
    expect((await rack.events.list({ instanceUuid, limit: 2 })).map(({ step }) => step)).to.deep.equal([
      "two",
      "three",
    ]);
    const rest = await rack.events.list({ afterId: events[1]?.id ?? 0 });
    expect(rest.map(({ step, data }) => [step, data])).to.deep.equal([
      ["three", {}],
      ["other", { a: [1] }],
    ]);
  });

  /** Every transition from every combination of the three states: allowed exactly when the table says so. */
  for (const name of Object.keys(NODE_TRANSITIONS) as NodeTransitionName[]) {
    if (name === "associate") continue;
    it(`allows ${name} from the states of the table only, and writes all states together`, async () => {
      const { baremetal } = context().databases;
      const job = await rack.taken();
      for (const [task, provision, state] of combinations(name)) {
        await baremetal("bm_nodes").where({ id: job.nodeId }).update({
          task_state: task,
          provision_state: provision,
          deployment_id: job.id,
          instance_uuid: job.instanceUuid,
        });
        await baremetal("bm_deployments").where({ id: job.id }).update({ state });
        const before = await rows(job);
        const rule = NODE_TRANSITIONS[name];
        const isAllowed =
          (rule.from as readonly (TaskState | null)[]).includes(task) &&
          (rule.provisionFrom as readonly ProvisionState[]).includes(provision) &&
          nextDeploymentState(name, state) !== undefined;
        const label = `${name} from ${task}/${provision}/${state}`;
        const done = await (name === "release" ? rack.nodes.release(job.id) : rack.nodes.transition(job.id, name));
        expect(done, label).to.equal(isAllowed);
        const [node, deployment] = await rows(job);
        if (!isAllowed) expect([node, deployment], label).to.deep.equal(before);
        else {
          expect(node.task_state, label).to.equal(rule.taskState === "unchanged" ? task : rule.taskState);
          expect(node.provision_state, label).to.equal(rule.provisionState);
          expect(node.target_provision_state, label).to.equal(rule.targetProvisionState);
          expect(deployment.state, label).to.equal(nextDeploymentState(name, state));
        }
      }
    });
  }
});

const TASKS: readonly (TaskState | null)[] = [
  null,
  "building",
  "prepared",
  "deploying",
  "deploy complete",
  "deploy failed",
  "active",
  "error",
  "deleted",
];
const PROVISIONS: readonly ProvisionState[] = [
  "available",
  "deploying",
  "wait call-back",
  "active",
  "deleting",
  "error",
];
const STATES: readonly DeploymentState[] = [
  "building",
  "prepared",
  "queued",
  "deploying",
  "deploy complete",
  "active",
  "failed",
];

/** All that differ in one state from an allowed combination, and the allowed ones: a few dozen, not 400. */
function combinations(name: NodeTransitionName): [TaskState | null, ProvisionState, DeploymentState][] {
  const rule = NODE_TRANSITIONS[name];
  const [task, provision, state] = [
    rule.from[0],
    rule.provisionFrom[0],
    (rule.deploymentFrom as readonly DeploymentState[])[0],
  ];
  if (task === undefined || provision === undefined || state === undefined) throw new Error(`${name} allows nothing`);
  return [
    ...TASKS.map((one): [TaskState | null, ProvisionState, DeploymentState] => [one, provision, state]),
    ...PROVISIONS.map((one): [TaskState | null, ProvisionState, DeploymentState] => [task, one, state]),
    ...STATES.map((one): [TaskState | null, ProvisionState, DeploymentState] => [task, provision, one]),
  ];
}
