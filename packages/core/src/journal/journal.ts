//! The journal of a node: one stream of records on disk, shared by all its shards, so that one flush serves them all.
//!
//!   append, hardState, snapshot, payloads, reset ──▶ gathered ──turn──▶ one durable write ──▶ durable(shard, ticket)
//!   trim, keep, release, drop ──▶ segments that nothing needs any more are used again
//!   fetch ──▶ read ──▶ cache ──▶ loaded | unreadable
//!
//! The device is a peer: this actor sends requests and learns from answers, so it runs on files and in the simulator
//! alike. What it promises: what was reported durable is found by the next start, whatever the crash; what is damaged
//! below the last flush is noticed, and the shards it may concern are called suspect. What it cannot promise: damage in
//! the very last group before a crash, while its trailer was not yet written, looks like a torn end.

import type { Actor, Now } from '../actor.ts'
import { assert, present } from '../assert.ts'
import type { DeviceAnswer, DeviceOutbox } from '../device.ts'
import { Hash } from '../hash.ts'
import type { Random } from '../random.ts'
import { never, type Instant, type LogIndex, type ShardId, type Term } from '../units.ts'
import { Cache, type Cached, type CachedEntries, type JournalEntry } from './cache.ts'
import { Hosted, NO_TICKET } from './hosted.ts'
import { Reader } from './reader.ts'
import { RecordKind } from './record.ts'
import { Rewriter, REWRITE_FROM_SEGMENTS } from './rewriter.ts'
import { Recoverer, type RecoveredJournal } from './recovery.ts'
import { Segments } from './segments.ts'
import { Space } from './space.ts'
import { encodeComplete, encodeHardState, type HardState } from './state.ts'
import { TICKET_ONLY, Writer, type Gathered } from './writer.ts'

export interface JournalOptions {
  /** Draws the nonces of segments; two runs of a node must not draw the same. */
  readonly random: Random
  /** Size of a segment file, a multiple of 512; 64 MiB by default. Entries may take half of it at most. */
  readonly segmentBytes?: number
  /** Bound of the entries held in memory; 64 MiB by default: a follower that lags further is served from the disk. */
  readonly cacheBytes?: number
  /** How much disk the journal may take in all; no bound by default. */
  readonly capacityBytes?: number
}

export type JournalInput =
  /** Scan the disk; ends with `recovered` or `failed`. Nothing else may come before. */
  | { readonly kind: 'start' }
  | { readonly kind: 'device'; readonly answer: DeviceAnswer }
  /** An index at or below an earlier one supersedes it and everything behind it. */
  | { readonly kind: 'append'; readonly shard: ShardId; readonly ticket: number; readonly entries: readonly JournalEntry[] }
  | { readonly kind: 'hardState'; readonly shard: ShardId; readonly ticket: number; readonly state: HardState }
  /** A snapshot begins: the books without payloads, which follow in pieces. One that was begun before and has not ended is given up. */
  | { readonly kind: 'snapshot'; readonly shard: ShardId; readonly index: LogIndex; readonly term: Term; readonly configuration: Uint8Array }
  /** A piece of the snapshot begun last. With the `last` one it counts once that is durable, and then the snapshot before it goes. */
  | { readonly kind: 'piece'; readonly shard: ShardId; readonly ticket: number; readonly bytes: Uint8Array; readonly last: boolean }
  /**
   * Live entries below a snapshot that came with it, found by index and no part of the log; or committed entries of the log whose
   * first place cannot be read, which are read here from now on.
   */
  | { readonly kind: 'payloads'; readonly shard: ShardId; readonly ticket: number; readonly entries: readonly JournalEntry[] }
  /** An entry of the log that its place on the disk does not give, and another copy did: held in memory as if it had been read. */
  | { readonly kind: 'recall'; readonly shard: ShardId; readonly entry: JournalEntry }
  /** The log up to `through`, which a durable snapshot covers, may go, but for the payloads of the entries in `keep` (sorted). */
  | { readonly kind: 'trim'; readonly shard: ShardId; readonly through: LogIndex; readonly keep: readonly LogIndex[] }
  /** After recovery: of the entries from `from` to `through`, both at or below the snapshot, only these (sorted) are live payloads. */
  | { readonly kind: 'keep'; readonly shard: ShardId; readonly from: LogIndex; readonly through: LogIndex; readonly indexes: readonly LogIndex[] }
  /** Kept or transferred payloads that nobody needs any more; entries still in the log are left alone. */
  | { readonly kind: 'release'; readonly shard: ShardId; readonly indexes: readonly LogIndex[] }
  /** The log starts anew behind the snapshot that was handed in before; all its entries go, payloads stay. */
  | { readonly kind: 'reset'; readonly shard: ShardId; readonly ticket: number; readonly index: LogIndex; readonly term: Term }
  | { readonly kind: 'drop'; readonly shard: ShardId }
  /** Both ends included. */
  | { readonly kind: 'fetch'; readonly shard: ShardId; readonly from: LogIndex; readonly to: LogIndex; readonly maxBytes: number }
  | { readonly kind: 'turn' }

