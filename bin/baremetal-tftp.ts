#!/usr/bin/env node
// baremetal-tftp: serves tftp_root, read only.
import { mkdir } from "node:fs/promises";
import { TftpServer } from "tftp";
import { runService } from "./run-service.ts";

await runService(async (config, logger) => {
  const { tftpRoot, tftpHost, tftpPort } = config.baremetal;
  await mkdir(tftpRoot, { recursive: true });
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
