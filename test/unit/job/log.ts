//! A log of a shard for tests: writes entries as clients and leaders do, applies them, and keeps what came of them.

import { type Command, acquire, type tick, addAnswer, addBody, cancelAnswer, cancelBody, Code, extendAnswer, extendBody, FailMode, leasedAnswer, leasedBody, logTable, openBody, Operation, type JobOptions } from '@horus/core/message/command'
import { LeasedGroupsWriter, writeAddItem } from '@horus/core/message/jobs'
import { decode, encode, type MessageOf, Writer } from '@horus/core/message/layout'
import { type LeasedBatch, type LeasedJob, Shard } from '@horus/core/shard'
import type { FencingToken, JobNumber, LeaseTime, LogIndex, PartitionId, SessionNumber, ShardId, WallTime } from '@horus/core/units'

export interface Answer {
  readonly index: number
  readonly session: number
  readonly sequence: number
  readonly code: Code
  readonly body: Uint8Array
}

export interface Item {
  readonly name?: string
  readonly payload?: Uint8Array
  readonly options?: JobOptions
}

/** A job under a lease. */
export interface Held {
  readonly number: number
  readonly token: number
}

export const P = 7 as PartitionId
export const SHARD = 3 as ShardId
export const none = new Uint8Array(0)

/** What applying one entry did. */
export class Seen {
  answers: Answer[] = []
  leased: LeasedBatch[] = []
  lost: { partition: number; session: number; reason: number; jobs: readonly LeasedJob[] }[] = []
  free: number[] = []

  answer(index: LogIndex, session: SessionNumber, sequence: number, code: Code, body: Uint8Array): void {
    this.answers.push({ index, session, sequence, code, body: body.slice() })
  }
  // The names of ShardEffects; fields of the same meaning are above.
  get effects() {
    return {
      answer: this.answer.bind(this),
      leased: (batch: LeasedBatch) => void this.leased.push({ ...batch, jobs: batch.jobs.slice() }),
      lostLease: (partition: PartitionId, session: SessionNumber, reason: number, jobs: readonly LeasedJob[]) => void this.lost.push({ partition, session, reason, jobs }),
      payloadFree: (entry: LogIndex) => void this.free.push(entry),
    }
  }
}

/** Every lease was with its worker. */
export const ALL_KNOWN = { knownFrom: 0 as FencingToken, knownThrough: Number.MAX_SAFE_INTEGER as FencingToken, unreceived: [] } as const

export class TestLog {
  shard = new Shard(SHARD)
  /** Every entry so far; before a recovery entry i has index i + 1. */
  readonly entries: Uint8Array[] = []
  leaseNow = 1000
  wallNow = 1_000_000
  readonly #sequences = new Map<number, number>()
  #partitions = 0
  /** Behind this the indexes run on: 0, or where a recovery began. */
  #base = 0

  get index(): number {
    return this.#base + this.entries.length
  }

  /** The books go on in another epoch of numbers. */
  recover(recovery: number): void {
    this.shard.recover(recovery)
    this.#base = this.shard.appliedIndex - this.entries.length
  }

  append(bytes: Uint8Array): Seen {
    this.entries.push(bytes)
    const seen = new Seen()
    this.shard.apply(this.index as LogIndex, bytes, seen.effects)
    return seen
  }

  get times(): { leaseNow: LeaseTime; wallNow: WallTime } {
    return { leaseNow: this.leaseNow as LeaseTime, wallNow: this.wallNow as WallTime }
  }

  pass(ms: number): void {
    this.leaseNow += ms
    this.wallNow += ms
  }

  noop(): Seen {
    return this.append(logTable.encode({ kind: 'noop', ...this.times }))
  }

  /** Leases expire up to `expireThrough`, which is not before a leader has read what its workers said. */
  tick(expireThrough = this.leaseNow, known: Partial<Pick<MessageOf<typeof tick>, 'knownFrom' | 'knownThrough' | 'unreceived'>> = {}): Seen {
    return this.append(logTable.encode({ kind: 'tick', ...this.times, expireThrough: expireThrough as LeaseTime, ...ALL_KNOWN, ...known }))
  }

  openPartition(partition: PartitionId = P, topic = `topic${this.#partitions++}`, settings: Uint8Array = none): Seen {
    return this.append(logTable.encode({ kind: 'partitionOpen', ...this.times, partition, topic, settings }))
  }

  command(session: number, operation: number, body: Uint8Array, sequence = this.nextSequence(session), lowest = sequence): Answer & { readonly seen: Seen } {
    const command: Command = { kind: 'command', ...this.times, shard: SHARD, session: session as SessionNumber, sequence, lowest, stamp: 0, operation, body }
    const seen = this.append(logTable.encode(command))
    return { ...seen.answers[0]!, seen }
  }

