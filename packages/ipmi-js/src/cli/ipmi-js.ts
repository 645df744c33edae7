#!/usr/bin/env node
// The ipmi-js command.
import { isatty } from "node:tty";
import { main } from "./main.ts";

const hadTerminal = isatty(0);
process.exitCode = await main(process.argv.slice(2));
// Trap: with its terminal gone Node 20 cannot end in order: it aborts, and may leave a core with the password in it.
if (hadTerminal && !isatty(0)) process.kill(process.pid, "SIGHUP");
