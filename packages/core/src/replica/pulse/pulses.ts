//! The pulses of a node: one message to each other node, a few times a second, speaks for all shards that this one leads, that one
//! follows, and in which nothing happens. `master/rest.ts` tells when a shard rests; here is who is told of it.
//!
//!   a leader's wish ──▶ Leading (one for each node that follows) ──pulse──▶ Following (one for each node that leads) ──▶ its copies
//!   all hold it ◀── Leading ◀──pulseAnswer── Following
//!
//! A node that is silent for half an election time-out is asked for each shard again; one that leads and is silent for a whole one
//! is left by its followers, as if each had missed its heartbeats. So failures are noticed as early as without rest.

import type { Now } from '../../actor.ts'
import type { RestWish } from '../../master/boundary.ts'
import type { PulseProof } from '../../master/rest.ts'
import type { Pulse, PulseAnswer, PulseMessage, Rest } from '../../message/pulse.ts'
import type { Random } from '../../random.ts'
import type { Instant, NodeId, ShardId } from '../../units.ts'
import { Following } from './following.ts'
import { Leading } from './leading.ts'

export interface PulsesOutbox {
  send(to: NodeId, message: PulseMessage): void
  /** Whether this node's copy agrees to rest behind `leader`. */
  agrees(leader: NodeId, rest: Rest): boolean
  agreed(shard: ShardId): void
  rouse(shard: ShardId): void
  readonly freeBytes: number
}

export interface PulseSettings {
  readonly electionMs: number
  /** A gap between two calls counts at most so long, and this node asks to be called more often while it leads at rest. */
  readonly gapMs: number
  readonly pulseMsMax: number
}

/** Rounds whose beginning is remembered. */
const ROUNDS_KEPT = 64
/** What begins to rest at about the same time is told together. */
const GATHER_MS = 5

export class Pulses {
  /** For how long this node's loop has run. */
  awakeMs = 0
  readonly #random: Random
  readonly #settings: PulseSettings
  readonly #pulseMs: number
  readonly #leading = new Map<NodeId, Leading>()
  readonly #following = new Map<NodeId, Following>()
  /** Which nodes were told of a led shard's rest, and to which node a followed one's belongs. */
  readonly #toldOf = new Map<ShardId, readonly NodeId[]>()
  readonly #leaderOf = new Map<ShardId, NodeId>()
  readonly #began = new Float64Array(ROUNDS_KEPT)
  #round = 0
  #calledAt = Infinity
  #pulseAt = Infinity
  /** No node that leads can have been silent for too long before. */
  #silenceAt = Infinity

  constructor(random: Random, settings: PulseSettings) {
    this.#random = random
    this.#settings = settings
    this.#pulseMs = Math.min(settings.electionMs / 4, settings.pulseMsMax)
  }

