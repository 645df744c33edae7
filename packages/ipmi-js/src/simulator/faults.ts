// What a simulated BMC can be told to do wrong, and the seeded randomness behind it.

/** Faults of a {@link BmcSimulator}; all off by default. They can be changed while it runs. */
export interface SimulatorFaults {
  /** Part of the datagrams lost, 0 to 1, in each direction. */
  dropRate?: number;
  /** Part of the datagrams delivered twice, 0 to 1, in each direction. */
  duplicateRate?: number;
  /** Seed of the losses and duplicates: the same seed, the same fate. Default 1. */
  seed?: number;
  /** Milliseconds each answer is late. */
  delayMs?: number;
  /** Open Session, RAKP 1 or RAKP 3 is refused with this status (table 13-15). */
  openSessionStatus?: number;
  rakp2Status?: number;
  rakp4Status?: number;
  /** An Open Session Request with algorithms the BMC does not have gets no answer, as by some firmware. */
  ignoresUnknownSuites?: boolean;
  /** The records of Get Channel Cipher Suites, as they are: some BMCs' lists are empty or broken. */
  cipherSuiteList?: Buffer;
  /** Activate Session asks for no authentication of the packets after it ("per-message authentication disabled"). */
  noPerMessageAuthentication?: boolean;
  /** A RAKP 1 sent again is answered with another random number, as by many BMCs. */
  newRandomForRetries?: boolean;
  /** The chassis status says this, whatever the machine does. */
  lyingStatus?: "on" | "off";
  /** Milliseconds between the acceptance of a power command and its effect. */
  slowPowerMs?: number;
  /** Boot flags are refused with CCh, "invalid data field". */
  refusesBootDevice?: boolean;
  /** Boot flags are accepted and forgotten. */
  forgetsBootDevice?: boolean;
  /** Commands that are never answered. */
  ignoredCommands?: readonly { readonly netFn: number; readonly code: number }[];
  /** A session that loses Serial over LAN to another's Deactivate Payload is not told, as by ipmi_sim. */
  takesSolSilently?: boolean;
}

/** A generator of numbers in [0, 1) from a 32-bit seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** Decides the fate of datagrams: how many copies arrive, and when. */
export class FaultyLink {
  readonly #faults: SimulatorFaults;
  readonly #random: () => number;
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor(faults: SimulatorFaults) {
    this.#faults = faults;
    this.#random = seededRandom(faults.seed ?? 1);
  }

  /** Delivers one datagram of the console's: not at all, once or twice. */
  receive(deliver: () => void): void {
    for (let copies = this.#copies(); copies > 0; copies -= 1) deliver();
  }

  /** Delivers one datagram of the BMC's, late if the faults say so. */
  send(deliver: () => void): void {
    const delayMs = this.#faults.delayMs ?? 0;
    for (let copies = this.#copies(); copies > 0; copies -= 1) {
      if (delayMs === 0) {
        deliver();
        continue;
      }
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        deliver();
      }, delayMs);
      this.#timers.add(timer);
    }
  }

  /** Forgets what is still under way. */
  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  #copies(): number {
    const { dropRate = 0, duplicateRate = 0 } = this.#faults;
    if (dropRate > 0 && this.#random() < dropRate) return 0;
    return duplicateRate > 0 && this.#random() < duplicateRate ? 2 : 1;
  }
}
