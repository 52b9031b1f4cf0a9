//! What users ask for, and how it begins: most of it needs to know first where its topic is.

import { assert } from '../assert.ts'
import { cancelBody, Operation } from '../message/command.ts'
import type { Instant, JobNumber, PartitionId } from '../units.ts'
import { gatherAdd, refuseAdd, takeAdd } from './adding.ts'
import { type ClientInput, type ClientOutbox, type ErrorCode, failure } from './api.ts'
import { TOPICS_MAX, WORKERS_MAX } from './limits.ts'
import { abandonPull, takeAcquire } from './pull.ts'
import { dropQuery, startQuery } from './query.ts'
import { done, newTimer, startTimer, stopTimer } from './requests.ts'
import { refreshTopic, sessionOf, topicOf } from './routing.ts'
import { enqueue } from './session.ts'
import type { Request, State, Then, Topic } from './state.ts'
import { beginCommand } from './wire.ts'
import { openWorker, stopWorker } from './worker.ts'

export type Ask = Extract<ClientInput, { readonly kind: 'add' | 'cancel' | 'work' | 'stopWork' | 'acquire' | 'query' | 'locate' | 'status' | 'wish' | 'topicWish' }>

export function takeAsk(s: State, now: Instant, out: ClientOutbox, input: Ask): void {
  if (input.kind === 'stopWork') {
    const worker = s.workers.get(input.worker)
    if (worker === undefined) done(out, input.request, { kind: 'ok' })
    else stopWorker(s, out, worker, input.request, input.how, (now + input.timeoutMs) as Instant)
    return
  }
  if (input.kind === 'status') return startQuery(s, out, input.request, { kind: 'status' }, (now + input.timeoutMs) as Instant)
  if (input.kind === 'wish' || input.kind === 'topicWish') return startQuery(s, out, input.request, input, (now + input.timeoutMs) as Instant)
  const topic = topicOf(s, input.topic)
  if (topic === undefined) {
    if ('request' in input) done(out, input.request, failure('Backpressure', `more than ${TOPICS_MAX} topics`))
    return
  }
  if (topic.state !== 'known') refreshTopic(topic, now)
  if (input.kind === 'add') {
    wantTopic(topic, now, 0)
    takeAdd(s, now, out, topic, input.request, input.items, input.timeoutMs)
  } else if (input.kind === 'acquire') takeAcquire(s, now, out, topic, input)
  else if (input.kind === 'work') {
    assert(!s.workers.has(input.worker) && s.workers.size < WORKERS_MAX, 'a worker has a number of its own, and there are not too many')
    openWorker(s, now, input.worker, topic, input.names, input.concurrency, input.leaseMs, undefined)
  } else {
    if (input.kind === 'locate' && input.create) wantTopic(topic, now, input.partitions)
    if (topic.state === 'missing') topic.state = 'unknown'
    afterLocated(s, now, out, topic, input.request, input.timeoutMs, thenOf(input))
  }
}

function thenOf(input: Extract<ClientInput, { readonly kind: 'cancel' | 'query' | 'locate' }>): Then {
  if (input.kind === 'cancel') return { kind: 'cancel', partition: input.partition, jobs: input.jobs }
  if (input.kind === 'query') return { kind: 'query', partition: input.partition, operation: input.operation, body: input.body }
  return { kind: 'locate' }
}

/** The topic is to be made when it is unknown; one that was asked for without that is asked for again at once. */
function wantTopic(topic: Topic, now: Instant, partitions: number): void {
  if (partitions > 0) topic.wanted = partitions
  if (topic.state === 'known' || topic.create) return
  topic.create = true
  topic.askAt = now
}

function afterLocated(s: State, now: Instant, out: ClientOutbox, topic: Topic, number: number, timeoutMs: number, then: Then): void {
  const deadlineAt = (now + timeoutMs) as Instant
  const request: Request = { timed: 'request', timer: newTimer(s), number, topic, deadlineAt, timeoutMs, then, parts: 0, added: undefined, failed: undefined, mixed: false, detail: '', done: false }
  if (topic.state === 'known') {
    goOn(s, out, request)
    return
  }
  startTimer(s, request, deadlineAt)
  topic.waiting.push(request)
}

/** The topic is located: what waited for that begins. */
export function goOn(s: State, out: ClientOutbox, request: Request): void {
  const { then, topic } = request
  stopTimer(s, request)
  if (then.kind === 'add') gatherAdd(s, request, then.items)
  else if (then.kind === 'query') startQuery(s, out, request.number, { ...then, topic }, request.deadlineAt)
  else if (then.kind === 'locate') done(out, request.number, { kind: 'located', partitions: topic.partitions })
  else {
    const place = topic.partitions.find((candidate) => candidate.partition === then.partition)
    if (place === undefined) done(out, request.number, failure('NotFound', `topic ${topic.name} has no partition ${then.partition}`))
    else enqueue(s, sessionOf(s.shards.get(place.shard)!, undefined), encodeCancel(then.partition, then.jobs), { kind: 'cancel', request: request.number }, request.deadlineAt)
  }
}

function encodeCancel(partition: PartitionId, jobs: readonly JobNumber[]): Uint8Array {
  const writer = beginCommand(Operation.cancel)
  cancelBody.write(writer, { partition, jobs })
  return writer.take()
}

export function refuseRequest(s: State, out: ClientOutbox, request: Request, code: ErrorCode, detail: string): void {
  stopTimer(s, request)
  const at = request.topic.waiting.indexOf(request)
  if (at >= 0) request.topic.waiting.splice(at, 1)
  if (request.then.kind === 'add') refuseAdd(s, out, request, request.then.items, code, detail)
  else done(out, request.number, failure(code, detail))
}

export function abandon(s: State, now: Instant, out: ClientOutbox, number: number): void {
  for (const timed of s.timers.values()) {
    if ((timed.timed !== 'pull' && timed.timed !== 'query') || timed.number !== number) continue
    if (timed.timed === 'pull') abandonPull(s, now, timed)
    else dropQuery(s, timed)
    done(out, number, failure('Closed', 'nobody waits for it any more'))
    return
  }
}
