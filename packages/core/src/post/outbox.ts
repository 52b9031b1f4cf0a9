//! What a shard has to tell other shards: for each receiver a row of posts with unbroken numbers, from the first that is not known to
//! have been taken on. A post is here from the entry that made it until the entry that confirms it, whoever leads meanwhile.
//!
//!   a job dies ──put──▶ [ confirmed | 7 8 9 ] ──▶ leader sends 7 8 9          confirm(8) ──▶ [ confirmed | 9 ]
//!
//! A dead job's payload stays where it was written (job/batches.ts); while a post needs it its add entry is held here, also when the job itself is
//! gone since. After a recovery the posts that are left are numbered from 1 again, in the shard's new epoch: the lost masters may have given the
//! numbers behind them to others.

import { assert } from '../assert.ts'
import type { Freezer } from '../freeze.ts'
import type { Frozen, ImageReader, Walk } from '../message/image.ts'
import { MalformedMessage } from '../message/layout.ts'
import { readPacked, readRising, writePacked } from '../message/packed.ts'
import { type DeadJob, type Post, REASON_BYTES_MAX } from '../message/posts.ts'
import { Rows } from '../rows.ts'
import { Slots } from '../slots.ts'
import type { JobNumber, LogIndex, PartitionId, ShardId } from '../units.ts'

interface Lane {
  /** The last post that the receiver has taken, as far as this shard's log tells. */
  confirmed: number
  readonly rows: Rows
}

export class Outbox {
  readonly #freezer: Freezer | undefined
  readonly #lanes = new Map<ShardId, Lane>()
  readonly #reasons: Slots<Uint8Array>
  /** Add entries by index, and how many posts need each. */
  readonly #held: Rows
  /** By partition of the dead jobs. */
  readonly #waiting = new Map<number, number>()
  #size = 0

  constructor(freezer?: Freezer) {
    this.#freezer = freezer
    this.#reasons = new Slots(freezer)
    this.#held = new Rows(1, 1, freezer)
  }

  /** Posts that are not confirmed. */
  get size(): number {
    return this.#size
  }

