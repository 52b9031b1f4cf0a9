//! What leading a shard obliges to beyond its log: its masters are repaired, drained, grown and balanced
//! (`node/replacement.ts`), and its lead is handed over where this node leads too many.

import type { Now } from '../actor.ts'
import type { ConfigurationChange, Peer, PeerView } from '../master/boundary.ts'
import type { Candidate } from '../node/placement.ts'
import { type Copy, Replacement, type ReplacementSettings, type ShardView } from '../node/replacement.ts'
import { type LedShard, leadsOf, leadToHandOver } from '../node/spread.ts'
import type { MemberState, ShardHint } from '../message/gossip.ts'
import { MASTERS_MAX } from '../message/registry.ts'
import type { NodeId, ShardId } from '../units.ts'
import type { Hosted } from './hosted.ts'

/** How often each led shard is looked at, and one with whose masters all is well: ranking all nodes for each shard is dear. */
const CONSIDER_MS = 100
const CONSIDER_CALM_MS = 1000
/** Leads are spread at leisure: everything else first. */
const SPREAD_MS = 5000

/** What gossip and registry say. */
export interface Surroundings {
  readonly self: NodeId
  readonly candidates: readonly Candidate[]
  /** Draining, and candidates otherwise. */
  readonly reserve: readonly Candidate[]
  readonly hints: readonly ShardHint[]
  state(node: NodeId): MemberState | undefined
  zone(node: NodeId): string
  /** Draining, or struck from the registry. */
  isLeaving(node: NodeId): boolean
}

export class Caretaker {
  readonly #settings: Partial<ReplacementSettings>
  readonly #replacements = new Map<ShardId, Replacement>()
  /** Not before this is a shard looked at again. */
  readonly #calmUntil = new Map<ShardId, number>()
  #considerAt = 0
  #spreadAt = SPREAD_MS

  constructor(settings: Partial<ReplacementSettings>) {
    this.#settings = settings
  }

  get wakeAt(): number {
    return this.#considerAt
  }

  wake(now: Now, led: readonly Hosted[], around: Surroundings): void {
    if (now.monotonic < this.#considerAt) return
    this.#considerAt = led.length === 0 ? Infinity : now.monotonic + CONSIDER_MS
    const due = led.filter(({ shard, master }) => (this.#calmUntil.get(shard) ?? 0) <= now.monotonic || master.seesDoubt)
    if (due.length > 0) {
      // Once for all shards: both walk the registry.
      const { candidates, reserve } = around
      let leads: Map<NodeId, number> | undefined
      // All leads of a node that goes may go in one pass: each is counted, so that they do not all go to one.
      const leadsNow = (): Map<NodeId, number> => (leads ??= leadsOf(around.hints))
      for (const hosted of due) this.#consider(now, hosted, around, { candidates, reserve }, leadsNow)
    }
    if (now.monotonic < this.#spreadAt) return
    this.#spreadAt = now.monotonic + SPREAD_MS
    for (const hosted of led) this.#leaveFullDisk(now, hosted, around)
    this.#spread(now, led, around)
  }

  /** This node leads another shard than before, or one less. */
  ledChanged(now: Now, shard: ShardId): void {
    this.#considerAt = now.monotonic
    this.#calmUntil.delete(shard)
  }

  #consider(now: Now, hosted: Hosted, around: Surroundings, able: Pick<Surroundings, 'candidates' | 'reserve'>, leads: () => Map<NodeId, number>): void {
    const { master, shard } = hosted
    let replacement = this.#replacements.get(shard)
    if (replacement === undefined) {
      replacement = new Replacement(this.#settings)
      this.#replacements.set(shard, replacement)
    }
    const peers = master.peers(now)
    const { configuration } = master
    const settled = master.isSettled && configuration.outgoing === undefined && configuration.epoch === master.configurationCommitted.epoch
    // The leader's own copy is no peer of its own.
    const copyOf = ({ replica, node }: Peer): Copy => peers.find((peer) => peer.replica === replica) ?? { node, activeAgoMs: 0, caughtUp: node === around.self, suspect: false }
    const view: ShardView = {
      shard,
      self: around.self,
      settled,
      voters: configuration.voters.map(copyOf),
      learners: configuration.learners.map(copyOf),
      state: (node) => around.state(node),
      ...able,
      get heirs() {
        const count = (node: NodeId): number => leads().get(node) ?? 0
        return peers.filter((peer) => isReady(peer, around)).map((peer) => peer.node).sort((a, b) => count(a) - count(b))
      },
      zone: (node) => around.zone(node),
      isLeaving: (node) => around.isLeaving(node),
    }
    const action = replacement.consider(now.monotonic, view)
    if (action === undefined) {
      if (isCalm(view)) this.#calmUntil.set(shard, now.monotonic + CONSIDER_CALM_MS)
      return
    }
    if (action.kind === 'transfer') {
      leads().set(action.to, (leads().get(action.to) ?? 0) + 1)
      handOver(now, hosted, action.to)
    } else hosted.input(now, { kind: 'reconfigure', change: changeOf(action, configuration.voters, configuration.learners) })
  }

  /** A leader whose disk is full refuses adds: where another has room it leads, and this one counts as failed. */
  #leaveFullDisk(now: Now, hosted: Hosted, around: Surroundings): void {
    if (hosted.master.hasRoom) return
    const ready = hosted.master.peers(now).filter((peer) => isReady(peer, around))
    const to = ready.find((peer) => !around.isLeaving(peer.node)) ?? ready[0]
    if (to !== undefined) handOver(now, hosted, to.node)
  }

  #spread(now: Now, led: readonly Hosted[], around: Surroundings): void {
    const shards: LedShard[] = led.map(({ shard, master }) => ({
      shard,
      // Who is leaving is given no lead: it would hand it back.
      ready: [around.self, ...master.peers(now).filter((peer) => isReady(peer, around) && !around.isLeaving(peer.node)).map((peer) => peer.node)],
    }))
    const found = leadToHandOver(around.self, shards, around.hints)
    if (found !== undefined) handOver(now, led.find((candidate) => candidate.shard === found.shard)!, found.to)
  }
}

function handOver(now: Now, hosted: Hosted, node: NodeId): void {
  const to = hosted.master.configuration.voters.find((peer) => peer.node === node)
  if (to !== undefined) hosted.input(now, { kind: 'transfer', to: to.replica })
}

/** May lead. */
function isReady(peer: PeerView, around: Surroundings): boolean {
  return !peer.learner && peer.caughtUp && peer.hasRoom && around.state(peer.node) === 'alive'
}

/** Whatever may be done for it can wait a moment. */
function isCalm({ settled, voters, learners, state, isLeaving }: ShardView): boolean {
  return settled && learners.length === 0 && voters.length === MASTERS_MAX && voters.every(({ node, suspect }) => !suspect && state(node) === 'alive' && !isLeaving(node))
}

/** Actions name nodes, changes name copies: a learner's number counts before that of an older copy on the same node. */
function changeOf(action: Exclude<ReturnType<Replacement['consider']>, undefined | { kind: 'transfer' }>, voters: readonly Peer[], learners: readonly Peer[]): ConfigurationChange {
  const copyOn = (node: NodeId): Peer => (learners.find((peer) => peer.node === node) ?? voters.find((peer) => peer.node === node))!
  switch (action.kind) {
    case 'addLearner':
      return { kind: 'learner', node: action.node }
    case 'dropLearner':
      return { kind: 'forgetLearner', replica: learners.find((peer) => peer.node === action.node)!.replica }
    case 'reconfigure':
      return { kind: 'replace', voters: action.voters.map(copyOn) }
  }
}
