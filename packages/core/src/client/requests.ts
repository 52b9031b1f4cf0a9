//! Time-outs of whatever waits for an outcome: one heap, deleted from lazily.

import type { Instant } from '../units.ts'
import type { ClientOutbox, Outcome } from './api.ts'
import type { State, Timed } from './state.ts'

export function newTimer(s: State): number {
  return s.nextTimer++
}

export function startTimer(s: State, timed: Timed, at: Instant): void {
  s.timers.set(timed.timer, timed)
  s.deadlines.push(at, timed.timer)
}

export function stopTimer(s: State, timed: { readonly timer: number }): void {
  s.timers.delete(timed.timer)
}

/** The next one whose time has come, taken off. */
export function dueTimer(s: State, now: Instant): Timed | undefined {
  while (s.deadlines.peekKey <= now) {
    const timer = s.deadlines.pop()
    const timed = s.timers.get(timer)
    if (timed === undefined) continue
    s.timers.delete(timer)
    return timed
  }
  return undefined
}

/** When the next time-out is; forgets what has ended meanwhile. */
export function nextTimerAt(s: State): Instant {
  while (s.deadlines.size > 0 && !s.timers.has(s.deadlines.peekValue)) s.deadlines.pop()
  return s.deadlines.peekKey as Instant
}

export function done(out: ClientOutbox, request: number, outcome: Outcome): void {
  if (request !== 0) out.done(request, outcome)
}
