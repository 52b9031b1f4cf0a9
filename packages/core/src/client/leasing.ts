//! Leased jobs: handed to their worker, extended while they are active, ended in batches.
//!
//!   deliver ──▶ active ──complete, fail, release──▶ finishing ──answer──▶ gone
//!                 └──lost, or the bound reaches the deadline──▶ gone, and the worker is told

import { type beatAnswer, type deliver, type lost, received } from '../message/client.ts'
import { extendAnswer, extendBody, leasedAnswer, leasedBody, Operation } from '../message/command.ts'
import { DeliveryReader, LeasedGroupsWriter } from '../message/jobs.ts'
import { decode, type MessageOf } from '../message/layout.ts'
import type { FencingToken, Instant, JobNumber, PartitionId } from '../units.ts'
import { never } from '../units.ts'
import { type ClientOutbox, failure, type LeasedJob, type LeaseInput, type Outcome } from './api.ts'
import { beginLease, endLease, expireDue, loseLease, lostReason, noteClock } from './holdings.ts'
import { boundReaches, latestLeaseClock } from './lease-bound.ts'
import { COMMAND_BYTES_MAX, LEASED_BATCH_MAX } from './limits.ts'
import { sendOver } from './links.ts'
import { done } from './requests.ts'
import { enqueue } from './session.ts'
import { beginCommand, encodeRow } from './wire.ts'
import type { Lease, LeaseGather, LeasePart, LeaseWork, Session, Settled, Slot, State, Worker } from './state.ts'

/** Extensions are looked for so many times in a lease; each active job is extended once a third of its lease has passed. */
const EXTEND_CHECKS = 9
const EXTEND_CHECK_MS_MIN = 20
/** For what the client does by itself: as long as it takes to be sure that it no longer matters. */
const OWN_TIMEOUT_MS = 30_000
const NOTHING = new Uint8Array(0)
const OK: Outcome = { kind: 'ok' }
const NO_HEADERS: LeasedJob['headers'] = []

// ---- what workers do with their jobs -------------------------------------------------------------------------------

export function takeLeaseInput(s: State, now: Instant, out: ClientOutbox, input: LeaseInput): void {
  const { worker: number, partition, number: job, token } = input.lease
  const slot = slotOf(s.workers.get(number), partition)
  if (slot !== undefined) expireDue(now, out, slot.session)
  const lease = slot?.leases.get(job)
  if (lease === undefined || lease.token !== token || lease.state !== 'active') {
    done(out, input.request, failure('LeaseLost', 'the lease is no longer held'))
    return
  }
  if (input.kind === 'complete') end(s, lease, input, input.result, 0, 0)
  else if (input.kind === 'fail') end(s, lease, input, input.error, input.mode, input.retryAfterMs)
  else if (input.kind === 'release') end(s, lease, input, undefined, 0, 0)
  else {
    lease.extending = true
    gather(s, lease.slot, 'extend', input.leaseMs > 0 ? input.leaseMs : lease.leaseMs, input.timeoutMs, { request: input.request, lease, bytes: undefined, mode: 0, retryAfterMs: 0 })
  }
}

function slotOf(worker: Worker | undefined, partition: PartitionId): Slot | undefined {
  if (worker !== undefined) for (const slot of worker.slots) if (slot.partition === partition) return slot
  return undefined
}

function end(s: State, lease: Lease, input: LeaseInput, bytes: Uint8Array | undefined, mode: number, retryAfterMs: number): void {
  lease.state = 'finishing'
  lease.slot.finishing++
  if (lease.slot.worker.pull !== undefined) lease.slot.worker.dirty = true
  gather(s, lease.slot, input.kind, 0, input.timeoutMs, { request: input.request, lease, bytes, mode, retryAfterMs })
}

/** Hands a job back without a word to anybody. */
export function release(s: State, lease: Lease): void {
  lease.state = 'finishing'
  lease.slot.finishing++
  gather(s, lease.slot, 'release', 0, OWN_TIMEOUT_MS, { request: 0, lease, bytes: undefined, mode: 0, retryAfterMs: 0 })
}

export function releaseActive(s: State, worker: Worker): void {
  for (const slot of worker.slots) for (const lease of slot.leases.values()) if (lease.state === 'active') release(s, lease)
}

