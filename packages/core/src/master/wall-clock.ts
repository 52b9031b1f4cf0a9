//! The shard's wall clock: the lower median of what the masters' clocks show (of two, the smaller), so that one wrong clock
//! moves nothing. It never goes back, and a jump forward over 5 s is believed only after a majority has shown it for 30 s:
//! until then it goes on with the leader's monotonic time. What is scheduled may be late by this clock, never early.

import type { Hash } from '../hash.ts'
import type { Instant, WallTime } from '../units.ts'
import type { MasterSettings } from './settings.ts'

export class WallClock {
  /** The last value given out or learnt; 0 before the first. */
  #value = 0
  #valueAt = 0
  /** Since when a majority has shown a later time than can be explained; undefined when it does not. */
  #jumpSince: number | undefined

  /** The time of an entry or of a leader's message. */
  learn(wall: WallTime, now: Instant): void {
    if (wall <= this.#value) return
    this.#value = wall
    this.#valueAt = now
  }

  /** `clocks` are the voters' as far as known; `majority` is how many voters make one. Sorts `clocks`. */
  observe(now: Instant, clocks: number[], majority: number, settings: MasterSettings): void {
    const shown = lowerMedian(clocks)
    if (this.#value > 0) {
      const expected = this.#value + Math.max(0, now - this.#valueAt)
      if (shown > expected + settings.wallJumpMs) {
        // The lower median is shown by this many at least; with too few known, nobody vouches for it.
        const vouched = clocks.length - ((clocks.length - 1) >> 1) >= majority
        if (!vouched) this.#jumpSince = undefined
        else if (this.#jumpSince === undefined) this.#jumpSince = now
        if (this.#jumpSince === undefined || now - this.#jumpSince < settings.wallShownMs) {
          this.#value = expected
          this.#valueAt = now
          return
        }
      }
    }
    this.#jumpSince = undefined
    this.#value = Math.max(this.#value, shown)
    this.#valueAt = now
  }

  /** A new leader judges by what it sees itself. */
  lead(): void {
    this.#jumpSince = undefined
  }

  get value(): WallTime {
    return this.#value as WallTime
  }

  clone(): WallClock {
    const copy = new WallClock()
    copy.#value = this.#value
    copy.#valueAt = this.#valueAt
    copy.#jumpSince = this.#jumpSince
    return copy
  }

  mix(hash: Hash, now: Instant): void {
    hash.number(this.#value)
    // Before there is a value nobody asks for its age.
    if (this.#value > 0) hash.number(now - this.#valueAt).number(this.#jumpSince === undefined ? -1 : now - this.#jumpSince)
  }
}

function lowerMedian(clocks: number[]): number {
  clocks.sort((a, b) => a - b)
  return clocks[(clocks.length - 1) >> 1] ?? 0
}
