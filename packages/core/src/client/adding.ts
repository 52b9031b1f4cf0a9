//! Adds: which partition, in which batch, and what came of it.
//!
//!   items ──hash of the key, else round robin──▶ runs of one partition ──until the turn──▶ one command a partition
//!
//! A run stays with its partition, whatever is retried: so a repeat can never make a second job elsewhere.

import { addAnswer, addBody, Operation } from '../message/command.ts'
import { writeAddItem } from '../message/jobs.ts'
import { decode } from '../message/layout.ts'
import { hashOf } from '../hash.ts'
import type { Instant } from '../units.ts'
import { type Added, type AddItem, type ClientOutbox, type ErrorCode, failure } from './api.ts'
import { ADD_BATCH_ITEMS_MAX, ADD_ITEM_OVERHEAD_BYTES, ADD_QUEUE_BYTES_MAX, COMMAND_BYTES_MAX, ROUND_ROBIN_RUN } from './limits.ts'
import { done, newTimer, startTimer } from './requests.ts'
import { sessionOf } from './routing.ts'
import { enqueue } from './session.ts'
import { beginCommand } from './wire.ts'
import type { AddGather, AddPart, Place, Request, Settled, State, Topic } from './state.ts'


const NOTHING = new Uint8Array(0)

export function takeAdd(s: State, now: Instant, out: ClientOutbox, topic: Topic, number: number, given: readonly AddItem[], timeoutMs: number): void {
  let bytes = 0
  for (const item of given) {
    if (item.payload.length > s.payloadBytesMax) {
      done(out, number, failure('PayloadTooLarge', `a payload of ${item.payload.length} bytes: at most ${s.payloadBytesMax} are allowed`))
      return
    }
    bytes += item.payload.length + ADD_ITEM_OVERHEAD_BYTES
  }
  if (s.addBytes + bytes > ADD_QUEUE_BYTES_MAX && s.addBytes > 0) {
    done(out, number, failure('Backpressure', `${s.addBytes} bytes of adds wait for an answer already: at most ${ADD_QUEUE_BYTES_MAX} do`))
    return
  }
  const added: Added = { partitions: new Uint32Array(given.length), numbers: new Float64Array(given.length), duplicates: new Uint8Array(given.length) }
  if (given.length === 0) {
    done(out, number, { kind: 'added', added })
    return
  }
  s.addBytes += bytes
  const deadlineAt = (now + timeoutMs) as Instant
  const request: Request = { timed: 'request', timer: newTimer(s), number, topic, deadlineAt, timeoutMs, then: { kind: 'add', items: given }, parts: 0, added, failed: undefined, mixed: false, detail: '', done: false }
  if (topic.state === 'known') gatherAdd(s, request, given)
  else {
    startTimer(s, request, deadlineAt)
    topic.waiting.push(request)
  }
}

/** Splits an add into runs of one partition each and puts them with what else goes there this turn. */
export function gatherAdd(s: State, request: Request, given: readonly AddItem[]): void {
  const { topic } = request
  const single = topic.partitions.length === 1
  let start = 0
  let size = 0
  let ordinal = single ? 0 : choose(topic, given[0]!)
  let keyless = given[0]!.options?.idempotencyKey === undefined
  for (let i = 0; i < given.length; i++) {
    const item = given[i]!
    const bytes = item.payload.length + ADD_ITEM_OVERHEAD_BYTES
    const itemKeyless = item.options?.idempotencyKey === undefined
    const elsewhere = !single && i > start && (itemKeyless !== keyless || (itemKeyless ? i - start >= ROUND_ROBIN_RUN : choose(topic, item) !== ordinal))
    if (elsewhere || (i > start && (size + bytes > COMMAND_BYTES_MAX || i - start >= ADD_BATCH_ITEMS_MAX))) {
      gatherRun(s, request, topic.partitions[ordinal]!, start, i - start, size)
      if (elsewhere) ordinal = choose(topic, item)
      start = i
      size = 0
    }
    keyless = itemKeyless
    size += bytes
  }
  gatherRun(s, request, topic.partitions[ordinal]!, start, given.length - start, size)
}

/** The place among the topic's partitions; one without a key takes the next turn of the round robin. */
function choose(topic: Topic, item: AddItem): number {
  const key = item.options?.idempotencyKey
  if (key !== undefined) return hashOf(key) % topic.partitions.length
  topic.roundRobin = (topic.roundRobin + 1) % topic.partitions.length
  return topic.roundRobin
}

