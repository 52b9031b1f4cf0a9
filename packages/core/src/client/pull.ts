//! `acquire`: a few jobs once, instead of a stream. The acquires of a topic queue up behind one worker of their own.
//!
//!   idle ─▶ asking: one partition has the grant, the others only tell how long their jobs wait
//!             └ jobs came, or the wait is over ─▶ closing: the grant is 0 again; when that is answered no more can come ─▶ idle

import type { Instant } from '../units.ts'
import { never } from '../units.ts'
import { type ClientOutbox, failure, type LeasedJob, PULL_WORKERS, type WorkerNumber } from './api.ts'
import { setGrant } from './demand.ts'
import { release } from './leasing.ts'
import { ACQUIRES_MAX, PULL_CLOSE_MS } from './limits.ts'
import { done, newTimer, startTimer, stopTimer } from './requests.ts'
import type { Pull, PullRequest, Slot, State, Topic } from './state.ts'
import { openWorker } from './worker.ts'

/** A leader that names waiting jobs but leases none (a pause, a limit) is not waited for longer, where no wait was asked for. */
const NO_WAIT_MS = 1000

export function takeAcquire(s: State, now: Instant, out: ClientOutbox, topic: Topic, input: { request: number; max: number; leaseMs: number; waitMs: number; timeoutMs: number }): void {
  let pull = s.pulls.get(topic.name)
  if (pull === undefined) {
    pull = { topic, worker: undefined, queue: [], at: 0, state: 'idle', closeBy: never, collected: [], heard: false }
    s.pulls.set(topic.name, pull)
  }
  if (pull.queue.length >= ACQUIRES_MAX) {
    done(out, input.request, failure('Backpressure', `${ACQUIRES_MAX} acquires of the topic wait already`))
    return
  }
  pull.worker ??= openWorker(s, now, (PULL_WORKERS + s.nextPullWorker++) as WorkerNumber, topic, [], 0, input.leaseMs, pull)
  const waitUntil = (now + input.waitMs) as Instant
  const deadlineAt = input.waitMs > 0 ? waitUntil : ((now + input.timeoutMs) as Instant)
  const request: PullRequest = { timed: 'pull', timer: newTimer(s), pull, number: input.request, max: input.max, leaseMs: input.leaseMs, waitUntil, deadlineAt, abandoned: false }
  startTimer(s, request, deadlineAt)
  pull.queue.push(request)
}

/** Moves every pull on; called once a turn, before demands are said. */
export function advancePulls(s: State, now: Instant, out: ClientOutbox): void {
  for (const pull of s.pulls.values()) {
    if (pull.state === 'closing') finishClosing(s, now, out, pull)
    if (pull.state === 'idle' && pull.queue.length > 0) start(now, pull)
    if (pull.state === 'asking') ask(now, pull)
  }
}

function start(now: Instant, pull: Pull): void {
  const worker = pull.worker!
  if (worker.slots.length === 0 || worker.state !== 'open') return
  pull.state = 'asking'
  pull.heard = false
  pull.closeBy = never
  pull.at = worker.home
  worker.leaseMs = pull.queue[0]!.leaseMs
  for (const slot of worker.slots) {
    slot.dirty = true
    slot.refreshAt = now
  }
}

function ask(now: Instant, pull: Pull): void {
  const { slots } = pull.worker!
  const request = pull.queue[0]!
  const slot = slots[pull.at]!
  if (!pull.heard && slot.answered === slot.number && !slot.dirty && slot.number > 0) {
    pull.heard = true
    pull.closeBy = (now + NO_WAIT_MS) as Instant
  }
  if (pull.heard && slots.every(isSettled)) {
    const older = slots.reduce((a, b) => (b.oldestWaitingMs > a.oldestWaitingMs ? b : a), slot)
    if (request.waitUntil <= now && (older.oldestWaitingMs === 0 || now >= pull.closeBy)) {
      close(now, pull)
      return
    }
    if (older !== slot) {
      setGrant(slot, 0)
      pull.at = slots.indexOf(older)
    }
  }
  // Two partitions never have the grant at once, or twice as many jobs could come.
  const chosen = slots[pull.at]!
  if (slots.every((other) => other === chosen || (other.grant === 0 && (isSettled(other) || other.number === 0 || other.sent.every((sent) => sent.grant === 0))))) {
    setGrant(chosen, chosen.leases.size - chosen.finishing + request.max)
  }
}

