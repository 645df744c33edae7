// Mocha's spec reporter, and the counts as JSON in a file, so that the runner can add up the suites.
const { writeFileSync } = require("node:fs");
const { reporters, Runner } = require("mocha");

/** How long a suite may take to let go of its sockets, timers and child processes once its tests are over. */
const SETTLE_MS = 20_000;

module.exports = class CountingReporter extends reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    const write = (failed) => {
      const { passes, pending } = this.stats;
      writeFileSync(options.reporterOptions.output, JSON.stringify({ passed: passes, failed, pending }));
    };
    runner.on(Runner.constants.EVENT_RUN_END, () => {
      write(this.stats.failures);
      // Not a reason to live on: it fires only when something else is one, which would keep the runner waiting for ever.
      setTimeout(() => {
        const open = process.getActiveResourcesInfo().join(", ");
        process.stderr.write(`error: the tests are over, but the process does not end: still open: ${open}\n`);
        write(this.stats.failures + 1);
        process.exit(1);
      }, SETTLE_MS).unref();
    });
  }
};
