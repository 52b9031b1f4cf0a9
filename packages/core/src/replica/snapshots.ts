//! Snapshots of one copy that are under way, each a step a turn, so that none of them holds the loop: the own one on its way into
//! the journal, the one of a leader on its way into books and journal, and the log behind a snapshot on its way out.
//!
//!   Machine.freeze ──step──▶ piece ──▶ journal ... last piece ──durable──▶ snapshotted
//!   install ──step──▶ Machine.restoring, pieces ──▶ journal ──▶ its entries ──▶ reset ──durable──▶ installed
//!   trim, keep ──step──▶ a range of entries: those that a job still wants stay
//!
//! A step is work of less than a millisecond; the next one comes a millisecond later, or when the journal has taken the pieces.

import { walked, type Imaging, type Walk } from '../message/image.ts'
import type { JournalInput } from '../journal/journal.ts'
import type { InstalledSnapshot } from '../master/boundary.ts'
import type { LogIndex, ShardId, Term } from '../units.ts'
import { type EntryReader, openImage } from './image.ts'
import type { Machine } from './machine.ts'
import type { Mark } from './tickets.ts'

/** Of small things done, such as a row written or read: some tenths of a microsecond each. */
export const SNAPSHOT_STEP = 4096
const STEP_EVERY_MS = 1
/** Pieces handed to the journal and not yet durable: beyond, the disk is what has to go on first. */
const PIECES_MAX = 8
const PIECE_BYTES = 128 * 1024
/** Entries of the log looked at in one step; of what is left of it for payloads there are few. */
export const RANGE_ENTRIES = { trim: 2048, keep: 32_768 }

/** What the copy does for its snapshots. */
export interface SnapshotsHost {
  readonly shard: ShardId
  readonly machine: Machine
  ticket(mark: Mark): number
  journal(input: JournalInput): void
  /** The books are those of the snapshot now. */
  restored(snapshot: InstalledSnapshot): void
}

interface Taking {
  readonly imaging: Imaging
  readonly index: LogIndex
  readonly term: Term
  readonly all: boolean
}

interface Installing {
  readonly snapshot: InstalledSnapshot
  readonly restoring: Walk
  isRestored: boolean
  readonly books: Uint8Array
  /** So much of the books the journal has. */
  written: number
  readonly entries: EntryReader
}

/** What of the log, or of what is left of it, is looked through next. */
interface Range {
  readonly kind: 'trim' | 'keep'
  from: number
  readonly through: number
}

export class Snapshots {
  readonly #host: SnapshotsHost
  readonly #step: number
  #taking: Taking | undefined
  /** An own snapshot is complete, but not durable. */
  #finishing = false
  #installing: Installing | undefined
  #ranges: Range[] = []
  #pieces = 0
  #stepAt = -Infinity
  /** Of the image that was written last. */
  imageBytes = 0
  #bytes = 0

  constructor(host: SnapshotsHost, step = SNAPSHOT_STEP) {
    this.#host = host
    this.#step = step
  }

  /** An own snapshot is being taken, or one from the leader put in. */
  get isBusy(): boolean {
    return this.#taking !== undefined || this.#finishing || this.#installing !== undefined
  }

  take(index: LogIndex, term: Term, configuration: Uint8Array, all: boolean): void {
    this.#taking = { imaging: this.#host.machine.freeze(), index, term, all }
    this.#begin(index, term, configuration)
  }

  install(snapshot: InstalledSnapshot): void {
    this.#taking?.imaging.end()
    this.#taking = undefined
    this.#finishing = false
    this.#ranges = []
    const { books, entries } = openImage(snapshot.image)
    this.#installing = { snapshot, restoring: this.#host.machine.restoring([books]), isRestored: false, books, written: 0, entries }
    this.#begin(snapshot.index, snapshot.term, snapshot.configuration)
  }

