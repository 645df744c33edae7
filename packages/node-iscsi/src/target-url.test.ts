// Target URLs in the form of libiscsi and qemu: what is read, what is refused with which fix, and that no secret is ever repeated.
import { expect } from "chai";
import { InvalidArgumentError } from "./errors.ts";
import { chapOfUrl, parseTargetUrl } from "./target-url.ts";

function refusalOf(action: () => unknown): InvalidArgumentError {
  try {
    action();
  } catch (error) {
    expect(error).to.be.instanceOf(InvalidArgumentError);
    return error as InvalidArgumentError;
  }
  throw new Error("it was not refused");
}

describe("parseTargetUrl", () => {
  it("reads host, port, target and LUN", () => {
    expect(parseTargetUrl("iscsi://10.0.0.7:3261/iqn.2026-11.test:disk/4")).to.deep.equal({
      address: "10.0.0.7",
      port: 3261,
      targetName: "iqn.2026-11.test:disk",
      lun: 4,
    });
  });

  it("reads host names and IPv6 addresses, with port 3260 unless it says another", () => {
    const hosts: [url: string, address: string, port: number][] = [
      ["iscsi://storage-1.example.org/iqn.t:d/0", "storage-1.example.org", 3260],
      ["iscsi://[fd00::7]/iqn.t:d/0", "fd00::7", 3260],
      ["iscsi://[fd00::7]:860/iqn.t:d/0", "fd00::7", 860],
      ["ISCSI://localhost:1/iqn.t:d/0", "localhost", 1],
    ];
    for (const [url, address, port] of hosts)
      expect(parseTargetUrl(url), url).to.deep.equal({ address, port, targetName: "iqn.t:d", lun: 0 });
  });

  it("reads a portal without a target, and a target without a LUN", () => {
    for (const url of ["iscsi://10.0.0.7", "iscsi://10.0.0.7/"])
      expect(parseTargetUrl(url)).to.deep.equal({ address: "10.0.0.7", port: 3260 });
    for (const url of ["iscsi://10.0.0.7/iqn.t:d", "iscsi://10.0.0.7/iqn.t:d/"])
      expect(parseTargetUrl(url)).to.deep.equal({ address: "10.0.0.7", port: 3260, targetName: "iqn.t:d" });
  });

  it("reads the user, the target's user and digests", () => {
    const url = "iscsi://deploy@10.0.0.7/iqn.t%3Ad/1?target_user=shelf&header_digest=CRC32C&data_digest=crc32c,none";
    expect(parseTargetUrl(url)).to.deep.equal({
      address: "10.0.0.7",
      port: 3260,
      targetName: "iqn.t:d",
      lun: 1,
      chapUser: "deploy",
      chapTargetUser: "shelf",
      wishes: { headerDigest: "CRC32C", dataDigest: "CRC32C,None" },
    });
    expect(parseTargetUrl("iscsi://h/iqn.t:d/1?header_digest=none").wishes).to.deep.equal({ headerDigest: "None" });
  });

  it("takes the last @ as the end of the user", () => {
    expect(parseTargetUrl("iscsi://deploy@site@10.0.0.7/iqn.t:d/1")).to.include({ chapUser: "deploy@site" });
  });

  const refused: [url: string, reason: string][] = [
    ["http://10.0.0.7/iqn.t:d/1", "begins with iscsi://"],
    ["10.0.0.7", "begins with iscsi://"],
    ["iscsi://", "neither an IPv4 address nor a host name"],
    ["iscsi:///iqn.t:d/1", "neither an IPv4 address nor a host name"],
    ["iscsi://10.0.0.256/iqn.t:d/1", "neither an IPv4 address nor a host name"],
    ["iscsi://a_b..c/iqn.t:d/1", "neither an IPv4 address nor a host name"],
    ["iscsi://fd00::7/iqn.t:d/1", "put an IPv6 address in brackets"],
    ["iscsi://[10.0.0.7]/iqn.t:d/1", "no IPv6 address"],
    ["iscsi://10.0.0.7:0/iqn.t:d/1", "port"],
    ["iscsi://10.0.0.7:65536/iqn.t:d/1", "port"],
    ["iscsi://10.0.0.7:/iqn.t:d/1", "port"],
    ["iscsi://10.0.0.7/iqn.t:d/x", "LUN is not a number"],
    ["iscsi://10.0.0.7/iqn.t:d/-1", "LUN is not a number"],
    ["iscsi://10.0.0.7/iqn.t:d/16384", "LUN is not a number"],
    ["iscsi://10.0.0.7/iqn.t:d/1/2", "more behind the LUN"],
    ["iscsi://10.0.0.7//1", "target name is empty"],
    ["iscsi://10.0.0.7/iqn.t%20d/1", "white space"],
    ["iscsi://10.0.0.7/iqn.t%00d/1", "white space"],
    ["iscsi://10.0.0.7/iqn.t%zz/1", "no escape"],
    ["iscsi://@10.0.0.7/iqn.t:d/1", "user before the @ is empty"],
    ["iscsi://10.0.0.7/iqn.t:d/1#x", "no # part"],
    ["iscsi://10.0.0.7/iqn.t:d/1?digest=crc32c", "unknown option"],
    ["iscsi://10.0.0.7/iqn.t:d/1?header_digest=md5", "takes one of none | crc32c"],
    ["iscsi://10.0.0.7/iqn.t:d/1?header_digest=none&header_digest=crc32c", "given twice"],
    ["iscsi://10.0.0.7/iqn.t:d/1?target_user=", "target_user is empty"],
  ];
  for (const [url, reason] of refused)
    it(`refuses ${url}`, () => {
      expect(refusalOf(() => parseTargetUrl(url)).message).to.contain(reason);
    });

  for (const form of [
    "iscsi://user%hunter2hunter2@10.0.0.7/iqn.t:d/1",
    "iscsi://user:hunter2hunter2@10.0.0.7/iqn.t:d/1",
    "iscsi://user%hunter2/hunter2@10.0.0.7/iqn.t:d/1",
    "iscsi://user:hunter2/hunter2@10.0.0.7/iqn.t:d/1",
    "iscsi://user%hunter2?hunter2@10.0.0.7/iqn.t:d/1",
    "iscsi://user:hunter2?hunter2@10.0.0.7/iqn.t:d/1",
    "iscsi://user%hunter2#hunter2@10.0.0.7/iqn.t:d/1",
    "iscsi://user%hunter2@hunter2@10.0.0.7/iqn.t:d/1",
    "iscsi://10.0.0.7/iqn.t:d/1?target_user=t&target_password=hunter2hunter2",
    "iscsi://10.0.0.7/iqn.t:d/1?hunter2hunter2",
    "iscsi://10.0.0.7/iqn.t:d/1?secret=hunter2hunter2",
    "iscsi://user%hunter2hunter2",
    "user%hunter2hunter2@10.0.0.7",
  ])
    it(`refuses and does not repeat the secret of ${form.replaceAll("hunter2", "*")}`, () => {
      const error = refusalOf(() => parseTargetUrl(form));
      expect(`${error.message}${error.stack}${error.reason}`).not.to.contain("hunter2");
    });

  it("says where a secret belongs", () => {
    const { message } = refusalOf(() => parseTargetUrl("iscsi://user%hunter2hunter2@10.0.0.7/iqn.t:d/1"));
    expect(message).to.contain("carries a password").and.to.contain("NODE_ISCSI_CHAP_SECRET");
  });
});

