//! The client of a cluster as an actor: the SDK wraps it in promises, the simulator runs the very same.
//!
//!   user: add, complete, work, acquire, query ...            done, leased, leaseLost
//!        └────────────────▶  ┌──────────────────────────┐  ────────────────▶ user
//!   host: linkUp, linkDown   │ topics ▸ shards ▸ links  │   open, close, send
//!        message, turn  ───▶ │ sessions ▸ commands      │  ────────────────▶ host
//!                            │ workers ▸ slots ▸ leases │
//!                            └──────────────────────────┘
//!
//! Inputs only gather. On `turn` (and on `wake`) batches become commands, then each session says, in this order: its leases if
//! the leader is new, its demands, its commands. So what is said about slots always precedes what frees them.

import type { Actor, Now } from '../actor.ts'
import { assert } from '../assert.ts'
import { Heap } from '../heap.ts'
import type { ClientMessage } from '../message/client.ts'
import { cancelAnswer, Code } from '../message/command.ts'
import { decode, MalformedMessage } from '../message/layout.ts'
import type { Random } from '../random.ts'
import type { Address, Instant } from '../units.ts'
import { never } from '../units.ts'
import { flushAddGathers, settleAdd } from './adding.ts'
import { type ClientInput, type ClientOutbox, failure, type LinkId } from './api.ts'
import { abandon, goOn, refuseRequest, takeAsk } from './asks.ts'
import { demandDueAt, rebalance, rebalanceDueAt, takeDemandAnswer } from './demand.ts'
import { dropLeases, expireDue } from './holdings.ts'
import { copyGraph, digestGraph } from './graph.ts'
import { extendDue, flushLeaseGathers, settleLeased, takeBeatAnswer, takeDelivery, takeLeaseInput, takeLost } from './leasing.ts'
import { ADDRESSES_MAX } from './limits.ts'
import { forgetLink, heardOver, homeDueAt, keepHome, linkIsUp, linksDueAt, NO_LINK, silentLinks } from './links.ts'
import { advancePulls, pullsDueAt, pullTimedOut, pullWithoutTopic, takePulled } from './pull.ts'
import { dropQuery, flushQueries, forgetLookups, queriesDueAt, queryTimedOut, takeQueryAnswer } from './query.ts'
import { done, dueTimer, newTimer, nextTimerAt, startTimer, stopTimer } from './requests.ts'
import { askTopics, refreshTopic, rerouted, route, served, takeLocated, topicsDueAt, turnedAway } from './routing.ts'
import { checkUnanswered, commandTimedOut, errorOf, expireSession, flushSession, sessionDueAt, takeAnswer } from './session.ts'
import type { Session, Settled, State, Timed, Topic } from './state.ts'
import { decodeMessage } from './wire.ts'
import { closeSession, forgetSession, placeWorker, removeStopped, stopTimedOut, stopWorker } from './worker.ts'

export interface ClientOptions {
  /** Nodes to begin with; those of leaders that are heard of are added. */
  readonly addresses: readonly Address[]
  /** Seeded by the host from real entropy, by the simulator from the seed. */
  readonly random: Random
  /** Default 1 MiB. */
  readonly payloadBytesMax?: number
}

export const PAYLOAD_BYTES_DEFAULT = 1024 * 1024

export class Client implements Actor<ClientInput, ClientOutbox> {
  #s: State
  /** When it was last woken: a timer comes at most once a millisecond. */
  #wokenAt = -Infinity
  #now = 0 as Instant

  constructor(options: ClientOptions) {
    assert(options.addresses.length <= ADDRESSES_MAX, `a client begins with at most ${ADDRESSES_MAX} addresses`)
    this.#s = freshState(options)
  }

  receive({ monotonic: now }: Now, input: ClientInput, out: ClientOutbox): void {
    this.#now = now
    const s = this.#s
    if (s.closed) refuse(out, input)
    else take(s, now, out, input)
    settleAll(s, now, out)
  }

