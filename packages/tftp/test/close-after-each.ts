// For the tests: closes what a test opened, whether it passed, failed or ran out of time; else mocha's process would never end.

/** Call it once in a suite. What the function it gives was handed is closed after the test, the newest first. */
export function closeAfterEach(): <T extends { close(): unknown }>(opened: T) => T {
  const all: { close(): unknown }[] = [];
  afterEach(async () => {
    const failures: unknown[] = [];
    for (const one of all.splice(0).reverse()) {
      try {
        await one.close();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  });
  return (opened) => {
    all.push(opened);
    return opened;
  };
}
