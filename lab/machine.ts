// One machine of the rack: QEMU with an empty disk, a PXE ROM and a serial port, kept in a file too. Its BMC holds the power button.
import { open, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { Daemon } from "./daemon.ts";
import type { MachineAddress } from "./network.ts";
import { qmp, shutdownReason } from "./qmp.ts";

export interface MachineOptions {
  readonly address: MachineAddress;
  /** Log and console. */
  readonly folder: string;
  /** For the sockets: a short path. */
  readonly socketFolder: string;
  readonly diskFile: string;
  /** Called on each power change, with the reason. */
  readonly onPower?: (isOn: boolean) => void;
}

export const MACHINE_MEMORY_MB = 512;
export const MACHINE_DISK_BYTES = 2 * 1024 ** 3;

const SERIAL_CHARDEV = "console";

export type BootDevice = "pxe" | "disk";

/**
 * Power is a process: on while QEMU runs. Commands are taken one after the other.
 *
 * A reset, the guest's own or the button's, is a new process too, and power stays on. Trap: QEMU keeps its translations of
 * the kernel that ran before, and each write over one of them is slow: where the next kernel was unpacked over the last
 * one (one boot in four, by address randomisation) that took 5 to 10 s instead of 0.4 s.
 */
export class Machine {
  readonly address: MachineAddress;
  readonly diskFile: string;
  readonly serialLog: string;
  /** The serial port: the machine connects to it when it is switched on. It must be listened on then. */
  readonly serialSocket: string;
  /** What the next power-on boots from first. A running machine keeps the order it started with, across resets too. */
  bootDevice: BootDevice = "disk";
  readonly #folder: string;
  readonly #qmpSocket: string;
  readonly #eventSocket: string;
  readonly #onPower: (isOn: boolean) => void;
  #qemu: Daemon | undefined;
  #isOn = false;
  /** What this power-on boots from. */
  #bootsFrom: BootDevice = "disk";
  #last: Promise<void> = Promise.resolve();

  constructor(options: MachineOptions) {
    this.address = options.address;
    this.diskFile = options.diskFile;
    this.#folder = options.folder;
    this.#qmpSocket = join(options.socketFolder, `qmp${options.address.index}`);
    this.#eventSocket = join(options.socketFolder, `events${options.address.index}`);
    this.serialLog = join(options.folder, "serial.log");
    this.serialSocket = join(options.socketFolder, `serial${options.address.index}`);
    this.#onPower = options.onPower ?? (() => {});
  }

  get name(): string {
    return `node${this.address.index}`;
  }

  get isOn(): boolean {
    return this.#isOn;
  }

  get pid(): number | undefined {
    return this.#qemu?.isRunning ? this.#qemu.pid : undefined;
  }

  powerOn(): Promise<void> {
    return this.#next(async () => {
      if (this.#isOn) return;
      await createSparse(this.diskFile);
      this.#bootsFrom = this.bootDevice;
      await this.#start();
      this.#setPower(true);
    });
  }

  /** The plug: no notice to the guest. */
  powerOff(): Promise<void> {
    return this.#next(async () => {
      const qemu = this.#qemu;
      // From here on its end is no reset, whatever the guest did last.
      this.#qemu = undefined;
      await qemu?.stop("SIGKILL");
      this.#setPower(false);
    });
  }

  /** The reset button. */
  reset(): Promise<void> {
    return this.#next(async () => (this.#isOn ? qmp(this.#qmpSocket, { execute: "system_reset" }) : undefined));
  }

  /** The power button, pressed once: the guest may shut down. */
  pressPowerButton(): Promise<void> {
    return this.#next(async () => (this.#isOn ? qmp(this.#qmpSocket, { execute: "system_powerdown" }) : undefined));
  }

  /** A break on the serial line: to Linux, the first half of a SysRq. Nothing happens if the machine is off. */
  async sendBreak(): Promise<void> {
    if (this.#isOn) await qmp(this.#qmpSocket, { execute: "chardev-send-break", arguments: { id: SERIAL_CHARDEV } });
  }

  /** Everything the machine has written to its serial console since the rack came up. */
  async console(): Promise<string> {
    return readFile(this.serialLog, "latin1").catch(() => "");
  }

  async #start(): Promise<void> {
    const qemu = await Daemon.start({
      name: this.name,
      command: "qemu-system-x86_64",
      args: this.#arguments(),
      logFile: join(this.#folder, "qemu.log"),
    });
    this.#qemu = qemu;
    void shutdownReason(this.#eventSocket, qemu.ended).then((reason) => this.#afterEnd(qemu, reason));
  }

  /** QEMU has ended by itself: after a reset it is started again, else the machine is off. */
  #afterEnd(qemu: Daemon, reason: string | undefined): Promise<void> {
    return this.#next(async () => {
      if (this.#qemu !== qemu) return;
      const isReset = reason === "guest-reset" || reason === "host-qmp-system-reset";
      const isBack =
        isReset &&
        (await this.#start().then(
          () => true,
          () => false,
        ));
      if (!isBack) this.#setPower(false);
    });
  }

  #setPower(isOn: boolean): void {
    if (this.#isOn === isOn) return;
    this.#isOn = isOn;
    this.#onPower(isOn);
  }

  #next(action: () => Promise<void>): Promise<void> {
    const done = this.#last.then(action);
    this.#last = done.catch(() => {});
    return done;
  }

  #arguments(): string[] {
    const { mac, tap } = this.address;
    const [network, disk] = this.#bootsFrom === "pxe" ? [1, 2] : [2, 1];
    return [
      ...["-name", this.name, "-nodefaults", "-no-user-config", "-display", "none"],
      // Software emulation even where /dev/kvm opens: nested, Debian's kernel was seen to hang in it.
      ...["-accel", "tcg", "-machine", "pc,graphics=off", "-smp", "1", "-m", `${MACHINE_MEMORY_MB}`],
      // With a hardware random generator, as computers have: without one the kernel's generator is not seeded when the first
      // initiator comes, and LIO's login response waits 1.02 s (256 timer ticks) for it: its first StatSN is random.
      ...["-cpu", "qemu64,+rdrand", "-action", "reboot=shutdown"],
      ...["-drive", `file=${escapeCommas(this.diskFile)},format=raw,if=none,id=disk,cache=unsafe,discard=unmap`],
      ...["-device", `virtio-blk-pci,drive=disk,bootindex=${disk}`],
      ...["-netdev", `tap,id=net,ifname=${tap},script=no,downscript=no`],
      ...["-device", `virtio-net-pci,netdev=net,mac=${mac},bootindex=${network}`],
      ...["-chardev", this.#serialChardev(), "-serial", `chardev:${SERIAL_CHARDEV}`],
      ...["-chardev", `socket,id=qmp,path=${escapeCommas(this.#qmpSocket)},server=on,wait=off`],
      ...["-mon", "chardev=qmp,mode=control"],
      ...["-chardev", `socket,id=events,path=${escapeCommas(this.#eventSocket)},server=on,wait=off`],
      ...["-mon", "chardev=events,mode=control"],
    ];
  }

  #serialChardev(): string {
    const [path, log] = [escapeCommas(this.serialSocket), escapeCommas(this.serialLog)];
    return `socket,id=${SERIAL_CHARDEV},path=${path},logfile=${log},logappend=on`;
  }
}

/** QEMU's option syntax doubles a comma inside a value. */
function escapeCommas(value: string): string {
  return value.replaceAll(",", ",,");
}

async function createSparse(path: string): Promise<void> {
  const isThere = await stat(path).then(
    () => true,
    () => false,
  );
  if (isThere) return;
  const file = await open(path, "w", 0o600);
  try {
    await file.truncate(MACHINE_DISK_BYTES);
  } finally {
    await file.close();
  }
}
