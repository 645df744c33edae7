// Log lines as dnsmasq 2.90, baremetal-tftp and the machines' consoles wrote them in a run of the lab.
import { expect } from "chai";
import { parseConsoleLine, parseDhcpLine, parseMarker, parseTftpLine } from "./observation.ts";

const ACK = "dnsmasq-dhcp: 714022211 DHCPACK(br0) 192.168.250.10 52:54:00:ba:fe:00 ";
const TFTP =
  '{"blockSize":1432,"bytes":42430,"durationMs":18.4,"file":"pxelinux.0","kind":"end","level":"info","message":"tftp end","peer":{"address":"192.168.250.10","port":27856},"retransmits":0,"service":"baremetal-tftp","sizeBytes":42430,"timestamp":"2026-11-21T05:36:10.802Z","windowSize":1}';

describe("lab: observations", () => {
  it("takes the address from dnsmasq's DHCPACK, and nothing from its other lines", () => {
    expect(parseDhcpLine(ACK)).to.deep.equal({ mac: "52:54:00:ba:fe:00", ip: "192.168.250.10" });
    expect(parseDhcpLine(ACK.replace("DHCPACK", "DHCPOFFER"))).to.equal(undefined);
    expect(parseDhcpLine("dnsmasq-dhcp: RTR-SOLICIT(br0) 52:54:00:ba:fe:00")).to.equal(undefined);
  });

  it("takes finished transfers from the TFTP server's log, and survives half a line", () => {
    const expected = { ip: "192.168.250.10", file: "pxelinux.0", bytes: 42430, durationMs: 18.4 };
    expect(parseTftpLine(TFTP)).to.deep.equal(expected);
    expect(parseTftpLine(TFTP.replace('"tftp end"', '"tftp start"'))).to.equal(undefined);
    expect(parseTftpLine(TFTP.slice(0, -20))).to.equal(undefined);
    expect(parseTftpLine(TFTP.replace("42430", '"42430"'))).to.equal(undefined);
  });

  it("tells the console's lines apart", () => {
    expect(parseConsoleLine("\u001b[2J\u001b[0mSeaBIOS (version 1.16.2-debian-1.16.2-1)")).to.deep.equal({
      kind: "firmware",
    });
    expect(parseConsoleLine("DEPLOY: told done, rebooting")).to.deep.equal({
      kind: "ramdisk",
      text: "told done, rebooting",
    });
    expect(parseConsoleLine("TENANT: root /dev/vda1 UUID=1")).to.deep.equal({
      kind: "tenant",
      text: "root /dev/vda1 UUID=1",
    });
    expect(parseConsoleLine("[    3.157169] db_root: cannot open: /etc/target")).to.equal(undefined);
  });

  it("reads the tenant's marker wherever it begins in its line; what is not said is a dash", () => {
    const line = "TENANT-MARKER hostname=tenant0 key=ab12 root=/dev/vda1 uuid=1-2 instance=3-4";
    expect(parseMarker(`[ 1.0] ${line}`)).to.deep.equal({
      hostname: "tenant0",
      key: "ab12",
      root: "/dev/vda1",
      uuid: "1-2",
      instance: "3-4",
      line,
    });
    expect(parseMarker("TENANT-MARKER root=/dev/vda1")).to.include({ hostname: "-", root: "/dev/vda1" });
    expect(parseMarker("TENANT: marker")).to.equal(undefined);
  });
});
