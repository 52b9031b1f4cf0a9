//! Times as a digest tells them: not when, but how long ago and how long still, seen from the last call. Two copies that differ
//! only in the hour at which they got there are then the same, and an age beyond what anything asks for is as good as any other.

import type { Instant } from '../units.ts'

/** How long ago it was, at most `limit`. */
export function age(at: Instant | number, now: Instant, limit: number): number {
  return Math.min(now - at, limit)
}

/** How long it still takes; 0 where it is due. */
export function wait(at: Instant | number, now: Instant): number {
  return Math.max(0, at - now)
}
