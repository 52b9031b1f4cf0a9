//! The side of a conversation of pulses that follows: which rests the node that leads has begun, and which of them are held here.

import { CHANGES_MAX, type Pulse, type PulseAnswer, type Rest } from '../../message/pulse.ts'
import type { Instant, ShardId, WallTime } from '../../units.ts'

export interface FollowingOutbox {
  /** Whether the copy here agrees, and rests from now on. */
  agrees(rest: Rest): boolean
  /** The leader has ended the rest. */
  ended(shard: ShardId): void
}

export class Following {
  readonly stream: number
  readonly channel: number
  heardAt: Instant
  #applied = 0
  /** The number of the first of the ended rests that the leader is not known to have heard of. */
  #first = 1
  #ended: number[] = []
  readonly #numberOf = new Map<ShardId, number>()
  readonly #shardOf = new Map<number, ShardId>()

  constructor(stream: number, channel: number, now: Instant) {
    this.stream = stream
    this.channel = channel
    this.heardAt = now
  }

  get shards(): readonly ShardId[] {
    return [...this.#numberOf.keys()]
  }

  heard(now: Instant, pulse: Pulse, out: FollowingOutbox): void {
    if (pulse.channel !== this.channel) return
    this.heardAt = now
    for (; this.#first <= pulse.known && this.#ended.length > 0; this.#first++) this.#ended.shift()
    for (let i = Math.max(0, this.#applied + 1 - pulse.first); i < pulse.changes.length; i++) {
      const { begun, ended } = pulse.changes[i]!
      this.#applied = pulse.first + i
      if (begun === undefined) this.#endedThere(ended, out)
      else this.#begin(this.#applied, begun, out)
    }
  }

  /** The copy here is at rest no more. */
  end(shard: ShardId): void {
    const number = this.#numberOf.get(shard)
    if (number === undefined) return
    this.#drop(shard, number)
    this.#ended.push(number)
  }

  answer(round: number, wall: WallTime, freeBytes: number): PulseAnswer {
    return { kind: 'pulseAnswer', stream: this.stream, channel: this.channel, round, applied: this.#applied, first: this.#first, ended: this.#ended.slice(0, CHANGES_MAX), wall, freeBytes }
  }

  /** More has ended than one answer can say: nothing would be proven by it. */
  get isOverfull(): boolean {
    return this.#ended.length > CHANGES_MAX
  }

  #begin(number: number, rest: Rest, out: FollowingOutbox): void {
    if (out.agrees(rest)) {
      this.#numberOf.set(rest.shard, number)
      this.#shardOf.set(number, rest.shard)
    } else this.#ended.push(number)
  }

  #endedThere(number: number, out: FollowingOutbox): void {
    const shard = this.#shardOf.get(number)
    if (shard === undefined) return
    this.#drop(shard, number)
    out.ended(shard)
  }

  #drop(shard: ShardId, number: number): void {
    this.#numberOf.delete(shard)
    this.#shardOf.delete(number)
  }
}
