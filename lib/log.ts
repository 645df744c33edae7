// Logging: winston behind a four-method interface, so that a caller never depends on it.
import winston from "winston";

/** What every part of the product logs through. `fields` must hold no secret. */
export interface Logger {
  debug(message: string, fields?: Record<string, unknown>): void;
  info(message: string, fields?: Record<string, unknown>): void;
  warn(message: string, fields?: Record<string, unknown>): void;
  error(message: string, fields?: Record<string, unknown>): void;
  /** True if debug lines are kept: guard costly ones with it. */
  readonly isDebug: boolean;
  /** A logger whose lines carry `fields` as well. */
  child(fields: Record<string, unknown>): Logger;
  /** Writes out what is still buffered, then calls `done`. Once, at the process's end. */
  close(done: () => void): void;
}

export interface LogOptions {
  /** The `name` field of each line, such as `baremetal-compute`. */
  readonly service: string;
  readonly debug?: boolean;
  /** A file to append to; standard error if absent. */
  readonly file?: string;
  /** `json` for machines (default), `text` for people. */
  readonly format?: "json" | "text";
}

const SECRET_FIELD = /pass(word)?$|secret|deploy_?key|^key$|token|private/i;

/** Replaces the values of fields whose names say they hold a secret. One level deep, as our fields are. */
export function redact(fields: Record<string, unknown>): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    out[name] = SECRET_FIELD.test(name) && value !== null && value !== undefined ? "***" : value;
  }
  return out;
}

function textLine(info: winston.Logform.TransformableInfo): string {
  const { timestamp, level, message, service, ...rest } = info;
  const fields = Object.entries(rest)
    .map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(" ");
  return `${String(timestamp)} ${String(level).toUpperCase()} ${String(service)} ${String(message)}${fields ? ` [${fields}]` : ""}`;
}

/** Opens the process's logger. */
export function createLogger(options: LogOptions): Logger {
  const { format, transports } = winston;
  const shape = options.format === "text" ? format.printf(textLine) : format.json();
  const target =
    options.file === undefined
      ? new transports.Console({ stderrLevels: ["error", "warn", "info", "debug"] })
      : new transports.File({ filename: options.file });
  const root = winston.createLogger({
    level: options.debug ? "debug" : "info",
    defaultMeta: { service: options.service },
    format: format.combine(format.timestamp(), shape),
    transports: [target],
  });
  return wrap(root);
}

function wrap(inner: winston.Logger): Logger {
  const write = (level: string) => (message: string, fields?: Record<string, unknown>) => {
    inner.log(level, message, fields === undefined ? {} : redact(fields));
  };
  return {
    debug: write("debug"),
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
    get isDebug() {
      return inner.isDebugEnabled();
    },
    child: (fields) => wrap(inner.child(redact(fields))),
    close: (done) => {
      inner.once("finish", done);
      inner.end();
    },
  };
}

/** A logger that keeps nothing, for tests and for libraries without one. */
export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  isDebug: false,
  child: () => silentLogger,
  close: (done) => done(),
};
