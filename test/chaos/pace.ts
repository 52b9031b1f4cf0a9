//! How long a run goes on, and how long one rests between two faults.

import type { Random } from '@horus/core/random'
import { delay } from '@horus/node/local/until'

export class Pace {
  readonly startedAt = performance.now()
  endAt: number
  readonly #show: (fraction: number) => void

  constructor(ms: number, show: (fraction: number) => void) {
    this.endAt = this.startedAt + ms
    this.#show = show
  }

  get over(): boolean {
    return performance.now() >= this.endAt
  }

  /** Nothing more is broken. */
  stop(): void {
    this.endAt = Math.min(this.endAt, performance.now())
  }

  async rest(random: Random, msMax: number): Promise<void> {
    this.#show((performance.now() - this.startedAt) / (this.endAt - this.startedAt))
    await delay(random.below(msMax))
  }
}
