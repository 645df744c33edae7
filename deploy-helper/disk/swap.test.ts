// The swap header against what the real mkswap (util-linux 2.38) wrote.
import { expect } from "chai";
import { encodeSwapHeader } from "./swap.ts";

const UUID = Buffer.from("0123456789ab4def8123456789abcdef", "hex");

describe("encodeSwapHeader", () => {
  it("is what mkswap writes", () => {
    // mkswap -L swap1 -U 01234567-89ab-4def-8123-456789abcdef on 5 MiB: bytes 1024 to 1071, and the page's end.
    const head = "01000000ff040000000000000123456789ab4def8123456789abcdef7377617031000000000000000000000000000000";
    const page = encodeSwapHeader(5 * 1024 * 1024, UUID, "swap1");
    expect(page.toString("hex", 1024, 1072)).to.equal(head);
    expect(page.toString("hex", 4080)).to.equal("0000000000005357415053504143" + "4532");
    expect(page.subarray(0, 1024).equals(Buffer.alloc(1024))).to.equal(true);
    expect(page.subarray(1072, 4086).equals(Buffer.alloc(3014))).to.equal(true);
  });
  it("refuses an area that Linux would refuse", () => {
    expect(() => encodeSwapHeader(9 * 4096, UUID, "swap1")).to.throw(/10 pages/);
    expect(encodeSwapHeader(10 * 4096, UUID, "swap1")).to.have.length(4096);
  });
});