function gather(s: State, slot: Slot, how: LeaseWork, leaseMs: number, timeoutMs: number, part: LeasePart): void {
  const size = 24 + (part.bytes?.length ?? 0)
  let open: LeaseGather | undefined
  for (let i = s.leaseGathers.length - 1; i >= 0 && open === undefined; i--) {
    const candidate = s.leaseGathers[i]!
    if (candidate.slot === slot && candidate.how === how && candidate.leaseMs === leaseMs && candidate.timeoutMs === timeoutMs) open = candidate
  }
  if (open === undefined || open.parts.length >= LEASED_BATCH_MAX || open.bytes + size > COMMAND_BYTES_MAX) {
    open = { slot, how, leaseMs, timeoutMs, parts: [], bytes: 0 }
    s.leaseGathers.push(open)
  }
  open.parts.push(part)
  open.bytes += size
}

/** What was gathered since the last turn becomes commands, one for each partition and operation. */
export function flushLeaseGathers(s: State, now: Instant): void {
  for (const { slot, how, leaseMs, timeoutMs, parts } of s.leaseGathers.splice(0)) {
    const writer = beginCommand(Operation[how])
    if (how === 'extend') extendBody.write(writer, { partition: slot.partition, leaseMs, groups: NOTHING })
    else leasedBody.write(writer, { partition: slot.partition, groups: NOTHING })
    writeGroups(new LeasedGroupsWriter(writer), how, parts)
    enqueue(s, slot.session, writer.take(), { kind: 'lease', slot, how, parts }, (now + timeoutMs) as Instant)
  }
}

/** Jobs that were leased together mostly end in their order, so a group is begun where the token changes or the order breaks. */
function writeGroups(groups: LeasedGroupsWriter, how: LeaseWork, parts: readonly LeasePart[]): void {
  let token = -1
  let base = 0
  for (const { lease, bytes, mode, retryAfterMs } of parts) {
    if (lease.token !== token || lease.number < base || lease.number - base > 0xffff_ffff) {
      token = lease.token
      base = lease.number
      groups.group(lease.token, lease.number)
    }
    if (how === 'complete') groups.complete(lease.number, bytes ?? NOTHING)
    else if (how === 'fail') groups.fail(lease.number, mode, retryAfterMs, bytes ?? NOTHING)
    else groups.leased(lease.number)
  }
}

/** The outcome of one such command, for every job in it. */
export function settleLeased(s: State, now: Instant, out: ClientOutbox, settled: Settled, parts: readonly LeasePart[], how: LeaseWork): void {
  if (settled.code !== 'ok') {
    const outcome = failure(settled.code, settled.detail)
    for (const { request, lease } of parts) {
      if (how === 'extend') lease.extending = false
      else unfinish(lease, settled.code === 'NoQuorum')
      // What nobody waits for is handed back until that succeeds or the lease has run out: it must not be extended for ever.
      if (how === 'release' && request === 0 && isHeld(lease) && lease.state === 'active') release(s, lease)
      done(out, request, outcome)
    }
    return
  }
  const answer = how === 'extend' ? decode(extendAnswer, settled.body) : { ...decode(leasedAnswer, settled.body), deadline: undefined }
  const gone = answer.lost.length === 0 ? undefined : new Set(answer.lost.map(({ number, token }) => `${number} ${token}`))
  const sentAt = settled.command.sentAt
  for (const { request, lease } of parts) {
    const isLost = gone?.has(`${lease.number} ${lease.token}`) === true
    if (answer.deadline === undefined) endLease(lease, true)
    else if (isLost) loseLease(out, lease, 'unknown', true)
    else extended(now, lease, answer.deadline, sentAt)
    done(out, request, isLost ? failure('LeaseLost', 'the lease had ended before') : OK)
  }
}

/** Certainly not done: the lease is the user's again. Perhaps done: it is not believed in any more. */
function unfinish(lease: Lease, untouched: boolean): void {
  if (!untouched || !isHeld(lease)) {
    endLease(lease, false)
    return
  }
  lease.state = 'active'
  lease.slot.finishing--
}

function isHeld(lease: Lease): boolean {
  return lease.slot.leases.get(lease.number) === lease
}

function extended(now: Instant, lease: Lease, deadline: Lease['deadline'], sentAt: Instant): void {
  lease.extending = false
  lease.deadline = deadline
  lease.at = Math.min(now, sentAt) as Instant
}

// ---- what the leader says ------------------------------------------------------------------------------------------

