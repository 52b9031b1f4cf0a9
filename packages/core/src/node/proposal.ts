//! One ballot of one proposer: who was asked, who has answered, and what time is left.
//!
//!   own promise ──durable──▶ preparing ──a quorum promised, and the rest had their moment──▶ accepting ──a quorum accepted──▶ complete
//!
//! Nobody else hears of a ballot before the proposer's own promise is durable: one that falls and comes back never uses a ballot twice,
//! for two decisions.

import type { Ballot, Decision } from '../message/gossip.ts'
import type { Address, Instant, NodeId } from '../units.ts'
import { compareBallots, type Promise } from './ballot.ts'

export interface Peer {
  readonly node: NodeId
  readonly address: Address
}

export interface ProposalSettings {
  readonly resendMs: number
  readonly collectMs: number
  readonly proposalMs: number
}

export class Proposal {
  readonly ballot: Ballot
  /** How many distinct nodes are a quorum. */
  readonly expect: number
  readonly endsAt: Instant
  readonly #peers: readonly Peer[]
  readonly #settings: ProposalSettings
  #promises = new Map<NodeId, Promise>()
  #acceptedBy = new Set<NodeId>()
  #decision: Decision | undefined
  #resendAt: Instant
  #collectUntil: Instant | undefined

  constructor(ballot: Ballot, expect: number, peers: readonly Peer[], now: Instant, settings: ProposalSettings) {
    this.ballot = ballot
    this.expect = expect
    this.#peers = peers
    this.#settings = settings
    this.endsAt = (now + settings.proposalMs) as Instant
    this.#resendAt = now
  }

  get decision(): Decision | undefined {
    return this.#decision
  }

  get promises(): readonly Promise[] {
    return [...this.#promises.values()]
  }

  get wakeAt(): Instant {
    const collect = this.#decision === undefined ? (this.#collectUntil ?? Infinity) : Infinity
    return Math.min(this.endsAt, this.#resendAt, collect) as Instant
  }

  /** True where it belongs to this ballot. */
  promise(now: Instant, ballot: Ballot, promise: Promise): boolean {
    if (compareBallots(ballot, this.ballot) !== 0 || this.#decision) return false
    this.#promises.set(promise.node, promise)
    if (promise.node === this.ballot.node) this.#resendAt = now
    if (this.#promises.size >= this.expect) this.#collectUntil ??= (now + this.#settings.collectMs) as Instant
    return true
  }

  promisedEnough(now: Instant): boolean {
    return this.#promises.size >= this.expect && (this.#promises.size >= this.#peers.length || now >= this.#collectUntil!)
  }

  decide(decision: Decision, now: Instant): void {
    this.#decision = decision
    this.#resendAt = now
  }

  accepted(ballot: Ballot, from: NodeId): boolean {
    if (compareBallots(ballot, this.ballot) !== 0 || !this.#decision) return false
    this.#acceptedBy.add(from)
    return true
  }

  get complete(): boolean {
    return this.#acceptedBy.size >= this.expect
  }

  /** Those to be asked now: all who have not answered the question under way. */
  sent(now: Instant): readonly Peer[] {
    if (this.#resendAt > now) return []
    this.#resendAt = (now + this.#settings.resendMs) as Instant
    if (!this.#promises.has(this.ballot.node)) return this.#peers.filter((peer) => peer.node === this.ballot.node)
    return this.#peers.filter((peer) => !(this.#decision ? this.#acceptedBy.has(peer.node) : this.#promises.has(peer.node)))
  }

  clone(): Proposal {
    const copy = new Proposal(this.ballot, this.expect, this.#peers, (this.endsAt - this.#settings.proposalMs) as Instant, this.#settings)
    copy.#promises = new Map(this.#promises)
    copy.#acceptedBy = new Set(this.#acceptedBy)
    copy.#decision = this.#decision
    copy.#resendAt = this.#resendAt
    copy.#collectUntil = this.#collectUntil
    return copy
  }
}
