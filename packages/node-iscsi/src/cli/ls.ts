// node-iscsi ls: the targets behind a portal, with their portals and, on request, their logical units.
import { readCapacity } from "../block-limits.ts";
import { discover } from "../discovery.ts";
import { formatPortal, IscsiError, ScsiError } from "../errors.ts";
import { inquiry } from "../scsi/inquiry.ts";
import { reportLuns } from "../scsi/report-luns.ts";
import { type CliCommand, type PortalArguments, parseCommand, portalArguments } from "./arguments.ts";
import { explain, loggingIn } from "./explain.ts";
import { deviceTypeName } from "./inquiry-text.ts";
import { formatBytes, note, print, printJson } from "./output.ts";
import { type RunOnLun, withLogin } from "./unprobed-login.ts";

const HELP = `node-iscsi ls: lists the targets that a portal offers (SendTargets discovery).

Usage: node-iscsi ls [-s] [--url] [--json] iscsi://host[:port]

  -s, --show-luns    log in to each target and list its disks: LUN, type, size, block size, name
      --url          print one URL a disk (with -s) or a target, to copy into other commands

  $ node-iscsi ls -s iscsi://10.0.0.7
  iqn.2026-11.org.example:node0
    portal 10.0.0.7:3260,1
    lun 1   disk         100 GiB  512-byte blocks  IET VIRTUAL-DISK`;

interface UnitListing {
  readonly lun: number;
  readonly type: string;
  readonly sizeBytes: number | undefined;
  readonly blockSize: number | undefined;
  readonly vendor: string;
  readonly product: string;
}

interface TargetListing {
  readonly targetName: string;
  readonly portals: readonly { readonly address: string; readonly port: number; readonly tpgt: number | undefined }[];
  luns?: readonly UnitListing[];
  /** Why there are no `luns`. */
  error?: string;
}

async function describe(run: RunOnLun, lun: number): Promise<UnitListing> {
  const data = await run(inquiry(), lun);
  const type = deviceTypeName(data.peripheralDeviceType);
  const hasCapacity = data.peripheralDeviceType === 0 || data.peripheralDeviceType === 0x0e;
  const capacity = hasCapacity ? await capacityOf(run, lun) : undefined;
  return {
    lun,
    type,
    sizeBytes: capacity === undefined ? undefined : capacity.blocks * capacity.blockSize,
    blockSize: capacity?.blockSize,
    vendor: data.vendor,
    product: data.product,
  };
}

/** Undefined when the unit has none to tell: no medium, becoming ready. */
async function capacityOf(run: RunOnLun, lun: number) {
  try {
    return await readCapacity((command) => run(command, lun));
  } catch (error) {
    if (!(error instanceof ScsiError)) throw error;
    return undefined;
  }
}

async function listUnits(target: PortalArguments & { targetName: string }, signal: AbortSignal) {
  return withLogin(target, signal, async (run) => {
    const { luns } = await run(reportLuns(), 0);
    const numbers = luns.map(({ lun }) => lun).filter((lun) => lun !== undefined);
    return Promise.all(numbers.map((lun) => describe(run, lun)));
  });
}

function printTarget(target: TargetListing): void {
  print(target.targetName);
  for (const { address, port, tpgt } of target.portals)
    print(`  portal ${formatPortal(address, port)}${tpgt === undefined ? "" : `,${tpgt}`}`);
  for (const { lun, type, sizeBytes, blockSize, vendor, product } of target.luns ?? []) {
    const size = sizeBytes === undefined ? "" : formatBytes(sizeBytes);
    const blocks = blockSize === undefined ? "" : `${blockSize}-byte blocks`;
    print(
      `  lun ${String(lun).padEnd(3)} ${type.padEnd(10)} ${size.padStart(9)}  ${blocks.padEnd(15)}  ${vendor} ${product}`,
    );
  }
}

function printUrls({ targetName, portals, luns }: TargetListing): void {
  const portal = portals[0];
  if (portal === undefined) return;
  const url = `iscsi://${formatPortal(portal.address, portal.port)}/${targetName}`;
  if (luns === undefined) print(url);
  for (const { lun, sizeBytes } of luns ?? []) if (sizeBytes !== undefined) print(`${url}/${lun}`);
}

async function run(args: readonly string[], signal: AbortSignal): Promise<number> {
  const { values, positionals } = parseCommand(
    args,
    { "show-luns": { type: "boolean", short: "s" }, url: { type: "boolean" } },
    ["iscsi://host[:port]"],
  );
  const portal = portalArguments(positionals[0] ?? "", values);
  const targets: TargetListing[] = [];
  // No address in the answer means: the one that was asked (RFC 7143 appendix C).
  for (const { targetName, portals } of await loggingIn(portal, discover({ ...portal, signal })))
    targets.push({
      targetName,
      portals: portals.length > 0 ? portals : [{ address: portal.address, port: portal.port ?? 3260, tpgt: undefined }],
    });
  let status = 0;
  for (const target of values["show-luns"] === true ? targets : []) {
    try {
      // Through the portal that was asked: the others may be in networks that we cannot reach.
      target.luns = await listUnits({ ...portal, targetName: target.targetName }, signal);
    } catch (error) {
      if (!(error instanceof IscsiError) || signal.aborted) throw error;
      target.error = explain(error);
      status = 1;
      note(`node-iscsi ls: ${target.error}`);
    }
  }
  if (values.json === true) printJson(targets);
  else for (const target of targets) (values.url === true ? printUrls : printTarget)(target);
  if (targets.length === 0 && values.json !== true)
    note(`node-iscsi ls: ${formatPortal(portal.address, portal.port ?? 3260)} offers this initiator no targets`);
  return status;
}

export const ls: CliCommand = { name: "ls", summary: "list targets and disks of a portal", help: HELP, run };