export interface JournalOutbox extends DeviceOutbox {
  recovered(journal: RecoveredJournal): void
  /** Everything of the shard up to this ticket is on the disk. */
  durable(shard: ShardId, ticket: number): void
  /** At least one more of the wanted entries is in memory: ask `entries` again. */
  loaded(shard: ShardId, from: LogIndex): void
  /** The entry at `index` cannot be read; the fetch that began at `from` has ended. */
  unreadable(shard: ShardId, index: LogIndex, from: LogIndex): void
  /** The disk takes no more for now: what is gathered waits, and goes on by itself. One line for whoever runs the node. */
  stalled(reason: string): void
  /** Nothing is durable from now on; the process should end. One line that says why. */
  failed(reason: string): void
}

export const SEGMENT_BYTES = 64 * 1024 * 1024
export const CACHE_BYTES = 64 * 1024 * 1024
/** With nothing else to do, the payloads of a segment that is emptied are looked for at this pace. */
const LOOK_EVERY_MS = 1
/** The pieces of a snapshot are cut into records of this size, or an eighth of a small segment. */
export const SNAPSHOT_CHUNK_BYTES = 256 * 1024

export class Journal implements Actor<JournalInput, JournalOutbox> {
  readonly #options: JournalOptions
  readonly #segmentBytes: number
  #phase: 'new' | 'recovering' | 'opening' | 'running' | 'failed' = 'new'
  #requests = 0
  #shards = new Map<number, Hosted>()
  #segments: Segments
  #cache: Cache
  #writer: Writer
  #reader: Reader
  #rewriter: Rewriter
  #space: Space
  /** Whoever listens was told that nothing becomes durable for want of room. */
  #toldStalled = false
  #seenAt = 0
  #recoverer: Recoverer | undefined
  #recovered: RecoveredJournal | undefined
  #strays: readonly string[] = []

