// A writer of the "newc" cpio archives that Linux takes as an initramfs (kernel: driver-api/early-userspace/buffer-format).
// Written directly: no root for device nodes, no cpio package, and the same input always gives the same bytes.

/** One member. `mode` holds the file type as well (0o100755, 0o040755, 0o120777, 0o020600). */
interface Member {
  readonly name: string;
  readonly mode: number;
  readonly data: Buffer;
  readonly device: readonly [major: number, minor: number];
}

const FILE = 0o100000;
const FOLDER = 0o040000;
const LINK = 0o120000;
const CHARACTER_DEVICE = 0o020000;

/** Collects members in order and gives the archive's bytes. */
export class CpioWriter {
  readonly #members: Member[] = [];

  folder(name: string): this {
    return this.#add({ name, mode: FOLDER | 0o755, data: Buffer.alloc(0), device: [0, 0] });
  }

  file(name: string, data: Buffer | string, permissions = 0o644): this {
    return this.#add({ name, mode: FILE | permissions, data: Buffer.from(data), device: [0, 0] });
  }

  link(name: string, target: string): this {
    return this.#add({ name, mode: LINK | 0o777, data: Buffer.from(target), device: [0, 0] });
  }

  characterDevice(name: string, major: number, minor: number): this {
    return this.#add({ name, mode: CHARACTER_DEVICE | 0o600, data: Buffer.alloc(0), device: [major, minor] });
  }

  /** The whole archive with its trailer. */
  toBuffer(): Buffer {
    const trailer: Member = { name: "TRAILER!!!", mode: 0, data: Buffer.alloc(0), device: [0, 0] };
    return Buffer.concat([
      ...this.#members.flatMap((member, index) => encode(member, index + 1)),
      ...encode(trailer, 0),
    ]);
  }

  #add(member: Member): this {
    this.#members.push(member);
    return this;
  }
}

/** 13 numbers of 8 hex digits after the magic, then the name and the data, each padded to 4 bytes. */
function encode(member: Member, inode: number): Buffer[] {
  const name = Buffer.from(`${member.name}\0`);
  const links = (member.mode & FOLDER) === FOLDER && member.mode < FILE ? 2 : 1;
  const [major, minor] = member.device;
  const numbers = [inode, member.mode, 0, 0, links, 0, member.data.length, 0, 0, major, minor, name.length, 0];
  const header = Buffer.from(`070701${numbers.map((value) => value.toString(16).padStart(8, "0")).join("")}`);
  return [header, name, padding(header.length + name.length), member.data, padding(member.data.length)];
}

function padding(length: number): Buffer {
  return Buffer.alloc((4 - (length % 4)) % 4);
}