  /** The log up to `through`, which a durable snapshot covers, may go, but for what is still wanted. */
  trim(from: LogIndex, through: LogIndex): void {
    this.#ranges.push({ kind: 'trim', from, through })
  }

  /** What is left of the log up to `through` is only kept for payloads: what nobody wants goes. */
  keep(through: LogIndex): void {
    this.#ranges.push({ kind: 'keep', from: 1, through })
  }

  /** A piece is durable. */
  pieceWritten(): void {
    this.#pieces--
  }

  /** The own snapshot is durable. */
  finished(): void {
    this.#finishing = false
  }

  /** When the next step is due; Infinity while there is none, or the journal has to go on first. */
  get stepAt(): number {
    const writes = this.#taking !== undefined || this.#installing !== undefined
    return (writes && this.#pieces < PIECES_MAX) || this.#ranges.length > 0 ? this.#stepAt : Infinity
  }

  step(monotonic: number): void {
    if (this.stepAt > monotonic) return
    this.#stepAt = monotonic + STEP_EVERY_MS
    if (this.#ranges.length > 0) return this.#stepRange(this.#ranges[0]!)
    if (this.#installing !== undefined) this.#stepInstalling(this.#installing)
    else if (this.#taking !== undefined) this.#stepTaking(this.#taking)
  }

  #begin(index: LogIndex, term: Term, configuration: Uint8Array): void {
    this.#bytes = 0
    this.#host.journal({ kind: 'snapshot', shard: this.#host.shard, index, term, configuration })
  }

  #stepTaking({ imaging, index, term, all }: Taking): void {
    const { piece, last } = imaging.step(this.#step)
    if (last) {
      this.#taking = undefined
      this.#finishing = true
    }
    this.#write(piece, last, { kind: 'snapshot', index, term, all })
  }

  #stepInstalling(installing: Installing): void {
    const { snapshot, restoring, books, written, entries } = installing
    if (!installing.isRestored) {
      if (walked(restoring, this.#step) === undefined) return
      installing.isRestored = true
      this.#host.restored(snapshot)
    } else if (written < books.length) {
      installing.written = Math.min(written + PIECE_BYTES, books.length)
      this.#write(books.slice(written, installing.written), installing.written === books.length, { kind: 'written' })
    } else if (!entries.isAtEnd) {
      this.#pieces++
      const taken = entries.take(PIECE_BYTES).map((entry) => ({ index: entry.index, term: 0 as Term, bytes: entry.bytes }))
      this.#host.journal({ kind: 'payloads', shard: this.#host.shard, ticket: this.#host.ticket({ kind: 'piece' }), entries: taken })
    } else {
      this.#installing = undefined
      const { index, term } = snapshot
      this.#host.journal({ kind: 'reset', shard: this.#host.shard, ticket: this.#host.ticket({ kind: 'installed', index }), index, term })
    }
  }

  #write(bytes: Uint8Array, last: boolean, mark: Mark): void {
    this.#bytes += bytes.length
    if (last) this.imageBytes = this.#bytes
    else if (bytes.length === 0) return
    else this.#pieces++
    this.#host.journal({ kind: 'piece', shard: this.#host.shard, ticket: this.#host.ticket(last ? mark : { kind: 'piece' }), bytes, last })
  }

  #stepRange(range: Range): void {
    const { kind, from } = range
    const wantedFrom = Math.max(from, this.#host.machine.nextPayload(from as LogIndex))
    const through = Math.min(wantedFrom + RANGE_ENTRIES[kind] - 1, range.through) as LogIndex
    const wanted = this.#host.machine.livePayloads(from as LogIndex, through)
    if (kind === 'trim') this.#host.journal({ kind, shard: this.#host.shard, through, keep: wanted })
    else this.#host.journal({ kind, shard: this.#host.shard, from: from as LogIndex, through, indexes: wanted })
    range.from = through + 1
    if (range.from > range.through) this.#ranges.shift()
  }
}
