// A machine in QEMU whose Linux kernel is the iSCSI target (LIO): the lab's kernel, a ramdisk of our own, three disks.
import { mkdtemp, open, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ArtifactCache } from "../../lab/artifacts/cache.ts";
import { type InitramfsOptions, initramfsInputs, writeInitramfs } from "../../lab/artifacts/initramfs.ts";
import { fetchKernel } from "../../lab/artifacts/kernel.ts";
import { Daemon, tail } from "../../lab/daemon.ts";
import { Say } from "../../lab/say.ts";
import { freePort } from "../../packages/node-iscsi/test/fakes/free-port.ts";

const MIB = 1024 * 1024;
/** Kernel and ramdisk are kept where the lab keeps its own. */
const CACHE = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), ".lab/cache");
/** Without KVM, on two shared cores: 3 to 6 s on an idle computer. */
const READY_DEADLINE_MS = 60_000;
const MODULES = [
  "virtio_pci",
  "virtio_net",
  "virtio_blk",
  "configfs",
  "target_core_mod",
  "target_core_iblock",
  "target_core_file",
  "iscsi_target_mod",
];

/** Every initiator; CHAP only at {@link LIO}.chapTarget. Secrets of two lengths on purpose. */
export const LIO = {
  /** LUN 0, 1, 2: `small`, `large`, `cached`. */
  openTarget: "iqn.2026-11.test.lio:open",
  /** LUN 0: `small`. InitialR2T, no immediate data, bursts of 16 KiB, segments of 4 KiB. */
  burstsTarget: "iqn.2026-11.test.lio:bursts",
  /** LUN 0: `small`; LUN 1: `large`, write-protected. DefaultTime2Wait is LIO's own 2 s. */
  chapTarget: "iqn.2026-11.test.lio:chap",
  /** The initiator that must prove itself. */
  oneWayInitiator: "iqn.2026-11.test.initiator:one-way",
  /** The initiator that must prove itself and must ask the target to do the same. */
  mutualInitiator: "iqn.2026-11.test.initiator:mutual",
  chap: { user: "deploy", secret: "a-good-long-secret" },
  targetChap: { user: "lio", secret: "the-targets-own-secret" },
  /** Behind LUN 0: a sparse file that discards, 512-byte blocks. */
  small: { lun: 0, bytes: 1024 * MIB, blockSize: 512, serial: "0123456789abcdef0123456789abcdef" },
  /** Behind LUN 1: the same with 4096-byte blocks. */
  large: { lun: 1, bytes: 256 * MIB, blockSize: 4096, serial: "fedcba9876543210fedcba9876543210" },
  /** Behind LUN 2: a file in the machine's memory, with a volatile write cache. */
  cached: { lun: 2, bytes: 64 * MIB, blockSize: 512, serial: "00112233445566778899aabbccddeeff" },
} as const;

/** The machine's address behind QEMU's user network. */
export const GUEST_ADDRESS = "10.0.2.15";

/** Started by `start`, ended by `stop`. */
export class LioMachine {
  /** On 127.0.0.1, forwarded to port 3260 of the machine. */
  readonly port: number;
  /** From QEMU's start to the target's, artifacts not counted. */
  readonly bootMs: number;
  readonly #folder: string;
  readonly #qemu: Daemon;

  private constructor(port: number, bootMs: number, folder: string, qemu: Daemon) {
    this.port = port;
    this.bootMs = bootMs;
    this.#folder = folder;
    this.#qemu = qemu;
  }

