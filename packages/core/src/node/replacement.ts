//! What the leader of a shard does about its masters, one step at a time. Urgent things come first:
//!
//!   repair    a master is dead: the next highest becomes learner ──caught up──▶ one joint step swaps it in
//!   drain     a master is leaving: it hands its lead to one that stays, and is swapped for another node by the same path
//!   grow      fewer than three masters and more nodes: learners ──all caught up──▶ one joint step takes them all in
//!   balance   a node ranks higher than a master, and has for a while: the same path as a repair, throttled
//!   tidy      a learner that nobody needs any more goes
//!
//! Dead means: the leader's own appends went unanswered for `replaceAfter` and membership agrees. A copy that is suspect
//! (below what it acknowledged) comes back on the same node under a new number. Actions name nodes; numbers are the
//! master's affair: a learner's number counts before that of an older copy on the same node.
//!
//! Leaving is what an operator wants of a node. It takes no copy on, and gives up what another can take. Where there is no
//! other, as in a cluster of three, it stays a master, and only the leads go; it even steps in for a dead one, since a shard
//! with two live masters is one failure away from standing still.

import { Hash } from '../hash.ts'
import { MASTERS_MAX } from '../message/registry.ts'
import type { MemberState } from '../message/gossip.ts'
import type { Instant, NodeId, ShardId } from '../units.ts'
import { type Candidate, desiredMasters, nextMaster } from './placement.ts'

export interface ReplacementSettings {
  /** 30 s; 1 s in the demo. */
  readonly replaceAfterMs: number
  /** With two masters as the most that could be, growth waits so long for a third. */
  readonly growAloneAfterMs: number
  /** A higher rank must have lasted so long before it takes a place. */
  readonly balanceAfterMs: number
  /** Between two changes for balance. */
  readonly balanceEveryMs: number
  /** An action that changed nothing is tried again after so long. */
  readonly retryMs: number
}

export const replacementSettings: ReplacementSettings = { replaceAfterMs: 30_000, growAloneAfterMs: 5000, balanceAfterMs: 60_000, balanceEveryMs: 30_000, retryMs: 2000 }

/** A copy of the shard as the leader sees it; a node can hold two while a doubted one is replaced by a new one. */
export interface Copy {
  readonly node: NodeId
  /** Since it last answered; 0 of the leader's own. */
  readonly activeAgoMs: number
  /** It has log and payloads up to where the leader was a moment ago. */
  readonly caughtUp: boolean
  /** It is below what it acknowledged, and counts as wiped. */
  readonly suspect: boolean
}

export interface ShardView {
  readonly shard: ShardId
  readonly self: NodeId
  /** False while a change is under way, or before this leader's own term has committed something. */
  readonly settled: boolean
  readonly voters: readonly Copy[]
  readonly learners: readonly Copy[]
  /** Undefined for a node that membership has forgotten. */
  state(node: NodeId): MemberState | undefined
  /** Admitted, eligible, alive, and not leaving. */
  readonly candidates: readonly Candidate[]
  /** Draining, and candidates otherwise: for a repair that nobody else can do. */
  readonly reserve: readonly Candidate[]
  /** Voters that can lead at once, `self` not among them; those that lead least come first. */
  readonly heirs: readonly NodeId[]
  /** Draining, or struck from the registry. */
  isLeaving(node: NodeId): boolean
  /** Admitted nodes, alive or not: the zones of masters. */
  zone(node: NodeId): string
}

export type ReplacementAction =
  | { readonly kind: 'addLearner' | 'dropLearner'; readonly node: NodeId }
  /** One joint step to these voters; learners among them become voters, all others go. */
  | { readonly kind: 'reconfigure'; readonly voters: readonly NodeId[] }
  /** This node is to go, so another leads first. */
  | { readonly kind: 'transfer'; readonly to: NodeId }

/** `wait` where something is under way, and nothing less urgent may touch it. */
type Step = ReplacementAction | 'wait' | undefined

export class Replacement {
  readonly #settings: ReplacementSettings
  #last: { readonly action: string; readonly at: Instant } | undefined
  #growableSince: Instant | undefined
  #balanceSince: { readonly wanted: NodeId; readonly at: Instant } | undefined
  #balancedAt = -Infinity as Instant

  constructor(settings?: Partial<ReplacementSettings>) {
    this.#settings = { ...replacementSettings, ...settings }
  }

