//! Leased jobs on their way to their workers. The books know a job's payload only as (log index of its add, place in it); here the
//! entry's bytes are found and the message is put together. A payload that is not in memory is fetched, and what the
//! session is to get after it waits behind it, so that a session sees its leases in order.

import { AddItemCursor, writeDelivery } from '../message/jobs.ts'
import { addBody, logTable, OptionKey } from '../message/command.ts'
import type { ClientMessage } from '../message/client.ts'
import { decode, Writer } from '../message/layout.ts'
import type { FencingToken, JobNumber, LeaseTime, LogIndex, PartitionId, SessionNumber, ShardId } from '../units.ts'
import type { Endpoint } from './endpoint.ts'
import type { Presence } from './sessions.ts'

/** A delivery message is closed when it has grown to this. */
export const DELIVERY_BYTES = 256 * 1024

export interface Leased {
  readonly partition: PartitionId
  readonly session: SessionNumber
  readonly token: FencingToken
  readonly deadline: LeaseTime
  readonly leaseMs: number
  readonly jobs: ArrayLike<number>
}

export interface LeaseView {
  readonly session: SessionNumber
  readonly token: FencingToken
  readonly deadline: LeaseTime
  readonly leaseMs: number
  readonly attempt: number
  readonly maxAttempts: number
  readonly timeoutMs: number
}

/** The committed books, as far as deliveries need them. */
export interface PayloadBooks {
  payloadOf(partition: PartitionId, number: JobNumber): { readonly entryIndex: LogIndex; readonly ordinal: number } | undefined
  leaseOf(partition: PartitionId, number: JobNumber): LeaseView | undefined
}

export interface DeliverySource {
  readonly shard: ShardId
  readonly books: PayloadBooks
  entry(index: LogIndex): Uint8Array | undefined
  fetch(index: LogIndex): void
  send(to: Endpoint, message: ClientMessage): void
}

export class Deliveries {
  readonly #source: DeliverySource
  readonly #waiting = new Map<SessionNumber, Leased[]>()
  readonly #writer = new Writer(DELIVERY_BYTES + 4096)
  readonly #entry = new EntryWalk()

  constructor(source: DeliverySource) {
    this.#source = source
  }

  add(leased: Leased): void {
    const queue = this.#waiting.get(leased.session)
    if (queue === undefined) this.#waiting.set(leased.session, [leased])
    else queue.push(leased)
  }

  /** Sends a lease that the session already holds once more, under its token. */
  again(session: SessionNumber, lease: { readonly partition: PartitionId; readonly number: JobNumber; readonly token: FencingToken }): void {
    const held = this.#source.books.leaseOf(lease.partition, lease.number)
    if (held === undefined) return
    this.add({ partition: lease.partition, session, token: lease.token, deadline: held.deadline, leaseMs: held.leaseMs, jobs: [lease.number] })
  }

  forget(session: SessionNumber): void {
    this.#waiting.delete(session)
  }

  clear(): void {
    this.#waiting.clear()
    this.#entry.forget()
  }

  /** Sends all that can be sent. A session that is not connected keeps nothing: on resume it is told what it holds. */
  send(presenceOf: (session: SessionNumber) => Presence | undefined): void {
    for (const [session, queue] of this.#waiting) {
      const presence = presenceOf(session)
      if (presence !== undefined) {
        while (queue.length > 0) {
          const rest = this.#sendOne(queue[0]!, presence)
          if (rest !== undefined) {
            queue[0] = rest
            break
          }
          queue.shift()
        }
        if (queue.length > 0) continue
      }
      this.#waiting.delete(session)
    }
  }

  /** Returns what could not be sent yet. */
  #sendOne(leased: Leased, presence: Presence): Leased | undefined {
    const { partition, session, token, jobs } = leased
    const writer = this.#writer.reset()
    const names: string[] = []
    let base = 0
    let count = 0
    let missing: number | undefined
    for (let i = 0; i < jobs.length; i++) {
      const number = jobs[i]! as JobNumber
      const lease = this.#source.books.leaseOf(partition, number)
      if (lease === undefined || lease.token !== token || lease.session !== session) continue
      const place = this.#source.books.payloadOf(partition, number)
      if (place === undefined) continue
      if (!this.#entry.open(this.#source, place.entryIndex)) {
        missing = i
        break
      }
      const item = this.#entry.item(place.ordinal)
      if (count > 0 && (writer.at > DELIVERY_BYTES || number < base)) {
        this.#ship(leased, presence, names, base, count)
        writer.reset()
        names.length = 0
        count = 0
      }
      if (count === 0) base = number
      writeDelivery(writer, number - base, { attempt: lease.attempt, maxAttempts: lease.maxAttempts, timeoutMs: lease.timeoutMs, nameOrdinal: ordinalOf(names, this.#entry.name(item.nameOrdinal)) }, headersOf(item), item.payload())
      count++
    }
    if (count > 0) this.#ship(leased, presence, names, base, count)
    return missing === undefined ? undefined : { ...leased, jobs: Array.from(jobs).slice(missing) }
  }

  #ship(leased: Leased, presence: Presence, names: readonly string[], base: number, count: number): void {
    const { partition, session, token, deadline, leaseMs } = leased
    this.#source.send(presence.endpoint, {
      kind: 'deliver', shard: this.#source.shard, partition, session, token, deadline, leaseMs, stamp: presence.stamp, leaseClock: presence.leaseClock,
      names: names.slice(), base: base as JobNumber, count, items: this.#writer.bytes.subarray(0, this.#writer.at),
    })
  }
}

/** One add entry, opened once for all the jobs of it that follow each other. */
class EntryWalk {
  #index = 0
  #names: readonly string[] = []
  #items: Uint8Array = new Uint8Array(0)
  #cursor = new AddItemCursor(this.#items)
  #at = -1

  open(source: DeliverySource, index: LogIndex): boolean {
    if (index === this.#index) return true
    const bytes = source.entry(index)
    if (bytes === undefined) {
      source.fetch(index)
      return false
    }
    const entry = logTable.decode(bytes)
    if (entry.kind !== 'command') throw new TypeError(`the entry at ${index} is ${entry.kind} where an add is wanted`)
    const body = decode(addBody, entry.body)
    this.#index = index
    this.#names = body.names
    this.#items = body.items
    this.#rewind()
    return true
  }

  item(ordinal: number): AddItemCursor {
    if (ordinal < this.#at) this.#rewind()
    while (this.#at < ordinal) {
      this.#cursor.next()
      this.#at++
    }
    return this.#cursor
  }

  name(ordinal: number): string {
    return this.#names[ordinal] ?? ''
  }

  /** Indexes are a term's own: another log may hold other bytes there. */
  forget(): void {
    this.#index = 0
    this.#items = new Uint8Array(0)
  }

  #rewind(): void {
    this.#cursor = new AddItemCursor(this.#items)
    this.#at = -1
  }
}

function ordinalOf(names: string[], name: string): number {
  const known = names.indexOf(name)
  return known >= 0 ? known : names.push(name) - 1
}

/** The headers' bytes in the item's options, found without reading the other options. */
function headersOf(item: AddItemCursor): Uint8Array {
  if (item.optionsLength === 0) return NOTHING
  const view = item.reader.view
  let at = item.optionsAt
  const end = at + item.optionsLength
  while (at + 3 <= end) {
    const length = view.getUint16(at + 1)
    if (view.getUint8(at) === OptionKey.headers) return item.reader.bytes.subarray(at + 3, at + 3 + length)
    at += 3 + length
  }
  return NOTHING
}

const NOTHING: Uint8Array = new Uint8Array(0)
