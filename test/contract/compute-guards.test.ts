// What the API refuses so that no tenant meets another's things, and what one broken part must not take along.
import { randomUUID } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { expect } from "chai";
import { ApiServer, createApi, IdentityService } from "../../api/index.ts";
import { ImageStore } from "../../compute/index.ts";
import { systemClock } from "../../lib/clock.ts";
import { BaremetalError } from "../../lib/errors.ts";
import { silentLogger } from "../../lib/log.ts";
import { ApiBench, until } from "../fakes/api-bench.ts";
import { failureOf } from "./baremetal.ts";

describe("the API's guards", () => {
  let bench: ApiBench;
  before(async () => {
    bench = await ApiBench.open();
    await bench.furnish();
  });
  after(() => bench?.close());

  it("answers 503 with Retry-After to everything until it is ready", async () => {
    const settings = {
      authStrategy: "noauth",
      adminUser: "admin",
      adminPasswordFile: join(bench.folder, "admin-password"),
      tokenLifetime: 60,
      regionName: "RegionOne",
    } as const;
    const identity = await IdentityService.open(settings, join(bench.folder, "token.key"), systemClock);
    let isReady = false;
    const app = createApi({
      config: settings,
      services: bench.services,
      identity,
      logger: silentLogger,
      isReady: () => isReady,
    });
    const server = await ApiServer.listen({ app, port: 0 });
    try {
      const get = (path: string) => fetch(`http://127.0.0.1:${server.port}${path}`);
      for (const path of ["/healthz", "/identity/v3", "/compute/v2.1/servers", "/image/v2/images"]) {
        const answer = await get(path);
        expect([answer.status, answer.headers.get("retry-after")], path).to.deep.equal([503, "1"]);
        expect(await answer.text()).to.contain("starting");
      }
      isReady = true;
      for (const path of ["/healthz", "/compute/v2.1/servers"]) expect((await get(path)).status, path).to.equal(200);
    } finally {
      await server.close();
    }
  });

  it("keeps the interfaces of a node that an instance is on", async () => {
    const { id } = await bench.enrol("52:54:00:bb:00:01");
    const server = await bench.boot("web");
    await until("ACTIVE", async () => (await bench.server(server)).status === "ACTIVE");
    const remove = () =>
      bench.call("POST", `/os-baremetal-nodes/${id}/action`, { remove_interface: { address: "52:54:00:bb:00:01" } });
    const refused = await remove();
    expect(refused.status).to.equal(409);
    expect(refused.body.conflictingRequest.message).to.contain(server);
    expect((await bench.call("GET", `/os-baremetal-nodes/${id}`)).body.node.interfaces).to.have.length(1);
    await bench.call("DELETE", `/servers/${server}`);
    await until("the node to be free", async () => (await remove()).status === 202);
  });

  it("gives the id of a deleted image to nobody again", async () => {
    const id = randomUUID();
    expect(await bench.image("mine", { id })).to.equal(id);
    expect((await bench.call("DELETE", `/image/v2/images/${id}`)).status).to.equal(204);
    const again = await bench.call("POST", "/image/v2/images", {
      id,
      name: "theirs",
      disk_format: "raw",
      container_format: "bare",
    });
    expect(again.status).to.equal(409);
    for (const path of [`/image/v2/images/${id}`, `/image/v2/images/${id}/file`, `/images/${id}`]) {
      expect((await bench.call("GET", path)).status, path).to.equal(404);
    }
    for (const query of ["", "?status=deleted", "?name=mine"]) {
      const { images } = (await bench.call("GET", `/image/v2/images${query}`)).body;
      expect(
        images.map((image: { id: string }) => image.id),
        query,
      ).to.not.include(id);
    }
  });

  it("says why an upload failed even when the database fails too", async () => {
    const images = bench.repositories.images;
    const id = (await images.create({ id: randomUUID() })).id;
    let updates = 0;
    const failing = Object.assign(Object.create(images) as typeof images, {
      update: (...values: Parameters<typeof images.update>) => {
        updates += 1;
        if (updates > 1) return Promise.reject(new BaremetalError("PeerUnreachable", "the database is away"));
        return images.update(...values);
      },
    });
    const root = join(bench.folder, "guarded");
    const store = new ImageStore(root, failing, { maxBytes: 4 });
    const error = (await failureOf(store.upload(id, Readable.from([Buffer.from("hello")])))) as BaremetalError;
    expect(error).to.include({ code: "BadInput" });
    expect(error.message).to.contain("larger than the limit").and.contain("the database is away");
    expect(error.data).to.include({ isTooLarge: true });
    expect(await readdir(root)).to.deep.equal([]);
    const next = new ImageStore(root, images);
    await next.recover();
    await next.upload(id, Readable.from([Buffer.from("hello")]));
    expect(await images.get(id)).to.include({ status: "active", sizeBytes: 5 });
  });
});
