//! What a journal must hold, kept the plain way: for every shard the states that its log, hard state, snapshot and
//! payloads went through since the last one that was reported durable. After a crash the journal must be in one of them.

import assert from 'node:assert/strict'
import { joined } from '@horus/core/bytes'
import type { RecoveredShard } from '@horus/core/journal/rebuild'
import { logIndex, shardId } from '@horus/core/units'
import type { JournalHost } from './host.ts'

interface LogState {
  readonly last: number
  /** Index to (term, bytes); shared between states, never changed. */
  readonly entries: ReadonlyMap<number, { readonly term: number; readonly bytes: Uint8Array }>
}

interface HardStateSeen {
  readonly term: number
  readonly self: number
}

interface SnapshotSeen {
  readonly index: number
  readonly term: number
  readonly bytes: Uint8Array
}

/** The values that something had, with the ticket from which on each holds. */
class Timeline<T> {
  #steps: { readonly ticket: number; readonly value: T }[]

  constructor(value: T, ticket = 0) {
    this.#steps = [{ ticket, value }]
  }

  get newest(): T {
    return this.#steps.at(-1)!.value
  }

  add(ticket: number, value: T): void {
    this.#steps.push({ ticket, value })
  }

  /** What may be found after a crash. */
  candidates(durableTicket: number): readonly T[] {
    const durable = this.#steps.findLastIndex(({ ticket }) => ticket <= durableTicket)
    this.#steps = this.#steps.slice(Math.max(durable, 0))
    return this.#steps.map(({ value }) => value)
  }

  durable(durableTicket: number): T {
    return this.candidates(durableTicket)[0]!
  }

  settle(value: T): void {
    this.#steps = [{ ticket: 0, value }]
  }
}

export class ShardModel {
  readonly id: number
  log = new Timeline<LogState>({ last: 0, entries: new Map() })
  hardState = new Timeline<HardStateSeen | undefined>(undefined)
  snapshot = new Timeline<SnapshotSeen | undefined>(undefined)
  /** Live payloads at or below the trimmed part, with the ticket that makes each durable. */
  payloads = new Map<number, { readonly ticket: number; readonly bytes: Uint8Array }>()
  trimmed = 0
  /** The ticket of the last drop; until it is durable the states of the earlier copy are still in sight. */
  droppedAt = 0

  constructor(id: number) {
    this.id = id
  }

  append(ticket: number, from: number, bodies: readonly Uint8Array[], term: number): void {
    bodies.forEach((bytes, i) => {
      const entries = new Map([...this.log.newest.entries].filter(([index]) => index < from + i))
      entries.set(from + i, { term, bytes })
      // Each entry by itself: a crash may leave half of an append.
      this.log.add(i === bodies.length - 1 ? ticket : ticket - 0.5, { last: from + i, entries })
    })
  }

  reset(ticket: number, index: number): void {
    this.log.add(ticket, { last: index, entries: new Map() })
    this.trimmed = index
  }

  drop(ticket: number): void {
    this.log.add(ticket, { last: 0, entries: new Map() })
    this.hardState.add(ticket, undefined)
    this.snapshot.add(ticket, undefined)
    this.payloads.clear()
    this.trimmed = 0
    this.droppedAt = ticket
  }

  trim(through: number, keep: readonly number[]): void {
    for (const [index, { bytes }] of this.log.newest.entries) {
      if (index > this.trimmed && index <= through && keep.includes(index)) this.payloads.set(index, { ticket: 0, bytes })
    }
    this.trimmed = Math.max(this.trimmed, through)
  }

  /** Compares with what a start has found, and goes on from there. */
  check(host: JournalHost, durableTicket: number): void {
    const found = host.found(this.id)
    const where = `shard ${this.id}`
    const snapshot = this.snapshot.candidates(durableTicket).find((each) => each?.index === found?.snapshot?.index && (!each || same(each.bytes, joined(found!.snapshot!.pieces))))
    if (found?.snapshot) assert.ok(snapshot && snapshot.term === found.snapshot.term, `${where}: the snapshot found is one that was handed in`)
    else assert.ok(this.snapshot.candidates(durableTicket).includes(undefined), `${where}: a durable snapshot is found`)
    const hardState = this.hardState.candidates(durableTicket).findLast((each) => each?.term === found?.hardState?.term && each?.self === found?.hardState?.self)
    assert.equal(hardState?.term, found?.hardState?.term, `${where}: the hard state is one that was handed in`)
    if (!hardState) assert.ok(this.hardState.candidates(durableTicket).includes(undefined), `${where}: a durable hard state is found`)
    const log = this.#matchLog(host, found, durableTicket)
    assert.ok(log, `${where}: the log found (${found?.first}..${found?.last}) is one that was handed in, none older than what is durable`)
    for (const [index, { ticket, bytes }] of [...this.payloads]) {
      const read = host.read(this.id, index)
      if (ticket <= durableTicket) assert.ok(read && same(read, bytes), `${where}: live payload ${index} is found`)
      else if (!read || !same(read, bytes)) this.payloads.delete(index)
    }
    this.snapshot.settle(snapshot)
    this.hardState.settle(hardState)
    this.log.settle(log)
    this.trimmed = snapshot?.index ?? 0
    this.droppedAt = 0
  }

  #matchLog(host: JournalHost, found: RecoveredShard | undefined, durableTicket: number): LogState | undefined {
    const behind = found?.snapshot?.index ?? 0
    const last = found?.last ?? 0
    const bodies = new Map<number, Uint8Array>()
    for (let index = behind + 1; index <= last; index++) {
      const bytes = host.read(this.id, index)
      assert.ok(bytes, `shard ${this.id}: entry ${index} of the log can be read`)
      bodies.set(index, bytes)
    }
    const termAt = (index: number): number | undefined => found?.terms.findLast((run) => run.index <= index)?.term
    const matches = ({ last: end, entries }: LogState): boolean => {
      if (Math.max(end, behind) !== last) return false
      for (let index = behind + 1; index <= last; index++) {
        const entry = entries.get(index)
        if (!entry || entry.term !== termAt(index) || !same(entry.bytes, bodies.get(index)!)) return false
      }
      return true
    }
    const log = this.log.candidates(durableTicket).findLast(matches)
    return log && { last, entries: log.entries }
  }
}

export function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i])
}

/** Everything that is in the journal now, bypassing crashes: reads must agree at any time. */
export function checkReads(host: JournalHost, model: ShardModel, index: number): void {
  const entry = model.log.newest.entries.get(index) ?? (model.payloads.get(index) && { bytes: model.payloads.get(index)!.bytes })
  if (!entry || (index <= model.trimmed && !model.payloads.has(index))) return
  assert.ok(host.journal.has(shardId(model.id), logIndex(index)), `shard ${model.id}: ${index} is there`)
}
