//! The two clocks that a process sees. The world has one true time; a process's monotonic clock starts anywhere, runs up to
//! a few per cent fast or slow and never jumps; its wall clock is off by some amount and may jump,
//! but keeps the pace of true time, as one that is set from the network does.

import type { Now } from '../actor.ts'
import type { Instant, WallTime } from '../units.ts'

/** True time is kept in multiples of this, exact in binary, so that sums never depend on their order. */
export const TICKS_PER_MS = 1024

export function quantize(ms: number): number {
  return Math.round(ms * TICKS_PER_MS) / TICKS_PER_MS
}

/** The wall time at the beginning of every world. */
export const WORLD_EPOCH = 1_750_000_000_000

export class ProcessClock {
  #rate = 1
  #startedAt = 0
  #base = 0
  #wallOffset = 0

  /** A new run of the process: its monotonic clock begins at `base`, which has nothing to do with that of the last run. */
  restart(trueTime: number, base: number): void {
    this.#startedAt = trueTime
    this.#base = base
  }

  /** 1 is true; 1.05 gains three seconds a minute. Only between two runs, else the clock would jump. */
  setRate(rate: number): void {
    this.#rate = rate
  }

  /** Moves the wall clock; the monotonic one does not notice. */
  jumpWall(ms: number): void {
    this.#wallOffset += ms
  }

  get wallOffset(): number {
    return this.#wallOffset
  }

  read(trueTime: number): Now {
    return {
      monotonic: (this.#base + (trueTime - this.#startedAt) * this.#rate) as Instant,
      wall: Math.floor(WORLD_EPOCH + this.#wallOffset + trueTime) as WallTime,
    }
  }

  /** The first true time, in whole ticks, at which the monotonic clock shows `instant` or more. */
  trueTimeOf(instant: Instant): number {
    const estimate = this.#startedAt + (instant - this.#base) / this.#rate
    return Math.ceil(estimate * TICKS_PER_MS) / TICKS_PER_MS
  }
}
