// Writes docs/config.md and etc/nova.conf.sample from the schema, and shows a loaded configuration without its secrets.
import type { Config } from "./load.ts";
import { isRepeatable } from "./option.ts";
import { allOptions, headerOf, type OptionDescription, type SectionName } from "./schema.ts";

const WIDTH = 100;

function sections(): SectionName[] {
  return [...new Set(allOptions.map(({ section }) => section))];
}

function shownDefault({ meta }: OptionDescription): string | null {
  return meta.shownDefault ?? meta.default;
}

function notes({ meta, schema }: OptionDescription): string {
  const parts = [meta.help];
  if (meta.isWithoutEffect) parts.push("Accepted for old files; has no effect.");
  if (isRepeatable(schema)) parts.push("May be given more than once: the values add up.");
  if (meta.oldNames !== undefined) parts.push(`Older name: ${meta.oldNames.join(", ")}.`);
  return parts.join(" ");
}

/** etc/nova.conf.sample: every option with its default, commented out. */
export function renderSample(): string {
  const lines = [
    "# A sample of nova.conf, made by `baremetal-manage config sample`. Every value is the default; take the # away to change it.",
  ];
  for (const section of sections()) {
    lines.push("", `[${headerOf(section)}]`);
    for (const option of allOptions.filter((one) => one.section === section)) {
      const value = shownDefault(option);
      lines.push("", ...wrap(notes(option)), `# (${option.meta.expected})`);
      lines.push(`#${option.name} =${value === null || value === "" ? "" : ` ${value}`}`);
    }
  }
  return `${lines.join("\n")}\n`;
}

function wrap(text: string): string[] {
  const lines: string[] = [];
  let line = "#";
  for (const word of text.split(" ")) {
    if (line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = "#";
    }
    line += ` ${word}`;
  }
  return [...lines, line];
}

const INTRODUCTION = `# Configuration

Made by \`baremetal-manage config docs\`; change \`lib/config/\`, not this file.

All programs read one \`nova.conf\`: \`/etc/nova/nova.conf\` if it exists, or each \`--config-file FILE\` in order, of which a
later one wins. With no file at all every default below holds: SQLite, loopback, embedded users and images.

- \`key = value\` or \`key : value\`; lines that begin with \`#\` or \`;\` are comments; a line that begins with blanks goes on with
  the one before it.
- \`$name\` and \`\${name}\` stand for another option of the same section or of \`[DEFAULT]\`; \`$$\` is a dollar sign.
- An unknown option in a section of this page is an error. In \`[DEFAULT]\` and in all other sections, Nova's options are let
  pass; \`baremetal-manage config check\` lists them.
- Class paths of the original, such as \`nova.virt.baremetal.ipmi.IPMI\`, and its template paths are understood.
- Database addresses are \`sqlite:////absolute/file\` or \`mysql://user:password@host:port/database\`, with
  \`?unix_socket=/path\` for a socket; in the password, \`@ / %\` may be written as \`%40 %2F %25\`.
`;

/** docs/config.md. */
export function renderDocs(): string {
  const parts = [INTRODUCTION];
  for (const section of sections()) {
    const rows = allOptions
      .filter((one) => one.section === section)
      .map((option) => {
        const value = shownDefault(option);
        const shown = value === null ? "unset" : value === "" ? "empty" : `\`${value}\``;
        return `| \`${option.name}\` | ${shown} | ${option.meta.expected} | ${notes(option).replaceAll("|", "\\|")} |`;
      });
    parts.push(
      `## [${headerOf(section)}]\n\n| option | default | value | meaning |\n|---|---|---|---|\n${rows.join("\n")}\n`,
    );
  }
  return parts.join("\n");
}

/** The options that were set, one \`[section] name = value\` a line, secrets masked. */
export function renderGiven(config: Config): string[] {
  return allOptions
    .filter(({ section, name }) => config.given.has(`${section}.${name}`))
    .map((option) => {
      const value = (config[option.section] as Record<string, unknown>)[option.field];
      return `[${headerOf(option.section)}] ${option.name} = ${mask(option, value)}`;
    });
}

function mask({ meta }: OptionDescription, value: unknown): string {
  const text = Array.isArray(value) ? value.join(", ") : String(value ?? "");
  if (meta.secret === "value" && text !== "") return "***";
  // To the last @: a password may hold one that was not written as %40.
  return meta.secret === "url" ? text.replace(/^([\w+]+:\/\/[^:@/]*):.*@/s, "$1:***@") : text;
}
