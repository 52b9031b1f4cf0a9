//! The books of one shard in this process, fed with entries that are encoded once and patched in place, so that what is measured is the books.

import { Code, logTable, openAnswer, Operation, leasedBody, addBody, type JobOptions } from '@horus/core/message/command'
import { LeasedGroupsWriter, writeAddItem } from '@horus/core/message/jobs'
import { decode, encode, Writer } from '@horus/core/message/layout'
import { Shard, type ShardEffects } from '@horus/core/shard'
import type { FencingToken, JobNumber, LeaseTime, LogIndex, PartitionId, SessionNumber, ShardId, WallTime } from '@horus/core/units'

/** Jobs of one entry. */
export const BATCH = 256
const partition = 1 as PartitionId
const shard = 1 as ShardId
const times = { leaseNow: 1000 as LeaseTime, wallNow: 1000 as WallTime }
const payload = new Uint8Array(100)
const result = new Uint8Array(16)

/** Where the fields of an encoded command and of its first leased group lie. */
const SEQUENCE_AT = 29
const LOWEST_AT = 37
const TOKEN_AT = 54 + 4
const BASE_AT = TOKEN_AT + 8

export class Rig {
  readonly books = new Shard(shard)
  index = 0
  sequence = 0
  session = 0 as SessionNumber
  body = new Uint8Array()
  readonly effects: ShardEffects = {
    answer: (_index, _session, _sequence, code, body) => {
      if (code !== Code.ok) throw new Error(`a command was answered with ${code}`)
      this.body = body as Uint8Array<ArrayBuffer>
    },
    leased: () => undefined,
    lostLease: () => undefined,
    payloadFree: () => undefined,
  }

  constructor() {
    this.apply(logTable.encode({ kind: 'partitionOpen', ...times, partition, topic: 'bench', settings: new Uint8Array(0) }))
    this.apply(this.command(Operation.open, new Uint8Array(16)))
    this.session = decode(openAnswer, this.body).session
  }

  apply(entry: Uint8Array): void {
    this.books.apply(++this.index as LogIndex, entry, this.effects)
  }

  command(operation: Operation, body: Uint8Array): Uint8Array {
    return logTable.encode({ kind: 'command', ...times, shard, session: this.session, sequence: 0, lowest: 0, stamp: 0, operation, body })
  }

  /** Applies a command once more, as a new one. */
  again(entry: Uint8Array): void {
    const view = new DataView(entry.buffer, entry.byteOffset)
    this.sequence++
    writeU53(view, SEQUENCE_AT, this.sequence)
    writeU53(view, LOWEST_AT, this.sequence)
    this.apply(entry)
  }

  add(options?: JobOptions): Uint8Array {
    const items = new Writer()
    for (let i = 0; i < BATCH; i++) writeAddItem(items, 0, payload, options)
    return this.command(Operation.add, encode(addBody, { partition, names: ['work'], count: BATCH, items: items.take() }))
  }

  acquire(): Uint8Array {
    return logTable.encode({ kind: 'acquire', ...times, partition, session: this.session, count: BATCH, grant: 1_000_000, leaseMs: 30_000, names: [] })
  }

  complete(): Uint8Array {
    const groups = new LeasedGroupsWriter()
    groups.group(0 as FencingToken, 0 as JobNumber)
    for (let i = 0; i < BATCH; i++) groups.complete(i as JobNumber, result)
    return this.command(Operation.complete, encode(leasedBody, { partition, groups: groups.take() }))
  }
}

function writeU53(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / 0x1_0000_0000))
  view.setUint32(at + 4, value >>> 0)
}

/** Tells a `complete` which leases it is about. */
export function patchGroup(entry: Uint8Array, token: number, base: number): void {
  const view = new DataView(entry.buffer, entry.byteOffset)
  writeU53(view, TOKEN_AT, token)
  writeU53(view, BASE_AT, base)
}
