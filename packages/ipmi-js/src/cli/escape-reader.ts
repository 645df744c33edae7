// Keys typed at a console, taken apart into what goes to the machine and what is meant for us: `~.` and the like, as in ssh.

/** What was typed, in its order. */
export type Typed =
  | { readonly kind: "characters"; readonly data: Buffer }
  | { readonly kind: "leave" | "break" | "help" };

const TILDE = 0x7e;
const LINE_ENDS: readonly number[] = [0x0a, 0x0d];
const COMMANDS: ReadonlyMap<number, "leave" | "break" | "help"> = new Map([
  [0x2e, "leave"],
  [0x62, "break"],
  [0x3f, "help"],
]);

export const ESCAPE_HELP = [
  "~.  leave the console",
  "~b  send a break",
  "~~  send a ~ (through ssh: ~~. leaves)",
  "~?  this text",
  "They count at the beginning of a line only.",
];

/** Remembers across reads where a line begins and whether a `~` waits for its second half. */
export class EscapeReader {
  #isAtLineStart = true;
  #hasTilde = false;

  read(keys: Buffer): Typed[] {
    const typed: Typed[] = [];
    let characters: number[] = [];
    const flush = (): void => {
      if (characters.length > 0) typed.push({ kind: "characters", data: Buffer.from(characters) });
      characters = [];
    };
    for (const key of keys) {
      if (this.#hasTilde) {
        this.#hasTilde = false;
        const command = COMMANDS.get(key);
        if (command !== undefined) {
          flush();
          typed.push({ kind: command });
          this.#isAtLineStart = true;
          continue;
        }
        characters.push(TILDE);
        if (key === TILDE) continue;
      } else if (this.#isAtLineStart && key === TILDE) {
        this.#hasTilde = true;
        this.#isAtLineStart = false;
        continue;
      }
      characters.push(key);
      this.#isAtLineStart = LINE_ENDS.includes(key);
    }
    flush();
    return typed;
  }
}