  /** Builds what is not in the cache, boots, and resolves when LIO listens. Rejects with the end of the console. */
  static async start(): Promise<LioMachine> {
    const artifacts = await buildArtifacts();
    const folder = await mkdtemp(join(tmpdir(), "lio-"));
    try {
      await createSparse(join(folder, "small.img"), LIO.small.bytes);
      await createSparse(join(folder, "large.img"), LIO.large.bytes);
      for (let attempt = 1; ; attempt++) {
        const port = await freePort();
        try {
          return await LioMachine.#boot(artifacts, folder, port);
        } catch (error) {
          // Between our look and QEMU's bind somebody else may have taken the port.
          if (attempt === 3 || !String(error).includes("Could not set up host forwarding")) throw error;
        }
      }
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  static async #boot(artifacts: Artifacts, folder: string, port: number): Promise<LioMachine> {
    const startedAt = performance.now();
    const qemu = await Daemon.start({
      name: "the LIO machine",
      command: "qemu-system-x86_64",
      args: qemuArguments(artifacts, folder, port),
      logFile: join(folder, "qemu.log"),
    });
    const consoleText = () => readFile(join(folder, "console.log"), "latin1").catch(() => "");
    try {
      await qemu.ready(async () => /^LIO: ready/m.test(await consoleText()) || undefined, READY_DEADLINE_MS);
    } catch (cause) {
      await qemu.stop("SIGKILL");
      const text = cause instanceof Error ? cause.message : String(cause);
      throw new Error(`${text}\n--- end of the console\n${tail(await consoleText(), 30)}`, { cause });
    }
    return new LioMachine(port, performance.now() - startedAt, folder, qemu);
  }

  /** The end of the machine's console, for the message of a test that failed. */
  async console(): Promise<string> {
    return tail(await readFile(join(this.#folder, "console.log"), "latin1").catch(() => ""), 30);
  }

  /** What is in the file behind a LUN now. */
  async readDisk(name: "small" | "large", offset: number, length: number): Promise<Buffer> {
    const file = await open(this.diskFile(name), "r");
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  }

  diskFile(name: "small" | "large"): string {
    return join(this.#folder, `${name}.img`);
  }

  async stop(): Promise<void> {
    await this.#qemu.stop("SIGKILL");
    await rm(this.#folder, { recursive: true, force: true });
  }
}

interface Artifacts {
  readonly kernelImage: string;
  readonly ramdisk: string;
}

async function buildArtifacts(): Promise<Artifacts> {
  const cache = new ArtifactCache(CACHE);
  const say = new Say({ write: (text) => process.stderr.write(text), verbose: false });
  const kernel = await fetchKernel(cache, CACHE, say);
  const init = await readFile(new URL("./lio-init.sh", import.meta.url), "utf8");
  const options: InitramfsOptions = { kernel, modules: MODULES, init, scripts: { "etc/lio": settings() } };
  const build = (folder: string) => writeInitramfs(join(folder, "ramdisk"), options);
  const folder = await cache.folder("lio-ramdisk", await initramfsInputs(options), build);
  return { kernelImage: kernel.image, ramdisk: join(folder, "ramdisk") };
}

/** What lio-init.sh sources. */
function settings(): string {
  const values: Record<string, string | number> = {
    address: GUEST_ADDRESS,
    open_target: LIO.openTarget,
    bursts_target: LIO.burstsTarget,
    chap_target: LIO.chapTarget,
    one_way_initiator: LIO.oneWayInitiator,
    mutual_initiator: LIO.mutualInitiator,
    user: LIO.chap.user,
    secret: LIO.chap.secret,
    target_user: LIO.targetChap.user,
    target_secret: LIO.targetChap.secret,
    small_serial: LIO.small.serial,
    large_serial: LIO.large.serial,
    cached_serial: LIO.cached.serial,
    cached_bytes: LIO.cached.bytes,
    lifetime_seconds: 900,
  };
  return Object.entries(values)
    .map(([name, value]) => `${name}=${value}\n`)
    .join("");
}

function qemuArguments(artifacts: Artifacts, folder: string, port: number): string[] {
  const disk = (name: string, blockSize: number) => [
    ...["-drive", `file=${escapeCommas(join(folder, `${name}.img`))},format=raw,if=none,id=${name},discard=unmap`],
    ...["-device", `virtio-blk-pci,drive=${name},logical_block_size=${blockSize},physical_block_size=${blockSize}`],
  ];
  return [
    ...["-name", "lio", "-nodefaults", "-no-user-config", "-display", "none"],
    // Software emulation and a random generator, for the lab's reasons (lab/machine.ts).
    ...["-accel", "tcg", "-machine", "pc,graphics=off", "-cpu", "qemu64,+rdrand", "-smp", "1", "-m", "384"],
    ...["-action", "reboot=shutdown,panic=shutdown"],
    ...["-kernel", artifacts.kernelImage, "-initrd", artifacts.ramdisk],
    ...["-append", "console=ttyS0 loglevel=4 panic=-1"],
    ...disk("small", LIO.small.blockSize),
    ...disk("large", LIO.large.blockSize),
    ...["-netdev", `user,id=net,restrict=on,ipv6=off,hostfwd=tcp:127.0.0.1:${port}-${GUEST_ADDRESS}:3260`],
    ...["-device", "virtio-net-pci,netdev=net,romfile="],
    ...["-chardev", `file,id=console,path=${escapeCommas(join(folder, "console.log"))}`, "-serial", "chardev:console"],
  ];
}

/** QEMU's option syntax doubles a comma inside a value. */
function escapeCommas(value: string): string {
  return value.replaceAll(",", ",,");
}

async function createSparse(path: string, bytes: number): Promise<void> {
  const file = await open(path, "w", 0o600);
  try {
    await file.truncate(bytes);
  } finally {
    await file.close();
  }
}
