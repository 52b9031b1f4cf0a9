//! The leases that a worker believes in: begun by a delivery, ended by an answer, by the leader's word or by the bound.

import { LostReason } from '../message/client.ts'
import type { Instant, LeaseTime } from '../units.ts'
import { never } from '../units.ts'
import type { ClientOutbox, LeaseLostReason } from './api.ts'
import { boundReaches, latestLeaseClock, newerBound } from './lease-bound.ts'
import { GIVEN_UP_MAX } from './limits.ts'
import type { Lease, Session } from './state.ts'

export function noteClock(session: Session, stamp: number, leaseClock: LeaseTime): void {
  // A leader that has not yet heard a stamp of this session says 0.
  if (stamp > 0) session.bound = newerBound(session.bound, stamp, leaseClock)
}

export function beginLease(lease: Lease): void {
  const { session, leases } = lease.slot
  leases.set(lease.number, lease)
  session.earliest = Math.min(session.earliest, lease.deadline) as LeaseTime
}

/** `counted`: the leader no longer counts it either. */
export function endLease(lease: Lease, counted: boolean): void {
  const slot = lease.slot
  if (slot.leases.get(lease.number) !== lease) return
  slot.leases.delete(lease.number)
  if (lease.state === 'finishing') slot.finishing--
  if (counted) slot.held = Math.max(0, slot.held - 1)
  slot.worker.dirty = true
}

/** Ends a lease that was not finished by the user, and says so. */
export function loseLease(out: ClientOutbox, lease: Lease, reason: LeaseLostReason, counted: boolean): void {
  const told = lease.state === 'active'
  endLease(lease, counted)
  if (told) out.leaseLost(lease.worker, lease, reason)
}

export function leaseCount(session: Session): number {
  let count = 0
  for (const slot of session.slots.values()) count += slot.leases.size
  return count
}

export function expiresAt(session: Session): Instant {
  return session.earliest === Infinity ? never : boundReaches(session.bound, session.earliest)
}

/** Gives up every lease whose deadline the bound has reached. */
export function expireDue(now: Instant, out: ClientOutbox, session: Session): void {
  if (now < expiresAt(session)) return
  const clock = session.bound === undefined ? Infinity : latestLeaseClock(session.bound, now)
  let earliest = Infinity
  for (const slot of session.slots.values()) {
    for (const lease of slot.leases.values()) {
      if (lease.deadline > clock) earliest = Math.min(earliest, lease.deadline)
      else giveUp(out, lease)
    }
  }
  session.earliest = earliest as LeaseTime
}

function giveUp(out: ClientOutbox, lease: Lease): void {
  const givenUp = lease.slot.givenUp
  if (givenUp.size >= GIVEN_UP_MAX) for (const oldest of givenUp.keys()) { givenUp.delete(oldest); break }
  givenUp.set(lease.number, lease.token)
  loseLease(out, lease, 'expired', false)
}

/** The shard has forgotten the session, or the client closes: none of its leases holds any more. */
export function dropLeases(out: ClientOutbox, session: Session, reason: LeaseLostReason): void {
  for (const slot of session.slots.values()) {
    for (const lease of [...slot.leases.values()]) loseLease(out, lease, reason, false)
    slot.held = 0
    slot.givenUp.clear()
  }
  session.earliest = Infinity as LeaseTime
}

export function lostReason(code: number): LeaseLostReason {
  if (code === LostReason.expired) return 'expired'
  return code === LostReason.cancelled ? 'cancelled' : 'unknown'
}
