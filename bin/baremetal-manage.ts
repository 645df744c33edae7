#!/usr/bin/env node
// baremetal-manage: the command line of manage/.
import { main } from "../manage/baremetal-manage.ts";

process.exitCode = await main(process.argv.slice(2), { stdout: process.stdout, stderr: process.stderr });
