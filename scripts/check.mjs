// `npm run check`: format, lint, types, walls, dead code, shape. In seconds; each tool's text only if it objects.
import { spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./environment.mjs";

const FOLDERS = ["bin", "driver", "deploy-helper", "manage", "api", "compute", "db", "lib", "lab", "test", "packages"];
const MAX_LINES = 400;
const tool = (name) => join(ROOT, "node_modules", ".bin", name);

const steps = [
  ["format and lint", tool("biome"), ["check", "--error-on-warnings", "."]],
  ["types", tool("tsc"), ["--noEmit", "-p", "."]],
  ["walls", tool("depcruise"), ["--config", ".dependency-cruiser.cjs", ...FOLDERS]],
  ["dead code", tool("knip"), ["--no-progress"]],
];

function runStep([name, command, args]) {
  return new Promise((resolve) => {
    const start = Date.now();
    const child = spawn(command, args, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
    const output = [];
    child.stdout.on("data", (chunk) => output.push(chunk));
    child.stderr.on("data", (chunk) => output.push(chunk));
    child.on("error", (error) => resolve({ name, ok: false, text: `${error.message}: run npm install first` }));
    child.on("close", (code) => {
      resolve({ name, ok: code === 0, text: Buffer.concat(output).toString(), ms: Date.now() - start });
    });
  });
}

/** A file that needs more than 400 lines has more than one responsibility (STYLE.md, Shape). */
function checkShape() {
  const listed = spawnSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "*.ts", "*.mjs"], {
    cwd: ROOT,
    encoding: "utf8",
  });
  const long = listed.stdout
    .split("\n")
    .filter(Boolean)
    .map((file) => ({ file, lines: readLines(file) }))
    .filter(({ file, lines }) => lines > (file.endsWith(".test.ts") ? 2 * MAX_LINES : MAX_LINES));
  const text = long.map(({ file, lines }) => `${file}: ${lines} lines; ${MAX_LINES} is the most`).join("\n");
  return { name: "shape", ok: long.length === 0, text, ms: 0 };
}

function readLines(file) {
  try {
    return readFileSync(join(ROOT, file), "utf8").split("\n").length;
  } catch {
    return 0;
  }
}

const results = [...(await Promise.all(steps.map(runStep))), checkShape()];
for (const { name, ok, text, ms } of results) {
  process.stderr.write(`${ok ? "ok    " : "FAILED"} ${name} (${ms ?? 0} ms)\n${ok ? "" : `${text}\n`}`);
}
process.exit(results.every(({ ok }) => ok) ? 0 : 1);
