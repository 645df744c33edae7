// The API over HTTP with the fake driver: good answers field by field, and bad input of every kind.
import { readdir, rm, stat, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { hashPassword } from "../../api/index.ts";
import { type Answer, ApiBench, until } from "../fakes/api-bench.ts";

/** MD5, SHA-256 and SHA-512 of "hello": RFC 1321's and FIPS 180-4's functions as coreutils' md5sum and sha*sum print them. */
const HELLO = {
  md5: "5d41402abc4b2a76b9719d911017c592",
  sha512:
    "9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca72323c3d99ba5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec043",
};

describe("the API over HTTP", () => {
  let bench: ApiBench;
  let alice: { token: string };
  const asAlice = (method: string, path: string, body?: unknown): Promise<Answer> =>
    bench.raw(method, /^\/(image|identity)/.test(path) ? path : `/compute/v2.1${path}`, {
      body,
      headers: { "x-auth-token": alice.token },
    });
  const refused = async (answer: Promise<Answer>, status: number, name: string, text?: string | RegExp) => {
    const { status: got, body } = await answer;
    expect(got, JSON.stringify(body)).to.equal(status);
    expect(Object.keys(body)).to.deep.equal([name]);
    expect(body[name].code).to.equal(status);
    if (typeof text === "string") expect(body[name].message).to.include(text);
    else if (text !== undefined) expect(body[name].message).to.match(text);
  };

  const usersFile = join(tmpdir(), `api-users-${process.pid}.json`);
  before(async () => {
    const users = [{ name: "alice", password_hash: await hashPassword("wonderland"), project: "demo" }];
    await writeFile(usersFile, JSON.stringify({ users }));
    bench = await ApiBench.open({ usersFile, maxImageBytes: 1_000_000 });
    await bench.furnish();
    alice = { token: (await bench.login("alice", "wonderland")).headers.get("x-subject-token") ?? "" };
  });
  after(async () => {
    await bench?.close();
    await rm(usersFile, { force: true });
  });

  describe("identity", () => {
    it("offers its versions with 300, and the catalogue by the address that was asked", async () => {
      const versions = await bench.raw("GET", "/identity");
      expect(versions.status).to.equal(300);
      expect(versions.body.versions.values.map((one: { id: string }) => one.id)).to.deep.equal(["v3.14", "v2.0"]);
      const { body, status } = await bench.login("alice", "wonderland");
      expect(status).to.equal(201);
      expect(body.token).to.deep.include({ methods: ["password"], is_domain: false });
      const urls = body.token.catalog.flatMap((one: { endpoints: { url: string }[] }) =>
        one.endpoints.map(({ url }) => url),
      );
      for (const url of urls) expect(url.startsWith(`${bench.url}/`)).to.equal(true);
    });

    it("made the administrator's password file for its owner only", async () => {
      expect((await stat(join(bench.folder, "admin-password"))).mode & 0o777).to.equal(0o600);
      expect(await bench.adminPassword()).to.match(/^[\w-]{24}$/);
    });

    it("refuses a wrong password and an unknown user in the same words", async () => {
      const [wrong, unknown] = [await bench.login("alice", "x"), await bench.login("mallory", "x")];
      expect([wrong.status, unknown.status]).to.deep.equal([401, 401]);
      expect(wrong.body).to.deep.equal(unknown.body);
    });

    it("refuses a request without a token, and says where to get one", async () => {
      const { status, headers, body } = await bench.raw("GET", "/compute/v2.1/servers");
      expect(status).to.equal(401);
      expect(headers.get("www-authenticate")).to.equal(`Keystone uri="${bench.url}/identity/v3"`);
      expect(body.error.code).to.equal(401);
      expect((await bench.raw("GET", "/image/v2/images", { headers: { "x-auth-token": "junk" } })).status).to.equal(
        401,
      );
    });

    it("shows, renews and revokes tokens; a user's token shows only itself", async () => {
      const { token } = alice;
      const shown = await bench.raw("GET", "/identity/v3/auth/tokens", {
        headers: { "x-auth-token": token, "x-subject-token": token },
      });
      expect(shown.body.token.user.name).to.equal("alice");
      const auth = {
        identity: { methods: ["token"], token: { id: token } },
        scope: { project: { name: "demo", domain: { id: "default" } } },
      };
      const renewed = await bench.raw("POST", "/identity/v3/auth/tokens", { body: { auth } });
      const other = renewed.headers.get("x-subject-token") ?? "";
      const headers = { "x-auth-token": other, "x-subject-token": other };
      expect((await bench.raw("DELETE", "/identity/v3/auth/tokens", { headers })).status).to.equal(204);
      expect((await bench.raw("GET", "/compute/v2.1/servers", { headers })).status).to.equal(401);
      const foreign = { auth: { ...auth, scope: { project: { name: "admin" } } } };
      expect((await bench.raw("POST", "/identity/v3/auth/tokens", { body: foreign })).status).to.equal(401);
    });
  });

  describe("requests in general", () => {
    it("answers /healthz without a token", async () => {
      expect((await bench.raw("GET", "/healthz")).body).to.deep.equal({ status: "ok" });
    });

    it("says 404 for an unknown path and 400 for what is no JSON", async () => {
      await refused(bench.call("GET", "/nothing/here"), 400, "badRequest", "project_id");
      await refused(bench.call("GET", "/servers/x/y/z"), 404, "itemNotFound");
      await refused(
        bench.call("POST", "/servers", "{", { "content-type": "application/json" }),
        400,
        "badRequest",
        "no JSON",
      );
      await refused(
        bench.call("POST", "/servers", "a=b", { "content-type": "text/plain" }),
        400,
        "badRequest",
        "Content-Type",
      );
      await refused(bench.call("POST", "/servers", "null", { "content-type": "application/json" }), 400, "badRequest");
    });

    it("says 413 for a body of 10 MB", async () => {
      const body = JSON.stringify({ server: { name: "x".repeat(10_000_000) } });
      await refused(bench.call("POST", "/servers", body, { "content-type": "application/json" }), 413, "overLimit");
    });

    it("refuses a Host header that would put other things into links", async () => {
      const status = await new Promise((resolve, reject) => {
        const { port } = new URL(bench.url);
        const sent = request({ port, path: "/identity/v3", headers: { host: 'a"onload=x' } }, (res) =>
          resolve(res.statusCode),
        );
        sent.once("error", reject).end();
      });
      expect(status).to.equal(400);
    });

    it("speaks the microversions it offers", async () => {
      const { version } = (await bench.call("GET", "")).body;
      expect(version).to.include({ min_version: "2.1", version: "2.61" });
      const versioned = await bench.call("GET", "/servers", undefined, { "openstack-api-version": "compute 2.37" });
      expect(versioned.headers.get("openstack-api-version")).to.equal("compute 2.37");
      expect(versioned.headers.get("x-openstack-nova-api-version")).to.equal("2.37");
      const latest = await bench.call("GET", "/servers", undefined, { "x-openstack-nova-api-version": "latest" });
      expect(latest.headers.get("x-openstack-nova-api-version")).to.equal("2.61");
      await refused(
        bench.call("GET", "/servers", undefined, { "openstack-api-version": "compute 2.92" }),
        406,
        "computeFault",
      );
      await refused(
        bench.call("GET", "/servers", undefined, { "openstack-api-version": "compute two" }),
        400,
        "badRequest",
      );
    });
  });

  describe("servers", () => {
    const post = (patch: object, headers: Record<string, string> = {}) =>
      bench.call("POST", "/servers", { server: { name: "a", imageRef: "x", flavorRef: "f1", ...patch } }, headers);
    const at = (minor: number) => ({ "openstack-api-version": `compute 2.${minor}` });

    it("refuses what is missing, wrong or not to be had, naming the field", async () => {
      await refused(bench.call("POST", "/servers", {}), 400, "badRequest", "server");
      await refused(post({ name: "" }), 400, "badRequest", "server.name");
      await refused(post({ name: "   " }), 400, "badRequest", "server.name");
      await refused(post({ name: "x".repeat(256) }), 400, "badRequest", "server.name");
      await refused(post({ name: "a\u0000b" }), 400, "badRequest", "server.name");
      await refused(post({ name: 7 }), 400, "badRequest", "server.name");
      await refused(post({ imageRef: "" }), 400, "badRequest", "server.imageRef");
      await refused(post({}), 400, "badRequest", "Image x could not be found");
      await refused(post({ flavorRef: "no" }), 400, "badRequest", "Flavor no could not be found");
      await refused(post({ metadata: { a: 1 } }), 400, "badRequest", "server.metadata.a");
      await refused(post({ networks: [{ uuid: "n" }] }), 400, "badRequest", "no network service");
      await refused(post({ networks: "none" }), 400, "badRequest", "2.37");
      await refused(post({}, at(37)), 400, "badRequest", "networks");
      await refused(post({ networks: "none", personality: [] }, at(57)), 400, "badRequest", "personality");
      await refused(post({ block_device_mapping_v2: [{ source_type: "volume" }] }), 400, "badRequest", "volume");
      await refused(post({ min_count: 3, max_count: 2 }), 400, "badRequest", "min_count");
      await refused(post({ max_count: 101 }), 400, "badRequest", "server.max_count");
      expect((await bench.call("GET", "/servers")).body.servers).to.deep.equal([]);
    });

    it("refuses up front what a machine cannot do, unknown actions, and two at once", async () => {
      const id = await bench.boot("cannot");
      const act = (body: unknown) => bench.call("POST", `/servers/${id}/action`, body);
      for (const name of ["rebuild", "rescue", "suspend", "createImage", "resize", "os-getVNCConsole"]) {
        await refused(act({ [name]: null }), 501, "notImplemented", name);
      }
      await refused(act({ dance: null }), 400, "badRequest", "no such action: dance");
      await refused(act({ constructor: null }), 400, "badRequest", "no such action");
      await refused(act({ "os-stop": null, "os-start": null }), 400, "badRequest");
      await refused(act({}), 400, "badRequest");
      await refused(act({ reboot: { type: "GENTLE" } }), 400, "badRequest");
      await refused(bench.call("POST", "/servers/nothing/action", { "os-stop": null }), 404, "itemNotFound");
      await bench.call("DELETE", `/servers/${id}`);
    });

    it("os-getConsoleOutput answers the last lines", async () => {
      const id = await bench.boot("talks");
      const act = (argument: unknown) =>
        bench.call("POST", `/servers/${id}/action`, { "os-getConsoleOutput": argument });
      const all = "first\nsecond\nthird";
      for (const argument of [{}, { length: null }, { length: -1 }, { length: "-1" }]) {
        const answer = await act(argument);
        expect(answer.status).to.equal(200);
        expect(answer.body).to.deep.equal({ output: all });
      }
      expect((await act({ length: 2 })).body).to.deep.equal({ output: "second\nthird" });
      expect((await act({ length: "1" })).body).to.deep.equal({ output: "third" });
      for (const argument of [null, { length: -2 }, { length: "many" }, { length: 1.5 }]) {
        await refused(act(argument), 400, "badRequest", "os-getConsoleOutput");
      }
      await bench.call("DELETE", `/servers/${id}`);
    });

    it("lists by name, status, limit and marker; details hold no secret", async () => {
      for (const name of ["web-1", "web-2", "db-1"]) await bench.boot(name, { metadata: { a: "b" } });
      const names = async (query: string) =>
        (await bench.call("GET", `/servers${query}`)).body.servers.map((one: { name: string }) => one.name);
      expect(await names("?name=web-1")).to.deep.equal(["web-1"]);
      expect(await names("?name=^web-2$")).to.deep.equal(["web-2"]);
      expect((await names("?name=web")).sort()).to.deep.equal(["web-1", "web-2"]);
      expect(await names("?status=ACTIVE")).to.deep.equal([]);
      const { body } = await bench.call("GET", "/servers?limit=1&name=web");
      expect(body.servers).to.have.length(1);
      const next = new URL(body.servers_links[0].href);
      expect((await bench.call("GET", next.pathname + next.search)).body.servers).to.have.length(1);
      await refused(bench.call("GET", "/servers?limit=-1"), 400, "badRequest");
      await refused(bench.call("GET", "/servers?marker=nothing"), 400, "badRequest", "marker");
    });

    it("keeps projects apart", async () => {
      const id = await bench.boot("secret");
      await refused(asAlice("GET", `/servers/${id}`), 404, "itemNotFound", `Instance ${id} could not be found.`);
      await refused(asAlice("DELETE", `/servers/${id}`), 404, "itemNotFound");
      expect((await asAlice("GET", "/servers/detail?all_tenants=1")).body.servers).to.deep.equal([]);
      const [image] = (await bench.call("GET", "/image/v2/images?name=disk")).body.images;
      const forced = { name: "a", imageRef: image.id, flavorRef: "f1", availability_zone: "nova:h1" };
      await refused(asAlice("POST", "/servers", { server: forced }), 403, "forbidden", "forced_host");
    });

    it("forces a node that an administrator names, and refuses one that does not fit", async () => {
      const [one, two] = [await bench.enrol("52:54:00:00:01:01"), await bench.enrol("52:54:00:00:01:02")];
      const id = await bench.boot("forced", { availability_zone: `nova:h1:${two.uuid}` });
      await until("ACTIVE", async () => (await bench.server(id)).status === "ACTIVE");
      expect((await bench.server(id))["OS-EXT-SRV-ATTR:hypervisor_hostname"]).to.equal(two.uuid);
      const other = await bench.boot("other", { availability_zone: `nova:elsewhere:${one.uuid}` });
      const failed = await until("ERROR", async () => {
        const server = await bench.server(other);
        return server.status === "ERROR" && server;
      });
      expect(failed.fault.message).to.include("not on the forced host");
      await refused(
        bench.call("DELETE", `/os-baremetal-nodes/${two.id}`),
        409,
        "conflictingRequest",
        "delete the instance first",
      );
      const timeline = (await bench.call("GET", `/os-baremetal-deployments?instance_uuid=${id}`)).body.deployments;
      expect(timeline[0]).to.include({ state: "active", node_uuid: two.uuid, agent_address: "10.9.0.20" });
      expect(JSON.stringify(timeline)).to.not.include("key");
      await refused(asAlice("GET", `/os-baremetal-deployments?instance_uuid=${id}`), 403, "forbidden");
      await refused(bench.call("GET", "/os-baremetal-deployments"), 400, "badRequest", "instance_uuid");
      for (const server of [id, other]) await bench.call("DELETE", `/servers/${server}`);
      await until("the delete", async () => (await bench.call("GET", `/servers/${id}`)).status === 404);
    });

    it("changes the name and the metadata", async () => {
      const id = await bench.boot("old");
      await bench.call("PUT", `/servers/${id}`, { server: { name: "new" } });
      await bench.call("POST", `/servers/${id}/metadata`, { metadata: { a: "1", b: "2" } });
      expect((await bench.call("DELETE", `/servers/${id}/metadata/a`)).status).to.equal(204);
      expect(await bench.server(id)).to.deep.include({ name: "new", metadata: { b: "2" } });
      await refused(bench.call("DELETE", `/servers/${id}/metadata/a`), 404, "itemNotFound");
    });
  });

  describe("os-baremetal-nodes", () => {
    const node = { service_host: "h1", cpus: 1, memory_mb: 1, local_gb: 1 };
    const create = (patch: object) => bench.call("POST", "/os-baremetal-nodes", { node: { ...node, ...patch } });

    it("answers exactly the fields of the extension, by id and uuid, and never the password", async () => {
      const { body, status } = await create({
        prov_mac_address: "52:54:00:AA:00:01",
        pm_password: "geheim",
        pm_user: "u",
      });
      expect(status).to.equal(200);
      expect(Object.keys(body.node).sort()).to.deep.equal(
        "cpus,id,instance_uuid,interfaces,local_gb,memory_mb,pm_address,pm_user,pxe_config_path,service_host,task_state,terminal_port,updated_at,uuid".split(
          ",",
        ),
      );
      expect(body.node.interfaces).to.have.length(1);
      expect(Object.keys(body.node.interfaces[0]).sort()).to.deep.equal(["address", "datapath_id", "id", "port_no"]);
      expect((await bench.call("GET", `/os-baremetal-nodes/${body.node.id}`)).body).to.deep.equal(body);
      expect((await bench.call("GET", `/os-baremetal-nodes/${body.node.uuid}`)).body).to.deep.equal(body);
      expect(JSON.stringify((await bench.call("GET", "/os-baremetal-nodes")).body)).to.not.include("geheim");
    });

    it("lets no field in that is not the operator's", async () => {
      const { body } = await create({
        task_state: "active",
        instance_uuid: "x",
        id: 77,
        deploy_key: "k",
        pxe_config_path: "/etc/passwd",
      });
      expect(body.node)
        .to.include({ task_state: null, instance_uuid: null, pxe_config_path: null })
        .and.not.include({ id: 77 });
    });

    it("refuses bad MACs, duplicates, wrong ids and wrong bodies", async () => {
      const mac = "Must specify address in the form of xx:xx:xx:xx:xx:xx";
      for (const bad of ["52:54:00:aa:00", "525400aa0001", "52-54-00-aa-00-09", "zz:54:00:aa:00:01", 7]) {
        await refused(create({ prov_mac_address: bad }), 400, "badRequest", mac);
      }
      await refused(
        create({ prov_mac_address: "52:54:00:aa:00:01" }),
        409,
        "conflictingRequest",
        "already belongs to a node",
      );
      await refused(create({ cpus: -1 }), 400, "badRequest", "node.cpus");
      await refused(create({ cpus: "many" }), 400, "badRequest", "node.cpus");
      await refused(create({ cpus: 2 ** 40 }), 400, "badRequest", "node.cpus");
      await refused(create({ service_host: undefined }), 400, "badRequest", "node.service_host");
      await refused(create({ uuid: "x" }), 400, "badRequest", "node.uuid");
      for (const id of [
        "0",
        "999999",
        "99999999999999999999",
        "-1",
        "1.5",
        "abc",
        "%00",
        "00000000-0000-4000-8000-000000000000",
      ]) {
        await refused(bench.call("GET", `/os-baremetal-nodes/${id}`), 404, "itemNotFound");
        await refused(bench.call("DELETE", `/os-baremetal-nodes/${id}`), 404, "itemNotFound");
      }
    });

    it("adds and removes interfaces", async () => {
      const { id } = (await create({})).body.node;
      const act = (body: unknown) => bench.call("POST", `/os-baremetal-nodes/${id}/action`, body);
      const added = await act({ add_interface: { address: "52:54:00:AA:00:02", datapath_id: 0, port_no: 0 } });
      expect(added.status).to.equal(200);
      expect(added.body.interface).to.deep.include({ address: "52:54:00:aa:00:02", port_no: 0 });
      await refused(act({ add_interface: { address: "52:54:00:aa:00:02" } }), 409, "conflictingRequest");
      await refused(act({ add_interface: { address: "x" } }), 400, "badRequest", "xx:xx:xx:xx:xx:xx");
      await refused(act({ remove_interface: {} }), 400, "badRequest", "Must specify id or address");
      await refused(act({ remove_interface: { address: "52:54:00:aa:00:77" } }), 404, "itemNotFound");
      await refused(act({ remove_interface: { address: "52:54:00:aa:00:02", id: 9999 } }), 404, "itemNotFound");
      await refused(act({ explode: {} }), 400, "badRequest", "add_interface");
      expect((await act({ remove_interface: { address: "52:54:00:AA:00:02" } })).status).to.equal(202);
      expect((await bench.call("DELETE", `/os-baremetal-nodes/${id}`)).status).to.equal(202);
      await refused(bench.call("DELETE", `/os-baremetal-nodes/${id}`), 404, "itemNotFound");
    });

    it("is for administrators", async () => {
      await refused(asAlice("GET", "/os-baremetal-nodes"), 403, "forbidden");
      await refused(asAlice("POST", "/os-baremetal-nodes", { node }), 403, "forbidden");
      await refused(asAlice("GET", "/os-hypervisors"), 403, "forbidden");
      await refused(asAlice("GET", "/os-services"), 403, "forbidden");
      await refused(asAlice("POST", "/flavors", { flavor: {} }), 403, "forbidden");
    });
  });

  describe("flavors and key pairs", () => {
    it("keeps flavors: numbers as text, is_public=None, extra specs, conflicts", async () => {
      const flavor = { name: "small", ram: "256", vcpus: "1", disk: "1", swap: "", id: null };
      const made = (await bench.call("POST", "/flavors", { flavor })).body.flavor;
      expect(made).to.include({ ram: 256, swap: "" });
      await refused(bench.call("POST", "/flavors", { flavor }), 409, "conflictingRequest");
      await refused(bench.call("POST", "/flavors", { flavor: { ...flavor, ram: 0 } }), 400, "badRequest", "flavor.ram");
      await refused(
        bench.call("POST", "/flavors", { flavor: { ...flavor, vcpus: "x" } }),
        400,
        "badRequest",
        "flavor.vcpus",
      );
      const hidden = { name: "hidden", ram: 1, vcpus: 1, disk: 0, id: "h", "os-flavor-access:is_public": false };
      await bench.call("POST", "/flavors", { flavor: hidden });
      const ids = async (query: string) =>
        (await bench.call("GET", `/flavors${query}`)).body.flavors.map((one: { id: string }) => one.id);
      expect(await ids("")).to.not.include("h");
      expect(await ids("?is_public=None")).to.include("h");
      await refused(asAlice("GET", "/flavors/h"), 404, "itemNotFound");
      const specs = `/flavors/${made.id}/os-extra_specs`;
      await bench.call("POST", specs, { extra_specs: { a: 1, "capabilities:b": "<in> c" } });
      expect((await bench.call("GET", specs)).body.extra_specs).to.deep.equal({ a: "1", "capabilities:b": "<in> c" });
      expect((await bench.call("DELETE", `${specs}/a`)).status).to.equal(200);
      await refused(bench.call("DELETE", `${specs}/a`), 404, "itemNotFound");
      await refused(bench.call("POST", specs, { extra_specs: { "a/b": "1" } }), 400, "badRequest");
      expect((await bench.call("DELETE", `/flavors/${made.id}`)).status).to.equal(202);
    });

    it("keeps key pairs for their user; gives a private key once", async () => {
      const made = await bench.call("POST", "/os-keypairs", { keypair: { name: "mine" } });
      expect(made.status).to.equal(200);
      expect(made.body.keypair.private_key).to.match(/^-----BEGIN RSA PRIVATE KEY-----/);
      expect((await bench.call("GET", "/os-keypairs/mine")).body.keypair).to.not.have.property("private_key");
      expect((await asAlice("GET", "/os-keypairs")).body.keypairs).to.deep.equal([]);
      await refused(bench.call("POST", "/os-keypairs", { keypair: { name: "mine" } }), 409, "conflictingRequest");
      await refused(bench.call("POST", "/os-keypairs", { keypair: { name: "a/b" } }), 400, "badRequest");
      await refused(
        bench.call("POST", "/os-keypairs", { keypair: { name: "b", public_key: "junk" } }),
        400,
        "badRequest",
        "Keypair data is invalid",
      );
      expect((await bench.call("DELETE", "/os-keypairs/mine")).status).to.equal(202);
      await refused(bench.call("DELETE", "/os-keypairs/mine"), 404, "itemNotFound");
    });
  });

  describe("images", () => {
    const octets = { "content-type": "application/octet-stream" };
    const make = async (patch: object = {}) =>
      (
        await bench.call("POST", "/image/v2/images", {
          name: "i",
          disk_format: "raw",
          container_format: "bare",
          ...patch,
        })
      ).body.id;
    const put = (id: string, body: Buffer) => bench.call("PUT", `/image/v2/images/${id}/file`, body, octets);
    const show = async (id: string) => (await bench.call("GET", `/image/v2/images/${id}`)).body;

    it("hashes an upload in one pass and gives the same bytes back", async () => {
      const id = await make();
      expect(await show(id)).to.include({ status: "queued", size: null, checksum: null });
      expect((await put(id, Buffer.from("hello"))).status).to.equal(204);
      const image = await show(id);
      expect(image).to.include({
        status: "active",
        size: 5,
        checksum: HELLO.md5,
        os_hash_algo: "sha512",
        os_hash_value: HELLO.sha512,
      });
      const file = await bench.call("GET", `/image/v2/images/${id}/file`);
      expect(file.body).to.equal("hello");
      expect(file.headers.get("content-length")).to.equal("5");
      expect((await stat(join(bench.folder, "images", id))).mode & 0o777).to.equal(0o600);
      await refused(put(id, Buffer.from("again")), 409, "conflictingRequest");
      expect((await show(id)).size).to.equal(5);
    });

    it("refuses too large an image, announced or not, and takes another try", async () => {
      const id = await make();
      await refused(put(id, Buffer.alloc(1_000_001)), 413, "overLimit", "larger than the limit");
      const token = (await bench.login("admin", await bench.adminPassword())).headers.get("x-subject-token") ?? "";
      const { port } = new URL(bench.url);
      const headers = { ...octets, "x-auth-token": token, "transfer-encoding": "chunked" };
      const status = await new Promise((resolve, reject) => {
        const path = `/image/v2/images/${id}/file`;
        const sent = request({ port, path, method: "PUT", headers }, (res) => resolve(res.resume().statusCode));
        sent.once("error", reject);
        for (let part = 0; part < 20; part++) sent.write(Buffer.alloc(100_000));
        sent.end();
      });
      expect(status).to.equal(413);
      expect(await show(id)).to.include({ status: "queued" });
      expect((await readdir(join(bench.folder, "images"))).filter((name) => name.startsWith(id))).to.deep.equal([]);
      expect((await put(id, Buffer.from("hello"))).status).to.equal(204);
    });

    it("puts an image back to queued when its upload is cut off", async () => {
      const id = await make();
      const token = (await bench.login("admin", await bench.adminPassword())).headers.get("x-subject-token") ?? "";
      const { port } = new URL(bench.url);
      const headers = { ...octets, "x-auth-token": token, "content-length": "900000" };
      const sent = request({ port, path: `/image/v2/images/${id}/file`, method: "PUT", headers });
      sent.on("error", () => undefined);
      sent.write(Buffer.alloc(100_000));
      await until("saving", async () => (await show(id)).status === "saving");
      sent.destroy();
      await until("queued", async () => (await show(id)).status === "queued");
      expect((await readdir(join(bench.folder, "images"))).filter((name) => name.startsWith(id))).to.deep.equal([]);
    });

    it("changes fields and properties by JSON patch, and refuses what is read-only", async () => {
      const id = await make({ color: "red" });
      const type = { "content-type": "application/openstack-images-v2.1-json-patch" };
      const patch = (operations: unknown) =>
        bench.call("PATCH", `/image/v2/images/${id}`, JSON.stringify(operations), type);
      const changed = await patch([
        { op: "replace", path: "/name", value: "new" },
        { op: "add", path: "/kernel_id", value: "k" },
        { op: "remove", path: "/color" },
        { op: "replace", path: "/tags", value: ["a"] },
      ]);
      expect(changed.body)
        .to.deep.include({ name: "new", kernel_id: "k", tags: ["a"] })
        .and.not.have.property("color");
      for (const path of ["/status", "/checksum", "/size", "/id"])
        await refused(patch([{ op: "replace", path, value: "x" }]), 403, "forbidden");
      await refused(patch([{ op: "remove", path: "/nothing" }]), 409, "conflictingRequest");
      await refused(patch([{ op: "move", path: "/name" }]), 400, "badRequest");
      await refused(patch([{ op: "add", path: "/a/b", value: "x" }]), 400, "badRequest");
      await refused(patch({ name: "x" }), 400, "badRequest");
      await refused(patch([{ op: "add", path: "/n", value: 5 }]), 400, "badRequest");
    });

    it("refuses bad images, and data without formats or of another type", async () => {
      const post = (body: unknown) => bench.call("POST", "/image/v2/images", body);
      await refused(post({ disk_format: "floppy" }), 400, "badRequest", "disk_format");
      await refused(post({ status: "active" }), 403, "forbidden", "read-only");
      await refused(post({ id: "../../etc/passwd" }), 400, "badRequest");
      await refused(post({ min_disk: -1 }), 400, "badRequest", "min_disk");
      const id = (await post({ name: "no formats" })).body.id;
      await refused(put(id, Buffer.from("x")), 400, "badRequest", "disk_format");
      await refused(
        bench.call("PUT", `/image/v2/images/${id}/file`, "{}", { "content-type": "application/json" }),
        415,
        "badMediaType",
      );
      expect((await bench.call("GET", `/image/v2/images/${id}/file`)).status).to.equal(204);
      for (const wrong of ["nothing", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "0".repeat(5000)]) {
        await refused(bench.call("GET", `/image/v2/images/${wrong}`), 404, "itemNotFound");
        await refused(bench.call("GET", `/image/v2/images/${wrong}/file`), 404, "itemNotFound");
      }
    });

    it("keeps private and protected images", async () => {
      const id = await make({ visibility: "private", protected: true });
      await refused(asAlice("GET", `/image/v2/images/${id}`), 404, "itemNotFound");
      await refused(bench.call("DELETE", `/image/v2/images/${id}`), 403, "forbidden", "protected");
      const open = (await bench.call("GET", "/image/v2/images?name=disk")).body.images[0].id;
      expect((await asAlice("GET", `/image/v2/images/${open}`)).status).to.equal(200);
      await refused(asAlice("DELETE", `/image/v2/images/${open}`), 403, "forbidden");
      await refused(asAlice("POST", "/image/v2/images", { visibility: "public" }), 403, "forbidden", "publicize");
    });

    it("answers the compute API's image proxy", async () => {
      const { images } = (await bench.call("GET", "/images/detail?name=disk")).body;
      expect(images[0]).to.include({ name: "disk", status: "ACTIVE", progress: 100 });
      expect(images[0].metadata).to.have.keys(["kernel_id", "ramdisk_id"]);
      expect((await bench.call("GET", `/images/${images[0].id}`)).body.image.links).to.have.length(2);
      await refused(bench.call("GET", "/images/nothing"), 404, "itemNotFound");
    });
  });
});
