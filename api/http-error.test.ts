// Unit tests of error answers: the form that clients read, and nothing of our insides.
import { expect } from "chai";
import { BaremetalError, type ErrorCode } from "../lib/errors.ts";
import { answerFor, errorBody, HttpError } from "./http-error.ts";

const body = (error: unknown, style: "nova" | "keystone" = "nova") => errorBody(answerFor(error), style);

describe("api/http-error", () => {
  const shown: [ErrorCode, number, string][] = [
    ["BadInput", 400, "badRequest"],
    ["ImageUnacceptable", 400, "badRequest"],
    ["Forbidden", 403, "forbidden"],
    ["NotFound", 404, "itemNotFound"],
    ["Conflict", 409, "conflictingRequest"],
  ];
  for (const [code, status, name] of shown) {
    it(`${code} is ${status} ${name}, in its own words`, () => {
      expect(body(new BaremetalError(code, "text"))).to.deep.equal({ [name]: { code: status, message: "text" } });
    });
  }

  const hidden: unknown[] = [
    new Error("SELECT * FROM secrets failed"),
    new TypeError("undefined is not SELECT"),
    new BaremetalError("Internal", "SELECT broke", { cause: new Error("password SELECT") }),
    new BaremetalError("PeerUnreachable", "SELECT"),
    "SELECT",
    undefined,
    { message: "SELECT", status: 502 },
  ];
  for (const [index, error] of hidden.entries()) {
    it(`hides the text of what is ours (${index})`, () => {
      const answer = body(error);
      expect(JSON.stringify(answer)).to.not.include("SELECT");
      expect(answer).to.have.nested.property("computeFault.code", 500);
    });
  }

  it("speaks Keystone's form for identity and for 401", () => {
    expect(body(new HttpError(401, "no"))).to.deep.equal({
      error: { code: 401, message: "no", title: "Unauthorized" },
    });
    expect(body(new HttpError(429, "later"), "keystone")).to.have.nested.property("error.code", 429);
  });

  it("answers the body parser's errors", () => {
    expect(body({ type: "entity.too.large", status: 413, message: "x" })).to.have.nested.property(
      "overLimit.code",
      413,
    );
    expect(body({ type: "entity.parse.failed", status: 400, message: "SECRET" })).to.have.nested.property(
      "badRequest.code",
      400,
    );
    expect(body({ type: "charset.unsupported", status: 415 })).to.have.nested.property("badMediaType.code", 415);
  });
});
