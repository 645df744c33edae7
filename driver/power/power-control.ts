// What the driver needs of a BMC: three-valued power, switching it with a deadline, and the next boot device.

/** Options of every call to a BMC. */
export interface PowerOptions {
  readonly signal?: AbortSignal;
  /** Time of one operation, if less than the power driver's own; milliseconds. */
  readonly deadlineMs?: number;
}

/** One machine's power. Implementations queue: one command in flight per BMC. */
export interface PowerControl {
  /**
   * True: on; false: off.
   * @throws BaremetalError `PeerUnreachable` or `PeerMisbehaved`: the state is unknown, which is not "off".
   */
  isPowerOn(options?: PowerOptions): Promise<boolean>;
  /** Switches on and waits until the BMC reports it. @throws as isPowerOn, or `DeadlineExceeded` */
  powerOn(options?: PowerOptions): Promise<void>;
  /** Switches off, hard, and waits until the BMC reports it. @throws as isPowerOn, or `DeadlineExceeded` */
  powerOff(options?: PowerOptions): Promise<void>;
  /** Network boot at every start until changed, so that a reboot from inside the system comes back to us. */
  setBootDevicePxe(options?: PowerOptions): Promise<void>;
}

/** Gives the power control of an enrolled node. */
export interface PowerControls {
  for(node: PowerTarget): PowerControl;
  /** All other nodes are gone, or another host's: their sessions are closed. */
  forgetOthers(nodeIds: ReadonlySet<number>): void;
  /** Closes every session. */
  close(): Promise<void>;
}

/** The part of a node that a power driver reads. */
export interface PowerTarget {
  readonly id: number;
  readonly pmAddress: string | null;
  readonly pmUser: string | null;
  readonly pmPassword: string | null;
  /** Why the password could not be opened; undefined when it could. */
  readonly pmPasswordError?: string | undefined;
}

/** True if both are one BMC with one login. */
export function hasSameBmc(a: PowerTarget, b: PowerTarget): boolean {
  return a.pmAddress === b.pmAddress && a.pmUser === b.pmUser && a.pmPassword === b.pmPassword;
}
