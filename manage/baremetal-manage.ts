// `baremetal-manage`: schema and configuration from the command line (nova-baremetal 9). Nodes are managed through the API.
import { existsSync } from "node:fs";
import { Command, CommanderError, InvalidArgumentError } from "commander";
import { openDatabases } from "../db/database.ts";
import { sync, version } from "../db/migrate.ts";
import {
  type Config,
  loadConfig,
  loadOrCreateSecretKey,
  renderDocs,
  renderGiven,
  renderSample,
  UNREADABLE,
} from "../lib/config/index.ts";
import { BaremetalError, describeError } from "../lib/errors.ts";
import { silentLogger } from "../lib/log.ts";

/** Where the program writes. */
export interface ManageIo {
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown };
  /** Read when no file is named, if it exists; default /etc/nova/nova.conf. */
  readonly defaultConfigFile?: string;
}

const DEFAULT_CONFIG_FILE = "/etc/nova/nova.conf";

/**
 * Runs one command. `argv` is without node and script. Gives the exit status: 0 done; 1 failed, or wrong arguments (with help);
 * 2 a configuration file that cannot be read. Never throws, never ends the process.
 */
export async function main(argv: readonly string[], io: ManageIo): Promise<number> {
  try {
    await program(io).parseAsync([...argv], { from: "user" });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode;
    io.stderr.write(`baremetal-manage: ${describeError(error)}\n`);
    return error instanceof BaremetalError && error.data.reason === UNREADABLE ? 2 : 1;
  }
}

function program(io: ManageIo): Command {
  const root = new Command("baremetal-manage")
    .description("Looks after the databases and the configuration of nova-baremetal.")
    .option("--config-file <file>", "nova.conf to read; may be given more than once", collect)
    .showHelpAfterError()
    .exitOverride()
    .configureOutput({ writeOut: (text) => io.stdout.write(text), writeErr: (text) => io.stderr.write(text) });
  const load = () => loadConfig({ files: configFiles(root, io) });
  addDatabaseCommands(root, io, load);
  addConfigCommands(root, io, load);
  root
    .command("bash-completion")
    .description("print the names that may follow, for the shell's completion")
    .argument("[category]", "the command whose subcommands are wanted")
    .action((category?: string) => print(io, `${completions(root, category)}\n`));
  return root;
}

function addDatabaseCommands(root: Command, io: ManageIo, load: () => Config): void {
  const db = root.command("db").description("the schemas of the databases");
  db.command("sync")
    .description("bring both schemas to the newest version, or to the one named")
    .option("--version <number>", "version of the bare-metal schema to go to, up or down; 0 empties all", parseVersion)
    .action(async (options: { version?: number }) => {
      const config = load();
      await withDatabases(config, (databases) => sync(databases, options));
      await loadOrCreateSecretKey(config.baremetal.secretKeyFile);
    });
  db.command("version")
    .description("print the version of the bare-metal schema")
    .action(async () => {
      io.stdout.write(`${await withDatabases(load(), version)}\n`);
    });
}

function addConfigCommands(root: Command, io: ManageIo, load: () => Config): void {
  const config = root.command("config").description("the configuration, nova.conf");
  config
    .command("check")
    .description("read the configuration and say what is in it, and what is wrong with it")
    .action(() => print(io, report(load())));
  config
    .command("sample")
    .description("print a nova.conf with every option")
    .action(() => print(io, renderSample()));
  config
    .command("docs")
    .description("print docs/config.md")
    .action(() => print(io, renderDocs()));
}

function print(io: ManageIo, text: string): void {
  io.stdout.write(text);
}

function report(config: Config): string {
  const lines =
    config.files.length === 0 ? ["no configuration file: all defaults"] : config.files.map((file) => `read ${file}`);
  lines.push(...renderGiven(config).map((line) => `  ${line}`));
  lines.push(...config.warnings.map((warning) => `warning: ${warning}`));
  lines.push(...config.ignored.map((place) => `ignored: ${place}`));
  lines.push("the configuration is good");
  return `${lines.join("\n")}\n`;
}

async function withDatabases<T>(
  config: Config,
  work: (databases: Awaited<ReturnType<typeof openDatabases>>) => Promise<T>,
): Promise<T> {
  const databases = await openDatabases({
    baremetalUrl: config.baremetal.sqlConnection,
    novaUrl: config.database.connection,
    logger: silentLogger,
  });
  try {
    return await work(databases);
  } finally {
    await databases.close();
  }
}

function configFiles(root: Command, io: ManageIo): string[] {
  const named = root.opts<{ configFile?: string[] }>().configFile;
  const file = io.defaultConfigFile ?? DEFAULT_CONFIG_FILE;
  return named ?? (existsSync(file) ? [file] : []);
}

function completions(root: Command, category: string | undefined): string {
  const named = category === undefined ? root : root.commands.find((command) => command.name() === category);
  const names = (named?.commands ?? []).map((command) => command.name());
  return names.filter((name) => name !== "bash-completion").join(" ");
}

function collect(file: string, before: string[] | undefined): string[] {
  return [...(before ?? []), file];
}

function parseVersion(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError("It must be a number.");
  return Number(text);
}