  nextSequence(session: number): number {
    const sequence = (this.#sequences.get(session) ?? 0) + 1
    this.#sequences.set(session, sequence)
    return sequence
  }

  /** Returns the session's number. */
  open(): number {
    return this.command(0, Operation.open, encode(openBody, { client: '00112233445566778899aabbccddeeff' }), 1, 1).session
  }

  add(session: number, items: readonly Item[], partition: PartitionId = P) {
    const answer = this.command(session, Operation.add, addOf(items, partition))
    return { ...answer, ...(answer.code === Code.ok ? decode(addAnswer, answer.body) : { first: 0, added: 0, duplicates: [] }) }
  }

  addMany(session: number, count: number, item: Item = {}, partition: PartitionId = P) {
    return this.add(session, Array.from({ length: count }, () => item), partition)
  }

  acquire(session: number, count: number, options: { grant?: number; leaseMs?: number; names?: readonly string[]; partition?: PartitionId } = {}): Seen & { jobs: Held[] } {
    const entry: MessageOf<typeof acquire> = {
      kind: 'acquire', ...this.times, partition: options.partition ?? P, session: session as SessionNumber, count, grant: options.grant ?? 1_000_000, leaseMs: options.leaseMs ?? 30_000, names: options.names ?? [],
    }
    const seen = this.append(logTable.encode(entry))
    return Object.assign(seen, { jobs: seen.leased.flatMap((batch) => Array.from(batch.jobs, (number) => ({ number, token: batch.token }))) })
  }

  complete(session: number, jobs: readonly Held[], result: Uint8Array = none, partition: PartitionId = P) {
    return this.#leased(session, Operation.complete, encode(leasedBody, { partition, groups: groupsOf(jobs, (writer, number) => writer.complete(number, result)) }))
  }

  fail(session: number, jobs: readonly Held[], options: { mode?: number; retryAfterMs?: number; error?: Uint8Array; partition?: PartitionId } = {}) {
    const groups = groupsOf(jobs, (writer, number) => writer.fail(number, options.mode ?? FailMode.retry, options.retryAfterMs ?? 0, options.error ?? none))
    return this.#leased(session, Operation.fail, encode(leasedBody, { partition: options.partition ?? P, groups }))
  }

  release(session: number, jobs: readonly Held[], partition: PartitionId = P) {
    return this.#leased(session, Operation.release, encode(leasedBody, { partition, groups: groupsOf(jobs, (writer, number) => writer.leased(number)) }))
  }

  extend(session: number, jobs: readonly Held[], leaseMs = 0, partition: PartitionId = P) {
    const answer = this.command(session, Operation.extend, encode(extendBody, { partition, leaseMs, groups: groupsOf(jobs, (writer, number) => writer.leased(number)) }))
    return { ...answer, ...(answer.code === Code.ok ? decode(extendAnswer, answer.body) : { deadline: 0, lost: [] }) }
  }

  cancel(session: number, numbers: readonly number[], partition: PartitionId = P) {
    const answer = this.command(session, Operation.cancel, encode(cancelBody, { partition, jobs: numbers as JobNumber[] }))
    return { ...answer, missed: answer.code === Code.ok ? decode(cancelAnswer, answer.body).missed : [] }
  }

  close(session: number) {
    return this.command(session, Operation.close, none)
  }

  job(number: number, partition: PartitionId = P) {
    return this.shard.job(partition, number as JobNumber)
  }

  #leased(session: number, operation: number, body: Uint8Array) {
    const answer = this.command(session, operation, body)
    return { ...answer, lost: answer.code === Code.ok ? decode(leasedAnswer, answer.body).lost : [] }
  }
}

/** A log with one partition and one session, which is session 2. */
export function logWithSession(): { log: TestLog; session: number } {
  const log = new TestLog()
  log.openPartition()
  return { log, session: log.open() }
}

export function addOf(items: readonly Item[], partition: PartitionId = P): Uint8Array {
  const names = [...new Set(items.map((item) => item.name ?? 'work'))]
  const writer = new Writer()
  for (const item of items) writeAddItem(writer, names.indexOf(item.name ?? 'work'), item.payload ?? none, item.options)
  return encode(addBody, { partition, names, count: items.length, items: writer.take() })
}

export function groupsOf(jobs: readonly Held[], write: (writer: LeasedGroupsWriter, number: JobNumber) => void): Uint8Array {
  const writer = new LeasedGroupsWriter()
  for (const token of new Set(jobs.map((job) => job.token))) {
    const own = jobs.filter((job) => job.token === token)
    writer.group(token as FencingToken, own.reduce((least, job) => Math.min(least, job.number), Infinity) as JobNumber)
    for (const job of own) write(writer, job.number as JobNumber)
  }
  return writer.take()
}

export function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}
