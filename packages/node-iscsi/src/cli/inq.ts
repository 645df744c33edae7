// node-iscsi inq: what a logical unit says about itself, standard INQUIRY data or a vital product data page.
import { type InquiryData, inquiry, inquiryVpd } from "../scsi/inquiry.ts";
import { type CliCommand, parseCommand, type UnitArguments, UsageError, unitArguments } from "./arguments.ts";
import { decodePage, deviceTypeName, fieldsOf, pageTitle } from "./inquiry-text.ts";
import { note, print, printFields, printJson } from "./output.ts";
import { withLogin } from "./unprobed-login.ts";

const HELP = `node-iscsi inq: asks a disk what it is (SCSI INQUIRY).

Usage: node-iscsi inq [-c PAGE] [--json] iscsi://host[:port]/target-name/lun

  -c, --page PAGE    a vital product data page instead of the standard data; 0 lists the pages the disk has,
                     0x80 serial number, 0x83 names, 0xb0 limits, 0xb1 medium, 0xb2 thin provisioning.
                     Decimal or 0x; a page that is not known here is printed as its bytes
  -e, --evpd 0|1     as iscsi-inq has it; -c alone means -e 1`;

const CONNECTED = ["connected", "not connected", "qualifier 2", "no such LUN"] as const;

function parsePage(text: string | undefined, evpd: string | undefined): number | undefined {
  if (evpd !== undefined && evpd !== "0" && evpd !== "1") throw new UsageError(`--evpd takes 0 or 1, not ${evpd}`);
  if (evpd === "0") {
    if (text !== undefined) throw new UsageError("--page needs --evpd 1");
    return undefined;
  }
  if (text === undefined) return evpd === "1" ? 0 : undefined;
  const page = /^(0x[0-9a-f]{1,2}|\d{1,3})$/i.test(text) ? Number(text) : Number.NaN;
  if (!(page <= 0xff)) throw new UsageError(`--page takes a page code in 0..0xff, not ${text}`);
  return page;
}

/** SPC-4 table 137: INQUIRY is answered for LUNs that do not exist as well. */
const NO_SUCH_LUN = 3;

function statusOf({ peripheralQualifier }: InquiryData, { lun, targetName }: UnitArguments): number {
  if (peripheralQualifier !== NO_SUCH_LUN) return 0;
  note(`node-iscsi inq: ${targetName} has no LUN ${lun}; "node-iscsi ls -s" lists those it has`);
  return 1;
}

async function printPage(page: number, unit: UnitArguments, isJson: boolean, signal: AbortSignal): Promise<number> {
  return withLogin(unit, signal, async (execute) => {
    // Trap: for a LUN that does not exist tgtd answers with the page of another unit.
    const status = statusOf(await execute(inquiry(), unit.lun), unit);
    if (status !== 0) return status;
    const decoded = decodePage(page, await execute(inquiryVpd(page), unit.lun));
    if (isJson) printJson({ page, ...decoded });
    else {
      print(`page ${pageTitle(page)}`);
      printFields(fieldsOf(decoded), "  ");
    }
    return 0;
  });
}

async function run(args: readonly string[], signal: AbortSignal): Promise<number> {
  const { values, positionals } = parseCommand(
    args,
    { evpd: { type: "string", short: "e" }, page: { type: "string", short: "c" } },
    ["iscsi://host[:port]/target-name/lun"],
  );
  const page = parsePage(values.page, values.evpd);
  const unit = unitArguments(positionals[0] ?? "", values);
  if (page !== undefined) return printPage(page, unit, values.json === true, signal);
  const data = await withLogin(unit, signal, (execute) => execute(inquiry(), unit.lun));
  if (values.json === true) printJson(data);
  else {
    const { peripheralDeviceType, peripheralQualifier, vendor, product, revision, versionDescriptors, ...flags } = data;
    const descriptors = versionDescriptors.map((each) => `0x${each.toString(16).padStart(4, "0")}`).join(" ");
    printFields([
      ["type", deviceTypeName(peripheralDeviceType)],
      ["lun", CONNECTED[peripheralQualifier] ?? `qualifier ${peripheralQualifier}`],
      ["vendor", vendor],
      ["product", product],
      ["revision", revision],
      ...fieldsOf(flags),
      ...(descriptors === "" ? [] : [["version descriptors", descriptors] as const]),
    ]);
  }
  return statusOf(data, unit);
}

export const inq: CliCommand = { name: "inq", summary: "ask a disk what it is", help: HELP, run };
