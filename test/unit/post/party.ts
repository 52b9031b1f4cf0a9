//! A shard that posts, for tests: a log with its books, the office of whoever leads it, and a memory of payloads. What it sends lies in the mail until
//! a test delivers it, loses it, or delivers it twice; what it proposes is applied when a test says so, or lost with the lead.

import type { Now } from '@horus/core/actor'
import { PostOffice } from '@horus/core/lead/post-office'
import { FailMode, logTable } from '@horus/core/message/command'
import { readAddEntry } from '@horus/core/message/jobs'
import { encode } from '@horus/core/message/layout'
import { DeadLetterHeader, partitionSettings, type Place, type PostMessage } from '@horus/core/message/posts'
import { Shard } from '@horus/core/shard'
import type { LogIndex, PartitionId, ShardId } from '@horus/core/units'
import { bytesOf, type Seen, TestLog } from '../job/log.ts'

export interface Letter {
  readonly to: ShardId
  readonly message: PostMessage
}

/** A job that came by a post. */
export interface Arrived {
  readonly number: number
  readonly was: string
  readonly name: string
  readonly payload: string
  readonly headers: ReadonlyMap<string, string>
}

const at = (monotonic: number): Now => ({ monotonic, wall: monotonic }) as unknown as Now

export class Party extends TestLog {
  readonly mail: Letter[]
  readonly proposed: Uint8Array[] = []
  /** Entries whose payloads nobody needed any more, in the order in which they went. */
  readonly freed: number[] = []
  readonly fetched: LogIndex[] = []
  /** What the registry knows of other shards. */
  readonly recoveries = new Map<ShardId, number>()
  readonly unread = new Set<LogIndex>()
  isOpen = true
  lacksRoom = false
  office: PostOffice
  readonly #payloads = new Map<number, Uint8Array>()

  constructor(shard: ShardId, mail: Letter[]) {
    super()
    this.shard = new Shard(shard)
    this.mail = mail
    this.office = this.#newOffice()
  }

  override append(bytes: Uint8Array): Seen {
    this.#payloads.set(this.index + 1, bytes.slice())
    const seen = super.append(bytes)
    for (const entry of seen.free) {
      this.freed.push(entry)
      this.#payloads.delete(entry)
    }
    const entry = logTable.decode(bytes)
    if (entry.kind === 'post') this.office.applied(entry.sender)
    return seen
  }

  // ---- whoever leads it --------------------------------------------------------------------------------------------

  turn(now: number): void {
    this.office.turn(at(now))
  }

  deliver(now: number, message: PostMessage): void {
    this.office.receive(at(now), message)
  }

  /** What was proposed is committed, or the first so many of it. */
  commit(most = Infinity): void {
    for (const entry of this.proposed.splice(0, most)) this.append(entry)
  }

  /** Another leads: what was not committed is gone. */
  loseLead(): void {
    this.proposed.length = 0
    this.office = this.#newOffice()
  }

  /** The books come back from a snapshot. */
  restart(): void {
    this.shard = Shard.restore(this.shard.shard, this.shard.snapshot())
    this.loseLead()
  }

  // ---- jobs --------------------------------------------------------------------------------------------------------

  /** A partition whose jobs go to `places` when they are dead. */
  openWith(partition: PartitionId, topic: string, places: readonly Place[], version = 1): void {
    this.openPartition(partition, topic, encode(partitionSettings, { version, deadLetters: places }))
  }

  /** A job of that partition is added and fails for good; its number, and the index of its add. */
  bury(session: number, partition: PartitionId, text: string, error = 'why'): { readonly number: number; readonly entry: number } {
    const { first, index } = this.add(session, [{ name: `name of ${text}`, payload: bytesOf(text) }], partition)
    const { jobs } = this.acquire(session, 1, { partition })
    this.fail(session, jobs, { mode: FailMode.permanent, error: bytesOf(error), partition })
    return { number: first, entry: index }
  }

  /** Everything that came to a partition, as a worker would get it. */
  arrived(partition: PartitionId): Arrived[] {
    const { jobs } = this.shard.jobs(partition, { states: [], name: undefined, from: 0 as never }, 1000)
    return jobs.map(({ number, name }) => {
      const place = this.shard.payloadOf(partition, number)!
      const { items } = readAddEntry(this.#payloads.get(place.entryIndex)!)
      items.seek(place.ordinal)
      const headers = new Map(items.options.headers ?? [])
      return { number, was: `${headers.get(DeadLetterHeader.topic)} ${headers.get(DeadLetterHeader.id)}`, name, payload: new TextDecoder().decode(items.payload), headers }
    })
  }

  #newOffice(): PostOffice {
    const party = this
    return new PostOffice({
      shard: this.shard.shard,
      get books() {
        return party.shard
      },
      get isOpen() {
        return party.isOpen
      },
      get lacksRoom() {
        return party.lacksRoom
      },
      propose: (_now, entry) => void this.proposed.push(entry),
      entry: (index) => (this.unread.has(index) ? undefined : this.#payloads.get(index)),
      fetch: (index) => void this.fetched.push(index),
      send: (to, message) => void this.mail.push({ to, message }),
      recoveryOf: (shard) => this.recoveries.get(shard) ?? 0,
    })
  }
}