  /** At the beginning of every input. */
  called(now: Now): void {
    this.awakeMs += Math.min(Math.max(0, now.monotonic - this.#calledAt), this.#settings.gapMs)
    this.#calledAt = now.monotonic
  }

  heardAt(leader: NodeId): Instant {
    return this.#following.get(leader)?.heardAt ?? (-Infinity as Instant)
  }

  proofOf(follower: NodeId): PulseProof | undefined {
    return this.#leading.get(follower)
  }

  get wakeAt(): number {
    return Math.min(this.#pulseAt, this.#silenceAt)
  }

  // ---- from the copies here ----------------------------------------------------------------------------------------

  /** A leader wants a shard to rest, or, without a wish, a copy is at rest no more. */
  rest(now: Now, shard: ShardId, wish: RestWish | undefined): void {
    if (wish !== undefined) return this.#begin(now, shard, wish)
    for (const node of this.#toldOf.get(shard) ?? []) this.#leading.get(node)?.end(shard)
    this.#toldOf.delete(shard)
    const leader = this.#leaderOf.get(shard)
    if (leader !== undefined) this.#following.get(leader)?.end(shard)
    this.#leaderOf.delete(shard)
  }

  #begin(now: Now, shard: ShardId, { term, from, index, peers }: RestWish): void {
    for (const { node, replica } of peers) {
      let leading = this.#leading.get(node)
      if (leading === undefined) this.#leading.set(node, (leading = new Leading(this.#random.u32(), now.monotonic)))
      leading.begin({ shard, term, from, to: replica, index })
    }
    this.#toldOf.set(shard, peers.map(({ node }) => node))
    this.#pulseAt = Math.min(this.#pulseAt, now.monotonic + GATHER_MS)
  }

  // ---- from other nodes --------------------------------------------------------------------------------------------

  receive(now: Now, from: NodeId, message: PulseMessage, out: PulsesOutbox): void {
    if (message.kind === 'pulse') this.#heard(now, from, message, out)
    else this.#answered(now, from, message, out)
  }

  #heard(now: Now, from: NodeId, pulse: Pulse, out: PulsesOutbox): void {
    let following = this.#following.get(from)
    // A node that has forgotten what it told begins anew, and so does this one with it.
    if (following === undefined || following.stream !== pulse.stream) {
      this.#leave(from, out)
      // 0 stands for a channel that is not known.
      this.#following.set(from, (following = new Following(pulse.stream, this.#random.u32() || 1, now.monotonic)))
      this.#silenceAt = Math.min(this.#silenceAt, now.monotonic + this.#settings.electionMs)
    }
    following.heard(now.monotonic, pulse, {
      agrees: (rest) => {
        // Of an earlier leader's rest nothing is left where the copy agrees to another.
        const agrees = !this.#toldOf.has(rest.shard) && !this.#leaderOf.has(rest.shard) && out.agrees(from, rest)
        if (agrees) this.#leaderOf.set(rest.shard, from)
        return agrees
      },
      ended: (shard) => {
        this.#leaderOf.delete(shard)
        out.rouse(shard)
      },
    })
    if (following.isOverfull) this.#leave(from, out)
    else out.send(from, following.answer(pulse.round, now.wall, out.freeBytes))
  }

  #answered(now: Now, from: NodeId, answer: PulseAnswer, out: PulsesOutbox): void {
    const leading = this.#leading.get(from)
    if (leading === undefined || leading.stream !== answer.stream || answer.round > this.#round) return
    const taken = leading.answered(answer)
    if (taken === undefined) return this.#lose(from, leading, out)
    for (const shard of taken.lost) out.rouse(shard)
    leading.prove(now.monotonic, answer, answer.round > this.#round - ROUNDS_KEPT ? (this.#began[answer.round % ROUNDS_KEPT] as Instant) : undefined)
    if (leading.hasUnsaid) this.#pulseAt = Math.min(this.#pulseAt, now.monotonic + GATHER_MS)
    for (const shard of taken.held) if (this.#toldOf.get(shard)?.every((node) => this.#leading.get(node)?.holds(shard))) out.agreed(shard)
  }

  /** What was said over a link that broke may be lost, and whoever was behind it has begun anew. */
  linkDown(node: NodeId, out: PulsesOutbox): void {
    const leading = this.#leading.get(node)
    if (leading !== undefined) this.#lose(node, leading, out)
    this.#leave(node, out)
  }

  // ---- time --------------------------------------------------------------------------------------------------------

  wake(now: Now, out: PulsesOutbox): void {
    if (this.#pulseAt <= now.monotonic) this.#beat(now, out)
    if (this.#silenceAt <= now.monotonic) this.#judge(now, out)
  }

  #beat(now: Now, out: PulsesOutbox): void {
    for (const [node, leading] of this.#leading) {
      if (leading.isIdle) this.#leading.delete(node)
      else if (leading.silentMs(now.monotonic) > this.#settings.electionMs / 2) this.#lose(node, leading, out)
    }
    this.#pulseAt = this.#leading.size === 0 ? Infinity : now.monotonic + this.#pulseMs
    this.#began[++this.#round % ROUNDS_KEPT] = now.monotonic
    for (const [node, leading] of this.#leading) out.send(node, leading.pulse(this.#round))
  }

  #judge(now: Now, out: PulsesOutbox): void {
    this.#silenceAt = Infinity
    for (const [node, { heardAt }] of this.#following) {
      const silentAt = heardAt + this.#settings.electionMs
      if (silentAt <= now.monotonic) this.#leave(node, out)
      else this.#silenceAt = Math.min(this.#silenceAt, silentAt)
    }
  }

  /** That node proves nothing any more: each shard asks it itself again. What it was told is forgotten, and the next conversation tells it so. */
  #lose(node: NodeId, leading: Leading, out: PulsesOutbox): void {
    for (const shard of leading.shards) out.rouse(shard)
    this.#leading.delete(node)
  }

  /** That node leads nothing at rest here any more, as far as its pulses tell. */
  #leave(node: NodeId, out: PulsesOutbox): void {
    const following = this.#following.get(node)
    if (following === undefined) return
    for (const shard of following.shards) out.rouse(shard)
    this.#following.delete(node)
  }
}
