// The deploy path runs no process: no iscsiadm, dd, sfdisk, mkfs, qemu-img, and no way to start one.
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const WAYS = /child_process|\bexeca\b|worker_threads|node:cluster|\bprocess\.binding\b|\bnode-pty\b/;
const PACKAGES: Readonly<Record<string, string>> = { "node-iscsi": "packages/node-iscsi/src" };

function sources(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .map((name) => join(folder, name))
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts"));
}

/** Everything that deploy-helper/ imports, and what that imports, up to node's own and npm's. */
function reachable(): { files: Set<string>; packages: Set<string> } {
  const files = new Set<string>();
  const packages = new Set<string>();
  const queue = sources("deploy-helper");
  for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
    if (files.has(file)) continue;
    files.add(file);
    const text = readFileSync(join(ROOT, file), "utf8");
    for (const [, name = ""] of text.matchAll(/^(?:import|export)\s[^;]*?from "([^"]+)";|^import "([^"]+)";/gms)) {
      if (name.startsWith(".")) queue.push(relative(ROOT, join(ROOT, file, "..", name)));
      else if (PACKAGES[name] !== undefined) queue.push(join(PACKAGES[name], "index.ts"));
      else packages.add(name);
    }
  }
  return { files, packages };
}

describe("no process is run while deploying", () => {
  const { files, packages } = reachable();
  it("reaches the whole path", () => {
    expect([...files]).to.include.members([
      "deploy-helper/deployment.ts",
      "deploy-helper/disk/ext.ts",
      "deploy-helper/image/qcow2.ts",
      "packages/node-iscsi/src/connect.ts",
      "lib/errors.ts",
    ]);
  });
  it("no source on it knows how to start one", () => {
    const found = [...files].filter((file) => WAYS.test(readFileSync(join(ROOT, file), "utf8")));
    expect(found).to.deep.equal([]);
  });
  it("imports node's own modules and winston only", () => {
    expect([...packages].filter((name) => !name.startsWith("node:")).sort()).to.deep.equal(["winston"]);
  });
});
