//! A journal on a simulated disk, driven by hand: requests wait until the test lets them run.

import assert from 'node:assert/strict'
import type { Now } from '@horus/core/actor'
import type { DeviceAnswer, DeviceRequest } from '@horus/core/device'
import { Journal, type JournalInput, type JournalOptions, type JournalOutbox } from '@horus/core/journal/journal'
import type { RecoveredShard } from '@horus/core/journal/rebuild'
import type { RecoveredJournal } from '@horus/core/journal/recovery'
import { Random } from '@horus/core/random'
import { epoch, logIndex, replicaNumber, shardId, term, type Instant, type LogIndex, type ShardId, type WallTime } from '@horus/core/units'
import { SimulatedDevice } from '@horus/core/world/device'
import { same } from './model.ts'

export const SMALL: Omit<JournalOptions, 'random'> = { segmentBytes: 64 * 1024, cacheBytes: 1024 * 1024 }

/** Snapshots are handed in in pieces of this size. */
const PIECE_BYTES = 1000

export class JournalHost {
  readonly device: SimulatedDevice
  journal: Journal
  time = 0
  recoveredJournal: RecoveredJournal | undefined
  failure: string | undefined
  readonly durableTickets = new Map<number, number>()
  /** Tickets of all shards come from one row, in the order of the journal. */
  durableTicketMax = 0
  loads = 0
  readonly stalls: string[] = []
  readonly unreadables: { readonly shard: ShardId; readonly index: LogIndex }[] = []
  readonly requests: DeviceRequest[] = []
  /** Executed, but not yet complete. */
  readonly executed: { readonly request: DeviceRequest; readonly answer: DeviceAnswer }[] = []
  #tickets = 0

  constructor(device = new SimulatedDevice(), seed = 1, options = SMALL) {
    this.device = device
    this.journal = new Journal({ ...options, random: new Random(seed) })
  }

  /** Starts and runs until the journal has recovered or failed. */
  static started(device = new SimulatedDevice(), seed = 1, options = SMALL): JournalHost {
    const host = new JournalHost(device, seed, options)
    host.input({ kind: 'start' })
    host.settle()
    return host
  }

  execute(request: DeviceRequest): void {
    this.requests.push(request)
    this.executed.push({ request, answer: this.device.execute(request) })
  }

  recovered(journal: RecoveredJournal): void {
    this.recoveredJournal = journal
  }

  durable(shard: ShardId, ticket: number): void {
    assert.ok(ticket > (this.durableTickets.get(shard) ?? 0), 'tickets rise')
    this.durableTickets.set(shard, ticket)
    this.durableTicketMax = Math.max(this.durableTicketMax, ticket)
  }

  loaded(): void {
    this.loads++
  }

  unreadable(shard: ShardId, index: LogIndex): void {
    this.unreadables.push({ shard, index })
  }

  failed(reason: string): void {
    this.failure = reason
  }

  get now(): Now {
    return { monotonic: this.time as Instant, wall: this.time as WallTime }
  }