/** The leader has answered the newest demand, and nothing is under way. */
function isSettled(slot: Slot): boolean {
  return !slot.dirty && slot.answered === slot.number && slot.held <= slot.leases.size
}

function close(now: Instant, pull: Pull): void {
  pull.state = 'closing'
  pull.closeBy = (now + PULL_CLOSE_MS) as Instant
  for (const slot of pull.worker!.slots) setGrant(slot, 0)
}

function finishClosing(s: State, now: Instant, out: ClientOutbox, pull: Pull): void {
  const request = pull.queue[0]!
  if (pull.collected.length < request.max && now < pull.closeBy && !pull.worker!.slots.every(isSettled)) return
  pull.queue.shift()
  pull.state = 'idle'
  pull.closeBy = never
  const jobs = pull.collected
  pull.collected = []
  stopTimer(s, request)
  if (request.abandoned) handBack(s, pull, jobs)
  else done(out, request.number, { kind: 'leased', jobs: jobs.filter((job) => isHeld(pull, job)) })
}

/** Jobs for the acquire that is under way, or, when there is none, late ones that nobody wants. */
export function takePulled(s: State, now: Instant, pull: Pull, jobs: readonly LeasedJob[]): void {
  if (pull.state === 'idle') {
    handBack(s, pull, jobs)
    return
  }
  pull.heard = true
  for (const job of jobs) pull.collected.push(job)
  handBack(s, pull, pull.collected.splice(pull.queue[0]!.max))
  if (pull.state === 'asking') close(now, pull)
}

/** The wait is over. Without a word from any leader that is no answer. */
export function pullTimedOut(now: Instant, out: ClientOutbox, request: PullRequest): void {
  const { pull } = request
  const current = pull.queue[0] === request && pull.state !== 'idle'
  if (current && pull.heard) {
    if (pull.state === 'asking') close(now, pull)
    return
  }
  if (current) {
    request.abandoned = true
    close(now, pull)
  } else pull.queue.splice(pull.queue.indexOf(request), 1)
  done(out, request.number, !current && pull.heard ? { kind: 'leased', jobs: [] } : failure('NoQuorum', 'no leader answered in time: nothing was leased'))
}

/** There is no such topic, so there are no jobs: that is an answer. Whoever waits goes on waiting, for the topic too. */
export function pullWithoutTopic(s: State, now: Instant, out: ClientOutbox, pull: Pull): void {
  pull.heard = true
  for (const request of pull.queue.filter((waiting) => waiting.waitUntil <= now)) {
    stopTimer(s, request)
    pull.queue.splice(pull.queue.indexOf(request), 1)
    done(out, request.number, { kind: 'leased', jobs: [] })
  }
}

export function abandonPull(s: State, now: Instant, request: PullRequest): void {
  const { pull } = request
  stopTimer(s, request)
  if (pull.queue[0] === request && pull.state !== 'idle') {
    request.abandoned = true
    if (pull.state === 'asking') close(now, pull)
  } else pull.queue.splice(pull.queue.indexOf(request), 1)
}

export function pullsDueAt(s: State, now: Instant): Instant {
  let at = Infinity
  for (const pull of s.pulls.values()) {
    if (pull.state === 'closing' || (pull.state === 'asking' && pull.heard && pull.closeBy > now && pull.queue[0]!.waitUntil < pull.closeBy)) at = Math.min(at, pull.closeBy)
  }
  return at as Instant
}

function handBack(s: State, pull: Pull, jobs: readonly LeasedJob[]): void {
  for (const job of jobs) {
    const lease = leaseOf(pull, job)
    if (lease?.state === 'active') release(s, lease)
  }
}

/** One that was given up while it was collected may have come again, and is on its way back by now. */
function isHeld(pull: Pull, job: LeasedJob): boolean {
  return leaseOf(pull, job)?.state === 'active'
}

function leaseOf(pull: Pull, job: LeasedJob) {
  const lease = pull.worker?.slots.find((slot) => slot.partition === job.partition)?.leases.get(job.number)
  return lease?.token === job.token ? lease : undefined
}
