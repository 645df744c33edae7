// Reads oslo.config's INI form: sections, `key = value` or `key : value`, comments, continuation lines, repeated keys.
import { BaremetalError } from "../errors.ts";

/** One `key = value`, and where it stands. */
export interface IniEntry {
  /** `DEFAULT` for what stands before the first header. */
  readonly section: string;
  readonly key: string;
  /** Continuation lines are joined with line feeds; one pair of quotes around the whole is taken off. */
  readonly value: string;
  readonly file: string;
  /** Counted from 1. */
  readonly line: number;
}

/**
 * The entries of `text` in their order.
 * @throws BaremetalError `BadInput` with file and line, for a line that is neither header, entry, comment nor continuation.
 */
export function parseIni(text: string, file: string): IniEntry[] {
  const entries: IniEntry[] = [];
  let section = "DEFAULT";
  let open: { key: string; lines: string[]; line: number } | undefined;
  const close = () => {
    if (open === undefined) return;
    entries.push({ section, key: open.key, value: unquote(open.lines.join("\n")), file, line: open.line });
    open = undefined;
  };
  for (const [index, raw] of text
    .replace(/^\uFEFF/, "")
    .split(/\r?\n/)
    .entries()) {
    const line = index + 1;
    const trimmed = raw.trim();
    if (trimmed === "") {
      close();
      continue;
    }
    if (/^[#;]/.test(trimmed)) continue;
    if (/^\s/.test(raw)) {
      if (open === undefined)
        throw bad(file, line, "a continuation line with nothing to continue; take the blanks before it away");
      open.lines.push(trimmed);
      continue;
    }
    close();
    const header = /^\[([^\]]*)\]$/.exec(trimmed);
    if (header !== null) {
      section = (header[1] ?? "").trim();
      if (section === "") throw bad(file, line, "a section without a name; write [baremetal]");
      continue;
    }
    const entry = /^([^=:\s[][^=:]*?)\s*[=:]\s*(.*)$/.exec(trimmed);
    if (entry === null) throw bad(file, line, `${JSON.stringify(shorten(trimmed))} is no "key = value"`);
    open = { key: entry[1] ?? "", lines: [entry[2] ?? ""], line };
  }
  close();
  return entries;
}

function unquote(value: string): string {
  const match = /^(["'])([\s\S]*)\1$/.exec(value);
  return match?.[2] ?? value;
}

/** Trap: such a line may hold a secret, so little of it is shown. */
function shorten(text: string): string {
  return text.length > 16 ? `${text.slice(0, 16)}...` : text;
}

function bad(file: string, line: number, what: string): BaremetalError {
  return new BaremetalError("BadInput", `${file}:${line}: ${what}`, { data: { file, line } });
}