  /** At most one action; ask again a few times a second, and whenever something changed. */
  consider(now: Instant, view: ShardView): ReplacementAction | undefined {
    if (!view.settled) return undefined
    const action = dropDoubted(view) ?? this.#repair(view) ?? this.#drain(view) ?? this.#grow(now, view) ?? this.#balance(now, view) ?? this.#tidy(view)
    if (action === undefined || action === 'wait') return undefined
    const text = JSON.stringify(action)
    if (this.#last?.action === text && now < this.#last.at + this.#settings.retryMs) return undefined
    this.#last = { action: text, at: now }
    return action
  }

  // ---- repair ------------------------------------------------------------------------------------------------------

  #repair(view: ShardView): Step {
    const lost = view.voters.filter((voter) => voter.node !== view.self && this.#isLost(view, voter))
    if (lost.length === 0) return undefined
    // A doubted copy comes back on its own node, if that is alive; else, and for a dead master, somebody else steps in.
    const others = outside(view, view.candidates)
    const able = others.length > 0 ? view.candidates : [...view.candidates, ...view.reserve]
    const again = lost.find((voter) => voter.suspect && able.some((candidate) => candidate.node === voter.node))?.node
    return this.#succeed(view, lost, again, others.length > 0 ? others : outside(view, view.reserve))
  }

  /** Another copy in the place of one of `leaving`, the first where it does not matter: on the node `again`, or on the next highest of `others`. */
  #succeed(view: ShardView, leaving: readonly Copy[], again: NodeId | undefined, others: readonly Candidate[]): Step {
    // One that is in doubt just now is worth waiting for, though it is no candidate.
    const mayStay = (node: NodeId): boolean => !view.isLeaving(node) || others.some((candidate) => candidate.node === node)
    const fits = (node: NodeId): boolean => node === again || (!holds(view.voters, node) && mayStay(node))
    const waiting = view.learners.filter((learner) => fits(learner.node) && !this.#isGone(view, learner.node))
    const ready = waiting.find((learner) => learner.caughtUp)
    if (ready) {
      const goes = leaving.find((voter) => voter.node === ready.node) ?? leaving[0]
      return { kind: 'reconfigure', voters: view.voters.map((voter) => (voter === goes ? ready.node : voter.node)) }
    }
    const useless = view.learners.find((learner) => !waiting.includes(learner))
    if (useless) return { kind: 'dropLearner', node: useless.node }
    if (waiting.length > 0) return 'wait'
    const staying = view.voters.filter((voter) => !leaving.includes(voter)).map((voter) => voter.node)
    const next = again ?? nextMaster(view.shard, this.#asCandidates(view, staying), others)
    return next === undefined ? undefined : { kind: 'addLearner', node: next }
  }

  /** A voter that has to be replaced. */
  #isLost(view: ShardView, voter: Copy): boolean {
    if (voter.suspect) return true
    // One that said good-bye too: most nodes that stop are started again, and a deployment that stops one after the other moves no copies.
    return view.state(voter.node) !== 'alive' && voter.activeAgoMs >= this.#settings.replaceAfterMs
  }

  /** A learner that is not worth waiting for. */
  #isGone(view: ShardView, node: NodeId): boolean {
    const state = view.state(node)
    return state === 'left' || state === 'dead' || state === undefined
  }

  // ---- drain -------------------------------------------------------------------------------------------------------