  /** Shards for which there is something, in the order of their numbers. */
  get receivers(): readonly ShardId[] {
    return [...this.#lanes].filter(([, lane]) => lane.rows.size > 0).map(([receiver]) => receiver).sort((a, b) => a - b)
  }

  /** Posts about jobs of a partition. */
  waiting(origin: PartitionId): number {
    return this.#waiting.get(origin) ?? 0
  }

  confirmed(receiver: ShardId): number {
    return this.#lanes.get(receiver)?.confirmed ?? 0
  }

  /** At most `most` posts to the receiver, from the first that is not confirmed on. */
  first(receiver: ShardId, most: number): Post[] {
    const rows = this.#lanes.get(receiver)?.rows
    const found: Post[] = []
    for (let row = rows?.first ?? -1; row >= 0 && found.length < most; row = rows!.next(row)) found.push(this.#post(rows!, row))
    return found
  }

  /** Returns the number of the post. */
  put(receiver: ShardId, job: DeadJob): number {
    let lane = this.#lanes.get(receiver)
    if (lane === undefined) this.#lanes.set(receiver, (lane = { confirmed: 0, rows: new Rows(4, 4, this.#freezer) }))
    const { rows } = lane
    const sequence = (rows.last < 0 ? lane.confirmed : rows.key(rows.last)) + 1
    this.#insert(rows, sequence, job)
    return sequence
  }

  /** The receiver has everything through `through`; `free` is told of add entries that no post needs any more. */
  confirm(receiver: ShardId, through: number, free: (entry: LogIndex) => void): void {
    const lane = this.#lanes.get(receiver)
    if (lane === undefined) return
    const { rows } = lane
    for (let row = rows.first; row >= 0 && rows.key(row) <= through; row = rows.first) {
      lane.confirmed = rows.key(row)
      this.#drop(rows, row, free)
    }
  }

  /** The shard goes on in another recovery epoch: what is left is numbered from 1. */
  renumber(): void {
    for (const lane of this.#lanes.values()) {
      const { rows, confirmed } = lane
      for (let row = rows.first; row >= 0; row = rows.next(row)) rows.setDouble(row, SEQUENCE, rows.key(row) - confirmed)
      lane.confirmed = 0
    }
  }

  // ---- payloads ----------------------------------------------------------------------------------------------------

  /** Whether a post needs a payload of this add entry. */
  holdsEntry(index: number): boolean {
    return this.#held.size > 0 && this.#held.find(index) >= 0
  }

  /** The add entries from `from` up to `to` that posts need, rising. */
  liveEntries(from: number, to: number, into: number[]): void {
    for (let row = this.#heldFrom(from); row >= 0 && this.#held.key(row) <= to; row = this.#held.next(row)) into.push(this.#held.key(row))
  }

  /** The first add entry from `from` on that a post needs; Infinity without one. */
  nextLive(from: number): number {
    const row = this.#heldFrom(from)
    return row < 0 ? Infinity : this.#held.key(row)
  }

  // ---- images ------------------------------------------------------------------------------------------------------

  freeze(): Frozen {
    const lanes = [...this.#lanes].sort(([a], [b]) => a - b).map(([receiver, { confirmed, rows }]) => ({ receiver, confirmed, size: rows.size, pages: rows.freeze() }))
    const reasons = this.#reasons
    return function* (out): Walk {
      const { writer } = out
      writePacked(writer, lanes.length)
      out.endItem()
      let before = 0
      for (const { receiver, confirmed, size, pages } of lanes) {
        writePacked(writer, receiver - before)
        before = receiver
        writePacked(writer, confirmed)
        writePacked(writer, size)
        out.endItem()
        for (const { doubles, words, from, to } of pages) {
          for (let at = from; at < to; at++) {
            writePacked(writer, doubles[at * 4 + NUMBER]!)
            writePacked(writer, doubles[at * 4 + ENTRY]!)
            writer.f64(doubles[at * 4 + ADDED]!)
            writePacked(writer, words[at * 4 + ORIGIN]!)
            writePacked(writer, words[at * 4 + PARTITION]!)
            writePacked(writer, words[at * 4 + ORDINAL]!)
            const reason = reasons.get(words[at * 4 + REASON]!)
            writePacked(writer, reason.length)
            writer.raw(reason)
            out.endItem()
          }
          yield to - from
        }
      }
    }
  }

  static *read(input: ImageReader, freezer?: Freezer): Walk<Outbox> {
    const outbox = new Outbox(freezer)
    const lanes = input.count(3)
    let receiver = 0
    for (let i = 0; i < lanes; i++) {
      const reader = input.item()
      receiver = readRising(reader, receiver)
      const confirmed = readPacked(reader)
      const size = input.count(POST_IMAGE_BYTES_MIN)
      const rows = new Rows(4, 4, freezer)
      outbox.#lanes.set(receiver as ShardId, { confirmed, rows })
      for (let j = 1; j <= size; j++) {
        outbox.#insert(rows, confirmed + j, readDeadJob(input))
        if (j % 128 === 0) yield 128
      }
    }
    return outbox
  }

  // ---- inside ------------------------------------------------------------------------------------------------------

  #insert(rows: Rows, sequence: number, { origin, number, addedAt, entryIndex, ordinal, partition, reason }: DeadJob): void {
    const row = rows.insert(sequence)
    rows.setDouble(row, NUMBER, number)
    rows.setDouble(row, ENTRY, entryIndex)
    rows.setDouble(row, ADDED, addedAt)
    rows.setWord(row, ORIGIN, origin)
    rows.setWord(row, PARTITION, partition)
    rows.setWord(row, ORDINAL, ordinal)
    rows.setWord(row, REASON, this.#reasons.put(reason))
    const known = this.#held.find(entryIndex)
    const held = known < 0 ? this.#held.insert(entryIndex) : known
    this.#held.setWord(held, COUNT, this.#held.word(held, COUNT) + 1)
    this.#waiting.set(origin, this.waiting(origin) + 1)
    this.#size++
  }

  #drop(rows: Rows, row: number, free: (entry: LogIndex) => void): void {
    const origin = rows.word(row, ORIGIN) as PartitionId
    const entry = rows.double(row, ENTRY) as LogIndex
    this.#reasons.free(rows.word(row, REASON))
    rows.delete(row)
    this.#size--
    if (this.waiting(origin) > 1) this.#waiting.set(origin, this.waiting(origin) - 1)
    else this.#waiting.delete(origin)
    const held = this.#held.find(entry)
    assert(held >= 0, 'a post holds its entry')
    const count = this.#held.word(held, COUNT) - 1
    this.#held.setWord(held, COUNT, count)
    if (count > 0) return
    this.#held.delete(held)
    free(entry)
  }

  #post(rows: Rows, row: number): Post {
    return {
      sequence: rows.key(row), origin: rows.word(row, ORIGIN) as PartitionId, number: rows.double(row, NUMBER) as JobNumber, addedAt: rows.double(row, ADDED),
      entryIndex: rows.double(row, ENTRY) as LogIndex, ordinal: rows.word(row, ORDINAL), partition: rows.word(row, PARTITION) as PartitionId, reason: this.#reasons.get(rows.word(row, REASON)),
    }
  }

  #heldFrom(from: number): number {
    return this.#held.size === 0 ? -1 : this.#held.firstWhere(0, from)
  }
}

function readDeadJob(input: ImageReader): DeadJob {
  const reader = input.item()
  const number = readPacked(reader)
  const entryIndex = readPacked(reader)
  const addedAt = reader.f64()
  const origin = readPacked(reader)
  const partition = readPacked(reader)
  const ordinal = readPacked(reader)
  const length = readPacked(reader)
  if (number === 0 || entryIndex === 0 || origin > WORD_MAX || partition > WORD_MAX || ordinal > WORD_MAX || length > REASON_BYTES_MAX) throw new MalformedMessage('a post about no job')
  return { number: number as JobNumber, entryIndex: entryIndex as LogIndex, addedAt, origin: origin as PartitionId, partition: partition as PartitionId, ordinal, reason: reader.raw(length).slice() }
}

const SEQUENCE = 0
const NUMBER = 1
const ENTRY = 2
const ADDED = 3
const ORIGIN = 0
const PARTITION = 1
const ORDINAL = 2
/** A slot. */
const REASON = 3
/** Of held entries. */
const COUNT = 0
const WORD_MAX = 0xffff_ffff
const POST_IMAGE_BYTES_MIN = 14
