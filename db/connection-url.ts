// Database URLs as SQLAlchemy writes them: sqlite:////abs/path, mysql://user:pass@host:port/db, mysql+pymysql://...
import { BaremetalError } from "../lib/errors.ts";

/** Where a database is. */
export type DatabaseAddress =
  | { readonly dialect: "sqlite"; readonly filename: string }
  | {
      readonly dialect: "mysql";
      readonly host: string;
      readonly port: number;
      readonly user: string;
      readonly password: string;
      readonly database: string;
      readonly socketPath: string | null;
    };

const MYSQL =
  /^(?:mysql|mariadb)(?:\+\w+)?:\/\/(?:([^:@/]*)(?::(.*))?@)?(\[[^\]]*\]|[^/:?@]*)(?::(\d+))?\/([^?]*)(?:\?(.*))?$/;

/**
 * Reads a connection URL. @throws BaremetalError `BadInput`; the text never holds the password.
 */
export function parseDatabaseUrl(url: string): DatabaseAddress {
  if (/^sqlite(?:\+\w+)?:/.test(url)) return parseSqlite(url);
  const match = MYSQL.exec(url);
  if (match === null) {
    throw bad(
      `${maskDatabaseUrl(url)} is no database URL`,
      "write sqlite:////absolute/file or mysql://user:password@host/database",
    );
  }
  const [, user = "", password = "", host = "", port, database = "", query = ""] = match;
  for (const part of [user, host, database]) {
    if (/^\{.*\}$/.test(part))
      throw bad(`${maskDatabaseUrl(url)} still holds the placeholder ${part}`, "put the real value there");
  }
  if (database === "") throw bad(`${maskDatabaseUrl(url)} names no database`, "end it with /database");
  return {
    dialect: "mysql",
    host: host.replace(/^\[|\]$/g, "") || "127.0.0.1",
    port: port === undefined ? 3306 : Number(port),
    user: decode(user),
    password: decode(password),
    database: decode(database),
    socketPath: new URLSearchParams(query).get("unix_socket"),
  };
}

function parseSqlite(url: string): DatabaseAddress {
  const rest = url.replace(/^sqlite(?:\+\w+)?:/, "").replace(/\?.*$/, "");
  if (rest === "//" || rest === "///:memory:" || rest === "") return { dialect: "sqlite", filename: ":memory:" };
  const match = /^\/\/\/(.+)$/.exec(rest);
  if (match?.[1] === undefined) {
    throw bad(`${url} is no SQLite URL`, "an absolute file has four slashes: sqlite:////var/lib/nova/file.sqlite");
  }
  return { dialect: "sqlite", filename: match[1] };
}

/** `url` with its password as three stars, for people's eyes. */
export function maskDatabaseUrl(url: string): string {
  return url.replace(/^([\w+]+:\/\/[^:@/]*):.*@/, "$1:***@");
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function bad(what: string, fix: string): BaremetalError {
  return new BaremetalError("BadInput", `${what}; ${fix}`, { data: { field: "connection" } });
}
