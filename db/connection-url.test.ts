// SQLAlchemy's database addresses.
import { expect } from "chai";
import { maskDatabaseUrl, parseDatabaseUrl } from "./connection-url.ts";

const mysql = {
  dialect: "mysql",
  host: "h",
  port: 3306,
  user: "u",
  password: "p",
  database: "nova_bm",
  socketPath: null,
};

describe("parseDatabaseUrl", () => {
  it("reads SQLite files, absolute and relative", () => {
    expect(parseDatabaseUrl("sqlite:////var/x.sqlite")).to.deep.equal({ dialect: "sqlite", filename: "/var/x.sqlite" });
    expect(parseDatabaseUrl("sqlite:///x.sqlite")).to.deep.equal({ dialect: "sqlite", filename: "x.sqlite" });
    expect(parseDatabaseUrl("sqlite://")).to.deep.equal({ dialect: "sqlite", filename: ":memory:" });
  });

  it("reads MySQL with drivers, ports, sockets and odd passwords", () => {
    expect(parseDatabaseUrl("mysql://u:p@h/nova_bm")).to.deep.equal(mysql);
    expect(parseDatabaseUrl("mysql+pymysql://u:p@h:33/nova_bm?charset=utf8")).to.deep.equal({ ...mysql, port: 33 });
    expect(parseDatabaseUrl("mysql://u:a%40b%2Fc@h/nova_bm")).to.deep.equal({ ...mysql, password: "a@b/c" });
    expect(parseDatabaseUrl("mysql://u:a@b:c/d%@h/nova_bm")).to.deep.equal({ ...mysql, password: "a@b:c/d%" });
    expect(parseDatabaseUrl("mysql://u@[::1]/nova_bm")).to.deep.equal({ ...mysql, host: "::1", password: "" });
    const socket = { ...mysql, host: "localhost", socketPath: "/run/my.sock" };
    expect(parseDatabaseUrl("mysql://u:p@localhost/nova_bm?unix_socket=/run/my.sock")).to.deep.equal(socket);
  });

  it("refuses others without telling their password", () => {
    const wrong = [
      "postgresql://u:geheim@h/d",
      "mysql://u:geheim@h",
      "mysql://u:geheim@h/",
      "mysql://{user}:geheim@{host}/nova_bm",
      "sqlite:/x",
    ];
    for (const url of wrong) {
      expect(() => parseDatabaseUrl(url), url)
        .to.throw()
        .with.property("code", "BadInput");
      expect(() => parseDatabaseUrl(url), url).to.not.throw(/geheim/);
    }
    expect(maskDatabaseUrl("mysql://u:ge@hei/m@h/d")).to.equal("mysql://u:***@h/d");
    expect(maskDatabaseUrl("sqlite:////x")).to.equal("sqlite:////x");
  });
});
