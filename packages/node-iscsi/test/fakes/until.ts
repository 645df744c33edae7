// Waits for something that must come about soon; a test that waited without an end would keep mocha's process.

const DEADLINE_MS = 5000;

export async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + DEADLINE_MS;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error("it never happened");
    await new Promise((resolve) => setImmediate(resolve));
  }
}
