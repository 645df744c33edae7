// What every daemon's main file does: argv, nova.conf, log, readiness, signals, an orderly end.
import { existsSync } from "node:fs";
import { basename, isAbsolute, join } from "node:path";
import { parseArgs } from "node:util";
import { type Config, loadConfig } from "../lib/config/index.ts";
import { describeError } from "../lib/errors.ts";
import { createLogger, type Logger } from "../lib/log.ts";

/** A running service. `close` drains it. */
export interface Service {
  /** Where it listens, for the readiness line. */
  readonly address: string;
  close(): Promise<void>;
}

const DEFAULT_FILE = "/etc/nova/nova.conf";
/** An end that takes longer is no end: the process stops hard, and leases let others take over. */
const CLOSE_DEADLINE_MS = 60_000;

function usage(name: string): string {
  return `usage: ${name} [--config-file FILE]... [--debug]\nReads ${DEFAULT_FILE} if there is one and no file is named.\n`;
}

function logFile(config: Config, name: string): { file?: string } {
  const { logFile: file, logDir } = config.default;
  if (file) return { file: isAbsolute(file) || !logDir ? file : join(logDir, file) };
  return logDir ? { file: join(logDir, `${name}.log`) } : {};
}

/** Runs `start` as this process's service until SIGTERM or SIGINT. Exit status: 0 ended in order, 1 failed, 2 bad configuration. */
export async function runService(start: (config: Config, logger: Logger) => Promise<Service>): Promise<void> {
  const name = basename(process.argv[1] ?? "service").replace(/\.(js|ts)$/, "");
  let config: Config;
  let logger: Logger;
  try {
    const options = {
      "config-file": { type: "string", multiple: true },
      debug: { type: "boolean" },
      help: { type: "boolean", short: "h" },
    } as const;
    const { values } = parseArgs({ options });
    if (values.help) {
      process.stdout.write(usage(name));
      return;
    }
    config = loadConfig({ files: values["config-file"] ?? (existsSync(DEFAULT_FILE) ? [DEFAULT_FILE] : []) });
    const { debug, useJson } = config.default;
    logger = createLogger({
      service: name,
      debug: values.debug ?? debug,
      format: useJson ? "json" : "text",
      ...logFile(config, name),
    });
  } catch (error) {
    process.stderr.write(`${name}: ${describeError(error)}\n${usage(name)}`);
    process.exit(2);
  }
  for (const warning of config.warnings) logger.warn(warning);
  await serve(name, config, logger, start);
}

async function serve(
  name: string,
  config: Config,
  logger: Logger,
  start: (config: Config, logger: Logger) => Promise<Service>,
) {
  const stopped = new Promise<string>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => resolve(signal));
  });
  try {
    const service = await start(config, logger);
    logger.info("ready", { address: service.address, pid: process.pid });
    logger.info("stopping", { signal: await stopped });
    const hard = setTimeout(() => {
      logger.error(`${name} did not end within ${CLOSE_DEADLINE_MS} ms`);
      process.exit(1);
    }, CLOSE_DEADLINE_MS);
    await service.close();
    clearTimeout(hard);
    logger.info("stopped");
  } catch (error) {
    logger.error(`${name} failed: ${describeError(error)}`);
    process.exitCode = 1;
  }
  // Logs are flushed with the streams' end; nothing else is left to do.
  logger.close(() => process.exit());
}
