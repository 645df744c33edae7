// From a requested name to an open regular file under the root. Nothing outside the root is ever opened for reading.
import { constants, promises as fs } from "node:fs";
import { isAbsolute, join, resolve, sep } from "node:path";
import { TftpError } from "./errors.ts";

/** The folder that is served and the leading paths that mean it. */
export interface ServedRoot {
  /** Absolute, without a symlink in it. */
  readonly path: string;
  /** Each absolute, split at `/`; longest first. */
  readonly prefixes: readonly (readonly string[])[];
}

/** Checks the root once. The root's own path, as given and as resolved, is always among the prefixes. */
export async function openRoot(root: string, prefixes: readonly string[] = []): Promise<ServedRoot> {
  let path: string;
  try {
    path = await fs.realpath(root);
    if (!(await fs.stat(path)).isDirectory()) throw new Error("it is not a folder");
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause);
    throw new TftpError("BadInput", `the TFTP root ${root} can't be served: ${text}; create it or set another`, {
      cause,
    });
  }
  for (const prefix of prefixes) {
    if (!isAbsolute(prefix)) throw new TftpError("BadInput", `the TFTP prefix ${prefix} must be an absolute path`);
  }
  const all = [resolve(root), path, ...prefixes].map(components).filter((parts) => parts.length > 0);
  return { path, prefixes: all.sort((a, b) => b.length - a.length) };
}

/**
 * The path below the root that `name` asks for: `\` is `/`, a prefix is taken off, `.` and `..` are worked out.
 * Throws `AccessViolation` if the name climbs above the root or holds a NUL; `NotFound` if it names the root itself.
 */
export function relativePath(root: ServedRoot, name: string): string {
  if (name.includes("\0")) throw violation(name, "it holds a NUL");
  const slashed = name.replaceAll("\\", "/");
  const parts = components(slashed);
  const prefix = slashed.startsWith("/")
    ? root.prefixes.find((p) => p.every((part, i) => parts[i] === part))
    : undefined;
  const out: string[] = [];
  for (const part of parts.slice(prefix?.length ?? 0)) {
    if (part !== "..") out.push(part);
    else if (out.pop() === undefined) throw violation(name, "it leaves the served folder");
  }
  if (out.length === 0) throw new TftpError("NotFound", `${JSON.stringify(name)} names no file`);
  return out.join("/");
}

function components(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}

/** True if `path` is `root` or below it; both absolute and without symlinks. */
export function isInside(root: string, path: string): boolean {
  return path === root || path.startsWith(root.endsWith(sep) ? root : root + sep);
}

/**
 * Opens the file that `name` asks for. Symlinks work, relative or absolute, as long as the file they lead to is under the
 * root. The caller closes the handle. Throws `NotFound`, `AccessViolation` or `FileFailed`.
 */
export async function openServedFile(
  root: ServedRoot,
  name: string,
): Promise<{ handle: fs.FileHandle; sizeBytes: number }> {
  const wanted = join(root.path, relativePath(root, name));
  try {
    const real = await fs.realpath(wanted);
    if (!isInside(root.path, real)) throw violation(name, "it leads out of the served folder");
    // Looked at before it is opened: opening a device or FIFO can have effects of its own.
    if (!(await fs.lstat(real)).isFile()) throw violation(name, "it is not a regular file");
    // Trap: between realpath and open a path component can become a symlink. O_NOFOLLOW covers the last one, the look at
    // the open descriptor below all others; O_NONBLOCK keeps a FIFO that was just put there from holding us.
    const handle = await fs.open(real, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const opened = await descriptorPath(handle, real);
      if (!isInside(root.path, opened)) throw violation(name, "it leads out of the served folder");
      const stat = await handle.stat();
      if (!stat.isFile()) throw violation(name, "it is not a regular file");
      return { handle, sizeBytes: stat.size };
    } catch (error) {
      await handle.close();
      throw error;
    }
  } catch (error) {
    throw translate(error, name);
  }
}

/** Where an open descriptor really leads: /proc, or without /proc a second look at the path that must be the same file. */
async function descriptorPath(handle: fs.FileHandle, path: string): Promise<string> {
  try {
    return await fs.readlink(`/proc/self/fd/${handle.fd}`);
  } catch {
    const real = await fs.realpath(path);
    const [opened, now] = [await handle.stat(), await fs.stat(real)];
    if (opened.dev !== now.dev || opened.ino !== now.ino) throw violation(path, "it changed while it was opened");
    return real;
  }
}

function violation(name: string, why: string): TftpError {
  return new TftpError("AccessViolation", `${JSON.stringify(name)} is not served: ${why}`);
}

function translate(error: unknown, name: string): TftpError {
  if (error instanceof TftpError) return error;
  const errno = error instanceof Error && "code" in error ? String(error.code) : "";
  const quoted = JSON.stringify(name);
  if (["ENOENT", "ENOTDIR", "ENAMETOOLONG"].includes(errno)) {
    return new TftpError("NotFound", `there is no file ${quoted}`, { cause: error });
  }
  if (errno === "EACCES" || errno === "EPERM") {
    return new TftpError("AccessViolation", `${quoted} is not readable by the TFTP server`, { cause: error });
  }
  if (errno === "ELOOP") return new TftpError("AccessViolation", `${quoted} is a loop of symlinks`, { cause: error });
  return new TftpError("FileFailed", `${quoted} can't be opened (${errno || String(error)})`, { cause: error });
}