  #drain(view: ShardView): Step {
    const leaving = view.voters.filter((voter) => view.isLeaving(voter.node))
    if (leaving.length === 0) return undefined
    const to = view.isLeaving(view.self) ? view.heirs.find((node) => !view.isLeaving(node)) : undefined
    if (to !== undefined) return { kind: 'transfer', to }
    // The leader goes last: the others can be swapped without a change of leader.
    const isSelf = (voter: Copy): boolean => voter.node === view.self
    return this.#succeed(view, [...leaving.filter((voter) => !isSelf(voter)), ...leaving.filter(isSelf)], undefined, outside(view, view.candidates))
  }

  // ---- grow --------------------------------------------------------------------------------------------------------

  #grow(now: Instant, view: ShardView): ReplacementAction | undefined {
    const missing = MASTERS_MAX - view.voters.length
    const others = outside(view, view.candidates)
    if (missing <= 0 || others.length === 0) {
      this.#growableSince = undefined
      return undefined
    }
    this.#growableSince ??= now
    // Two masters survive no more than one does, so where a third may be on its way one step takes both in.
    if (others.length < missing && now < this.#growableSince + this.#settings.growAloneAfterMs) return undefined
    const learners = view.learners.filter((learner) => others.some((candidate) => candidate.node === learner.node))
    if (learners.length < Math.min(missing, others.length)) {
      const next = nextMaster(view.shard, this.#asCandidates(view, [...view.voters, ...learners].map((copy) => copy.node)), others)
      return next === undefined ? undefined : { kind: 'addLearner', node: next }
    }
    const chosen = learners.slice(0, missing)
    return chosen.every((learner) => learner.caughtUp) ? { kind: 'reconfigure', voters: [...view.voters, ...chosen].map((copy) => copy.node) } : undefined
  }

  // ---- balance -----------------------------------------------------------------------------------------------------

  #balance(now: Instant, view: ShardView): ReplacementAction | undefined {
    const swap = this.#swap(view)
    if (swap === undefined || now < this.#balancedAt + this.#settings.balanceEveryMs) {
      if (swap === undefined) this.#balanceSince = undefined
      return undefined
    }
    if (this.#balanceSince?.wanted !== swap.comes) this.#balanceSince = { wanted: swap.comes, at: now }
    if (now < this.#balanceSince.at + this.#settings.balanceAfterMs) return undefined
    const learner = view.learners.find((copy) => copy.node === swap.comes)
    if (learner === undefined) return view.learners.length === 0 ? { kind: 'addLearner', node: swap.comes } : undefined
    if (!learner.caughtUp) return undefined
    if (swap.goes === view.self) {
      const to = view.heirs.find((node) => !view.isLeaving(node))
      return to && { kind: 'transfer', to }
    }
    this.#balancedAt = now
    return { kind: 'reconfigure', voters: view.voters.map(({ node }) => (node === swap.goes ? swap.comes : node)) }
  }

  /** Who should come in, and for whom; only where every master is alive, so that repairs go first. */
  #swap(view: ShardView): { readonly comes: NodeId; readonly goes: NodeId } | undefined {
    if (!this.#allAlive(view)) return undefined
    const desired = desiredMasters(view.shard, view.candidates, view.voters.length)
    const comes = desired.find((node) => !holds(view.voters, node))
    const leaving = view.voters.filter((voter) => !desired.includes(voter.node))
    // The leader goes last: the others can be swapped without a change of leader.
    const goes = (leaving.find((voter) => voter.node !== view.self) ?? leaving[0])?.node
    return comes === undefined || goes === undefined ? undefined : { comes, goes }
  }

  // ---- tidy --------------------------------------------------------------------------------------------------------

  #tidy(view: ShardView): ReplacementAction | undefined {
    const wanted = this.#swap(view)?.comes
    // While a master is in doubt but not given up, a learner that was begun for it is kept.
    const needless = view.voters.length >= MASTERS_MAX && this.#allAlive(view)
    const idle = view.learners.find(({ node }) => this.#isGone(view, node) || (needless && node !== wanted))
    return idle && { kind: 'dropLearner', node: idle.node }
  }

  #allAlive(view: ShardView): boolean {
    return view.voters.every((voter) => view.state(voter.node) === 'alive')
  }

  #asCandidates(view: ShardView, nodes: readonly NodeId[]): readonly Candidate[] {
    return nodes.map((node) => view.candidates.find((candidate) => candidate.node === node) ?? { node, value: 0, zone: view.zone(node) })
  }

  clone(): Replacement {
    const copy = new Replacement(this.#settings)
    copy.#last = this.#last
    copy.#growableSince = this.#growableSince
    copy.#balanceSince = this.#balanceSince
    copy.#balancedAt = this.#balancedAt
    return copy
  }

  digest(): string {
    return new Hash().text(JSON.stringify([this.#last, this.#growableSince, this.#balanceSince, this.#balancedAt])).digest()
  }
}

/** A learner whose copy was lost, or was given up under that number before: it never becomes a master, and is not worth waiting for. */
function dropDoubted(view: ShardView): Step {
  const doubted = view.learners.find((learner) => learner.suspect)
  return doubted && { kind: 'dropLearner', node: doubted.node }
}

function holds(copies: readonly Copy[], node: NodeId): boolean {
  return copies.some((copy) => copy.node === node)
}

/** Those of `nodes` that are no masters. */
function outside(view: ShardView, nodes: readonly Candidate[]): readonly Candidate[] {
  return nodes.filter((candidate) => !holds(view.voters, candidate.node))
}
