// A UDP socket on a free port of this machine.
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";

export async function bindSocket(): Promise<Socket> {
  const socket = createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return socket;
}
