// The options of [baremetal]: the original's with its names and defaults (nova-baremetal 3.1), then ours.
import { z } from "zod";
import { boolean, choice, integer, list, optionalText, port, text } from "./option.ts";

const WITHOUT_EFFECT = { isWithoutEffect: true } as const;

const original = {
  driver: choice("How nodes boot.", "pxe", ["pxe", "fake"], {
    "nova.virt.baremetal.pxe.PXE": "pxe",
    "nova.virt.baremetal.fake.FakeDriver": "fake",
  }),
  powerManager: choice("How nodes are switched on and off.", "ipmi", ["ipmi", "fake"], {
    "nova.virt.baremetal.ipmi.IPMI": "ipmi",
    "nova.virt.baremetal.fake.FakePowerManager": "fake",
  }),
  vifDriver: text(
    "How virtual interfaces are tied to the ports of a node.",
    "nova.virt.baremetal.vif_driver.BareMetalVIFDriver",
    WITHOUT_EFFECT,
  ),
  volumeDriver: text(
    "How volumes reach a node; volumes are not supported.",
    "nova.virt.baremetal.volume_driver.LibvirtVolumeDriver",
    WITHOUT_EFFECT,
  ),
  flavorExtraSpecs: list(
    "What all nodes of this host can, as key:value pairs, for flavors to ask for; such as cpu_arch:x86_64.",
    "",
    { oldNames: ["instance_type_extra_specs"] },
  ),
  tftpRoot: text("Folder that the TFTP server serves; the boot files of the nodes are written there.", "/tftpboot"),
  dbBackend: text("The database layer of the original.", "sqlalchemy", WITHOUT_EFFECT),
  sqlConnection: text(
    "Database of the nodes: sqlite:////absolute/file or mysql://user:password@host/database.",
    "sqlite:///$state_path/baremetal_nova.sqlite",
    { secret: "url" },
  ),
  deployKernel: optionalText("Image id of the deploy kernel, for flavors without baremetal:deploy_kernel_id."),
  deployRamdisk: optionalText("Image id of the deploy ramdisk, for flavors without baremetal:deploy_ramdisk_id."),
  netConfigTemplate: text(
    "Template of the /etc/network/interfaces that was injected; an instance asks DHCP, or its config drive's user data.",
    "$pybasedir/nova/virt/baremetal/net-dhcp.ubuntu.template",
    WITHOUT_EFFECT,
  ),
  pxeAppendParams: text("Kernel parameters that are added to both boot labels.", "nofb nomodeset vga=normal"),
  pxeConfigTemplate: text(
    "Template of the PXE configuration of a node.",
    "$pybasedir/nova/virt/baremetal/pxe_config.template",
  ),
  useFileInjection: boolean(
    "Files were injected into the image on this host; the config drive carries them now.",
    false,
    WITHOUT_EFFECT,
  ),
  pxeDeployTimeout: integer("Seconds that a deployment may take from power on to its end; 0: no limit.", 1800),
  pxeNetworkConfig: boolean(
    "Static ip= parameters of the boot label; there is no network service yet that would give the addresses.",
    false,
    WITHOUT_EFFECT,
  ),
  pxeBootfileName: text(
    "The boot file that Neutron's DHCP was told to give; dnsmasq has its own dhcp-boot.",
    "pxelinux.0",
    WITHOUT_EFFECT,
  ),
  terminal: text("The console program of the original.", "shellinaboxd", WITHOUT_EFFECT),
  terminalCertDir: optionalText("The console program's certificates.", WITHOUT_EFFECT),
  terminalPidDir: text("Folder of the console program's process ids.", "$state_path/baremetal/console", WITHOUT_EFFECT),
  ipmiPowerRetry: integer(
    "How many times the power state is asked for after a power command before it counts as failed.",
    10,
  ),
  useUnsafeIscsi: boolean("Volumes were exported to any initiator.", false, WITHOUT_EFFECT),
  iscsiIqnPrefix: text(
    "Beginning of the iSCSI names of exported volumes.",
    "iqn.2010-10.org.openstack.baremetal",
    WITHOUT_EFFECT,
  ),
  virtualPowerSshHost: text("Host of the virtual power driver.", "", WITHOUT_EFFECT),
  virtualPowerSshPort: port("SSH port of the virtual power driver's host.", 22, WITHOUT_EFFECT),
  virtualPowerType: text("Hypervisor of the virtual power driver.", "virsh", WITHOUT_EFFECT),
  virtualPowerHostUser: text("User of the virtual power driver.", "", WITHOUT_EFFECT),
  virtualPowerHostPass: text("Password of the virtual power driver.", "", { ...WITHOUT_EFFECT, secret: "value" }),
  virtualPowerHostKey: optionalText("SSH key of the virtual power driver.", WITHOUT_EFFECT),
  tilePduIp: text("Address of the Tilera PDU.", "10.0.100.1", WITHOUT_EFFECT),
  tilePduMgr: text("Control script of the Tilera PDU.", "/tftpboot/pdu_mgr", WITHOUT_EFFECT),
  tilePduOff: integer("Code for off of the Tilera PDU.", 2, {}, WITHOUT_EFFECT),
  tilePduOn: integer("Code for on of the Tilera PDU.", 1, {}, WITHOUT_EFFECT),
  tilePduStatus: integer("Code for status of the Tilera PDU.", 9, {}, WITHOUT_EFFECT),
  tilePowerWait: integer("Seconds to wait after a command to the Tilera PDU.", 9, {}, WITHOUT_EFFECT),
  injectPassword: boolean("Grizzly only; it did nothing there either.", true, WITHOUT_EFFECT),
  injectedNetworkTemplate: text("Grizzly only; it did nothing there either.", "", WITHOUT_EFFECT),
};

