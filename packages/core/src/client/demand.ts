//! A worker's standing demand (DESIGN 6 "Demand"): how many leases each partition's leader may give it.
//!
//! The rule: the sum over partitions of reserved = max(grant in force, held) never exceeds `concurrency`. A raised grant is in
//! force when it is sent; a lowered one only when its answer has come, since the leader may have leased under the old one.
//!
//!   free = concurrency - sum of reserved      goes to the partition whose jobs have waited longest, else evenly; home wins ties
//!   shift: idle grants, and some of those of partitions with much younger jobs, are lowered for the one that starves
//!
//! With one partition it gets everything, and then nothing is said any more while jobs flow.

import { beat, demand, type demandAnswer, resume } from '../message/client.ts'
import type { MessageOf } from '../message/layout.ts'
import type { Instant } from '../units.ts'
import { never } from '../units.ts'
import type { ClientOutbox } from './api.ts'
import { expiresAt, leaseCount } from './holdings.ts'
import { BEAT_MS, DELIVERY_DOUBT_MS, DEMAND_REFRESH_MS, DEMANDS_UNANSWERED_MAX, REBALANCE_MS, RESUME_LEASES_MAX } from './limits.ts'
import { sendOver } from './links.ts'
import { isReady, shardDueAt } from './routing.ts'
import type { Session, Slot, State, Worker } from './state.ts'
import { encodeRow } from './wire.ts'

/** A younger partition gives up slots to one whose jobs have waited this much longer, and at least twice as long. */
const AGE_MARGIN_MS = 100

// ---- what is said --------------------------------------------------------------------------------------------------

/** After a new link or leader: every lease believed in, those with an unanswered complete too. Then every demand anew. */
export function sayLeases(s: State, now: Instant, out: ClientOutbox, session: Session): void {
  if (!session.resume) return
  session.resume = false
  session.resumedAt = now
  const leases = []
  for (const slot of session.slots.values()) {
    if (slot.number > 0) slot.refreshAt = now
    slot.missingSince = never
    for (const lease of slot.leases.values()) if (leases.length < RESUME_LEASES_MAX) leases.push(lease)
  }
  stamped(s, now, out, session, encodeRow(resume, { shard: session.shard.id, session: session.number, stamp: now, leases }))
}

export function sayDemands(s: State, now: Instant, out: ClientOutbox, session: Session): void {
  for (const slot of session.slots.values()) {
    if (slot.dirty && slot.sent.length < DEMANDS_UNANSWERED_MAX) {
      slot.number++
      slot.sent.push({ number: slot.number, grant: slot.grant })
      slot.dirty = false
    } else if (now < slot.refreshAt) continue
    slot.refreshAt = (isStanding(slot) ? now + DEMAND_REFRESH_MS : never) as Instant
    const { worker, partition, number } = slot
    // A number always stands for the same grant; a newer grant waits until there is room for its number.
    const grant = slot.sent.at(-1)?.grant ?? 0
    stamped(s, now, out, session, encodeRow(demand, { shard: session.shard.id, partition, session: session.number, number, grant, leaseMs: worker.leaseMs, stamp: now, names: worker.names }))
  }
  if (now >= session.stampAt + BEAT_MS && leaseCount(session) > 0) stamped(s, now, out, session, encodeRow(beat, { shard: session.shard.id, session: session.number, stamp: now }))
}

function stamped(s: State, now: Instant, out: ClientOutbox, session: Session, bytes: Uint8Array): void {
  session.stampAt = now
  sendOver(s, now, out, session.shard.link, bytes, true)
}

/** The leader is to remember it: a grant, a place among others, or a lowering without an answer. */
function isStanding(slot: Slot): boolean {
  return slot.grant > 0 || slot.dirty || slot.answered < slot.number || slot.held > slot.leases.size || (slot.worker.state === 'open' && slot.worker.slots.length > 1 && (slot.worker.pull === undefined || slot.worker.pull.state === 'asking'))
}

/** When a worker's session next has to say something. */
export function demandDueAt(s: State, now: Instant, session: Session): Instant {
  const expires = expiresAt(session)
  if (session.state !== 'open') return expires
  let at: number = session.resume ? now : leaseCount(session) > 0 ? session.stampAt + BEAT_MS : never
  for (const slot of session.slots.values()) at = Math.min(at, slot.dirty && slot.sent.length < DEMANDS_UNANSWERED_MAX ? now : slot.refreshAt)
  // A shard that turned it away is tried again by time: a worker may have nothing else to do, and nobody speaks to it first.
  if (at < never && !isReady(session.shard, now)) at = Math.max(at, shardDueAt(s, now, session.shard))
  return Math.min(expires, at) as Instant
}

// ---- what is heard -------------------------------------------------------------------------------------------------

