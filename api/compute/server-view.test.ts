// The server view against its golden file, and status words (facts section 8.4). UPDATE_GOLDEN=1 rewrites the file.
import { readFileSync, writeFileSync } from "node:fs";
import { expect } from "chai";
import type { InstanceRecord } from "../../db/records.ts";
import { type ServerViewContext, serverStatus, serverView } from "./server-view.ts";

const GOLDEN = new URL("../../test/golden/api-server.json", import.meta.url);
const at = (second: number) => new Date(Date.UTC(2026, 10, 21, 5, 0, second, 123));

const instance: InstanceRecord = {
  id: 26,
  uuid: "5a1f0f0e-7c1b-4a52-9d26-0d6f0b3c9a11",
  displayName: "web 1",
  hostname: "web-1",
  projectId: "p1",
  userId: "u1",
  imageRef: "70a599e0-31e7-49b7-b260-868f441e862b",
  kernelId: "11111111-31e7-49b7-b260-868f441e862b",
  ramdiskId: "22222222-31e7-49b7-b260-868f441e862b",
  flavor: {
    id: "f1",
    name: "bm",
    ram: 512,
    vcpus: 1,
    disk: 4,
    ephemeral: 0,
    swap: 0,
    extraSpecs: { cpu_arch: "x86_64" },
  },
  memoryMb: 512,
  vcpus: 1,
  rootGb: 4,
  ephemeralGb: 0,
  host: "h1",
  node: "c0ffee00-0000-4000-8000-000000000001",
  launchedOn: "h1",
  vmState: "active",
  taskState: null,
  powerState: 1,
  stoppedByUser: false,
  progress: 100,
  keyName: "mykey",
  keyData: "ssh-ed25519 AAAA",
  userData: "aGVsbG8=",
  metadata: { role: "web" },
  personality: [{ path: "/etc/secret", contents: "c2VjcmV0" }],
  configDrive: true,
  availabilityZone: null,
  fault: null,
  createdAt: at(0),
  updatedAt: at(5),
  scheduledAt: at(1),
  launchedAt: at(4),
  terminatedAt: null,
  deleted: false,
};

const context: ServerViewContext = {
  baseUrl: "http://127.0.0.1:8774",
  minor: 1,
  isAdmin: false,
  isHostUp: true,
  address: { ip: "10.9.0.20", mac: "52:54:00:00:00:01" },
};

describe("api/compute/server-view", () => {
  it("is what the golden file says, for users and administrators, old and new versions", () => {
    const failed: InstanceRecord = {
      ...instance,
      vmState: "error",
      host: null,
      node: null,
      fault: { code: 500, message: "no", details: "why not", created: "2026-11-21T05:00:03Z" },
    };
    const views = {
      "user, 2.1": serverView(instance, context),
      "administrator, 2.61": serverView(instance, { ...context, minor: 61, isAdmin: true }),
      "administrator, 2.61, failed": serverView(failed, { ...context, minor: 61, isAdmin: true, address: undefined }),
    };
    const text = `${JSON.stringify(views, null, 2)}\n`;
    if (process.env.UPDATE_GOLDEN === "1") writeFileSync(GOLDEN, text);
    expect(text).to.equal(readFileSync(GOLDEN, "utf8"));
  });

  it("keeps from users what is for administrators, and files from everybody", () => {
    const user = JSON.stringify(serverView(instance, { ...context, minor: 61 }));
    expect(user).to.not.include("OS-EXT-SRV-ATTR").and.not.include("host_status");
    const admin = JSON.stringify(serverView(instance, { ...context, minor: 61, isAdmin: true }));
    expect(admin).to.not.include("c2VjcmV0").and.not.include("personality");
  });

  const states: [vmState: string, taskState: string | null, status: string][] = [
    ["building", "scheduling", "BUILD"],
    ["building", "deleting", "BUILD"],
    ["active", null, "ACTIVE"],
    ["active", "powering-off", "ACTIVE"],
    ["active", "rebooting", "REBOOT"],
    ["active", "rebooting_hard", "HARD_REBOOT"],
    ["stopped", "rebooting_hard", "HARD_REBOOT"],
    ["stopped", null, "SHUTOFF"],
    ["error", null, "ERROR"],
    ["deleted", null, "DELETED"],
    ["something", null, "UNKNOWN"],
  ];
  for (const [vmState, taskState, status] of states) {
    it(`${vmState}, ${taskState} is ${status}`, () => expect(serverStatus({ vmState, taskState })).to.equal(status));
  }
});
