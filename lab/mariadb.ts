// The private MariaDB of `--db mysql`: its own data folder and socket, no network.
import { mkdir } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { run } from "./command.ts";
import { Daemon } from "./daemon.ts";

export interface DatabaseUrls {
  readonly nova: string;
  readonly baremetal: string;
}

/** Makes the data folder, starts the server, creates both databases. */
export async function startMariadb(options: { stateFolder: string; logFolder: string; socketFolder: string }) {
  const data = join(options.stateFolder, "mariadb");
  const socket = join(options.socketFolder, "mariadb");
  const user = userInfo().username;
  await mkdir(data, { recursive: true });
  await run("mariadb-install-db", [
    ...["--no-defaults", `--datadir=${data}`, `--user=${user}`],
    ...["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"],
  ]);
  const server = await Daemon.start({
    name: "mariadbd",
    command: "mariadbd",
    args: [
      ...["--no-defaults", `--datadir=${data}`, `--socket=${socket}`, `--user=${user}`, "--skip-networking"],
      ...["--innodb-buffer-pool-size=32M", "--innodb-log-file-size=16M", "--innodb-flush-log-at-trx-commit=2"],
      `--pid-file=${join(data, "pid")}`,
    ],
    logFile: join(options.logFolder, "mariadb.log"),
  });
  const query = (text: string) => run("mariadb", ["--no-defaults", `--socket=${socket}`, "--user=root", "-e", text]);
  const isUp = () =>
    query("select 1").then(
      () => true,
      () => undefined,
    );
  await server.ready(isUp, 30_000);
  await query("create database nova character set utf8mb4; create database nova_bm character set utf8mb4");
  const url = (name: string) => `mysql://root@localhost/${name}?unix_socket=${encodeURIComponent(socket)}`;
  return { server, urls: { nova: url("nova"), baremetal: url("nova_bm") } satisfies DatabaseUrls };
}