export function takeDemandAnswer(now: Instant, slot: Slot, message: MessageOf<typeof demandAnswer>): void {
  if (message.oldestWaitingMs !== slot.oldestWaitingMs) slot.worker.dirty = true
  slot.oldestWaitingMs = message.oldestWaitingMs
  if (message.number < slot.answered) return
  if (message.number > slot.answered) slot.worker.dirty = true
  slot.answered = message.number
  while (slot.sent.length > 0 && slot.sent[0]!.number < message.number) slot.sent.shift()
  if (slot.held !== message.held) slot.worker.dirty = true
  slot.held = message.held
  if (slot.held <= slot.leases.size) slot.missingSince = never
  else if (slot.missingSince === never) slot.missingSince = now
  else if (now >= slot.missingSince + DELIVERY_DOUBT_MS) slot.session.resume = true
}

// ---- how grants are chosen -----------------------------------------------------------------------------------------

export function setGrant(slot: Slot, grant: number): void {
  if (slot.grant === grant) return
  slot.grant = grant
  slot.dirty = true
}

export function reserved(slot: Slot): number {
  return Math.max(inForce(slot), slot.held, slot.leases.size)
}

function inForce(slot: Slot): number {
  let most = slot.grant
  for (const sent of slot.sent) if (sent.number >= slot.answered) most = Math.max(most, sent.grant)
  return most
}

/** Brings a worker's grants to what its concurrency and its partitions' waiting ages call for. */
export function rebalance(now: Instant, worker: Worker): void {
  if (!worker.dirty) return
  worker.dirty = false
  const concurrency = worker.state === 'open' ? worker.concurrency : 0
  const slots = worker.slots
  if (slots.length <= 1 || concurrency === 0) {
    for (const slot of slots) setGrant(slot, concurrency)
    return
  }
  lower(worker, concurrency)
  give(worker, concurrency)
  if (now < worker.rebalanceAt) worker.dirty = true
  else if (shift(worker, concurrency)) worker.rebalanceAt = (now + REBALANCE_MS) as Instant
}

/** Only a worker that waits for its next shift needs a timer. */
export function rebalanceDueAt(worker: Worker): Instant {
  return worker.dirty ? worker.rebalanceAt : never
}

/** After a lowered concurrency: takes from the largest grants until the grants fit. */
function lower(worker: Worker, concurrency: number): void {
  let excess = worker.slots.reduce((sum, slot) => sum + slot.grant, 0) - concurrency
  while (excess > 0) {
    const largest = worker.slots.reduce((a, b) => (b.grant > a.grant ? b : a))
    const share = Math.max(1, Math.min(excess, Math.ceil(largest.grant / worker.slots.length)))
    setGrant(largest, largest.grant - share)
    excess -= share
  }
}

/** Hands out what no partition has reserved. */
function give(worker: Worker, concurrency: number): void {
  let free = concurrency - worker.slots.reduce((sum, slot) => sum + reserved(slot), 0)
  const fair = Math.max(1, Math.floor(concurrency / worker.slots.length))
  while (free > 0) {
    const hungry = hungriest(worker)
    const slot = hungry ?? smallest(worker)
    const share = hungry !== undefined ? free : Math.min(free, Math.max(1, fair - slot.grant))
    // Below what is already reserved a grant costs nothing.
    const grant = Math.max(slot.grant, reserved(slot)) + share
    setGrant(slot, grant)
    free -= share
  }
}

/** Lowers grants of others for the partition that has waiting jobs and no free slot. True when some were. */
function shift(worker: Worker, concurrency: number): boolean {
  const starving = hungriest(worker)
  if (starving === undefined) return false
  const floor = concurrency >= worker.slots.length ? 1 : 0
  let shifted = false
  for (const slot of worker.slots) {
    if (slot === starving || slot.answered < slot.number || slot.grant <= floor) continue
    const idle = slot.grant - slot.leases.size
    let share = 0
    if (slot.oldestWaitingMs === 0) share = Math.ceil(idle / 2)
    else if (starving.oldestWaitingMs > 2 * slot.oldestWaitingMs + AGE_MARGIN_MS) share = Math.max(1, slot.grant >> 3)
    share = Math.min(share, slot.grant - floor)
    if (share <= 0) continue
    setGrant(slot, slot.grant - share)
    shifted = true
  }
  return shifted
}

/** The partition with the longest waiting jobs among those that have used up their grants. */
function hungriest(worker: Worker): Slot | undefined {
  let best: Slot | undefined
  for (let i = 0; i < worker.slots.length; i++) {
    const slot = worker.slots[(worker.home + i) % worker.slots.length]!
    if (slot.oldestWaitingMs > 0 && slot.leases.size >= slot.grant && (best === undefined || slot.oldestWaitingMs > best.oldestWaitingMs)) best = slot
  }
  return best
}

function smallest(worker: Worker): Slot {
  let best = worker.slots[worker.home]!
  for (let i = 1; i < worker.slots.length; i++) {
    const slot = worker.slots[(worker.home + i) % worker.slots.length]!
    if (slot.grant < best.grant) best = slot
  }
  return best
}
