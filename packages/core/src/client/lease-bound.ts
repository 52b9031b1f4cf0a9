//! What a worker may believe of a lease clock that it cannot see (DESIGN 5 "Time").
//!
//!   worker   ──stamp s──▶ leader: its lease clock says c ──(s, c)──▶ worker
//!
//! Whatever the way back took, the leader's clock was c no earlier than the worker's own clock was s. So at own time t it says
//! at most c + 9/8 (t - s): an eighth is far more than two clocks drift apart. A lease whose deadline this bound has not
//! reached cannot have expired. The bound errs early, never late.

import type { Instant, LeaseTime } from '../units.ts'
import { never } from '../units.ts'

export interface LeaseBound {
  /** Own monotonic time at which the newest echoed message was sent. */
  readonly stamp: Instant
  /** The shard's lease clock when that message came. */
  readonly leaseClock: LeaseTime
}

const NUMERATOR = 9
const DENOMINATOR = 8

/** The newer of two; an older echo says nothing new. */
export function newerBound(known: LeaseBound | undefined, stamp: number, leaseClock: LeaseTime): LeaseBound {
  return known !== undefined && stamp < known.stamp ? known : { stamp: stamp as Instant, leaseClock }
}

/** The latest that the lease clock can say at own time `at`. */
export function latestLeaseClock(bound: LeaseBound, at: Instant): LeaseTime {
  return (bound.leaseClock + ((at - bound.stamp) * NUMERATOR) / DENOMINATOR) as LeaseTime
}

/** The own time at which the bound reaches `deadline`. Without any echo yet nothing is known, so nothing is believed. */
export function boundReaches(bound: LeaseBound | undefined, deadline: LeaseTime): Instant {
  if (deadline === Infinity) return never
  if (bound === undefined) return 0 as Instant
  return (bound.stamp + ((deadline - bound.leaseClock) * DENOMINATOR) / NUMERATOR) as Instant
}
