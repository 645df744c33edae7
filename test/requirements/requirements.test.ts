// The gate: every requirement names tests that exist, and every id that a test title cites is a known requirement.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { REQUIREMENTS } from "./requirements.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

function testFiles(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".test.ts"))
    .map((file) => join(folder, file));
}

describe("requirements", () => {
  it("have unique ids", () => {
    const ids = REQUIREMENTS.map(({ id }) => id);
    expect(new Set(ids).size).to.equal(ids.length);
  });

  for (const { id, behaviour, tests } of REQUIREMENTS) {
    it(`${id} is tested: ${behaviour}`, () => {
      expect(tests.length).to.be.greaterThan(0);
      for (const [file, title] of tests) {
        expect(readFileSync(join(ROOT, file), "utf8"), `${file} has the test "${title}"`).to.include(title);
      }
    });
  }

  it("know every id that a test cites", () => {
    const known = new Set(REQUIREMENTS.map(({ id }) => id));
    const cited = ["test/contract", "test/fault", "test/interop"]
      .flatMap(testFiles)
      .flatMap((file) =>
        [
          ...readFileSync(join(ROOT, file), "utf8").matchAll(/\b(?:it|describe)\([^\n]*?\(((?:[SR]\d+(?:, )?)+)\)/g),
        ].flatMap((match) => (match[1] ?? "").split(", ").map((id) => `${id} in ${file}`)),
      );
    expect(cited.length).to.be.greaterThan(3);
    expect(cited.filter((text) => !known.has(text.split(" ")[0] ?? ""))).to.deep.equal([]);
  });
});
