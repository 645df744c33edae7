// What must hold, where that comes from, and the tests that show it. The gate test beside this file keeps the links true.

export interface Requirement {
  readonly id: string;
  /** `facts 13` is the list of the original's defects; `issue 2` the faults that the spine must survive. */
  readonly source: string;
  readonly behaviour: string;
  /** [test file, title of a test or suite in it]. */
  readonly tests: readonly (readonly [string, string])[];
}

const DRIVER = "test/contract/driver.test.ts";
const NODES = "test/contract/nodes.test.ts";
const DEPLOYMENTS = "test/contract/deployments.test.ts";
const CALLS = "test/fault/deploy-helper-calls.test.ts";
const HELPER = "test/fault/deploy-helper.test.ts";
const SERVICES = "test/fault/services.test.ts";
const DEPLOY = "test/interop/deploy-helper.test.ts";
const INSTANCES = "test/contract/compute-instances.test.ts";

const row = (id: string, source: string, behaviour: string, ...tests: Requirement["tests"]): Requirement => ({
  id,
  source,
  behaviour,
  tests,
});

export const REQUIREMENTS: readonly Requirement[] = [
  row(
    "S1",
    "facts 13",
    "a deploy key works once, and is compared as a hash",
    [DEPLOYMENTS, "takes the deploy key once, and no other (S1, S2)"],
    [CALLS, "a used key does nothing after the deployment"],
  ),
  row(
    "S2",
    "facts 13",
    "a call is taken in `prepared` only, from the node's own address, for the issued target",
    [DEPLOYMENTS, "does not take a call before the files are ready"],
    [CALLS, "a right call from a foreign address is refused"],
    [CALLS, "another target name"],
  ),
  row(
    "S4",
    "facts 13",
    "BMC passwords are sealed; only the inventory can be set from outside",
    [NODES, "keeps the BMC password sealed, and reads one that the original left plain (S4)"],
    [NODES, "takes no column from outside but the inventory (S4)"],
  ),
  row(
    "S5",
    "facts 13",
    "images that point elsewhere, or lie about their format, are refused",
    [SERVICES, "with a backing file"],
    [SERVICES, "with an external data file"],
    [SERVICES, "that calls itself raw but is qcow2"],
  ),
  row("S6", "facts 13", "nothing of the last tenant survives a deployment", [
    DEPLOY,
    "writes ephemeral, swap, root and config drive of a raw image, and nothing of the last tenant survives",
  ]),
  row("R1", "facts 13", "`prepared` is written before power", [
    DRIVER,
    "spawns: files, links, state before power, off-pxe-on, active",
  ]),
  row("R2", "facts 13", "a late worker writes nothing to a later tenant", [
    DEPLOYMENTS,
    "lets a late worker write nothing after the release (R2)",
  ]),
  row(
    "R3",
    "facts 13",
    "a killed helper's job is resumed, a killed compute's wait goes on",
    [SERVICES, "ends cleanly when the helper is killed in the middle of the write"],
    [SERVICES, "picks the deployment up again when compute is killed while it waits"],
  ),
  row(
    "R4",
    "facts 13",
    "duplicate calls are refused; jobs run side by side under leases",
    [CALLS, "two calls at once: one is taken, the other's key is spent"],
    [DEPLOYMENTS, "hands 20 jobs to 50 claimers, each to one, from two connections"],
  ),
  row(
    "R5",
    "facts 13",
    "a cancelled deployment stops writing before its files go",
    [HELPER, "a cancel stops the writes and ends the deployment"],
    [HELPER, "a lease taken away stops the writes, and nothing is written to the row"],
  ),
  row(
    "R6",
    "facts 13",
    "an instance has one node; a failed undo is retried",
    [NODES, "gives an instance one node only (R6)"],
    [DRIVER, "keeps the node in error while the undo is not complete, and the reconciler ends it"],
  ),
  row("R9", "facts 13", "a node in use is not deleted", [
    NODES,
    "destroys a node with its ports, but not one in use (R9)",
  ]),
  row("R10", "facts 13", "another host's node is an error, not a silent success", [
    DRIVER,
    "does not touch another host's node",
  ]),
  row("R11", "facts 13", "a duplicate MAC leaves nothing behind", [
    NODES,
    "leaves nothing behind of a node with a MAC that is taken (R11)",
  ]),
  row(
    "R13",
    "facts 13",
    "the ramdisk's error fails the deployment with its text",
    [CALLS, "the ramdisk's error fails the deployment with its text"],
    [SERVICES, "fails with the ramdisk's own words"],
  ),
  row("R14", "facts 13", "a MAC is one MAC in any spelling", [
    NODES,
    "adds, finds and removes ports in any spelling of a MAC (R14)",
  ]),
  row("R15", "facts 13", "a missing kernel id is a clear error", [
    DRIVER,
    "refuses an image without a kernel before it touches power",
  ]),
  row(
    "R21",
    "facts 13",
    "a failed power-off ends the action; a lost packet does not",
    ["test/fault/driver-power.test.ts", "does not take the BMC's word: a machine that stays on is an error"],
    ["test/fault/driver-power.test.ts", "works through a network that loses 30% of the packets"],
  ),
  row(
    "R22",
    "facts 13",
    "each deployment keeps its story",
    [DRIVER, "tells the deployment's story in events"],
    [DEPLOY, "tells each step with its start, end and duration"],
  ),
  row("R23", "facts 13", "folders are made, links replaced atomically", [
    DRIVER,
    "spawns: files, links, state before power, off-pxe-on, active",
  ]),
  row("R24", "facts 13", "the PXE configuration is flipped atomically, and again without harm", [
    "deploy-helper/pxe-config.test.ts",
    "can be done again",
  ]),
  row("BMC-PASSWORD", "issue 2", "a wrong BMC password is named, the node released", [
    SERVICES,
    "names a wrong BMC password, and releases the node",
  ]),
  row("BMC-SILENT", "issue 2", "an unreachable BMC is named within its deadline", [
    SERVICES,
    "names an unreachable BMC, within its deadline",
  ]),
  row("BMC-LOSSY", "issue 2", "a BMC that drops 30% of the packets is worked with", [
    SERVICES,
    "works with a BMC that drops 30% of the packets",
  ]),
  row("IMAGE-LARGE", "issue 2", "an image larger than the disk is refused before a byte is written", [
    SERVICES,
    "that is larger than the disk",
  ]),
  row("IMAGE-NONE", "issue 2", "what is no image is refused before a byte is written", [SERVICES, "that is no image"]),
  row(
    "CALL-BAD",
    "issue 2",
    "bad calls get 4xx in the original's words and change nothing",
    [CALLS, "a wrong key"],
    [CALLS, "an unknown id"],
    [CALLS, "a body of 10 MB is refused and not read"],
  ),
  row(
    "KILL-HELPER",
    "issue 2",
    "kill -9 at a random byte: resumed, or failed cleanly",
    [HELPER, "kill -9 at a random byte of the write"],
    [HELPER, "kill -9, and the node is gone when the next helper looks: failed with the cause, config not flipped"],
  ),
  row(
    "TWO-BOOTS",
    "issue 2",
    "of two boots at once for one node exactly one wins",
    [SERVICES, "gives one node to exactly one of two boots at once"],
    [INSTANCES, "two boots at once for one node: exactly one wins, the other finds no valid host"],
  ),
  row("NO-PROCESS", "issue 2", "no process is started while deploying", [
    "deploy-helper/no-processes.test.ts",
    "no source on it knows how to start one",
  ]),
];
