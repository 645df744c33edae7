// A target with storage in memory, and a session on it that recovers quickly; both are closed after the body.
import { type BlockDevice, type ConnectOptions, connect, type IscsiSession } from "node-iscsi";
import { IscsiTarget } from "node-iscsi/target";

const SIZE = 32 * 1024 * 1024;
const targetName = "iqn.2026-11.test:bench";

export interface SessionBench {
  readonly target: IscsiTarget;
  /** What the session was opened with. */
  readonly options: ConnectOptions;
  readonly session: IscsiSession;
  readonly device: BlockDevice;
  /** How often the session lost its connection, recovered, and failed to. */
  readonly counts: { lost: number; recovered: number; failed: number };
}

/** Options for the target on `port` of 127.0.0.1, with a recovery that does not make a test wait. */
export function quickOptions(port: number, targetName: string): ConnectOptions {
  const recovery = { firstBackoffMs: 1, longestBackoffMs: 10, maxAttempts: 1000 };
  return { address: "127.0.0.1", port, targetName, lun: 1, recovery };
}

export async function withBench(
  body: (bench: SessionBench) => Promise<void>,
  extra: Partial<ConnectOptions> = {},
): Promise<void> {
  const target = await IscsiTarget.listen({ address: "127.0.0.1", targetName, backing: { memoryBytes: SIZE } });
  const counts = { lost: 0, recovered: 0, failed: 0 };
  let session: IscsiSession | undefined;
  try {
    const options: ConnectOptions = {
      ...quickOptions(target.port, targetName),
      hooks: {
        onConnectionLost: () => (counts.lost += 1),
        onRecovered: () => (counts.recovered += 1),
        onRecoveryAttemptFailed: () => (counts.failed += 1),
      },
      ...extra,
    };
    session = await connect(options);
    await body({ target, options, session, device: await session.blockDevice(), counts });
  } finally {
    session?.destroy();
    await target.close();
  }
}

/** What the target holds there. */
export async function stored(target: IscsiTarget, offset: number, bytes: number): Promise<Buffer> {
  const data = Buffer.alloc(bytes);
  await target.backing.read(offset, data);
  return data;
}
