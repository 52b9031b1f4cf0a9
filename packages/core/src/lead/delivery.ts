//! Leased jobs on their way to their workers. The books know a job's payload only as (log index of its add, place in it); here the
//! entry's bytes are found and the message is put together. A payload that is not in memory is fetched, and what the
//! session is to get after it waits behind it, so that a session sees its leases in order.

import type { ClientMessage } from '../message/client.ts'
import { type AddEntry, DeliveryWriter, readAddEntry } from '../message/jobs.ts'
import type { FencingToken, JobNumber, LeaseTime, LogIndex, PartitionId, SessionNumber, ShardId } from '../units.ts'
import type { Endpoint } from './endpoint.ts'
import type { Presence } from './sessions.ts'

/** A delivery message is closed when it has grown to this. */
export const DELIVERY_BYTES = 256 * 1024
/** And where a job's number is too far from the first one's for the four bytes of their difference: jobs of before and after a recovery are. */
const DELTA_MAX = 0xffff_ffff

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
  /** Where the payload is: the add's log index and the job's place in it. */
  readonly entryIndex: LogIndex
  readonly ordinal: number
}

/** The committed books, as far as deliveries need them. */
export interface PayloadBooks {
  leaseOf(partition: PartitionId, number: JobNumber, token: FencingToken): LeaseView | undefined
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
  readonly #writer = new DeliveryWriter()
  /** What could not be read since it was last asked for. */
  readonly #unreadable = new Set<LogIndex>()
  #openIndex = 0
  #openEntry: AddEntry | undefined

  constructor(source: DeliverySource) {
    this.#source = source
  }

  add(leased: Leased): void {
    const queue = this.#waiting.get(leased.session)
    if (queue === undefined) this.#waiting.set(leased.session, [leased])
    else queue.push(leased)
  }

  /** Sends a lease that the session already holds once more, under its token; undefined where it has ended. */
  again(session: SessionNumber, lease: { readonly partition: PartitionId; readonly number: JobNumber; readonly token: FencingToken }): Leased | undefined {
    const held = this.#source.books.leaseOf(lease.partition, lease.number, lease.token)
    if (held === undefined) return undefined
    const leased = { partition: lease.partition, session, token: lease.token, deadline: held.deadline, leaseMs: held.leaseMs, jobs: [lease.number] }
    this.add(leased)
    return leased
  }

  forget(session: SessionNumber): void {
    this.#waiting.delete(session)
  }

  unreadable(index: LogIndex): void {
    this.#unreadable.add(index)
  }

  clear(): void {
    this.#waiting.clear()
    this.#unreadable.clear()
    this.#openIndex = 0
    this.#openEntry = undefined
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
    // The next who wants it tries again.
    this.#unreadable.clear()
  }

  /** Returns what could not be sent yet. */
  #sendOne(leased: Leased, presence: Presence): Leased | undefined {
    const { partition, session, token, jobs } = leased
    const writer = this.#writer
    writer.begin(jobs[0]! as JobNumber)
    let bytes = 0
    for (let i = 0; i < jobs.length; i++) {
      const number = jobs[i]! as JobNumber
      const lease = this.#source.books.leaseOf(partition, number, token)
      if (lease === undefined || lease.session !== session) continue
      if (this.#unreadable.has(lease.entryIndex)) continue
      const entry = this.#open(lease.entryIndex)
      if (entry === undefined) {
        this.#ship(leased, presence)
        return { ...leased, jobs: Array.from(jobs).slice(i) }
      }
      entry.items.seek(lease.ordinal)
      // Numbers are told from the first one that is in it; the first of the batch may have been left out.
      if (number < writer.base || number - writer.base > DELTA_MAX || (writer.count > 0 && bytes > DELIVERY_BYTES)) {
        this.#ship(leased, presence)
        writer.begin(number)
        bytes = 0
      }
      writer.add(number, lease.attempt, lease.maxAttempts, entry)
      bytes += entry.items.payloadLength + 32
    }
    this.#ship(leased, presence)
    return undefined
  }

  #ship(leased: Leased, presence: Presence): void {
    const { names, base, count } = this.#writer
    if (count === 0) return
    const { partition, session, token, deadline, leaseMs } = leased
    this.#source.send(presence.endpoint, {
      kind: 'deliver', shard: this.#source.shard, partition, session, token, deadline, leaseMs, stamp: presence.stamp, leaseClock: presence.leaseClock,
      names, base: base as JobNumber, count, items: this.#writer.take(),
    })
  }

  /** The add at `index`, kept open for all the jobs of it that follow each other. */
  #open(index: LogIndex): AddEntry | undefined {
    if (index === this.#openIndex) return this.#openEntry
    const bytes = this.#source.entry(index)
    if (bytes === undefined) {
      this.#source.fetch(index)
      return undefined
    }
    this.#openIndex = index
    this.#openEntry = readAddEntry(bytes)
    return this.#openEntry
  }
}
