// The tree of an ISO 9660 image: paths to directories and files, each with a level 1 name beside its real one.
import { BaremetalError } from "../../lib/errors.ts";

export interface IsoFile {
  readonly kind: "file";
  readonly name: string;
  isoName: string;
  readonly content: Buffer;
  sector: number;
}

export interface IsoDirectory {
  readonly kind: "directory";
  readonly name: string;
  isoName: string;
  /** The root is its own parent. */
  readonly parent: IsoDirectory;
  readonly children: IsoNode[];
  sector: number;
  sizeBytes: number;
}

export type IsoNode = IsoFile | IsoDirectory;

/** ECMA-119 6.8.2.1. */
const MAX_DEPTH = 8;
/** A directory record has 255 bytes at most; with our fields this is what is left for a name. */
const MAX_NAME_BYTES = 160;

/** @throws BaremetalError `BadInput` for absolute paths, `..`, too deep or too long ones, or a file used as a folder */
export function buildTree(files: ReadonlyMap<string, Buffer>): IsoDirectory {
  const root = newDirectory("", undefined);
  for (const [path, content] of files) {
    const names = path.split("/");
    const isBad = names.some(
      (n) => n === "" || n === "." || n === ".." || n.includes("\0") || Buffer.byteLength(n) > MAX_NAME_BYTES,
    );
    if (isBad || names.length > MAX_DEPTH - 1) {
      throw new BaremetalError("BadInput", `"${path}" cannot be a path in a config drive`, { data: { path } });
    }
    let directory = root;
    for (const name of names.slice(0, -1)) {
      const found = directory.children.find((child) => child.name === name);
      if (found?.kind === "file")
        throw new BaremetalError("BadInput", `"${path}": "${name}" is a file`, { data: { path } });
      if (found === undefined) {
        const made = newDirectory(name, directory);
        directory.children.push(made);
        directory = made;
      } else directory = found;
    }
    const name = names[names.length - 1] ?? "";
    if (directory.children.some((child) => child.name === name)) {
      throw new BaremetalError("BadInput", `"${path}" is in the config drive twice`, { data: { path } });
    }
    directory.children.push({ kind: "file", name, isoName: "", content, sector: 0 });
  }
  nameChildren(root);
  return root;
}

/** In path table order: level by level, and by name in each. */
export function walkDirectories(root: IsoDirectory): IsoDirectory[] {
  const all = [root];
  for (let at = 0; at < all.length; at++) {
    for (const child of all[at]?.children ?? []) if (child.kind === "directory") all.push(child);
  }
  return all;
}

function newDirectory(name: string, parent: IsoDirectory | undefined): IsoDirectory {
  const directory = {
    kind: "directory",
    name,
    isoName: "",
    children: [],
    sector: 0,
    sizeBytes: 0,
  } as unknown as IsoDirectory;
  return Object.assign(directory, { parent: parent ?? directory });
}

/** Level 1 names (8.3, capitals) by position: nobody reads them, but they must be unique and in order. */
function nameChildren(directory: IsoDirectory): void {
  directory.children.sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
  for (const [index, child] of directory.children.entries()) {
    const number = String(index).padStart(7, "0");
    child.isoName = child.kind === "directory" ? `D${number}` : `F${number}.;1`;
    if (child.kind === "directory") nameChildren(child);
  }
  directory.children.sort((a, b) => (a.isoName < b.isoName ? -1 : 1));
}
