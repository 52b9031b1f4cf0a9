//! How a cluster comes to be: single-decree Paxos among nodes that belong to none.
//!
//!   fresh ──enough fresh nodes in sight──▶ prepare ▶ promise (durable) ▶ accept ▶ accepted (durable) ──quorum──▶ decided
//!     │                                                                                                           ▲
//!     ├── meets a founded node: the right to found ends, durably ──▶ joining ──asks what was decided, or is admitted┘
//!
//! The quorum is `expect` distinct nodes, so two quorums share a node as long as there are fewer than 2 x expect fresh
//! ones; with that many in sight nobody promises, and the log says so. Ballots are (round, value, node), the round raised on
//! refusal, so a dead proposer blocks nobody. A promise binds `expect`: a node that was started with another number is
//! refused rather than counted. What is decided: the cluster's id, and its first masters, the highest values among those
//! who promised. Every node is acceptor and may be proposer; to itself it speaks as to the others.

import type { Actor, Now } from '../actor.ts'
import { assert } from '../assert.ts'
import { Hash } from '../hash.ts'
import { type Ballot, type Decision, type FoundingMessage, FoundingRefusal } from '../message/gossip.ts'
import type { Random } from '../random.ts'
import { type Address, clusterId, type Instant, never, type NodeId } from '../units.ts'
import { Acceptor, type Standing } from './acceptor.ts'
import { compareBallots, firstMasters, newDecision, standingDecision, tied } from './ballot.ts'
import { type FoundingInput, type FoundingOptions, type FoundingOutbox, type FoundingSettings, foundingSettings } from './founding-boundary.ts'
import { drawValue, type IdentityChanges } from './identity.ts'
import type { IdentityState } from './identity-file.ts'
import { Proposal } from './proposal.ts'
import { isInSight, Sight } from './sight.ts'

export type { FoundingInput, FoundingOptions, FoundingOutbox, FoundingSettings } from './founding-boundary.ts'

type Stage = 'idle' | 'fresh' | 'joining' | 'member'
type Effect =
  | { readonly kind: 'reply'; readonly to: Address; readonly message: FoundingMessage }
  | { readonly kind: 'decided'; readonly decision: Decision }
  | { readonly kind: 'ended' }
  | { readonly kind: 'redrawn'; readonly value: number }

/** Answers that wait for the disk; whoever is not answered asks again. */
const WAITING_MAX = 256

export class Founding implements Actor<FoundingInput, FoundingOutbox> {
  readonly #options: FoundingOptions
  readonly #settings: FoundingSettings
  readonly #random: Random
  #stage: Stage = 'idle'
  #value = 0
  #acceptor: Acceptor
  #scanned: boolean
  #sight = new Sight()
  #proposal: Proposal | undefined
  #round = 0
  #tries = 0
  #proposeAt: Instant = never
  #inquireAt: Instant = never
  #announceAt: Instant = never
  #announceUntil: Instant = never
  #ticket = 0
  #saved = 0
  #waiting: { readonly ticket: number; readonly effect: Effect }[] = []
  #said: string[] = []

  constructor(options: FoundingOptions) {
    this.#options = options
    this.#settings = { ...foundingSettings, ...options.settings }
    this.#random = options.random
    this.#acceptor = new Acceptor(options.expect)
    this.#scanned = options.alone
  }

  /** May still found: what this node's member record says as `expect`. */
  get expect(): number {
    return this.#stage === 'fresh' ? this.#options.expect : 0
  }

