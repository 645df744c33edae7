// What both commands need before the product's own code can run: npm packages, the build, Debian packages.
// Plain Node without dependencies: this runs on a fresh clone.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** A line for the person who waits; standard output is kept for results. */
export function say(text) {
  process.stderr.write(`${text}\n`);
}

export function die(text) {
  say(`error: ${text}`);
  process.exit(1);
}

/** Runs a command with our terminal; resolves to its exit status. `quiet` keeps its output for the case of failure. */
export function run(command, args, { quiet = false, env = {}, forwardSignals = false } = {}) {
  return new Promise((resolve) => {
    const stdio = quiet ? ["ignore", "pipe", "pipe"] : ["inherit", "inherit", "inherit"];
    const child = spawn(command, args, { cwd: ROOT, stdio, env: { ...process.env, ...env } });
    if (forwardSignals) {
      process.on("SIGINT", () => {});
      process.on("SIGTERM", () => child.kill("SIGTERM"));
    }
    const output = [];
    child.stdout?.on("data", (chunk) => output.push(chunk));
    child.stderr?.on("data", (chunk) => output.push(chunk));
    child.on("error", (error) => {
      say(`could not run ${command}: ${error.message}`);
      resolve(127);
    });
    child.on("close", (code, signal) => {
      if (quiet && code !== 0) process.stderr.write(Buffer.concat(output));
      resolve(code ?? (signal ? 128 : 1));
    });
  });
}

/**
 * Runs a command as a process group of its own and resolves to its exit status; 124 when it had not ended after
 * `deadlineMs`. Whatever the group has left behind by then is killed, so that nothing of a run outlives it.
 */
export function runGroup(command, args, { deadlineMs }) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: ROOT, stdio: ["ignore", "inherit", "inherit"], detached: true });
    const signalGroup = (signal) => {
      try {
        process.kill(-child.pid, signal);
      } catch {
        // All of it is gone.
      }
    };
    let interruptedBy;
    const forward = (signal) => {
      interruptedBy = signal;
      signalGroup(signal);
    };
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, forward);
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      say(`error: not finished after ${(deadlineMs / 60_000).toFixed(0)} minutes: killed`);
      signalGroup("SIGKILL");
    }, deadlineMs);
    const end = (status) => {
      clearTimeout(timer);
      for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.off(signal, forward);
      if (interruptedBy !== undefined) process.kill(process.pid, interruptedBy);
      else resolve(isLate ? 124 : status);
    };
    child.on("error", (error) => {
      say(`could not run ${command}: ${error.message}`);
      end(127);
    });
    child.on("exit", (code, signal) => {
      signalGroup("SIGKILL");
      end(code ?? (signal ? 128 : 1));
    });
  });
}

export function checkNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  die(`this is Node ${process.versions.node}; nova-baremetal needs 20.19 or newer`);
}

/** A stamp file says for which inputs a step was done last. */
function isDone(name, key) {
  const file = join(ROOT, "node_modules", ".cache", name);
  return existsSync(file) && readFileSync(file, "utf8") === key;
}

function markDone(name, key) {
  const folder = join(ROOT, "node_modules", ".cache");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, name), key);
}

/** better-sqlite3 is compiled where no built binary of it can be fetched. */
const BUILD_TOOLS = [
  { name: "g++", why: "compiles better-sqlite3" },
  { name: "make", why: "compiles better-sqlite3" },
  { name: "python3", why: "node-gyp, which compiles better-sqlite3" },
];

/** Installs the npm packages of package-lock.json if they are not there as it says. */
export async function installNpmPackages() {
  const lock = readFileSync(join(ROOT, "package-lock.json"));
  const key = createHash("sha256").update(lock).update(process.version).digest("hex");
  if (isDone("npm-packages", key)) return;
  await installDebianPackages(BUILD_TOOLS);
  say(
    "npm packages: installing as package-lock.json says (better-sqlite3 is compiled; about two minutes the first time)",
  );
  // Not `npm ci`: it wants every platform's optional package in the lock, and a mirror may hold only some of them.
  const args = ["install", "--no-save", "--no-audit", "--no-fund", "--loglevel=error"];
  const status = await run("npm", args, { quiet: true });
  if (status !== 0) die(`npm install failed with exit status ${status}; see its text above`);
  markDone("npm-packages", key);
}

/** Compiles the workspaces and the product to dist/. */
export async function build() {
  const start = Date.now();
  const status = await run("npm", ["run", "--silent", "build"], { quiet: true });
  if (status !== 0) die("the build failed; see the compiler's text above");
  say(`build: done in ${((Date.now() - start) / 1000).toFixed(1)} s`);
}

function missingDebianPackages(packages) {
  const asked = spawnSync(
    "dpkg-query",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own format.
    ["-W", "-f", "${Package} ${db:Status-Status}\n", ...packages.map((p) => p.name)],
    {
      encoding: "utf8",
    },
  );
  if (asked.error) die("this needs Debian or Ubuntu: dpkg-query is not there");
  const installed = new Set(
    asked.stdout
      .split("\n")
      .filter((line) => line.endsWith(" installed"))
      .map((line) => line.split(" ")[0]),
  );
  return packages.filter(
    (p, index) => !installed.has(p.name) && packages.findIndex((q) => q.name === p.name) === index,
  );
}

/** Says which Debian packages are missing and why they are needed, then installs them. */
export async function installDebianPackages(packages) {
  const missing = missingDebianPackages(packages);
  if (missing.length === 0) return;
  say("Debian packages that are needed and not here (installed now; no service is started):");
  for (const { name, why } of missing) say(`  ${name.padEnd(24)} ${why}`);
  const names = missing.map((p) => p.name);
  const isRoot = process.getuid() === 0;
  const prefix = isRoot ? [] : ["sudo", "--non-interactive"];
  const apt = async (...args) => {
    const [command, ...rest] = [...prefix, "apt-get", "-o", "DPkg::Lock::Timeout=300", "-q", ...args];
    return run(command, rest, { quiet: true, env: { DEBIAN_FRONTEND: "noninteractive" } });
  };
  let status = await apt("update");
  if (status === 0)
    status = await withoutServices(isRoot, () => apt("install", "--yes", "--no-install-recommends", ...names));
  if (status !== 0) {
    die(
      `could not install them. As root, run:\n  apt-get update && apt-get install --no-install-recommends ${names.join(" ")}`,
    );
  }
}

/** Debian asks policy-rc.d before a package starts its service: on a machine that has none, ours says no meanwhile. */
async function withoutServices(isRoot, work) {
  const file = "/usr/sbin/policy-rc.d";
  if (!isRoot || existsSync(file)) return work();
  writeFileSync(file, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  try {
    return await work();
  } finally {
    const { rmSync } = await import("node:fs");
    rmSync(file, { force: true });
  }
}

export function readPackageList(file) {
  return JSON.parse(readFileSync(join(ROOT, file), "utf8"));
}
