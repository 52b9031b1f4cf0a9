//! A journal as the master sees one: what was handed over counts at once, what was flushed survives a crash, and of the
//! rest a crash leaves some beginning.

import type { Hash } from '@horus/core/hash'
import type { HardState, LogRecord, RecoveredCopy } from '@horus/core/master/boundary'
import type { LogIndex, ShardId, Term } from '@horus/core/units'

export type Mark = { kind: 'master'; ticket: number } | { kind: 'snapshotted'; index: number; term: number } | { kind: 'installed'; index: number }

type Operation =
  | { kind: 'append'; entries: readonly LogRecord[] }
  | { kind: 'hardState'; state: HardState }
  | { kind: 'snapshot'; index: number; term: number; configuration: Uint8Array; image: Uint8Array; reset: boolean }
  | { kind: 'trim'; through: number }

interface Image {
  hardState: HardState | undefined
  snapshot: { index: LogIndex; term: Term; configuration: Uint8Array; image: Uint8Array } | undefined
  first: number
  records: LogRecord[]
}

export class ModelJournal {
  readonly freeBytes = 1e9
  readonly reserveBytes = 0
  #operations: { operation: Operation; mark: Mark | undefined }[] = []
  #durable: Image = { hardState: undefined, snapshot: undefined, first: 1, records: [] }
  #live: Image = { hardState: undefined, snapshot: undefined, first: 1, records: [] }
  /** Entries below this are on the disk only, until they are fetched. */
  coldBelow = 0

  do(operation: Operation, mark?: Mark): void {
    this.#operations.push({ operation, mark })
    apply(this.#live, operation)
  }

  get pending(): number {
    return this.#operations.length
  }

  get snapshot(): Image['snapshot'] {
    return this.#live.snapshot
  }

  /** The next `count` operations are on the disk. */
  flush(count: number): Mark[] {
    const marks: Mark[] = []
    for (const { operation, mark } of this.#operations.splice(0, count)) {
      apply(this.#durable, operation)
      if (mark) marks.push(mark)
    }
    return marks
  }

  /** The disk has what was flushed and the next `kept` operations; the rest is gone. */
  crash(kept: number): void {
    this.flush(kept)
    this.#operations = []
    this.#live = { ...this.#durable, records: this.#durable.records.slice() }
    this.coldBelow = Infinity
  }

  entries(_shard: ShardId, from: LogIndex, to: LogIndex, maxBytes: number): readonly LogRecord[] | undefined {
    if (from < this.coldBelow) return undefined
    const records: LogRecord[] = []
    let bytes = 0
    for (let index = from; index <= to; index++) {
      const record = this.#live.records[index - this.#live.first]
      if (record === undefined) throw new Error(`entry ${index} is not in the log`)
      bytes += record.bytes.length
      if (records.length > 0 && bytes > maxBytes) break
      records.push(record)
    }
    return records
  }

  recovered(suspect: boolean): RecoveredCopy {
    const { hardState, snapshot, first, records } = this.#durable
    const terms: { index: LogIndex; term: Term }[] = []
    for (const record of records) if (terms.length === 0 || terms[terms.length - 1]!.term !== record.term) terms.push({ index: record.index, term: record.term })
    return { hardState, snapshot, firstIndex: first as LogIndex, lastIndex: (first + records.length - 1) as LogIndex, terms, suspect }
  }

  /** The entry as it was last handed over. */
  live(index: LogIndex): LogRecord | undefined {
    return this.#live.records[index - this.#live.first]
  }

  /** The entry as the disk has it. */
  durable(index: LogIndex): LogRecord | undefined {
    return this.#durable.records[index - this.#durable.first]
  }

  /** The term that no crash leads behind. */
  get durableTerm(): number {
    return this.#durable.hardState?.term ?? 0
  }

  clone(): ModelJournal {
    const copy = new ModelJournal()
    copy.#operations = this.#operations.slice()
    copy.#durable = { ...this.#durable, records: this.#durable.records.slice() }
    copy.#live = { ...this.#live, records: this.#live.records.slice() }
    copy.coldBelow = this.coldBelow
    return copy
  }

  /** What is on the disk and what is on its way there; tickets belong to the master, which tells them from the last durable one. */
  mix(hash: Hash): void {
    hash.number(this.coldBelow)
    mixHardState(hash, this.#durable.hardState)
    hash.number(this.#durable.snapshot?.index ?? -1).number(this.#durable.first)
    mixRecords(hash, this.#durable.records)
    for (const { operation, mark } of this.#operations) {
      hash.text(operation.kind).text(mark?.kind ?? '')
      if (operation.kind === 'append') mixRecords(hash, operation.entries)
      else if (operation.kind === 'hardState') mixHardState(hash, operation.state)
      else if (operation.kind === 'trim') hash.number(operation.through)
      else hash.number(operation.index).number(operation.term).bytes(operation.image).word(operation.reset ? 1 : 0)
    }
  }
}

function mixHardState(hash: Hash, state: HardState | undefined): void {
  if (state) hash.number(state.term).number(state.vote ?? -1).number(state.epoch).number(state.commit).bytes(state.extra)
}

function mixRecords(hash: Hash, records: readonly LogRecord[]): void {
  hash.number(records.length)
  for (const { index, term, bytes } of records) hash.number(index).number(term).bytes(bytes)
}

function apply(image: Image, operation: Operation): void {
  switch (operation.kind) {
    case 'append': {
      const from = operation.entries[0]!.index
      if (image.records.length === 0) image.first = from
      if (from > image.first + image.records.length || from < image.first) throw new Error(`append of ${from} to a log of ${image.first} + ${image.records.length}`)
      image.records.length = from - image.first
      image.records.push(...operation.entries)
      break
    }
    case 'hardState':
      image.hardState = operation.state
      break
    case 'snapshot':
      image.snapshot = { index: operation.index as LogIndex, term: operation.term as Term, configuration: operation.configuration, image: operation.image }
      if (operation.reset) {
        image.records = []
        image.first = operation.index + 1
      }
      break
    case 'trim': {
      const gone = Math.max(0, operation.through + 1 - image.first)
      image.records.splice(0, gone)
      image.first += gone
      break
    }
  }
}