function gatherRun(s: State, request: Request, place: Place, start: number, count: number, bytes: number): void {
  let open: AddGather | undefined
  for (let i = s.addGathers.length - 1; i >= 0 && open === undefined; i--) {
    const candidate = s.addGathers[i]!
    // Parts of one command end together, so that a time-out never speaks of a part whose command goes on.
    if (candidate.place.partition === place.partition && candidate.timeoutMs === request.timeoutMs) open = candidate
  }
  if (open === undefined || open.bytes + bytes > COMMAND_BYTES_MAX || open.count + count > ADD_BATCH_ITEMS_MAX) {
    open = { place, timeoutMs: request.timeoutMs, deadlineAt: request.deadlineAt, parts: [], count: 0, bytes: 0 }
    s.addGathers.push(open)
  }
  open.parts.push({ request, start, count })
  open.count += count
  open.bytes += bytes
  request.parts++
}

export function flushAddGathers(s: State): void {
  for (const gather of s.addGathers.splice(0)) {
    const shard = s.shards.get(gather.place.shard)!
    enqueue(s, sessionOf(shard, undefined), encodeBatch(gather), { kind: 'add', partition: gather.place.partition, parts: gather.parts, bytes: gather.bytes }, gather.deadlineAt)
  }
}

/** Twice over the items: their names come first in the command. */
function encodeBatch(gather: AddGather): Uint8Array {
  const names: string[] = []
  const ordinals = new Map<string, number>()
  let last: string | undefined
  for (const { request, start, count } of gather.parts) {
    const items = itemsOf(request)
    for (let i = start; i < start + count; i++) {
      const { name } = items[i]!
      if (name === last) continue
      last = name
      if (!ordinals.has(name)) ordinals.set(name, names.push(name) - 1)
    }
  }
  const writer = beginCommand(Operation.add)
  addBody.write(writer, { partition: gather.place.partition, names, count: gather.count, items: NOTHING })
  let ordinal = 0
  for (const { request, start, count } of gather.parts) {
    const items = itemsOf(request)
    for (let i = start; i < start + count; i++) {
      const item = items[i]!
      if (item.name !== names[ordinal]) ordinal = ordinals.get(item.name)!
      writeAddItem(writer, ordinal, item.payload, item.options)
    }
  }
  return writer.take()
}

function itemsOf(request: Request): readonly AddItem[] {
  return request.then.kind === 'add' ? request.then.items : []
}

// ---- outcomes ------------------------------------------------------------------------------------------------------

export function settleAdd(s: State, out: ClientOutbox, settled: Settled, partition: number, parts: readonly AddPart[], bytes: number): void {
  s.addBytes -= bytes
  if (settled.code === 'ok') numberJobs(settled, partition, parts)
  for (const { request } of parts) {
    request.parts--
    if (settled.code === 'ok') {
      if (request.failed !== undefined) request.mixed = true
    } else failPart(request, settled.code, settled.detail)
    if (request.parts === 0) finish(out, request)
  }
}

/** New jobs are numbered in their order; duplicates are named one by one and take no number. */
function numberJobs(settled: Settled, partition: number, parts: readonly AddPart[]): void {
  const answer = decode(addAnswer, settled.body)
  let next = answer.first as number
  let ordinal = 0
  let at = 0
  for (const { request, start, count } of parts) {
    const added = request.added!
    for (let i = start; i < start + count; i++, ordinal++) {
      added.partitions[i] = partition
      const duplicate = answer.duplicates[at]
      if (duplicate !== undefined && duplicate.ordinal === ordinal) {
        added.numbers[i] = duplicate.number
        added.duplicates[i] = 1
        at++
      } else added.numbers[i] = next++
    }
  }
}


function failPart(request: Request, code: ErrorCode, detail: string): void {
  const before = request.failed
  if (before !== undefined && before !== code) request.mixed = true
  // Of several outcomes the one that promises least counts.
  if (before === undefined || code === 'Unknown') {
    request.failed = code
    request.detail = detail
  }
}

function finish(out: ClientOutbox, request: Request): void {
  if (request.done) return
  request.done = true
  const added = request.added!
  if (request.failed === undefined) {
    done(out, request.number, { kind: 'added', added })
    return
  }
  const some = added.numbers.some((number) => number > 0)
  const code = (some || request.mixed) && request.failed !== 'Unknown' ? 'Unknown' : request.failed
  const detail = some ? `some of the jobs were added, others not (${request.failed}): ${request.detail}` : request.detail
  done(out, request.number, { ...failure(code, detail), added })
}

/** A time-out or an end before its topic was located: certainly nothing was added. */
export function refuseAdd(s: State, out: ClientOutbox, request: Request, given: readonly AddItem[], code: ErrorCode, detail: string): void {
  for (const item of given) s.addBytes -= item.payload.length + ADD_ITEM_OVERHEAD_BYTES
  request.done = true
  done(out, request.number, failure(code, detail))
}