  get wakeAt(): Instant {
    return Math.min(this.#proposeAt, this.#proposal?.wakeAt ?? never, this.#inquireAt, this.#announceAt) as Instant
  }

  // ---- inputs ------------------------------------------------------------------------------------------------------

  receive(now: Now, input: FoundingInput, outbox: FoundingOutbox): void {
    switch (input.kind) {
      case 'start':
        return this.#start(now, input.identity, outbox)
      case 'scanned':
        this.#scanned = true
        return this.#consider(now, outbox)
      case 'member':
        if (input.member.node === this.#options.node) return
        this.#sight.put(input.member)
        if (isInSight(input.member) && input.member.clusterId !== undefined) return this.#meetFounded(now, input.member.clusterId, outbox)
        return this.#consider(now, outbox)
      case 'datagram':
        if (this.#stage === 'idle') return
        if (input.sender.clusterId !== undefined && input.message.kind !== 'decided') this.#meetFounded(now, input.sender.clusterId, outbox)
        return this.#message(now, input.sender.node, input.sender.address, input.message, outbox)
      case 'saved':
        return this.#onSaved(now, input.ticket, outbox)
      case 'admitted':
        this.#stage = 'member'
        this.#rest()
        return
      default:
        input satisfies never
    }
  }

  #start(now: Now, identity: IdentityState, outbox: FoundingOutbox): void {
    const { expect } = this.#options
    this.#value = identity.value
    this.#acceptor.state = identity.founding
    this.#round = identity.founding.promised?.round ?? 0
    if (identity.clusterId !== undefined) this.#stage = 'member'
    else if (identity.founding.ended || expect === 0) this.#stage = 'joining'
    else this.#stage = 'fresh'
    if (this.#stage === 'joining') {
      if (expect > 0) this.#inquireAt = now.monotonic
      outbox.ended()
    }
    if (this.#stage === 'fresh' && this.#acceptor.isBoundElsewhere) {
      this.#say('error', `this node has promised to found with expect ${this.#acceptor.state.expect}, but was started with ${expect}: start it with ${this.#acceptor.state.expect}`, outbox)
    }
    this.#consider(now, outbox)
  }

  #message(now: Now, from: NodeId, address: Address, message: FoundingMessage, outbox: FoundingOutbox): void {
    if (message.kind === 'decided') return this.#learn(now, message.decision, outbox)
    if (this.#stage === 'member') {
      const { decided } = this.#acceptor.state
      if (decided && message.kind !== 'redraw') this.#send(now, address, { kind: 'decided', decision: decided }, outbox)
      return
    }
    switch (message.kind) {
      case 'prepare':
        return this.#prepared(now, address, message.ballot, message.expect, outbox)
      case 'accept':
        return this.#asked(now, address, message.ballot, message.expect, message.decision, outbox)
      case 'promise':
        if (!this.#proposal?.promise(now.monotonic, message.ballot, { node: from, address: message.address, value: message.value, eligible: message.eligible, accepted: message.accepted })) return
        return this.#advance(now, outbox)
      case 'accepted':
        if (!this.#proposal?.accepted(message.ballot, from)) return
        return this.#advance(now, outbox)
      case 'refused':
        return this.#refused(now, address, message, outbox)
      case 'redraw':
        if (this.#stage === 'fresh' && message.value === this.#value) this.#redraw(outbox)
        return
      case 'inquire':
        return
      default:
        message satisfies never
    }
  }

  // ---- acceptor ----------------------------------------------------------------------------------------------------

  get #standing(): Standing {
    return { fresh: this.#stage === 'fresh', tooMany: this.#tooMany }
  }

  #prepared(now: Now, from: Address, ballot: Ballot, expect: number, outbox: FoundingOutbox): void {
    const refusal = this.#acceptor.refusal(ballot, expect, this.#standing)
    if (refusal) return this.#send(now, from, refusal, outbox)
    if (this.#acceptor.promise(ballot, expect)) this.#save({ founding: this.#acceptor.state }, outbox)
    this.#yieldTo(now, ballot)
    const { address, eligible } = this.#options
    this.#whenSaved(now, { kind: 'reply', to: from, message: { kind: 'promise', ballot, expect, value: this.#value, eligible, address, accepted: this.#acceptor.state.accepted } }, outbox)
  }

  #asked(now: Now, from: Address, ballot: Ballot, expect: number, decision: Decision, outbox: FoundingOutbox): void {
    const refusal = this.#acceptor.refusal(ballot, expect, this.#standing)
    if (refusal) return this.#send(now, from, refusal, outbox)
    if (this.#acceptor.accept(ballot, expect, decision)) this.#save({ founding: this.#acceptor.state }, outbox)
    this.#yieldTo(now, ballot)
    this.#whenSaved(now, { kind: 'reply', to: from, message: { kind: 'accepted', ballot } }, outbox)
  }

  /** Somebody else's higher ballot is under way: it gets the time it needs. */
  #yieldTo(now: Now, ballot: Ballot): void {
    this.#round = Math.max(this.#round, ballot.round)
    if (ballot.node === this.#options.node) return
    if (this.#proposal && compareBallots(ballot, this.#proposal.ballot) > 0) this.#proposal = undefined
    if (!this.#proposal) this.#proposeAt = this.#later(now, this.#settings.proposalMs + this.#random.below(this.#settings.proposalMs))
  }

  // ---- proposer ----------------------------------------------------------------------------------------------------

  get #tooMany(): boolean {
    return !this.#options.alone && this.#sight.founders.length + 1 >= 2 * this.#options.expect
  }

  /** Decides whether to propose, and when; on every change of what is in sight. */
  #consider(now: Now, outbox: FoundingOutbox): void {
    if (!this.#mayPropose(outbox)) {
      this.#proposeAt = never
      return
    }
    if (this.#proposal || this.#proposeAt !== never) return
    const above = this.#sight.founders.filter((member) => member.value > this.#value).length
    const stagger = above * this.#settings.staggerMs + this.#random.below(this.#settings.staggerMs)
    this.#proposeAt = this.#options.alone ? now.monotonic : this.#later(now, this.#settings.settleMs + stagger)
  }

  #mayPropose(outbox: FoundingOutbox): boolean {
    const { expect } = this.#options
    if (this.#stage !== 'fresh' || !this.#scanned || this.#acceptor.isBoundElsewhere) return false
    const founders = this.#sight.founders
    const other = founders.find((member) => member.expect !== expect)
    if (other) this.#say('error', `${other.address} was started with expect ${other.expect}, this node with ${expect}: all nodes that found a cluster need the same number`, outbox)
    if (this.#tooMany) {
      this.#say('error', `${founders.length + 1} nodes without a cluster are in sight, expect is ${expect}: with twice as many two clusters could arise, so nobody founds; start all but ${2 * expect - 1} of them with join, or raise expect`, outbox)
      return false
    }
    return founders.filter((member) => member.expect === expect).length + 1 >= expect
  }

  #propose(now: Now, outbox: FoundingOutbox): void {
    this.#proposeAt = never
    if (!this.#mayPropose(outbox)) return
    const { node, expect, address } = this.#options
    const ballot = { round: ++this.#round, value: this.#value, node }
    const peers = [{ node, address }, ...this.#sight.founders.filter((member) => member.expect === expect).map((member) => ({ node: member.node, address: member.address }))]
    this.#proposal = new Proposal(ballot, expect, peers, now.monotonic, this.#settings)
    this.#ship(now, outbox)
  }

  /** Asks those who have not answered. */
  #ship(now: Now, outbox: FoundingOutbox): void {
    const proposal = this.#proposal
    if (!proposal) return
    const { ballot, expect, decision } = proposal
    for (const peer of proposal.sent(now.monotonic)) {
      const message: FoundingMessage = decision ? { kind: 'accept', ballot, expect, decision } : { kind: 'prepare', ballot, expect }
      this.#send(now, peer.address, message, outbox)
      if (this.#proposal !== proposal || proposal.decision !== decision) return
    }
  }

  #advance(now: Now, outbox: FoundingOutbox): void {
    const proposal = this.#proposal
    if (!proposal) return
    if (proposal.complete) return this.#decide(proposal.decision!, outbox)
    if (!proposal.decision && proposal.promisedEnough(now.monotonic)) this.#choose(now, proposal, outbox)
  }

  #choose(now: Now, proposal: Proposal, outbox: FoundingOutbox): void {
    const { promises } = proposal
    const standing = standingDecision(promises)
    const equal = standing ? [] : tied(promises)
    if (equal.length > 0) {
      for (const one of equal) this.#send(now, one.address, { kind: 'redraw', value: one.value }, outbox)
      return this.#giveUp(now)
    }
    if (!standing && firstMasters(promises, proposal.expect).length === 0) {
      this.#say('error', 'none of the nodes in sight may be master: start at least one that keeps its data', outbox)
      return this.#giveUp(now)
    }
    proposal.decide(standing ?? newDecision(promises, proposal.expect, clusterId(this.#random.hex(128))), now.monotonic)
    this.#ship(now, outbox)
  }

  #refused(now: Now, from: Address, message: Extract<FoundingMessage, { kind: 'refused' }>, outbox: FoundingOutbox): void {
    if (!this.#proposal || compareBallots(message.ballot, this.#proposal.ballot) !== 0) return
    if (message.reason === FoundingRefusal.lowBallot && message.promised) {
      this.#round = Math.max(this.#round, message.promised.round)
      return this.#giveUp(now)
    }
    if (message.reason === FoundingRefusal.otherExpect) this.#say('error', `${from} founds with expect ${message.expect}, this node with ${this.#options.expect}: all nodes that found a cluster need the same number`, outbox)
    if (message.reason === FoundingRefusal.tooMany) this.#say('error', `${from} sees twice as many nodes without a cluster as expect says: nobody founds`, outbox)
  }

  #giveUp(now: Now): void {
    this.#proposal = undefined
    const most = Math.min(this.#settings.backoffMs, this.#settings.settleMs * 2 ** ++this.#tries)
    this.#proposeAt = this.#later(now, this.#settings.settleMs / 2 + this.#random.below(most))
  }

  // ---- outcomes ----------------------------------------------------------------------------------------------------

  /** A quorum has accepted it, or somebody says so who saw it. */
  #decide(decision: Decision, outbox: FoundingOutbox): void {
    this.#stage = 'member'
    this.#rest()
    this.#save({ clusterId: decision.clusterId, founding: { ...this.#acceptor.state, decided: decision } }, outbox)
    this.#waiting.push({ ticket: this.#ticket, effect: { kind: 'decided', decision } })
  }

  #learn(now: Now, decision: Decision, outbox: FoundingOutbox): void {
    if (this.#stage === 'fresh' || (this.#stage === 'joining' && this.#options.expect > 0)) return this.#decide(decision, outbox)
    if (this.#stage === 'joining') this.#meetFounded(now, decision.clusterId, outbox)
  }

  #meetFounded(now: Now, met: Decision['clusterId'], outbox: FoundingOutbox): void {
    if (this.#stage !== 'fresh') return
    const { accepted } = this.#acceptor.state
    // Its id was drawn for the one decision that this node accepted: so that is what was decided.
    if (accepted?.decision.clusterId === met) return this.#decide(accepted.decision, outbox)
    this.#stage = 'joining'
    this.#rest()
    this.#inquireAt = now.monotonic
    this.#save({ founding: { ...this.#acceptor.state, ended: true } }, outbox)
    this.#waiting.push({ ticket: this.#ticket, effect: { kind: 'ended' } })
  }

  #redraw(outbox: FoundingOutbox): void {
    this.#value = drawValue(this.#random, this.#options.valueBits)
    this.#save({ value: this.#value }, outbox)
    this.#waiting.push({ ticket: this.#ticket, effect: { kind: 'redrawn', value: this.#value } })
  }

  #rest(): void {
    this.#proposal = undefined
    this.#proposeAt = never
    this.#inquireAt = never
  }

  // ---- time --------------------------------------------------------------------------------------------------------

  wake(now: Now, outbox: FoundingOutbox): void {
    if (this.#proposeAt <= now.monotonic) this.#propose(now, outbox)
    const proposal = this.#proposal
    if (proposal && proposal.wakeAt <= now.monotonic) {
      if (proposal.endsAt <= now.monotonic) this.#giveUp(now)
      else {
        this.#advance(now, outbox)
        this.#ship(now, outbox)
      }
    }
    if (this.#inquireAt <= now.monotonic) this.#inquire(now, outbox)
    if (this.#announceAt <= now.monotonic) this.#announce(now, outbox)
  }

  #inquire(now: Now, outbox: FoundingOutbox): void {
    this.#inquireAt = this.#later(now, this.#settings.inquireMs)
    const { founded } = this.#sight
    if (founded.length > 0) outbox.datagram(this.#random.pick(founded).address, { kind: 'inquire' })
  }

  #announce(now: Now, outbox: FoundingOutbox): void {
    const { decided } = this.#acceptor.state
    this.#announceAt = now.monotonic < this.#announceUntil ? this.#later(now, this.#settings.announceMs) : never
    if (decided) for (const member of this.#sight.founders) outbox.datagram(member.address, { kind: 'decided', decision: decided })
  }

  // ---- the disk ----------------------------------------------------------------------------------------------------

  #save(changes: IdentityChanges, outbox: FoundingOutbox): void {
    if (changes.founding) this.#acceptor.state = changes.founding
    outbox.save(++this.#ticket, changes)
  }

  /** What is said leaves when everything saved so far is durable. */
  #whenSaved(now: Now, effect: Extract<Effect, { kind: 'reply' }>, outbox: FoundingOutbox): void {
    if (this.#saved === this.#ticket) return this.#send(now, effect.to, effect.message, outbox)
    if (this.#waiting.length < WAITING_MAX) this.#waiting.push({ ticket: this.#ticket, effect })
  }

  #onSaved(now: Now, ticket: number, outbox: FoundingOutbox): void {
    assert(ticket > this.#saved && ticket <= this.#ticket, 'saves are answered in their order')
    this.#saved = ticket
    const due = this.#waiting.filter((item) => item.ticket <= ticket)
    this.#waiting = this.#waiting.filter((item) => item.ticket > ticket)
    for (const { effect } of due) this.#perform(now, effect, outbox)
  }

  #perform(now: Now, effect: Effect, outbox: FoundingOutbox): void {
    switch (effect.kind) {
      case 'reply':
        return this.#send(now, effect.to, effect.message, outbox)
      case 'decided':
        this.#announceAt = now.monotonic
        this.#announceUntil = this.#later(now, this.#settings.announceForMs)
        return outbox.decided(effect.decision)
      case 'ended':
        return outbox.ended()
      case 'redrawn':
        return outbox.redrawn(effect.value)
      default:
        effect satisfies never
    }
  }

  /** To itself a node speaks without the network. */
  #send(now: Now, to: Address, message: FoundingMessage, outbox: FoundingOutbox): void {
    if (to === this.#options.address) this.#message(now, this.#options.node, to, message, outbox)
    else outbox.datagram(to, message)
  }

  #say(level: 'warning' | 'error', text: string, outbox: FoundingOutbox): void {
    if (this.#said.includes(text) || this.#said.length >= SAID_MAX) return
    this.#said.push(text)
    outbox.log(level, text)
  }

  #later(now: Now, ms: number): Instant {
    return (now.monotonic + ms) as Instant
  }

  clone(): this {
    const copy = new Founding({ ...this.#options, random: this.#random.clone() })
    copy.#stage = this.#stage
    copy.#value = this.#value
    copy.#acceptor = this.#acceptor.clone()
    copy.#scanned = this.#scanned
    copy.#sight = this.#sight.clone()
    copy.#proposal = this.#proposal?.clone()
    copy.#round = this.#round
    copy.#tries = this.#tries
    copy.#proposeAt = this.#proposeAt
    copy.#inquireAt = this.#inquireAt
    copy.#announceAt = this.#announceAt
    copy.#announceUntil = this.#announceUntil
    copy.#ticket = this.#ticket
    copy.#saved = this.#saved
    copy.#waiting = [...this.#waiting]
    copy.#said = [...this.#said]
    return copy as this
  }

  digest(): string {
    return new Hash().text(this.#stage).number(this.#value).number(this.#round).number(this.#ticket).number(this.#saved).number(this.wakeAt).text(JSON.stringify(this.#acceptor.state)).digest()
  }
}

/** Different sentences; each is said once. */
const SAID_MAX = 64
