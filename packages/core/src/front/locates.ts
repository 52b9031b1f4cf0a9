//! Clients that asked for a topic which does not exist yet: they wait for the registry, a bounded time and in bounded number.

import type { Now } from '../actor.ts'
import type { ConnectionId, PartitionId, ShardId } from '../units.ts'

export const LOCATES_WAITING_MAX = 10_000
/** Then the client is told that the topic was not found; it asks again, perhaps another node. */
export const LOCATE_WAIT_MS = 2000

export interface WaitingLocate {
  readonly connection: ConnectionId
  readonly request: number
  readonly topic: string
  readonly partitions: number
}

type Partitions = readonly { readonly partition: PartitionId; readonly shard: ShardId }[]

export class Locates {
  #waiting: (WaitingLocate & { readonly until: number })[] = []

  get wakeAt(): number {
    return this.#waiting[0]?.until ?? Infinity
  }

  wait(now: Now, locate: WaitingLocate): boolean {
    if (this.#waiting.length >= LOCATES_WAITING_MAX) return false
    this.#waiting.push({ ...locate, until: now.monotonic + LOCATE_WAIT_MS })
    return true
  }

  settle(now: Now, partitionsOf: (topic: string) => Partitions | undefined, answer: (locate: WaitingLocate, partitions: Partitions | undefined) => void): void {
    if (this.#waiting.length === 0) return
    this.#waiting = this.#waiting.filter((locate) => {
      const partitions = partitionsOf(locate.topic)
      if (partitions === undefined && now.monotonic < locate.until) return true
      answer(locate, partitions)
      return false
    })
  }

  forget(connection: ConnectionId): void {
    this.#waiting = this.#waiting.filter((locate) => locate.connection !== connection)
  }
}
