//! The side of a conversation of pulses that leads: which rests one other node was told of, and what its answers prove.
//!
//!   begin, end ──▶ changes, numbered ──with every pulse until they have come──▶ the node that follows
//!   answer ──▶ ended rests, whose shards are roused; then the proof, which counts for the others alone

import type { PulseProof } from '../../master/rest.ts'
import { CHANGES_MAX, type Pulse, type PulseAnswer, type Rest, type RestChange } from '../../message/pulse.ts'
import type { Instant, ShardId, WallTime } from '../../units.ts'

export interface AnswerTaken {
  /** Shards whose rest the other node holds no more. */
  readonly lost: readonly ShardId[]
  /** Shards whose rest it holds since now. */
  readonly held: readonly ShardId[]
}

export class Leading implements PulseProof {
  readonly stream: number
  /** Since when this conversation lasts. */
  readonly since: Instant
  provenAt = -Infinity as Instant
  answeredAt = -Infinity as Instant
  wall = 0 as WallTime
  freeBytes = Infinity
  #channel = 0
  #round = 0
  /** The number of the first of the changes that are not known to have come. */
  #first = 1
  #changes: RestChange[] = []
  /** The number of the last change that was said. */
  #said = 0
  #known = 0
  readonly #numberOf = new Map<ShardId, number>()
  readonly #shardOf = new Map<number, ShardId>()

  constructor(stream: number, now: Instant) {
    this.stream = stream
    this.since = now
  }

  /** Nothing is to be said or proven any more. */
  get isIdle(): boolean {
    return this.#numberOf.size === 0 && this.#changes.length === 0
  }

  /** There is something that no pulse has said yet. */
  get hasUnsaid(): boolean {
    return this.#first + this.#changes.length - 1 > this.#said
  }

  get shards(): readonly ShardId[] {
    return [...this.#numberOf.keys()]
  }

  begin(rest: Rest): void {
    const number = this.#first + this.#changes.length
    this.#changes.push({ begun: rest, ended: 0 })
    this.#numberOf.set(rest.shard, number)
    this.#shardOf.set(number, rest.shard)
  }

  end(shard: ShardId): void {
    const number = this.#numberOf.get(shard)
    if (number === undefined) return
    this.#drop(shard, number)
    this.#changes.push({ begun: undefined, ended: number })
  }

  /** Whether the other node is known to hold the rest. */
  holds(shard: ShardId): boolean {
    const number = this.#numberOf.get(shard)
    return number !== undefined && number < this.#first
  }

  /** How long nothing has been proven. */
  silentMs(now: Instant): number {
    return now - Math.max(this.provenAt, this.since)
  }

  pulse(round: number): Pulse {
    const changes = this.#channel === 0 ? [] : this.#changes.slice(0, CHANGES_MAX)
    this.#said = Math.max(this.#said, this.#first + changes.length - 1)
    return { kind: 'pulse', stream: this.stream, channel: this.#channel, round, known: this.#known, first: this.#first, changes }
  }

  /** Undefined where the other node has begun a new conversation, so that this one is over. */
  answered(answer: PulseAnswer): AnswerTaken | undefined {
    if (this.#channel === 0) this.#channel = answer.channel
    else if (answer.channel !== this.#channel) return answer.round < this.#round ? NOTHING : undefined
    const lost: ShardId[] = []
    for (let i = Math.max(0, this.#known + 1 - answer.first); i < answer.ended.length; i++) {
      const shard = this.#shardOf.get(answer.ended[i]!)
      if (shard === undefined) continue
      this.#drop(shard, answer.ended[i]!)
      lost.push(shard)
    }
    this.#known = Math.max(this.#known, answer.first + answer.ended.length - 1)
    const held: ShardId[] = []
    for (; this.#first <= answer.applied && this.#changes.length > 0; this.#first++) {
      const { begun } = this.#changes.shift()!
      if (begun !== undefined && this.#numberOf.get(begun.shard) === this.#first) held.push(begun.shard)
    }
    return { lost, held }
  }

  /** `began` is when the answered round began, where that is still known. Only when those that the other node holds no more are roused. */
  prove(now: Instant, answer: PulseAnswer, began: Instant | undefined): void {
    if (answer.channel !== this.#channel) return
    this.answeredAt = now
    this.wall = answer.wall
    this.freeBytes = answer.freeBytes
    if (answer.round <= this.#round) return
    this.#round = answer.round
    if (began !== undefined) this.provenAt = began
  }

  #drop(shard: ShardId, number: number): void {
    this.#shardOf.delete(number)
    if (this.#numberOf.get(shard) === number) this.#numberOf.delete(shard)
  }
}

const NOTHING: AnswerTaken = { lost: [], held: [] }
