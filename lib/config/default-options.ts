// The options of [DEFAULT] that we read; Nova's others are let pass.
import { hostname } from "node:os";
import { z } from "zod";
import { boolean, decimal, integer, list, optionalText, text } from "./option.ts";
import { defaultStatePath, projectRoot } from "./paths.ts";

const WITHOUT_EFFECT = { isWithoutEffect: true } as const;

/** [DEFAULT] */
export const defaultOptions = z.object({
  host: text("Name of this compute host: nodes whose service_host is this name are its own.", hostname(), {
    shownDefault: "the machine's name",
  }),
  myIp: text("Address of this host on the provisioning network; nodes are told to call it.", "127.0.0.1"),
  statePath: text(
    "Folder for what must outlive a restart. Default: /var/lib/nova if it can be written, else $XDG_STATE_HOME/nova-baremetal or ~/.local/state/nova-baremetal.",
    defaultStatePath(),
    { shownDefault: "/var/lib/nova" },
  ),
  pybasedir: text("Folder that paths to templates begin with.", projectRoot(), {
    shownDefault: "the program's folder",
  }),
  instancesPath: text("Folder for the files of the instances.", "$state_path/instances"),
  computeDriver: text(
    "The class of the hypervisor driver in Nova. There is only one here, so any value will do.",
    "baremetal.BareMetalDriver",
    WITHOUT_EFFECT,
  ),
  debug: boolean("Keep debug lines in the log.", false),
  useJson: boolean("Log lines are JSON, for machines; False: text, for people.", true),
  logFile: optionalText("File to log to; relative to log_dir. Unset: standard error."),
  logDir: optionalText("Folder of the log files; without log_file, each program's is named after it."),
  forceConfigDrive: boolean("Every instance gets a config drive, whether the user asked for it or not.", true),
  defaultEphemeralFormat: optionalText("File system of the ephemeral partition when the user names none. Unset: ext3."),
  useIpv6: boolean("Addresses of instances may be IPv6; addresses are not given out here.", false, WITHOUT_EFFECT),
  schedulerMaxAttempts: integer("How many nodes are tried for one instance before it goes to ERROR.", 3, { min: 1 }),
  reportInterval: integer("Seconds between two heartbeats of a service.", 10, { min: 1 }),
  serviceDownTime: integer("Seconds without a heartbeat after which a service counts as down.", 60, { min: 1 }),
  syncPowerStateInterval: integer(
    "Seconds between two looks at the power of a node; Nova's default is 600. 0 or less: the power of instances is not looked after, and only nodes with a power fault are looked at.",
    60,
    { min: -1, max: 86_400 },
  ),
  syncPowerStatePoolSize: integer("How many nodes' power is looked at at a time, at most.", 256, {
    min: 1,
    max: 10_000,
  }),
  updateResourcesInterval: integer(
    "Seconds between two reports of the nodes in Nova; here each heartbeat (report_interval) reports.",
    60,
    { min: 1 },
    WITHOUT_EFFECT,
  ),
  reservedHostMemoryMb: integer(
    "MiB of each node that are kept from instances: none, a node is rented as a whole.",
    0,
    {},
    WITHOUT_EFFECT,
  ),
  reservedHostDiskMb: integer("MiB of each node's disk that are kept from instances: none.", 0, {}, WITHOUT_EFFECT),
  ramAllocationRatio: decimal("How far memory may be promised beyond what is there: not at all.", 1, WITHOUT_EFFECT),
  schedulerHostManager: text(
    "The scheduler's host manager in Nova.",
    "nova.scheduler.baremetal_host_manager.BaremetalHostManager",
    WITHOUT_EFFECT,
  ),
  firewallDriver: text(
    "The firewall driver in Nova; a machine's network is its own.",
    "nova.virt.firewall.NoopFirewallDriver",
    WITHOUT_EFFECT,
  ),
  enabledApis: list("The APIs that Nova would start; all of ours always run.", "", WITHOUT_EFFECT),
});
