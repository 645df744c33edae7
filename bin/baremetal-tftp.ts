#!/usr/bin/env node
// baremetal-tftp: serves tftp_root, read only.
import { TftpServer } from "tftp";
import { runService } from "./run-service.ts";
import { tftpRootOf } from "./tftp-root.ts";

await runService(async (config, logger) => {
  const { tftpHost, tftpPort } = config.baremetal;
  const tftpRoot = await tftpRootOf(config, logger);
  const server = await TftpServer.listen({
    root: tftpRoot,
    // The paths in a node's configuration are absolute, tftp_root included.
    prefixes: [tftpRoot],
    address: tftpHost,
    port: tftpPort,
    onTransfer: (event) => logger[event.kind === "error" ? "warn" : "info"](`tftp ${event.kind}`, { ...event }),
  });
  return { address: `${tftpHost}:${server.port}`, close: () => server.close() };
});