  input(input: JournalInput): void {
    this.journal.receive(this.now, input, this.#outbox)
  }

  turn(): void {
    this.input({ kind: 'turn' })
  }

  /** Completes the oldest request and delivers its answer. */
  step(): boolean {
    const next = this.executed.shift()
    if (!next) return false
    this.device.complete(next.request)
    this.input({ kind: 'device', answer: next.answer })
    return true
  }

  /** As `step`, but a random one: answers of a device come in any order. */
  stepAny(random: Random): boolean {
    if (this.executed.length === 0) return false
    const [next] = this.executed.splice(random.below(this.executed.length), 1)
    this.executed.unshift(next!)
    return this.step()
  }

  wake(): void {
    this.journal.wake(this.now, this.#outbox)
  }

  settle(): void {
    while (this.step());
  }

  /** A turn, and everything that follows from it. */
  flush(): void {
    this.turn()
    this.settle()
    this.turn()
    this.settle()
  }

  /** Lets time pass until the trailer is written. */
  rest(): void {
    this.flush()
    this.time += 50
    if (this.journal.wakeAt <= this.time) this.wake()
    this.settle()
  }

  get ticket(): number {
    return ++this.#tickets
  }

  append(shard: number, from: number, bodies: readonly Uint8Array[], inTerm = 1): number {
    const ticket = this.ticket
    const entries = bodies.map((bytes, i) => ({ index: logIndex(from + i), term: term(inTerm), bytes }))
    this.input({ kind: 'append', shard: shardId(shard), ticket, entries })
    return ticket
  }

  hardState(shard: number, inTerm: number, self = 1, vote: number | undefined = undefined): number {
    const ticket = this.ticket
    const state = { term: term(inTerm), vote: vote === undefined ? undefined : replicaNumber(vote), self: replicaNumber(self), epoch: epoch(1), commit: logIndex(0), extra: new Uint8Array([7]) }
    this.input({ kind: 'hardState', shard: shardId(shard), ticket, state })
    return ticket
  }

  snapshot(shard: number, index: number, inTerm: number, bytes: Uint8Array): number {
    this.beginSnapshot(shard, index, inTerm)
    for (let at = PIECE_BYTES; at < bytes.length; at += PIECE_BYTES) this.piece(shard, bytes.subarray(at - PIECE_BYTES, at), false)
    return this.piece(shard, bytes.subarray(Math.max(0, Math.ceil(bytes.length / PIECE_BYTES) - 1) * PIECE_BYTES), true)
  }

  beginSnapshot(shard: number, index: number, inTerm: number): void {
    this.input({ kind: 'snapshot', shard: shardId(shard), index: logIndex(index), term: term(inTerm), configuration: new Uint8Array([1, 2, 3]) })
  }

  piece(shard: number, bytes: Uint8Array, last: boolean): number {
    const ticket = this.ticket
    this.input({ kind: 'piece', shard: shardId(shard), ticket, bytes, last })
    return ticket
  }

  trim(shard: number, through: number, keep: readonly number[] = []): void {
    this.input({ kind: 'trim', shard: shardId(shard), through: logIndex(through), keep: keep.map(logIndex) })
  }

  /** Reads an entry, through the disk if need be. */
  read(shard: number, index: number): Uint8Array | undefined {
    const id = shardId(shard)
    const at = logIndex(index)
    const cached = this.journal.entry(id, at)
    if (cached) return cached
    this.input({ kind: 'fetch', shard: id, from: at, to: at, maxBytes: 1 })
    this.settle()
    return this.journal.entry(id, at)
  }

  found(shard: number): RecoveredShard | undefined {
    return this.recoveredJournal?.shards.find((each) => each.shard === shard)
  }

  /** The same disk after a kill of the process. */
  restarted(seed = this.time + 1000): JournalHost {
    this.device.kill()
    return JournalHost.started(this.device, seed)
  }

  /** The same disk after a loss of power. */
  crashed(seed: number): JournalHost {
    this.device.crash(new Random(seed))
    return JournalHost.started(this.device, seed + 1_000_000)
  }

  get segmentFiles(): readonly string[] {
    return this.device.files().map(({ name }) => name).filter((name) => !name.includes('spare'))
  }

  readonly #outbox: JournalOutbox = {
    device: (request) => this.execute(request),
    recovered: (journal) => this.recovered(journal),
    durable: (shard, ticket) => this.durable(shard, ticket),
    loaded: () => this.loaded(),
    unreadable: (shard, index) => this.unreadable(shard, index),
    stalled: (reason) => this.stalls.push(reason),
    failed: (reason) => this.failed(reason),
  }
}

/** Bytes that differ from any others by their seed. */
export function blob(length: number, seed: number): Uint8Array {
  const random = new Random(seed, 77)
  const bytes = new Uint8Array(length)
  for (let i = 0; i < length; i++) bytes[i] = random.u32()
  return bytes
}

/** Where these bytes stand on the disk. */
export function locate(host: JournalHost, body: Uint8Array): { readonly name: string; readonly at: number } {
  for (const { name } of host.device.files()) {
    const content = host.device.content(name)!
    for (let at = 0; at + body.length <= content.length; at += 4) {
      if (content[at] === body[0] && same(content.subarray(at, at + body.length), body)) return { name, at }
    }
  }
  throw new Error('nowhere')
}