  constructor(options: JournalOptions) {
    this.#options = options
    this.#segmentBytes = options.segmentBytes ?? SEGMENT_BYTES
    assert(this.#segmentBytes % 512 === 0 && this.#segmentBytes >= 8192, 'a segment is a multiple of 512 bytes, and 8 KiB at least')
    this.#segments = new Segments(this.#segmentBytes)
    this.#cache = new Cache(options.cacheBytes ?? CACHE_BYTES)
    this.#writer = new Writer(this.#segments, this.#shards, this.#segmentBytes, options.random, this.#request)
    this.#reader = new Reader(this.#segments, this.#cache, this.#request)
    this.#rewriter = new Rewriter(this.#segments, this.#writer, this.#request)
    this.#space = new Space(this.#segmentBytes, this.#request)
  }

  get wakeAt(): Instant {
    if (this.#phase === 'opening') return this.#writer.retryAt
    if (this.#phase !== 'running') return never
    return Math.min(this.#writer.trailerAt, this.#writer.retryAt, this.#space.askAt, this.#rewriter.isLooking ? this.#seenAt + LOOK_EVERY_MS : Infinity) as Instant
  }

  /** Bytes that can still be written before the disk, or the capacity, is used up. */
  get freeBytes(): number {
    const { capacityBytes } = this.#options
    const allowed = capacityBytes === undefined ? Infinity : Math.max(0, capacityBytes - this.#segments.bytes)
    return Math.min(allowed, this.#writer.isStuck ? 0 : this.#space.freeBytes) + this.#writer.room
  }

  /** Below this nothing should be added any more: what is left is for ending what there is. */
  get reserveBytes(): number {
    return this.#space.reserveBytes
  }

  /** Everything below is on the disk; rises, also from one start to the next. */
  get position(): number {
    return this.#writer.position
  }

  /** Nothing gathered, nothing under way. */
  get idle(): boolean {
    return this.#writer.idle
  }

  receive(now: Now, input: JournalInput, outbox: JournalOutbox): void {
    this.#seenAt = now.monotonic
    if (this.#phase === 'failed') return
    if (input.kind === 'device') return this.#answer(now, input.answer, outbox)
    if (input.kind === 'start') return this.#start(outbox)
    if (input.kind === 'turn') return this.#turn(outbox)
    assert(this.#phase === 'running', 'a journal is used after it has recovered')
    switch (input.kind) {
      case 'append':
        return this.#append(this.#hosted(input.shard), input.ticket, input.entries, outbox)
      case 'hardState':
        return this.#hardState(this.#hosted(input.shard), input.ticket, input.state)
      case 'snapshot':
        return this.#snapshot(this.#hosted(input.shard), input)
      case 'piece':
        return this.#piece(this.#hosted(input.shard), input)
      case 'payloads':
        return this.#payloads(this.#hosted(input.shard), input.ticket, input.entries, outbox)
      case 'recall':
        return this.#recall(this.#hosted(input.shard), input.entry)
      case 'trim':
        return this.#trim(input.shard, input.through, input.keep)
      case 'keep':
        return this.#keep(input.shard, input.from, input.through, input.indexes)
      case 'release':
        return this.#release(input.shard, input.indexes)
      case 'reset':
        return this.#reset(this.#hosted(input.shard), input.ticket, input.index, input.term)
      case 'drop':
        return this.#drop(input.shard)
      case 'fetch':
        return this.#fetch(input.shard, input.from, input.to, input.maxBytes, outbox)
      default:
        input satisfies never
    }
  }

  wake(now: Now, outbox: JournalOutbox): void {
    if (this.#phase === 'opening' || this.#phase === 'running') this.#writer.wake(now.monotonic, outbox)
    if (this.#phase !== 'running') return
    if (this.#space.askAt <= now.monotonic) this.#space.ask(outbox)
    this.#seenAt = now.monotonic
    this.#recycle(outbox)
  }

  /** The entries from `from` to `to`, both included, as far as they are in memory and within `maxBytes`, but at least one; undefined where the first is not in memory. */
  entries(shard: ShardId, from: LogIndex, to: LogIndex, maxBytes: number): readonly JournalEntry[] | undefined {
    const cached = this.#shards.get(shard)?.entries
    const first = cached?.get(from)?.entry
    if (!cached || !first) return undefined
    const found = [first]
    let bytes = first.bytes.length
    for (let index = from + 1; index <= to; index++) {
      const entry = cached.get(index)?.entry
      if (!entry) break
      bytes += entry.bytes.length
      if (bytes > maxBytes) break
      found.push(entry)
    }
    return found
  }

  /** The bytes of one entry, where they are in memory. */
  entry(shard: ShardId, index: LogIndex): Uint8Array | undefined {
    return this.#shards.get(shard)?.entries.get(index)?.entry?.bytes
  }

  /** Whether the entry is in the log or kept as a payload, in memory or on disk. */
  has(shard: ShardId, index: LogIndex): boolean {
    const hosted = this.#shards.get(shard)
    return hosted !== undefined && (hosted.tail.has(index) || hosted.survivors.has(index) || hosted.entries.has(index))
  }

  /**
   * Shards whose snapshot or log holds the oldest of several segments. Payloads move out of a sparse segment by
   * themselves; these move when their owner takes a new snapshot and trims.
   */
  holdingOldest(): readonly ShardId[] {
    const oldest = this.#segments.ordered()[0]
    if (!oldest || oldest.number === this.#segments.active || this.#segments.count <= REWRITE_FROM_SEGMENTS) return []
    const holds = ({ snapshot, tail }: Hosted): boolean =>
      (snapshot?.segments.includes(oldest.number) ?? false) || (tail.size > 0 && tail.segmentOf(tail.first) === oldest.number)
    return [...this.#shards.values()].filter(holds).map(({ id }) => id).sort((a, b) => a - b)
  }

  clone(): this {
    assert(this.#phase !== 'recovering', 'a journal is not cloned while it scans the disk')
    const copy = new Journal({ ...this.#options, random: this.#options.random.clone() })
    copy.#phase = this.#phase
    copy.#requests = this.#requests
    copy.#recovered = this.#recovered
    copy.#strays = this.#strays
    copy.#segments = this.#segments.clone()
    const twins = new Map<Hosted, Hosted>()
    const mapTwins = new Map<CachedEntries, CachedEntries>()
    const twin = (shard: Hosted): Hosted => {
      let made = twins.get(shard)
      if (!made) {
        made = shard.clone()
        twins.set(shard, made)
        mapTwins.set(shard.entries, made.entries)
      }
      return made
    }
    for (const [id, shard] of this.#shards) copy.#shards.set(id, twin(shard))
    const cachedTwins = new Map<Cached, Cached>()
    copy.#cache = this.#cache.clone((entries) => mapTwins.get(entries) ?? new Map(), cachedTwins)
    copy.#writer = this.#writer.clone(copy.#segments, copy.#shards, twin, (cached) => cachedTwins.get(cached), copy.#options.random, copy.#request)
    copy.#reader = this.#reader.clone(copy.#segments, copy.#cache, twin, copy.#request)
    copy.#space = this.#space.clone(copy.#request)
    copy.#toldStalled = this.#toldStalled
    copy.#seenAt = this.#seenAt
    copy.#rewriter = this.#rewriter.clone(copy.#segments, copy.#writer, twin, copy.#request)
    return copy as this
  }

  digest(): string {
    const hash = new Hash().text(this.#phase).number(this.#requests).number(this.#cache.bytes)
    this.#segments.mix(hash)
    this.#writer.mix(hash)
    this.#reader.mix(hash)
    this.#rewriter.mix(hash)
    this.#space.mix(hash)
    for (const shard of [...this.#shards.values()].sort((a, b) => a.id - b.id)) shard.mix(hash)
    return hash.digest()
  }

  readonly #request = (): number => ++this.#requests

  #start(outbox: JournalOutbox): void {
    assert(this.#phase === 'new', 'a journal starts once')
    this.#phase = 'recovering'
    this.#recoverer = new Recoverer(this.#segments, this.#segmentBytes, this.#request)
    outbox.device(this.#recoverer.start())
  }

  #answer(now: Now, answer: DeviceAnswer, outbox: JournalOutbox): void {
    if (this.#recoverer) return this.#recover(this.#recoverer, answer, outbox)
    if (this.#space.answer(now.monotonic, answer)) {
      if (this.#space.isScarce) this.#writer.keepSpares(outbox)
      return
    }
    if (this.#reader.answer(answer, outbox) || this.#segments.answer(answer) || this.#rewriter.answer(answer)) return
    const taken = this.#writer.answer(now.monotonic, answer, outbox)
    if (this.#writer.failure !== undefined) return this.#fail(this.#writer.failure, outbox)
    if (this.#writer.isStuck !== this.#toldStalled) {
      this.#toldStalled = this.#writer.isStuck
      if (this.#toldStalled) outbox.stalled('the disk is full: nothing more can be written until there is room for another segment')
    }
    if (taken === 'begun') this.#run(outbox)
    if (taken === 'opened') {
      this.#rewriter.consider(this.#shards.values())
      this.#space.ask(outbox)
    }
    if (taken !== 'foreign') this.#recycle(outbox)
  }

  #recover(recoverer: Recoverer, answer: DeviceAnswer, outbox: JournalOutbox): void {
    const request = recoverer.answer(answer)
    if (request) outbox.device(request)
    if (recoverer.failure !== undefined) this.#fail(recoverer.failure, outbox)
    const { result } = recoverer
    if (!result) return
    this.#recoverer = undefined
    this.#phase = 'opening'
    this.#recovered = result.journal
    this.#strays = result.strays
    for (const [id, shard] of result.shards) this.#shards.set(id, shard)
    this.#writer.begin(result.nextNumber, result.nextBase, result.carried, outbox)
  }

  /** What was found is on the disk for certain: only now may anybody act on it. */
  #run(outbox: JournalOutbox): void {
    this.#phase = 'running'
    for (const file of this.#strays) outbox.device({ kind: 'delete', request: this.#request(), file })
    this.#strays = []
    outbox.recovered(this.#recovered!)
    this.#recovered = undefined
    this.#space.ask(outbox)
  }

  #fail(reason: string, outbox: JournalOutbox): void {
    this.#phase = 'failed'
    this.#recoverer = undefined
    outbox.failed(reason)
  }

  #turn(outbox: JournalOutbox): void {
    if (this.#phase !== 'running') return
    this.#writer.advance(outbox)
    this.#recycle(outbox)
  }

  #recycle(outbox: JournalOutbox): void {
    if (this.#phase !== 'running') return
    for (let segment = this.#segments.takeIdle(); segment; segment = this.#segments.takeIdle()) {
      outbox.device(this.#segments.retire(segment, this.#request()))
    }
    this.#rewriter.advance(outbox)
  }

  #hosted(id: ShardId): Hosted {
    let shard = this.#shards.get(id)
    if (!shard) {
      shard = new Hosted(id)
      this.#shards.set(id, shard)
    }
    return shard
  }

  #gather(kind: Gathered['kind'], shard: Hosted, index: number, term: number, body: Uint8Array, ticket: number, cached?: Cached, final = false): void {
    this.#writer.gather({ kind, shard, index, term, body, ticket, cached, final, stale: false, replaces: 0 })
  }

  #append(shard: Hosted, ticket: number, entries: readonly JournalEntry[], outbox: JournalOutbox): void {
    const { tail } = shard
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i]!
      if (entry.index <= tail.last) this.#supersede(shard, entry.index)
      assert(entry.index === tail.last + 1, 'the log of a shard has no gaps')
      this.#checkSize(entry.bytes)
      tail.push()
      const cached = this.#cache.put(shard.entries, entry, true)
      this.#gather(RecordKind.entry, shard, entry.index, entry.term, entry.bytes, i === entries.length - 1 ? ticket : NO_TICKET, cached)
    }
    if (entries.length === 0) this.#ticketOnly(shard, ticket, outbox)
  }

  #supersede(shard: Hosted, from: number): void {
    const { tail } = shard
    assert(from >= tail.first, 'what a snapshot covers is never superseded')
    for (let index = from; index <= tail.last; index++) this.#cache.remove(shard.entries, index)
    this.#segments.ahead = 1
    tail.truncate(from, this.#segments)
    this.#segments.ahead = 0
    this.#writer.supersede(shard, from, false)
  }

  /** An input without records is durable with what was gathered before it. */
  #ticketOnly(shard: Hosted, ticket: number, outbox: JournalOutbox): void {
    if (this.#writer.idle) outbox.durable(shard.id, ticket)
    else this.#gather(TICKET_ONLY, shard, 0, 0, NOTHING, ticket)
  }

  #hardState(shard: Hosted, ticket: number, state: HardState): void {
    shard.setHardState(state)
    this.#gather(RecordKind.hardState, shard, 0, 0, encodeHardState(state), ticket)
  }

  #snapshot(shard: Hosted, { index, term, configuration }: Extract<JournalInput, { kind: 'snapshot' }>): void {
    this.#checkSize(configuration)
    shard.gathering = { index, term, bytes: 0 }
    this.#gather(RecordKind.snapshot, shard, index, term, configuration, NO_TICKET)
  }

  #piece(shard: Hosted, { ticket, bytes, last }: Extract<JournalInput, { kind: 'piece' }>): void {
    const snapshot = present(shard.gathering, 'a piece belongs to a snapshot that was begun')
    const chunkBytes = Math.min(SNAPSHOT_CHUNK_BYTES, this.#segmentBytes >> 3)
    for (let at = 0; at < bytes.length; at += chunkBytes) {
      const chunk = bytes.subarray(at, at + chunkBytes)
      const isEnd = at + chunkBytes >= bytes.length && !last
      this.#gather(RecordKind.chunk, shard, snapshot.bytes, snapshot.term, chunk, isEnd ? ticket : NO_TICKET)
      snapshot.bytes += chunk.length
    }
    if (bytes.length === 0 && !last) return this.#gather(TICKET_ONLY, shard, 0, 0, NOTHING, ticket)
    if (!last) return
    shard.gathering = undefined
    this.#space.noteSnapshot(snapshot.bytes)
    this.#gather(RecordKind.complete, shard, snapshot.bytes, snapshot.term, encodeComplete(snapshot.index), ticket, undefined, true)
  }

  #payloads(shard: Hosted, ticket: number, entries: readonly JournalEntry[], outbox: JournalOutbox): void {
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i]!
      this.#checkSize(entry.bytes)
      const cached = this.#cache.put(shard.entries, entry, true, true)
      this.#gather(RecordKind.payload, shard, entry.index, entry.term, entry.bytes, i === entries.length - 1 ? ticket : NO_TICKET, cached)
    }
    if (entries.length === 0) this.#ticketOnly(shard, ticket, outbox)
  }

  #recall(shard: Hosted, entry: JournalEntry): void {
    if (shard.tail.has(entry.index) && !shard.entries.has(entry.index)) this.#cache.put(shard.entries, entry, false)
  }

  #trim(id: ShardId, through: number, keep: readonly number[]): void {
    const shard = this.#shards.get(id)
    if (!shard) return
    const { tail, survivors } = shard
    if (through < tail.first) return
    assert(through <= (shard.snapshot?.index ?? 0), 'the log is trimmed only behind a durable snapshot')
    this.#gather(RecordKind.trim, shard, through, 0, NOTHING, NO_TICKET)
    let next = 0
    while (tail.size > 0 && tail.first <= through) {
      const index = tail.first
      while (next < keep.length && keep[next]! < index) next++
      if (keep[next] === index && !survivors.has(index)) {
        const place = tail.find(index)
        assert(place !== undefined, 'what a durable snapshot covers is durable')
        this.#segments.need(place.segment, place.length)
        survivors.put(index, place.segment, place.offset, place.length, this.#segments)
      }
      if (keep[next] !== index) {
        this.#cache.remove(shard.entries, index)
        // One that was written anew, since its first place could not be read.
        survivors.remove(index, this.#segments)
      }
      tail.shift(this.#segments)
    }
  }

  #keep(id: ShardId, from: number, through: number, indexes: readonly number[]): void {
    const shard = this.#shards.get(id)
    if (!shard) return
    assert(through <= (shard.snapshot?.index ?? 0), 'only what a durable snapshot covers is let go')
    shard.survivors.keepOnly(indexes, from, through, this.#segments)
    const kept = new Set(indexes)
    const cached = shard.entries.size < through - from ? [...shard.entries.keys()] : Array.from({ length: through - from + 1 }, (_, at) => from + at)
    for (const index of cached) if (index >= from && index <= through && index < shard.tail.first && !kept.has(index)) this.#uncache(shard, index)
  }

  #release(id: ShardId, indexes: readonly number[]): void {
    const shard = this.#shards.get(id)
    if (!shard) return
    for (const index of indexes) {
      shard.survivors.remove(index, this.#segments)
      if (!shard.tail.has(index)) this.#uncache(shard, index)
    }
  }

  /** A payload that is still gathered stays until it is written, and is then found and released like any other. */
  #uncache(shard: Hosted, index: number): void {
    if (shard.entries.get(index)?.pinned === false) this.#cache.remove(shard.entries, index)
  }

  #reset(shard: Hosted, ticket: number, index: number, term: number): void {
    const { tail } = shard
    for (let each = tail.first; each <= tail.last; each++) {
      if (!shard.entries.get(each)?.payload) this.#cache.remove(shard.entries, each)
    }
    this.#writer.supersede(shard, 0, false)
    this.#gather(RecordKind.reset, shard, index, term, NOTHING, ticket)
    tail.restart(index, this.#segments)
  }

  #drop(id: ShardId): void {
    const shard = this.#shards.get(id)
    if (!shard) return
    shard.dropped = true
    this.#shards.delete(id)
    this.#writer.supersede(shard, 0, true)
    this.#gather(RecordKind.drop, shard, 0, 0, NOTHING, NO_TICKET)
    this.#cache.clear(shard.entries)
    shard.releaseAll(this.#segments)
  }

  #fetch(id: ShardId, from: LogIndex, to: LogIndex, maxBytes: number, outbox: JournalOutbox): void {
    const shard = this.#shards.get(id)
    if (shard) this.#reader.fetch(shard, from, to, maxBytes, outbox)
    else outbox.unreadable(id, from, from)
  }

  #checkSize(body: Uint8Array): void {
    assert(body.length <= this.#segmentBytes >> 1, 'an entry takes half a segment at most; the segment size is too small')
  }
}

const NOTHING = new Uint8Array(0)
