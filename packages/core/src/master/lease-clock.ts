//! The clock that leases run on. It enters the log with every entry, and goes on at the next leader from there:
//!
//!   last stamped time ── stands still for the first 2 s of a term ── + own monotonic time since, gaps counted at most 250 ms
//!
//! So it can fall behind real time, but never runs ahead of it: leases lengthen under trouble, and never shorten.

import type { Hash } from '../hash.ts'
import type { Instant, LeaseTime } from '../units.ts'
import { wait } from './relative.ts'
import type { MasterSettings } from './settings.ts'

export class LeaseClock {
  #value = 0
  /** Up to when `value` is counted; Infinity while not leading. */
  #countedAt = Infinity
  #standsUntil = 0

  /** The last value: learnt, or counted up to `countedAt`. */
  get value(): LeaseTime {
    return this.#value as LeaseTime
  }

  /**
   * The last entry of the log carries this time. It counts for a follower even where it lies behind: what a former leader counted in
   * the meantime, or stamped on entries that nobody committed, is not the shard's time, and leases that the next leader
   * granted would end early by it.
   */
  learn(stamped: LeaseTime): void {
    if (this.#countedAt === Infinity || stamped > this.#value) this.#value = stamped
  }

  lead(now: Instant, settings: MasterSettings): void {
    this.#countedAt = now
    this.#standsUntil = now + settings.leaseStallMs
  }

  follow(): void {
    this.#countedAt = Infinity
  }

  /** To be called whenever the leader does anything: what lies between two calls is one gap. */
  observe(now: Instant, settings: MasterSettings, awakeMs = settings.leaseGapMs): void {
    if (now <= this.#countedAt) return
    this.#value = this.read(now, settings, awakeMs)
    this.#countedAt = now
  }

  /** `awakeMs`: for so long since it was counted last its node is known to have run; else what lies between is one gap. */
  read(now: Instant, settings: MasterSettings, awakeMs = settings.leaseGapMs): LeaseTime {
    const from = Math.max(this.#countedAt, this.#standsUntil)
    if (now <= from) return this.#value as LeaseTime
    return (this.#value + Math.min(now - from, awakeMs)) as LeaseTime
  }

  clone(): LeaseClock {
    const copy = new LeaseClock()
    copy.#value = this.#value
    copy.#countedAt = this.#countedAt
    copy.#standsUntil = this.#standsUntil
    return copy
  }

  mix(hash: Hash, now: Instant): void {
    hash.number(this.#value)
    if (this.#countedAt < Infinity) hash.number(now - this.#countedAt).number(wait(this.#standsUntil, this.#countedAt as Instant))
  }
}
