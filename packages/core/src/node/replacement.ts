//! What the leader of a shard does about its masters, one step at a time. Urgent things come first:
//!
//!   repair    a master is dead: the next highest becomes learner ──caught up──▶ one joint step swaps it in
//!   grow      fewer than three masters and more nodes: learners ──all caught up──▶ one joint step takes them all in
//!   balance   a node ranks higher than a master, and has for a while: the same path as a repair, throttled
//!   tidy      a learner that nobody needs any more goes
//!
//! Dead means: the leader's own appends went unanswered for `replaceAfter` and membership agrees. A copy that is suspect
//! (below what it acknowledged) comes back on the same node under a new number. Actions name nodes; numbers are the
//! master's affair: a learner's number counts before that of an older copy on the same node.

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

/** How the leader sees the copy on a node. */
export interface PeerProgress {
  /** Since it last answered. */
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
  readonly voters: readonly NodeId[]
  readonly learners: readonly NodeId[]
  progress(node: NodeId): PeerProgress | undefined
  /** Undefined for a node that membership has forgotten. */
  state(node: NodeId): MemberState | undefined
  /** Admitted, eligible and alive. */
  readonly candidates: readonly Candidate[]
  /** Admitted nodes, alive or not: the zones of masters. */
  zone(node: NodeId): string
}

export type ReplacementAction =
  | { readonly kind: 'addLearner' | 'dropLearner'; readonly node: NodeId }
  /** One joint step to these voters; learners among them become voters, all others go. */
  | { readonly kind: 'reconfigure'; readonly voters: readonly NodeId[] }
  /** This node is to go, so another leads first. */
  | { readonly kind: 'transfer' }

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
    const action = this.#repair(view) ?? this.#grow(now, view) ?? this.#balance(now, view) ?? this.#tidy(view)
    if (action === undefined) return undefined
    const text = JSON.stringify(action)
    if (this.#last?.action === text && now < this.#last.at + this.#settings.retryMs) return undefined
    this.#last = { action: text, at: now }
    return action
  }

  // ---- repair ------------------------------------------------------------------------------------------------------

  #repair(view: ShardView): ReplacementAction | undefined {
    const lost = view.voters.filter((node) => node !== view.self && this.#isLost(view, node))
    const first = lost[0]
    if (first === undefined) return undefined
    const again = lost.find((node) => view.progress(node)?.suspect && view.candidates.some((candidate) => candidate.node === node))
    const learners = view.learners.filter((node) => !this.#isGone(view, node))
    const ready = learners.find((node) => (again === undefined || node === again || !view.voters.includes(node)) && view.progress(node)?.caughtUp)
    if (ready !== undefined) {
      const leaving = lost.includes(ready) ? ready : first
      return { kind: 'reconfigure', voters: view.voters.map((node) => (node === leaving ? ready : node)) }
    }
    const gone = view.learners.find((node) => this.#isGone(view, node))
    if (gone !== undefined) return { kind: 'dropLearner', node: gone }
    if (learners.length > 0) return undefined
    const next = again ?? nextMaster(view.shard, this.#asCandidates(view, view.voters.filter((node) => !lost.includes(node))), view.candidates.filter((candidate) => !view.voters.includes(candidate.node)))
    return next === undefined ? undefined : { kind: 'addLearner', node: next }
  }

  /** A voter that has to be replaced. */
  #isLost(view: ShardView, node: NodeId): boolean {
    const progress = view.progress(node)
    if (progress?.suspect) return true
    const state = view.state(node)
    if (state === 'left') return true
    return state !== 'alive' && (progress === undefined || progress.activeAgoMs >= this.#settings.replaceAfterMs)
  }

  /** A learner that is not worth waiting for. */
  #isGone(view: ShardView, node: NodeId): boolean {
    const state = view.state(node)
    return state === 'left' || state === 'dead' || state === undefined
  }

  // ---- grow --------------------------------------------------------------------------------------------------------

  #grow(now: Instant, view: ShardView): ReplacementAction | undefined {
    const missing = MASTERS_MAX - view.voters.length
    const outside = view.candidates.filter((candidate) => !view.voters.includes(candidate.node))
    if (missing <= 0 || outside.length === 0) {
      this.#growableSince = undefined
      return undefined
    }
    this.#growableSince ??= now
    // Two masters survive no more than one does, so where a third may be on its way one step takes both in.
    if (outside.length < missing && now < this.#growableSince + this.#settings.growAloneAfterMs) return undefined
    const learners = view.learners.filter((node) => outside.some((candidate) => candidate.node === node))
    if (learners.length < Math.min(missing, outside.length)) {
      const next = nextMaster(view.shard, this.#asCandidates(view, [...view.voters, ...learners]), outside)
      return next === undefined ? undefined : { kind: 'addLearner', node: next }
    }
    const chosen = learners.slice(0, missing)
    return chosen.every((node) => view.progress(node)?.caughtUp) ? { kind: 'reconfigure', voters: [...view.voters, ...chosen] } : undefined
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
    if (!view.learners.includes(swap.comes)) return view.learners.length === 0 ? { kind: 'addLearner', node: swap.comes } : undefined
    if (!view.progress(swap.comes)?.caughtUp) return undefined
    if (swap.goes === view.self) return { kind: 'transfer' }
    this.#balancedAt = now
    return { kind: 'reconfigure', voters: view.voters.map((node) => (node === swap.goes ? swap.comes : node)) }
  }

  /** Who should come in, and for whom; only where every master is alive, so that repairs go first. */
  #swap(view: ShardView): { readonly comes: NodeId; readonly goes: NodeId } | undefined {
    if (view.voters.some((node) => view.state(node) !== 'alive')) return undefined
    const desired = desiredMasters(view.shard, view.candidates, view.voters.length)
    const comes = desired.find((node) => !view.voters.includes(node))
    const leaving = view.voters.filter((node) => !desired.includes(node))
    // The leader goes last: the others can be swapped without a change of leader.
    const goes = leaving.find((node) => node !== view.self) ?? leaving[0]
    return comes === undefined || goes === undefined ? undefined : { comes, goes }
  }

  // ---- tidy --------------------------------------------------------------------------------------------------------

  #tidy(view: ShardView): ReplacementAction | undefined {
    const wanted = this.#swap(view)?.comes
    const growing = view.voters.length < MASTERS_MAX
    const idle = view.learners.find((node) => this.#isGone(view, node) || (!growing && node !== wanted && view.state(node) === 'alive' && !this.#someSuspect(view)))
    return idle === undefined ? undefined : { kind: 'dropLearner', node: idle }
  }

  /** A master is in doubt but not given up: a learner that was begun for it is kept. */
  #someSuspect(view: ShardView): boolean {
    return view.voters.some((node) => node !== view.self && view.state(node) !== 'alive')
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
