//! Local health (Lifeguard 3.1): a node that misses answers, its own nacks too, doubts itself before others. The score
//! stretches its probe intervals and time-outs.

/** At most nine times slower than a healthy node. */
const SCORE_MAX = 8

export class Awareness {
  #score = 0

  /** 0 is healthy. */
  get score(): number {
    return this.#score
  }

  change(by: number): void {
    this.#score = Math.max(0, Math.min(SCORE_MAX, this.#score + by))
  }

  stretch(intervalMs: number): number {
    return intervalMs * (this.#score + 1)
  }

  clone(): Awareness {
    const copy = new Awareness()
    copy.#score = this.#score
    return copy
  }
}
