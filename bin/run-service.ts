// What every daemon's main file does: argv, nova.conf, log, readiness, signals, an orderly end.
import { existsSync } from "node:fs";
import { basename, isAbsolute, join } from "node:path";
import { parseArgs } from "node:util";
import { type Config, loadConfig } from "../lib/config/index.ts";
import { BaremetalError, describeError } from "../lib/errors.ts";
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
/** The log's last lines get this long to be written. */
const FLUSH_MS = 1000;

function usage(name: string): string {
  return `usage: ${name} [--config-file FILE]... [--debug]\nReads ${DEFAULT_FILE} if there is one and no file is named.\n`;
}

function logFile(config: Config, name: string): { file?: string } {
  const { logFile: file, logDir } = config.default;
  if (file) return { file: isAbsolute(file) || !logDir ? file : join(logDir, file) };
  return logDir ? { file: join(logDir, `${name}.log`) } : {};
}

/**
 * Runs `start` as this process's service until SIGTERM or SIGINT; its signal aborts then, also in the middle of the start.
 * Exit status: 0 ended in order, 1 failed, 2 bad configuration.
 */
export async function runService(start: Start): Promise<void> {
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

type Start = (config: Config, logger: Logger, signal: AbortSignal) => Promise<Service>;

async function serve(name: string, config: Config, logger: Logger, start: Start): Promise<void> {
  const stop = watchForEnd(name, logger);
  try {
    const service = await start(config, logger, stop);
    if (!stop.aborted) {
      logger.info("ready", { address: service.address, pid: process.pid });
      await new Promise((resolve) => stop.addEventListener("abort", resolve, { once: true }));
    }
    await service.close();
    logger.info("stopped");
  } catch (error) {
    // A start that a signal cut short has not failed.
    if (!stop.aborted || !isAbort(error)) {
      logger.error(`${name} failed: ${describeError(error)}`);
      process.exitCode = 1;
    }
  }
  // Logs are flushed with the streams' end; nothing else is left to do.
  logger.close(() => process.exit());
}

/**
 * Gives a signal that aborts when this process is to end: by SIGTERM or SIGINT, also while it still starts, or by an error
 * that nobody caught, with status 1. The end is hard, with status 1, at a second signal or when it takes too long.
 */
function watchForEnd(name: string, logger: Logger): AbortSignal {
  const stop = new AbortController();
  const endHard = (why: string) => {
    logger.error(`${name} ends at once: ${why}`);
    setTimeout(() => process.exit(1), FLUSH_MS);
    logger.close(() => process.exit(1));
  };
  const begin = (fields: Record<string, unknown>) => {
    logger.info("stopping", fields);
    setTimeout(() => endHard(`it did not end within ${CLOSE_DEADLINE_MS} ms`), CLOSE_DEADLINE_MS).unref();
    stop.abort(new BaremetalError("Cancelled", `${name} is stopping`));
  };
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => (stop.signal.aborted ? endHard(`a second signal, ${signal}`) : begin({ signal })));
  }
  for (const event of ["unhandledRejection", "uncaughtException"] as const) {
    process.on(event, (error: unknown) => {
      logger.error(`${name}: ${event}: ${describeError(error)}`, {
        stack: error instanceof Error ? error.stack : null,
      });
      process.exitCode = 1;
      if (!stop.signal.aborted) begin({ cause: event });
    });
  }
  return stop.signal;
}

function isAbort(error: unknown): boolean {
  return error instanceof BaremetalError ? error.code === "Cancelled" : (error as Error | null)?.name === "AbortError";
}