  wake({ monotonic: now }: Now, out: ClientOutbox): void {
    this.#now = now
    this.#wokenAt = now
    if (!this.#s.closed) turn(this.#s, now, out)
  }

  get wakeAt(): Instant {
    return this.#s.closed ? never : (Math.max(dueAt(this.#s, this.#now), this.#wokenAt + 1) as Instant)
  }

  /** Leases of workers: as long as they can speak to the cluster, these are extended. What was acquired by hand does not count. */
  get kept(): number {
    let kept = 0
    for (const worker of this.#s.workers.values()) if (worker.pull === undefined) for (const slot of worker.slots) kept += slot.leases.size
    return kept
  }

  clone(): this {
    const copy = new Client({ addresses: [], random: this.#s.random.clone() })
    copy.#s = copyGraph(this.#s)
    copy.#wokenAt = this.#wokenAt
    copy.#now = this.#now
    return copy as this
  }

  digest(): string {
    return digestGraph(this.#s)
  }
}

function freshState(options: ClientOptions): State {
  return {
    random: options.random, payloadBytesMax: options.payloadBytesMax ?? PAYLOAD_BYTES_DEFAULT, links: new Map(), linkOf: new Map(), addresses: [...new Set(options.addresses)], broken: new Map(),
    topics: new Map(), shards: new Map(), workers: new Map(), pulls: new Map(), lookups: new Map(), queries: new Map(), addGathers: [], leaseGathers: [],
    deadlines: new Heap(), timers: new Map(), settled: [], home: NO_LINK, nextLink: 1, nextTimer: 1, nextWire: 1, nextOpen: 1, nextPullWorker: 1, addBytes: 0, closing: undefined, closed: false,
  }
}

// ---- inputs --------------------------------------------------------------------------------------------------------

function take(s: State, now: Instant, out: ClientOutbox, input: ClientInput): void {
  switch (input.kind) {
    case 'start':
      return keepHome(s, now, out)
    case 'linkUp':
      return linkIsUp(s, now, input.link)
    case 'linkDown':
      return linkDown(s, now, input.link)
    case 'message':
      return takeBytes(s, now, out, input.link, input.bytes)
    case 'turn':
      return turn(s, now, out)
    case 'setConcurrency': {
      const worker = s.workers.get(input.worker)
      if (worker !== undefined) {
        worker.concurrency = input.concurrency
        worker.dirty = true
      }
      return
    }
    case 'complete':
    case 'fail':
    case 'extend':
    case 'release':
      return takeLeaseInput(s, now, out, input)
    case 'abandon':
      return abandon(s, now, out, input.request)
    case 'close':
      return s.closing === undefined ? beginClosing(s, now, out, input.request, (now + input.timeoutMs) as Instant) : refuse(out, input)
    default:
      return s.closing === undefined ? takeAsk(s, now, out, input) : refuse(out, input)
  }
}

// ---- messages ------------------------------------------------------------------------------------------------------

function takeBytes(s: State, now: Instant, out: ClientOutbox, link: LinkId, bytes: Uint8Array): void {
  heardOver(s, link)
  const message = decodeMessage(bytes)
  if (message === undefined) {
    out.log(`bytes that are no message came over link ${link}`)
    return
  }
  try {
    takeMessage(s, now, out, link, message)
  } catch (error) {
    if (!(error instanceof MalformedMessage)) throw error
    out.log(`a ${message.kind} over link ${link} is malformed: ${error.message}`)
  }
}

function takeMessage(s: State, now: Instant, out: ClientOutbox, link: LinkId, message: ClientMessage): void {
  switch (message.kind) {
    case 'answer':
      return takeAnswer(s, now, out, link, message)
    case 'located': {
      const topic = s.lookups.get(message.request)?.topic
      s.lookups.delete(message.request)
      if (topic !== undefined) located(s, now, out, topic, message)
      return
    }
    case 'queryAnswer': {
      const lookup = s.lookups.get(message.request)
      s.lookups.delete(message.request)
      if (lookup !== undefined) takeQueryAnswer(s, now, out, link, lookup, message)
      return
    }
    case 'demandAnswer':
    case 'deliver':
    case 'lost':
    case 'beatAnswer': {
      const session = s.shards.get(message.shard)?.byNumber.get(message.session)
      // What comes late over a link that is no longer used may be about leases that were listed to another leader since.
      if (session !== undefined && session.shard.link === link) takeForSession(s, now, out, link, session, message)
      return
    }
    default:
      out.log(`a ${message.kind} is nothing for a client`)
  }
}

type SessionMessage = Extract<ClientMessage, { readonly kind: 'demandAnswer' | 'deliver' | 'lost' | 'beatAnswer' }>

function takeForSession(s: State, now: Instant, out: ClientOutbox, link: LinkId, session: Session, message: SessionMessage): void {
  if (message.kind !== 'lost' && (message.kind !== 'demandAnswer' || message.code === Code.ok)) served(session.shard)
  if (message.kind === 'beatAnswer') return takeBeatAnswer(session, message)
  if (message.kind === 'lost') return takeLost(out, session, message)
  if (message.kind === 'deliver') {
    const jobs = takeDelivery(s, now, session, message, out)
    const worker = session.worker
    if (jobs.length === 0 || worker === undefined) return
    if (worker.pull !== undefined) takePulled(s, now, worker.pull, jobs)
    else out.leased(worker.number, jobs)
    return
  }
  const slot = session.slots.get(message.partition)
  if (message.code === Code.ok) {
    if (slot !== undefined) takeDemandAnswer(now, slot, message)
  } else if (message.code === Code.sessionExpired) expireSession(out, session)
  else {
    if (slot !== undefined) slot.refreshAt = now
    turnedAway(s, now, session.shard, link, message.code, message.body)
  }
}

function located(s: State, now: Instant, out: ClientOutbox, topic: Topic, message: Extract<ClientMessage, { readonly kind: 'located' }>): void {
  if (takeLocated(s, now, topic, message)) {
    for (const worker of s.workers.values()) if (worker.topic === topic) placeWorker(s, worker)
    for (const request of topic.waiting.splice(0)) goOn(s, out, request)
    return
  }
  if (topic.state === 'known') return
  const pull = s.pulls.get(topic.name)
  if (topic.state === 'missing' && pull !== undefined) pullWithoutTopic(s, now, out, pull)
  const refusal = message.code === Code.notAuthorized || message.code === Code.versionSkew || message.code === Code.malformed
  for (const request of [...topic.waiting]) {
    if (refusal) refuseRequest(s, out, request, errorOf(message.code), `topic ${topic.name} was refused with code ${message.code}`)
    else if (topic.state === 'missing' && !topic.create) refuseRequest(s, out, request, 'NotFound', `there is no topic ${topic.name}`)
  }
}

// ---- a turn --------------------------------------------------------------------------------------------------------

function turn(s: State, now: Instant, out: ClientOutbox): void {
  for (let timed = dueTimer(s, now); timed !== undefined; timed = dueTimer(s, now)) timeOut(s, now, out, timed)
  for (const link of silentLinks(s, now, out)) {
    out.close(link)
    linkDown(s, now, link)
  }
  keepHome(s, now, out)
  forgetLookups(s, now)
  for (const shard of s.shards.values()) for (const session of shard.sessions) {
    expireDue(now, out, session)
    checkUnanswered(now, session)
  }
  settleAll(s, now, out)
  advancePulls(s, now, out)
  for (const worker of s.workers.values()) {
    extendDue(s, now, worker)
    if (worker.pull === undefined || worker.state !== 'open') rebalance(now, worker)
  }
  flushAddGathers(s)
  flushLeaseGathers(s, now)
  removeStopped(s, now, out)
  askTopics(s, now, out)
  for (const shard of s.shards.values()) {
    route(s, now, out, shard)
    for (const session of shard.sessions) flushSession(s, now, out, session)
  }
  flushQueries(s, now, out)
  settleAll(s, now, out)
  if (s.closing !== undefined) closeWhenDone(s, now, out)
}

function linkDown(s: State, now: Instant, link: LinkId): void {
  if (!forgetLink(s, now, link)) return
  for (const shard of s.shards.values()) {
    if (shard.link !== link) continue
    shard.link = NO_LINK
    rerouted(shard)
    refreshTopic(shard.topic, now)
  }
}

function timeOut(s: State, now: Instant, out: ClientOutbox, timed: Timed): void {
  if (timed.timed === 'command') commandTimedOut(s, timed)
  else if (timed.timed === 'request') refuseRequest(s, out, timed, 'NoQuorum', `topic ${timed.topic.name} was not located in time: nothing was done`)
  else if (timed.timed === 'query') queryTimedOut(s, out, timed)
  else if (timed.timed === 'pull') pullTimedOut(now, out, timed)
  else if (timed.timed === 'stop') stopTimedOut(s, out, timed)
  else finishClosing(s, out)
}

function settleAll(s: State, now: Instant, out: ClientOutbox): void {
  while (s.settled.length > 0) for (const settled of s.settled.splice(0)) settleOne(s, now, out, settled)
}

function settleOne(s: State, now: Instant, out: ClientOutbox, settled: Settled): void {
  const { work, session } = settled.command
  if (work.kind === 'add') settleAdd(s, out, settled, work.partition, work.parts, work.bytes)
  else if (work.kind === 'lease') settleLeased(s, now, out, settled, work.parts, work.how)
  else if (work.kind === 'close') forgetSession(session)
  else if (settled.code === 'ok') done(out, work.request, { kind: 'cancelled', missed: decode(cancelAnswer, settled.body).missed })
  else done(out, work.request, failure(settled.code, settled.detail))
}

/** When something is next due of itself. Derived from the state, so that no timer can be forgotten. */
function dueAt(s: State, now: Instant): Instant {
  let at = Math.min(nextTimerAt(s), homeDueAt(s), linksDueAt(s), topicsDueAt(s), pullsDueAt(s, now), queriesDueAt(s, now))
  for (const worker of s.workers.values()) at = Math.min(at, worker.extendAt, worker.pull === undefined ? rebalanceDueAt(worker) : Infinity)
  for (const shard of s.shards.values()) {
    for (const session of shard.sessions) at = Math.min(at, sessionDueAt(s, now, session), demandDueAt(s, now, session))
  }
  return at as Instant
}

// ---- closing -------------------------------------------------------------------------------------------------------

function beginClosing(s: State, now: Instant, out: ClientOutbox, request: number, deadlineAt: Instant): void {
  s.closing = { timed: 'closing', timer: newTimer(s), request, sessionsClosed: false }
  startTimer(s, s.closing, deadlineAt)
  for (const worker of [...s.workers.values()]) stopWorker(s, out, worker, 0, 'release', deadlineAt)
  for (const topic of s.topics.values()) for (const waiting of [...topic.waiting]) refuseRequest(s, out, waiting, 'Closed', 'the client was closed')
  for (const timed of [...s.timers.values()]) {
    if (timed.timed === 'pull') {
      stopTimer(s, timed)
      done(out, timed.number, failure('Closed', 'the client was closed'))
    } else if (timed.timed === 'query') {
      dropQuery(s, timed)
      done(out, timed.number, failure('Closed', 'the client was closed'))
    }
  }
  s.pulls.clear()
  turn(s, now, out)
}

function closeWhenDone(s: State, now: Instant, out: ClientOutbox): void {
  const closing = s.closing!
  if (s.workers.size > 0 || s.addGathers.length > 0 || s.leaseGathers.length > 0) return
  if (isBusy(s)) return
  if (!closing.sessionsClosed) {
    closing.sessionsClosed = true
    for (const shard of s.shards.values()) for (const session of [...shard.sessions]) {
      closeSession(s, session, now)
      flushSession(s, now, out, session)
    }
  }
  if (!isBusy(s)) finishClosing(s, out)
}

function isBusy(s: State): boolean {
  for (const shard of s.shards.values()) for (const session of shard.sessions) if (session.queue.length > 0 || session.inFlight.size > 0) return true
  return false
}

/** Everything that still waits gets its outcome, then the links go. */
function finishClosing(s: State, out: ClientOutbox): void {
  const closing = s.closing!
  stopTimer(s, closing)
  for (const timed of [...s.timers.values()]) if (timed.timed === 'command') commandTimedOut(s, timed)
  settleAll(s, 0 as Instant, out)
  for (const shard of s.shards.values()) for (const session of shard.sessions) dropLeases(out, session, 'closed')
  for (const link of s.links.keys()) out.close(link)
  s.closed = true
  done(out, closing.request, { kind: 'ok' })
}

function refuse(out: ClientOutbox, input: ClientInput): void {
  if ('request' in input && input.kind !== 'abandon') done(out, input.request, input.kind === 'close' || input.kind === 'stopWork' ? { kind: 'ok' } : failure('Closed', 'the client is closed'))
}
