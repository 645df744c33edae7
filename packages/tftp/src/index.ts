// What this package offers: a TFTP server, a client, and their packets (RFC 1350, 2347, 2348, 2349, 7440).
export { type GetOptions, get } from "./client.ts";
export { ERROR_CODES, type Peer, TftpError, type TftpErrorCode } from "./errors.ts";
export { decode, encode, OPCODES, type OptionList, type Packet } from "./packet.ts";
export type { TransferEvent } from "./read-session.ts";
export { TftpServer, type TftpServerOptions } from "./server.ts";
