// `npm test`: set-up, then every suite; ends with the line `N passed, N failed`.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  build,
  checkNode,
  installDebianPackages,
  installNpmPackages,
  readPackageList,
  run,
  runGroup,
  say,
} from "./environment.mjs";

/** Suites in the order in which a failure says most. */
const SUITES = [
  {
    name: "unit",
    specs: [
      "{bin,driver,deploy-helper,manage,api,compute,db,lib,lab}/**/*.test.ts",
      "packages/*/src/**/*.test.ts",
      "test/{fakes,requirements}/**/*.test.ts",
    ],
  },
  { name: "contract", specs: ["test/contract/**/*.test.ts", "packages/*/test/contract/**/*.test.ts"] },
  { name: "fuzz", specs: ["test/fuzz/**/*.test.ts", "packages/*/test/fuzz/**/*.test.ts"] },
  { name: "interop", specs: ["test/interop/**/*.test.ts", "packages/*/test/interop/**/*.test.ts"] },
  { name: "fault", specs: ["test/fault/**/*.test.ts", "packages/*/test/fault/**/*.test.ts"] },
  { name: "e2e", specs: ["test/e2e/**/*.test.ts"] },
];

/** For one suite; the slowest takes five minutes on two cores. */
const SUITE_DEADLINE_MS = 20 * 60_000;
/** For all of them: a run that hangs must say so, and CI must live to hear it. */
const RUN_DEADLINE_MS = 60 * 60_000;

const only = process.argv.slice(2);
for (const name of only) {
  if (!SUITES.some((suite) => suite.name === name)) {
    say(`error: there is no suite "${name}": choose of ${SUITES.map((suite) => suite.name).join(", ")}`);
    process.exit(2);
  }
}
checkNode();
await installNpmPackages();
await installDebianPackages([...readPackageList("lab/packages.json"), ...readPackageList("test/packages.json")]);
await build();

const runStart = performance.now();
const folder = mkdtempSync(join(tmpdir(), "nova-baremetal-test-"));
let passed = 0;
let failed = 0;
if (only.length === 0) {
  say("== check");
  if ((await run(process.execPath, ["scripts/check.mjs"])) === 0) passed += 1;
  else failed += 1;
}
for (const suite of SUITES.filter(({ name }) => only.length === 0 || only.includes(name))) {
  const report = join(folder, `${suite.name}.json`);
  const start = Date.now();
  say(`== ${suite.name}`);
  const reporter = ["--reporter", "scripts/mocha-reporter.cjs", "--reporter-option", `output=${report}`];
  const specs = suite.specs.flatMap((spec) => ["--spec", spec]);
  const status = await runGroup(process.execPath, ["node_modules/mocha/bin/mocha.js", ...reporter, ...specs], {
    deadlineMs: Math.max(1, Math.min(SUITE_DEADLINE_MS, runStart + RUN_DEADLINE_MS - performance.now())),
  });
  const counts = readCounts(report);
  passed += counts.passed;
  // A suite that died, or found nothing to run, or left tests out, has failed, whatever it counted.
  const isBroken = status !== 0 && counts.failed === 0;
  failed += counts.failed + counts.pending + (isBroken || counts.passed === 0 ? 1 : 0);
  if (counts.pending > 0) say(`${suite.name}: ${counts.pending} skipped tests count as failures`);
  say(
    `== ${suite.name}: ${counts.passed} passed, ${counts.failed} failed, exit ${status}, ${((Date.now() - start) / 1000).toFixed(0)} s`,
  );
}
rmSync(folder, { recursive: true, force: true });
process.stdout.write(`${passed} passed, ${failed} failed\n`);
process.exit(failed === 0 ? 0 : 1);

function readCounts(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return { passed: 0, failed: 0, pending: 0 };
  }
}
