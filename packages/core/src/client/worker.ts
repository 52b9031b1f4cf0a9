//! Workers: opened for a topic, given a slot at each of its partitions once it is located, stopped.

import { Operation } from '../message/command.ts'
import type { FencingToken, Instant, PartitionId } from '../units.ts'
import { never } from '../units.ts'
import { type ClientOutbox, failure, type WorkerNumber } from './api.ts'
import { dropLeases } from './holdings.ts'
import { releaseActive } from './leasing.ts'
import { done, newTimer, startTimer, stopTimer } from './requests.ts'
import { refreshTopic, sessionOf } from './routing.ts'
import { enqueue } from './session.ts'
import { beginCommand } from './wire.ts'
import type { Pull, Session, Slot, State, Stop, Topic, Worker } from './state.ts'

/** A session that is not closed in words is forgotten by its shard after a day: no reason to wait long. */
const CLOSE_TIMEOUT_MS = 5000

export function openWorker(s: State, now: Instant, number: WorkerNumber, topic: Topic, names: readonly string[], concurrency: number, leaseMs: number, pull: Pull | undefined): Worker {
  const worker: Worker = { number, topic, names, leaseMs, concurrency, pull, state: 'open', stops: [], slots: [], home: 0, dirty: true, rebalanceAt: 0 as Instant, extendAt: never }
  s.workers.set(number, worker)
  if (topic.state === 'known') placeWorker(s, worker)
  else refreshTopic(topic, now)
  return worker
}

/** Gives the worker a slot at each partition; its home is drawn, so that workers spread. */
export function placeWorker(s: State, worker: Worker): void {
  if (worker.slots.length > 0) return
  for (const place of worker.topic.partitions) {
    const session = sessionOf(s.shards.get(place.shard)!, worker)
    const slot = newSlot(worker, session, place.partition)
    session.slots.set(place.partition, slot)
    worker.slots.push(slot)
  }
  // Without a grant a place among others is kept by saying 0; a worker with one partition says nothing before it has one.
  if (worker.pull === undefined && worker.slots.length > 1) for (const slot of worker.slots) slot.refreshAt = 0 as Instant
  worker.home = s.random.below(worker.slots.length)
  worker.dirty = true
}

function newSlot(worker: Worker, session: Session, partition: PartitionId): Slot {
  return {
    worker, session, partition, leases: new Map(), finishing: 0, givenUp: new Map(), grant: 0, number: 0, answered: 0, sent: [], held: 0,
    oldestWaitingMs: 0, dirty: false, refreshAt: never, newestToken: 0 as FencingToken, missingSince: never,
  }
}

export function stopWorker(s: State, out: ClientOutbox, worker: Worker, request: number, how: 'drain' | 'release', deadlineAt: Instant): void {
  const stop: Stop = { timed: 'stop', timer: newTimer(s), worker, request }
  startTimer(s, stop, deadlineAt)
  worker.stops.push(stop)
  worker.dirty = true
  if (how === 'release') {
    worker.state = 'releasing'
    releaseActive(s, worker)
  } else if (worker.state === 'open') worker.state = 'draining'
  if (worker.slots.length === 0) removeWorker(s, out, worker)
}

/** A drain that takes too long leaves the worker draining, to be released; a release that does ends it here. */
export function stopTimedOut(s: State, out: ClientOutbox, stop: Stop): void {
  const { worker } = stop
  worker.stops.splice(worker.stops.indexOf(stop), 1)
  done(out, stop.request, failure('Unknown', 'the worker still holds leases'))
  if (worker.state !== 'releasing' || worker.stops.length > 0) return
  for (const slot of worker.slots) dropLeases(out, slot.session, 'closed')
  removeWorker(s, out, worker)
}

/** Ends workers that were stopped and hold nothing any more. */
export function removeStopped(s: State, now: Instant, out: ClientOutbox): void {
  for (const worker of [...s.workers.values()]) {
    if (worker.state === 'open' || !worker.slots.every(isEmpty)) continue
    for (const slot of worker.slots) closeSession(s, slot.session, now)
    removeWorker(s, out, worker)
  }
}

function isEmpty(slot: Slot): boolean {
  if (slot.leases.size > 0 || slot.grant > 0) return false
  // Leases that were given up by the bound run out at the leader by themselves.
  return slot.session.state === 'new' || slot.number === 0 || (!slot.dirty && slot.answered === slot.number && slot.held <= slot.givenUp.size)
}

function removeWorker(s: State, out: ClientOutbox, worker: Worker): void {
  s.workers.delete(worker.number)
  for (const stop of worker.stops.splice(0)) {
    stopTimer(s, stop)
    done(out, stop.request, { kind: 'ok' })
  }
  for (const slot of worker.slots) if (slot.session.state === 'new') forgetSession(slot.session)
}

/** Tells the shard that the session will not be needed; it is forgotten here when that is answered. */
export function closeSession(s: State, session: Session, now: Instant): void {
  if (session.state !== 'open') forgetSession(session)
  else if (!session.queue.some((command) => command.work.kind === 'close') && ![...session.inFlight.values()].some((command) => command.work.kind === 'close')) {
    enqueue(s, session, beginCommand(Operation.close).take(), { kind: 'close' }, (now + CLOSE_TIMEOUT_MS) as Instant)
  }
}

export function forgetSession(session: Session): void {
  const { shard } = session
  const at = shard.sessions.indexOf(session)
  if (at >= 0) shard.sessions.splice(at, 1)
  if (shard.byNumber.get(session.number) === session) shard.byNumber.delete(session.number)
}