export function takeDelivery(s: State, now: Instant, session: Session, message: MessageOf<typeof deliver>, out: ClientOutbox): LeasedJob[] {
  noteClock(session, message.stamp, message.leaseClock)
  const slot = session.slots.get(message.partition)
  const jobs: LeasedJob[] = []
  if (slot === undefined) return jobs
  // From a leader that has not heard the newest list: what it sends again may have ended since, and been acknowledged.
  if (message.token <= slot.newestToken && message.stamp < session.resumedAt) return jobs
  slot.newestToken = Math.max(slot.newestToken, message.token) as FencingToken
  slot.missingSince = never
  const late = session.bound === undefined || latestLeaseClock(session.bound, now) >= message.deadline
  const heldUntil = boundReaches(session.bound, message.deadline)
  const cursor = new DeliveryReader(message.items, message.base, message.count, message.names.length)
  while (cursor.next()) {
    const number = cursor.number as JobNumber
    const fresh = isFresh(slot, number, message.token, out)
    if (fresh === 'known' || (late && fresh === 'new')) continue
    const lease = leaseOf(now, slot, cursor, message, heldUntil)
    beginLease(lease)
    if (fresh === 'givenUp' || slot.worker.state !== 'open') release(s, lease)
    else jobs.push(lease)
  }
  // Before any handler runs: of one that kills the process at once the leader must know that it had the job.
  if (!late && cursor.number > 0) sendOver(s, now, out, session.shard.link, encodeRow(received, { shard: session.shard.id, session: session.number, token: message.token, number: cursor.number as JobNumber }), false)
  if (jobs.length > 0) slot.worker.extendAt = Math.min(slot.worker.extendAt, extendCheckAt(now, message.leaseMs)) as Instant
  return jobs
}

/** A leader delivers again what it believes missing: a lease that is known is not handed out twice, one given up is handed back. */
function isFresh(slot: Slot, number: JobNumber, token: FencingToken, out: ClientOutbox): 'new' | 'known' | 'givenUp' {
  const known = slot.leases.get(number)
  if (known !== undefined) {
    if (token <= known.token) return 'known'
    loseLease(out, known, 'expired', true)
  }
  const gone = slot.givenUp.get(number)
  if (gone === undefined) return 'new'
  if (token < gone) return 'known'
  slot.givenUp.delete(number)
  return token === gone ? 'givenUp' : 'new'
}

function leaseOf(now: Instant, slot: Slot, cursor: DeliveryReader, message: MessageOf<typeof deliver>, heldUntil: Instant): Lease {
  return {
    worker: slot.worker.number, partition: slot.partition, number: cursor.number as JobNumber, token: message.token, name: message.names[cursor.nameOrdinal]!,
    attempt: cursor.attempt, maxAttempts: cursor.maxAttempts, leaseMs: message.leaseMs, timeoutMs: cursor.timeoutMs, headers: cursor.headersLength === 0 ? NO_HEADERS : cursor.headers,
    heldUntil, payload: cursor.payload, tag: undefined, slot, deadline: message.deadline, at: now, state: 'active', extending: false,
  }
}

export function takeLost(out: ClientOutbox, session: Session, message: MessageOf<typeof lost>): void {
  const slot = session.slots.get(message.partition)
  if (slot === undefined) return
  for (const { number, token } of message.jobs) {
    const lease = slot.leases.get(number)
    if (lease !== undefined && lease.token === token) loseLease(out, lease, lostReason(message.reason), true)
    else if (slot.givenUp.get(number) === token) {
      slot.givenUp.delete(number)
      slot.held = Math.max(0, slot.held - 1)
      slot.worker.dirty = true
    }
  }
}

export function takeBeatAnswer(session: Session, message: MessageOf<typeof beatAnswer>): void {
  noteClock(session, message.stamp, message.leaseClock)
}

// ---- extension -----------------------------------------------------------------------------------------------------

function extendCheckAt(now: Instant, leaseMs: number): Instant {
  return (now + Math.max(EXTEND_CHECK_MS_MIN, leaseMs / EXTEND_CHECKS)) as Instant
}

/**
 * Extends what a worker is still on, in batches of one length each: a batch is answered with one deadline, its earliest. Jobs that were
 * acquired by hand are extended by hand.
 */
export function extendDue(s: State, now: Instant, worker: Worker): void {
  if (now < worker.extendAt) return
  worker.extendAt = never
  if (worker.pull !== undefined) return
  let shortest = Infinity
  for (const slot of worker.slots) {
    for (const lease of slot.leases.values()) {
      shortest = Math.min(shortest, lease.leaseMs)
      if (lease.state !== 'active' || lease.extending || now < lease.at + lease.leaseMs / 3) continue
      lease.extending = true
      gather(s, slot, 'extend', lease.leaseMs, OWN_TIMEOUT_MS, { request: 0, lease, bytes: undefined, mode: 0, retryAfterMs: 0 })
    }
  }
  if (shortest < Infinity) worker.extendAt = extendCheckAt(now, shortest)
}