describe("chapOfUrl", () => {
  const environment = {
    NODE_ISCSI_CHAP_SECRET: "our-own-secret-1",
    NODE_ISCSI_CHAP_TARGET_SECRET: "the-targets-secret",
  };

  it("adds the secrets of the environment to the users of the URL", () => {
    expect(chapOfUrl(parseTargetUrl("iscsi://h/iqn.t:d/1"), environment)).to.equal(undefined);
    expect(chapOfUrl(parseTargetUrl("iscsi://u@h/iqn.t:d/1"), environment)).to.deep.equal({
      user: "u",
      secret: "our-own-secret-1",
    });
    expect(chapOfUrl(parseTargetUrl("iscsi://u@h/iqn.t:d/1?target_user=t"), environment)).to.deep.equal({
      user: "u",
      secret: "our-own-secret-1",
      target: { user: "t", secret: "the-targets-secret" },
    });
  });

  it("says which secret is missing", () => {
    const url = parseTargetUrl("iscsi://u@h/iqn.t:d/1?target_user=t");
    expect(refusalOf(() => chapOfUrl(url, {})).message).to.contain("set NODE_ISCSI_CHAP_SECRET");
    const half = { NODE_ISCSI_CHAP_SECRET: "our-own-secret-1" };
    expect(refusalOf(() => chapOfUrl(url, half)).message).to.contain("set NODE_ISCSI_CHAP_TARGET_SECRET");
    const targetOnly = parseTargetUrl("iscsi://h/iqn.t:d/1?target_user=t");
    expect(refusalOf(() => chapOfUrl(targetOnly, environment)).message).to.contain("needs a user of ours");
  });
});