const ours = {
  powerDeadline: integer("Seconds that one power operation of a node may take, with all its retries.", 60, { min: 1 }),
  powerPollInterval: integer("Seconds between two looks at the power state while it changes.", 1, { min: 1 }),
  powerStateSyncMaxRetries: integer(
    "How many looks at a node's power in a row must fail until the node has a power fault and takes no instance.",
    3,
    { min: 1 },
  ),
  consoleLog: boolean(
    "Record what instances write to their serial consoles, by Serial over LAN, for nova console-log. A BMC gives its console to one party at a time.",
    true,
  ),
  consoleLogDir: text(
    "Folder of the recorded consoles; they may hold secrets of the instances.",
    "$instances_path/consoles",
  ),
  consoleLogMaxKb: integer("Kilobytes of one console log; one older file of this size is kept beside it.", 1024, {
    min: 64,
  }),
  deployHelperHost: text("Address that the deploy helper listens on for the calls of the deploy ramdisks.", "0.0.0.0"),
  deployHelperPort: port("Port of the deploy helper. The deploy ramdisks know 10000 only.", 10_000),
  deployWorkers: integer("How many deployments one helper runs at a time.", 4, { min: 1, max: 256 }),
  deployLease: integer("Seconds after which a silent helper loses its job to another.", 30, { min: 2 }),
  donePort: port(
    "Port of the node that hears that its deployment is done. The deploy ramdisks know 10000 only.",
    10_000,
  ),
  iscsiVerify: boolean("Read the written partition back and compare its SHA-256 before the node boots from it.", true),
  imageCachePath: text("Folder of the cached images, by content.", "$state_path/image-cache"),
  secretKeyFile: text(
    "File with the 32-byte key that seals BMC passwords in the database; made at the first start. Keep a copy: without it the passwords are lost.",
    "$state_path/secret.key",
  ),
  tftpHost: text("Address that the TFTP server listens on.", "0.0.0.0"),
  tftpPort: port("Port of the TFTP server. Boot ROMs know 69 only.", 69),
};

/** [baremetal] */
export const baremetalOptions = z.object({ ...original, ...ours });
