// RMCP+ Open Session Request and Response (IPMI 2.0, 13.17 and 13.18).
import { requireLength, WireError } from "./wire-error.ts";

/** The three algorithms of a cipher suite, by their numbers (tables 13-17, 13-18, 13-19). */
export interface AlgorithmNumbers {
  readonly authentication: number;
  readonly integrity: number;
  readonly confidentiality: number;
}

export interface OpenSessionRequest {
  readonly tag: number;
  /** Highest privilege the session may get; 0 leaves it to the BMC. */
  readonly maximumPrivilege: number;
  readonly consoleSessionId: number;
  readonly algorithms: AlgorithmNumbers;
}

/** With a status other than 0 the BMC may leave everything after it out. */
export interface OpenSessionResponse {
  readonly tag: number;
  readonly status: number;
  readonly consoleSessionId: number;
  readonly maximumPrivilege: number;
  readonly bmcSessionId: number;
  readonly algorithms: AlgorithmNumbers;
}

const RECORD_TYPE = { authentication: 0, integrity: 1, confidentiality: 2 } as const;

export function encodeOpenSessionRequest(request: OpenSessionRequest): Buffer {
  const bytes = Buffer.alloc(32);
  bytes[0] = request.tag;
  bytes[1] = request.maximumPrivilege;
  bytes.writeUInt32LE(request.consoleSessionId, 4);
  encodeAlgorithms(request.algorithms).copy(bytes, 8);
  return bytes;
}

export function decodeOpenSessionRequest(bytes: Buffer): OpenSessionRequest {
  requireLength(bytes, 32, "an Open Session Request");
  return {
    tag: bytes.readUInt8(0),
    maximumPrivilege: bytes.readUInt8(1) & 0x0f,
    consoleSessionId: bytes.readUInt32LE(4),
    algorithms: decodeAlgorithms(bytes.subarray(8)),
  };
}

export function encodeOpenSessionResponse(response: OpenSessionResponse): Buffer {
  const bytes = Buffer.alloc(response.status === 0 ? 36 : 8);
  bytes[0] = response.tag;
  bytes[1] = response.status;
  bytes[2] = response.maximumPrivilege;
  bytes.writeUInt32LE(response.consoleSessionId, 4);
  if (response.status === 0) {
    bytes.writeUInt32LE(response.bmcSessionId, 8);
    encodeAlgorithms(response.algorithms).copy(bytes, 12);
  }
  return bytes;
}

export function decodeOpenSessionResponse(bytes: Buffer): OpenSessionResponse {
  requireLength(bytes, 2, "an Open Session Response");
  const status = bytes.readUInt8(1);
  const refused = { authentication: 0, integrity: 0, confidentiality: 0 };
  if (status === 0) requireLength(bytes, 36, "an Open Session Response");
  return {
    tag: bytes.readUInt8(0),
    status,
    maximumPrivilege: bytes.length > 2 ? bytes.readUInt8(2) & 0x0f : 0,
    consoleSessionId: bytes.length >= 8 ? bytes.readUInt32LE(4) : 0,
    bmcSessionId: status === 0 ? bytes.readUInt32LE(8) : 0,
    algorithms: status === 0 ? decodeAlgorithms(bytes.subarray(12)) : refused,
  };
}

function encodeAlgorithms(algorithms: AlgorithmNumbers): Buffer {
  const bytes = Buffer.alloc(24);
  const numbers = [algorithms.authentication, algorithms.integrity, algorithms.confidentiality];
  for (const [index, number] of numbers.entries()) {
    bytes[index * 8] = index;
    bytes[index * 8 + 3] = 8;
    bytes[index * 8 + 4] = number;
  }
  return bytes;
}

function decodeAlgorithms(bytes: Buffer): AlgorithmNumbers {
  const read = (type: number): number => {
    if (bytes[type * 8] !== type) throw new WireError(`algorithm record ${type} is of type ${bytes[type * 8]}`);
    return bytes.readUInt8(type * 8 + 4) & 0x3f;
  };
  return {
    authentication: read(RECORD_TYPE.authentication),
    integrity: read(RECORD_TYPE.integrity),
    confidentiality: read(RECORD_TYPE.confidentiality),
  };
}
