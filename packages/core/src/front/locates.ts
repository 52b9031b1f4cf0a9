//! Clients that asked for a topic which is not known here: they wait until it is made, or until the registry's copy is sure to
//! know every topic, a bounded time and in bounded number.

import type { Now } from '../actor.ts'
import type { ConnectionId, PartitionId, ShardId } from '../units.ts'

export const LOCATES_WAITING_MAX = 10_000
/** Then the client is told that the topic was not found; it asks again, perhaps another node. */
export const LOCATE_WAIT_MS = 2000

export interface WaitingLocate {
  readonly connection: ConnectionId
  readonly request: number
  readonly topic: string
  /** It is being made; else its absence is an answer. */
  readonly create: boolean
}

/** Where the answers come from. */
export interface Topics {
  partitionsOf(topic: string): Partitions | undefined
  currentAt(now: Now): number
}

type Partitions = readonly { readonly partition: PartitionId; readonly shard: ShardId }[]

export class Locates {
  #waiting: (WaitingLocate & { readonly since: number; readonly until: number })[] = []

  get wakeAt(): number {
    return this.#waiting[0]?.until ?? Infinity
  }

  wait(now: Now, locate: WaitingLocate): boolean {
    if (this.#waiting.length >= LOCATES_WAITING_MAX) return false
    this.#waiting.push({ ...locate, since: now.monotonic, until: now.monotonic + LOCATE_WAIT_MS })
    return true
  }

  settle(now: Now, topics: Topics, answer: (locate: WaitingLocate, partitions: Partitions | undefined) => void): void {
    if (this.#waiting.length === 0) return
    const currentAt = topics.currentAt(now)
    this.#waiting = this.#waiting.filter((locate) => {
      const partitions = topics.partitionsOf(locate.topic)
      const isAnswered = partitions !== undefined || (!locate.create && currentAt >= locate.since)
      if (!isAnswered && now.monotonic < locate.until) return true
      answer(locate, partitions)
      return false
    })
  }

  forget(connection: ConnectionId): void {
    this.#waiting = this.#waiting.filter((locate) => locate.connection !== connection)
  }
}
