// Negotiation: RFC 2347, 2348, 2349, 7440.
import { expect } from "chai";
import { TftpError } from "./errors.ts";
import { acceptOack, negotiate, requestOptions } from "./options.ts";
import type { OptionList } from "./packet.ts";

const limits = { maxBlockSize: 1468, maxWindowSize: 64, maxWindowBytes: 128 * 1024 };
const answer = (...requested: [string, string][]) => negotiate(requested, 4711, limits);

describe("tftp options", () => {
  describe("negotiate (server)", () => {
    it("sends no OACK when nothing known was asked", () => {
      expect(answer()).to.deep.equal({ blockSize: 512, windowSize: 1, accepted: [] });
      expect(answer(["multicast", "1"], ["x", "y"]).accepted).to.deep.equal([]);
    });

    it("grants all four and answers tsize with the size", () => {
      expect(answer(["tsize", "0"], ["blksize", "1428"], ["timeout", "3"], ["windowsize", "8"])).to.deep.equal({
        blockSize: 1428,
        windowSize: 8,
        timeoutMs: 3000,
        accepted: [
          ["tsize", "4711"],
          ["blksize", "1428"],
          ["timeout", "3"],
          ["windowsize", "8"],
        ],
      });
    });

    it("compares names without case and answers in the client's spelling", () => {
      expect(answer(["BLKSIZE", "1024"], ["TSize", "0"]).accepted).to.deep.equal([
        ["BLKSIZE", "1024"],
        ["TSize", "4711"],
      ]);
    });

    it("clamps what is too large", () => {
      expect(answer(["blksize", "65464"]).accepted).to.deep.equal([["blksize", "1468"]]);
      expect(answer(["blksize", "70000"]).blockSize).to.equal(1468);
      expect(answer(["windowsize", "65535"]).windowSize).to.equal(64);
    });

    it("ignores what is too small or no number, and refuses nothing", () => {
      for (const value of ["7", "0", "-1", "", "512x", "1e3", "99999999999999999999"]) {
        expect(answer(["blksize", value]), value).to.deep.equal({ blockSize: 512, windowSize: 1, accepted: [] });
      }
      for (const value of ["0", "256", "x"]) expect(answer(["timeout", value]).accepted, value).to.deep.equal([]);
      expect(answer(["windowsize", "0"]).accepted).to.deep.equal([]);
      expect(answer(["blksize", "8"]).blockSize).to.equal(8);
      expect(answer(["timeout", "255"]).timeoutMs).to.equal(255_000);
    });

    it("keeps window size times block size within the byte limit", () => {
      const roomy = { maxBlockSize: 65464, maxWindowSize: 64, maxWindowBytes: 131072 };
      const { blockSize, windowSize } = negotiate(
        [
          ["windowsize", "64"],
          ["blksize", "65464"],
        ],
        1,
        roomy,
      );
      expect([blockSize, windowSize]).to.deep.equal([65464, 2]);
    });

    it("takes the first of a doubled option", () => {
      expect(answer(["blksize", "600"], ["BlkSize", "700"]).accepted).to.deep.equal([["blksize", "600"]]);
    });

    it("gives sizes beyond 31 bits in full", () => {
      expect(negotiate([["tsize", "0"]], 5_000_000_000, limits).accepted).to.deep.equal([["tsize", "5000000000"]]);
    });
  });

  describe("acceptOack (client)", () => {
    const asked = { blockSize: 1428, windowSize: 8, wantsSize: true, timeoutSeconds: 2 };
    const codeOf = (oack: OptionList, request = {}) => {
      try {
        return acceptOack({ ...asked, ...request }, oack);
      } catch (error) {
        return (error as TftpError).code;
      }
    };

    it("takes equal or smaller values", () => {
      expect(
        codeOf([
          ["BLKSIZE", "1024"],
          ["windowsize", "4"],
          ["tsize", "9"],
          ["timeout", "2"],
        ]),
      ).to.deep.equal({
        blockSize: 1024,
        windowSize: 4,
        sizeBytes: 9,
      });
    });

    it("refuses larger, other and unasked values with error 8", () => {
      const bad: [string, string][] = [
        ["blksize", "1429"],
        ["blksize", "7"],
        ["windowsize", "9"],
        ["windowsize", "0"],
        ["timeout", "3"],
        ["tsize", "x"],
        ["new", "1"],
      ];
      for (const pair of bad) expect(codeOf([pair]), pair.join("=")).to.equal("OptionRefused");
      expect(codeOf([["blksize", "512"]], { blockSize: undefined })).to.equal("OptionRefused");
      expect(codeOf([["tsize", "512"]], { wantsSize: false })).to.equal("OptionRefused");
      expect(new TftpError("OptionRefused", "x").tftpCode).to.equal(8);
    });
  });

  it("requestOptions refuses values the RFCs do not allow", () => {
    expect(requestOptions({ blockSize: 8, wantsSize: true })).to.deep.equal([
      ["blksize", "8"],
      ["tsize", "0"],
    ]);
    for (const bad of [
      { blockSize: 7 },
      { blockSize: 65465 },
      { windowSize: 0 },
      { timeoutSeconds: 256 },
      { windowSize: 1.5 },
    ]) {
      expect(() => requestOptions(bad), JSON.stringify(bad)).to.throw(TftpError, /whole number/);
    }
  });
});
