// The numbers of the power sync, per interval: how many nodes were seen, how many did not answer, how late the looks began.

/** How the schedule stands. */
export interface ScheduleState {
  readonly nodes: number;
  readonly inFlight: number;
  readonly failing: number;
  /** Turns missed since the start. */
  readonly missed: number;
}

interface TallyLine {
  readonly level: "debug" | "info" | "warn";
  readonly message: string;
  readonly fields: Record<string, number>;
}

/** Counts the looks of one interval, then of the next. */
export class LookTally {
  /** Since the start. */
  readonly totals = { seen: 0, failed: 0, acted: 0 };
  #maxLagMs = 0;
  /** At the end of the interval before. */
  #before = { ...this.totals, failing: 0, missed: 0 };

  note(lagMs: number, isAnswered: boolean): void {
    this.totals[isAnswered ? "seen" : "failed"] += 1;
    this.#maxLagMs = Math.max(this.#maxLagMs, lagMs);
  }

  noteAct(): void {
    this.totals.acted += 1;
  }

  /** The line of the interval that ends now; counting begins again. */
  close(state: ScheduleState, limits: { intervalMs: number }): TallyLine {
    const { totals } = this;
    const before = this.#before;
    const fields = {
      nodes: state.nodes,
      seen: totals.seen - before.seen,
      failed: totals.failed - before.failed,
      failing: state.failing,
      inFlight: state.inFlight,
      acted: totals.acted - before.acted,
      missed: state.missed - before.missed,
      maxLagMs: Math.round(this.#maxLagMs),
    };
    const isLate = fields.missed > 0 || this.#maxLagMs > limits.intervalMs / 2;
    const hasChanged = state.failing !== before.failing || fields.acted > 0;
    const text = `power sync: ${fields.seen} nodes seen, ${fields.failed} looks without an answer, at most ${fields.maxLagMs} ms late`;
    this.#before = { ...totals, failing: state.failing, missed: state.missed };
    this.#maxLagMs = 0;
    if (!isLate) return { level: hasChanged ? "info" : "debug", message: text, fields };
    const advice = "raise sync_power_state_pool_size or sync_power_state_interval";
    return { level: "warn", message: `${text}; ${fields.missed} turns were missed: ${advice}`, fields };
  }
}
