// The numbers of the power sync, per interval: how many nodes were seen, how many did not answer, how late the looks began.

/** How the schedule stands. */
export interface ScheduleState {
  readonly nodes: number;
  readonly inFlight: number;
  readonly failing: number;
  /** Turns missed since the start. */
  readonly missed: number;
}

export interface TallyLine {
  readonly level: "debug" | "info" | "warn";
  readonly message: string;
  readonly fields: Readonly<Record<string, number>> & Record<string, unknown>;
}

/** Counts the looks of one interval, then of the next. */
export class LookTally {
  /** Since the start. */
  readonly totals = { seen: 0, failed: 0, acted: 0 };
  #seen = 0;
  #failed = 0;
  #acts = 0;
  #maxLagMs = 0;
  #before: ScheduleState | undefined;

  note(lagMs: number, isAnswered: boolean): void {
    if (isAnswered) this.#seen += 1;
    else this.#failed += 1;
    this.totals[isAnswered ? "seen" : "failed"] += 1;
    this.#maxLagMs = Math.max(this.#maxLagMs, lagMs);
  }

  noteAct(): void {
    this.#acts += 1;
    this.totals.acted += 1;
  }

  /** The line of the interval that ends now; counting begins again. */
  close(state: ScheduleState, limits: { intervalMs: number }): TallyLine {
    const missed = state.missed - (this.#before?.missed ?? 0);
    const isLate = missed > 0 || this.#maxLagMs > limits.intervalMs / 2;
    const hasChanged = state.failing !== (this.#before?.failing ?? 0) || this.#acts > 0;
    const fields = {
      nodes: state.nodes,
      seen: this.#seen,
      failed: this.#failed,
      failing: state.failing,
      inFlight: state.inFlight,
      acted: this.#acts,
      missed,
      maxLagMs: Math.round(this.#maxLagMs),
    };
    const text = `power sync: ${fields.seen} nodes seen, ${fields.failed} looks without an answer, at most ${fields.maxLagMs} ms late`;
    this.#before = state;
    this.#seen = this.#failed = this.#acts = this.#maxLagMs = 0;
    if (!isLate) return { level: hasChanged ? "info" : "debug", message: text, fields };
    const advice = "raise sync_power_state_pool_size or sync_power_state_interval";
    return { level: "warn", message: `${text}; ${missed} turns were missed: ${advice}`, fields };
  }
}
