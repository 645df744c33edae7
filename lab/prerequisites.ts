// What the lab needs of this computer, looked at before anything is built: programs, files, namespaces, /dev/net/tun.
import { access, constants, readFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { BaremetalError } from "../lib/errors.ts";
import { run } from "./command.ts";

/** One line of packages.json. */
export interface LabPackage {
  readonly name: string;
  readonly why: string;
  /** Programs that show that it is there. */
  readonly provides?: readonly string[];
  readonly files?: readonly string[];
  /** Needed with this `--db` only. */
  readonly onlyFor?: string;
}

/** How `unshare` is to be called here. */
export interface NamespaceWay {
  readonly args: readonly string[];
  readonly description: string;
}

/** The packages of packages.json that are missing. */
export async function missingPackages(db: string): Promise<LabPackage[]> {
  const text = await readFile(new URL("./packages.json", import.meta.url), "utf8");
  const missing: LabPackage[] = [];
  for (const item of JSON.parse(text) as LabPackage[]) {
    if (item.onlyFor !== undefined && item.onlyFor !== db) continue;
    const found = [
      ...(item.provides ?? []).map((program) => isProgram(program)),
      ...(item.files ?? []).map((file) => isReadable(file)),
    ];
    if ((await Promise.all(found)).includes(false)) missing.push(item);
  }
  return missing;
}

/** @throws BaremetalError `BadInput` that names the packages, what each is for, and the command to install them */
export async function requirePackages(db: string): Promise<void> {
  const missing = await missingPackages(db);
  if (missing.length === 0) return;
  const list = missing.map(({ name, why }) => `  ${name.padEnd(18)} ${why}`).join("\n");
  const names = missing.map(({ name }) => name).join(" ");
  throw new BaremetalError(
    "BadInput",
    `these Debian packages are missing:\n${list}\ninstall them with: apt-get install --no-install-recommends ${names}`,
    { data: { packages: missing.map(({ name }) => name) } },
  );
}

/**
 * Tries namespaces of our own. The process namespace is what makes the end certain: when its first process goes,
 * for whatever reason, the kernel ends all others, and network and taps go with them.
 * @throws BaremetalError `BadInput` that says how to open user namespaces, or to use sudo
 */
export async function findNamespaceWay(): Promise<NamespaceWay> {
  const common = ["--net", "--pid", "--fork", "--kill-child"];
  const ways: NamespaceWay[] = [
    { args: ["--user", "--map-root-user", ...common], description: "a user, network and process namespace of its own" },
  ];
  if (process.getuid?.() === 0) {
    ways.push({ args: common, description: "a network and process namespace of its own, as root" });
  }
  const reasons: string[] = [];
  for (const way of ways) {
    try {
      // The very things that the lab does: a bridge, and a tap on it.
      const script = "ip link add br0 type bridge && ip tuntap add tap0 mode tap";
      await run("unshare", [...way.args, "sh", "-c", script], { deadlineMs: 10_000 });
      return way;
    } catch (error) {
      reasons.push(error instanceof Error ? error.message : String(error));
    }
  }
  throw new BaremetalError("BadInput", await explain(reasons), { data: { reasons } });
}

async function explain(reasons: readonly string[]): Promise<string> {
  const setting = async (name: string) => (await readFile(`/proc/sys/${name}`, "utf8").catch(() => "")).trim();
  const advice: string[] = [];
  if ((await setting("kernel/unprivileged_userns_clone")) === "0") {
    advice.push("user namespaces are closed: sudo sysctl kernel.unprivileged_userns_clone=1");
  }
  if ((await setting("user/max_user_namespaces")) === "0") {
    advice.push("user namespaces are closed: sudo sysctl user.max_user_namespaces=15000");
  }
  if ((await setting("kernel/apparmor_restrict_unprivileged_userns")) === "1") {
    advice.push("AppArmor closes user namespaces: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0");
  }
  if (!(await isUsable("/dev/net/tun"))) {
    advice.push("/dev/net/tun is missing or closed: sudo modprobe tun; sudo chmod 0666 /dev/net/tun");
  }
  advice.push("or run the lab as root: sudo npm run lab");
  return `the lab cannot make its network here:\n  ${reasons.join("\n  ")}\nwhat helps:\n  ${advice.join("\n  ")}`;
}

async function isProgram(name: string): Promise<boolean> {
  // Debian keeps ip, mke2fs, dnsmasq and mariadbd in sbin, which an ordinary user's PATH may lack.
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/sbin"];
  const found = await Promise.all(folders.map((folder) => isAccessible(join(folder, name), constants.X_OK)));
  return found.includes(true);
}

function isReadable(path: string): Promise<boolean> {
  return isAccessible(path, constants.R_OK);
}

function isUsable(path: string): Promise<boolean> {
  return isAccessible(path, constants.R_OK | constants.W_OK);
}

async function isAccessible(path: string, mode: number): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  );
}

/** PATH with the sbin folders that the lab's tools are in. */
export function pathWithSbin(path = process.env.PATH ?? ""): string {
  const folders = path.split(delimiter);
  return [...folders, ...["/usr/sbin", "/sbin"].filter((folder) => !folders.includes(folder))].join(delimiter);
}
