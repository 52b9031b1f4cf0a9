//! What is left of a node's shards on its disk, read while the node is down, for an operator who has lost the other masters; and the
//! decision to go on with that, written down for the node's next start to carry out (`revival.ts`).
//!
//!   identity ─▶ journal, as a start would find it ─▶ one finding a copy ──decide──▶ identity, both slots, durable
//!
//! Reading changes nothing on the disk.

import type { Now } from '../actor.ts'
import { assert } from '../assert.ts'
import type { DeviceAnswer, DeviceOutbox } from '../device.ts'
import { SEGMENT_BYTES } from '../journal/journal.ts'
import type { RecoveredShard } from '../journal/rebuild.ts'
import { Recoverer } from '../journal/recovery.ts'
import { Segments } from '../journal/segments.ts'
import { Master } from '../master/master.ts'
import { defaultMasterSettings } from '../master/settings.ts'
import { readSmall } from '../message/image.ts'
import type { NodeRecord } from '../message/registry.ts'
import { Identity, type IdentityOutbox } from '../node/identity.ts'
import { IdentityReader, type IdentityState, readIdentity, type RecoveryDecision } from '../node/identity-file.ts'
import type { Random } from '../random.ts'
import { RECOVERIES_MAX, recoveryOf, recoveryOfIndex } from '../recovery-epoch.ts'
import { Registry } from '../registry/registry.ts'
import { type Epoch, type LogIndex, type NodeId, REGISTRY_SHARD, type ReplicaNumber, type ShardId, type Term } from '../units.ts'
import { isRetired, lossOf } from './copies.ts'
import { copyOf } from './recovered.ts'

/** A copy of a shard as it lies on the disk. */
export interface CopyFinding {
  readonly shard: ShardId
  readonly replica: ReplicaNumber
  readonly term: Term
  /** Of its configuration, and how often the shard was recovered before. */
  readonly epoch: Epoch
  readonly recovery: number
  readonly last: LogIndex
  /** Up to here it knows its entries to be committed; those behind would become committed. */
  readonly commit: LogIndex
  readonly voters: readonly NodeId[]
  /** Who has a say beside this node, in the configuration in force. */
  readonly others: readonly NodeId[]
  /**
   * Sets of nodes of which a majority has a say: of the configuration in force, and of the one before it, which may be in force elsewhere; a joint
   * one has two. Those before are of the past: a change is begun when the one before it is committed.
   */
  readonly electorates: readonly (readonly (readonly NodeId[])[])[]
  readonly learners: readonly NodeId[]
  /** Why the shard cannot be recovered from this copy, whoever else is lost; undefined where it can. */
  readonly obstacle: 'damaged' | 'empty' | 'noMaster' | 'onlyMaster' | 'tooOften' | 'olderGeneration' | undefined
}

export interface Findings {
  readonly identity: IdentityState
  readonly copies: readonly CopyFinding[]
  /** Nodes as this one's own copy of the registry has them, which may be an old one; none where it holds none. */
  readonly nodes: readonly NodeRecord[]
}

export type SalvageInput =
  | { readonly kind: 'start' }
  | { readonly kind: 'device'; readonly answer: DeviceAnswer }
  /** Once there are findings. */
  | { readonly kind: 'decide'; readonly decision: RecoveryDecision }

export interface SalvageOutbox extends DeviceOutbox {
  found(findings: Findings): void
  /** Durable: the next start carries it out. */
  decided(): void
  /** One line that says what to do; nothing was changed. */
  failed(reason: string): void
}

export class Salvage {
  readonly #random: Random
  readonly #recoverer: Recoverer
  readonly #reader = new IdentityReader()
  #request = 0
  #stage: 'identity' | 'journal' | 'found' | 'deciding' | 'decided' | 'failed' = 'identity'
  #state: IdentityState | undefined
  #identity: Identity | undefined
  #decision: RecoveryDecision | undefined

  constructor(options: { readonly random: Random }) {
    this.#random = options.random
    this.#recoverer = new Recoverer(new Segments(SEGMENT_BYTES), SEGMENT_BYTES, () => ++this.#request)
  }

  receive(now: Now, input: SalvageInput, outbox: SalvageOutbox): void {
    switch (input.kind) {
      case 'start':
        return outbox.device(this.#reader.start(++this.#request))
      case 'device':
        if (this.#stage === 'identity') return this.#identified(input.answer, outbox)
        if (this.#stage === 'journal') return this.#scan(now, input.answer, outbox)
        return this.#identity?.receive(now, { kind: 'device', answer: input.answer }, this.#identityOutbox(now, outbox))
      case 'decide':
        return this.#decide(now, input.decision, outbox)
      default:
        input satisfies never
    }
  }

  #identified(answer: DeviceAnswer, outbox: SalvageOutbox): void {
    const next = this.#reader.answer(answer, this.#request + 1)
    if (next !== undefined) {
      this.#request = next.request
      return outbox.device(next)
    }
    if (this.#reader.bytes === undefined) return this.#fail('the file identity cannot be read: restore the data directory from a backup', outbox)
    const found = readIdentity(this.#reader.bytes)
    if (found === 'none') return this.#fail('there is no node here: give the data directory of a node that was a master', outbox)
    if (typeof found === 'string') return this.#fail(found, outbox)
    this.#state = found.state
    if (found.state.clusterId === undefined) return this.#fail('this node belongs to no cluster: there is nothing to recover', outbox)
    if (found.state.recovery !== undefined) return this.#fail('a recovery was decided before and is not confirmed yet: start the node, it carries that out', outbox)
    this.#stage = 'journal'
    outbox.device(this.#recoverer.start())
  }

  #scan(now: Now, answer: DeviceAnswer, outbox: SalvageOutbox): void {
    const request = this.#recoverer.answer(answer)
    if (request !== undefined) outbox.device(request)
    const { failure, result } = this.#recoverer
    if (failure !== undefined) return this.#fail(failure, outbox)
    if (result === undefined) return
    const loss = lossOf(result.journal)
    if (loss !== undefined) return this.#fail(`${loss}: nothing can be recovered from here; restore the data directory from a backup`, outbox)
    this.#stage = 'found'
    const { shards } = result.journal
    const registry = shards.find(({ shard }) => shard === REGISTRY_SHARD)?.snapshot
    const copies = shards.filter((shard) => !isRetired(shard)).map((shard) => this.#finding(now, shard))
    outbox.found({ identity: this.#state!, copies, nodes: registry === undefined ? [] : Registry.restore(readSmall(registry.pieces)).nodes })
  }

  /** By what a master would make of it. */
  #finding(now: Now, recovered: RecoveredShard): CopyFinding {
    const { shard, hardState, snapshot, first, last, suspect } = recovered
    const self = { replica: hardState?.self ?? (0 as ReplicaNumber), node: this.#state!.nodeId }
    const reader = { freeBytes: Infinity, reserveBytes: 0, entries: () => undefined }
    const master = new Master({ shard, self, settings: defaultMasterSettings, random: this.#random, reader, now, recovered: copyOf(recovered) })
    const recovery = Math.max(recoveryOf(master.term), recoveryOfIndex(snapshot?.index ?? (0 as LogIndex)))
    const { voters: inForce, outgoing } = master.configuration
    const others = nodesOf([...inForce, ...(outgoing ?? [])]).filter((node) => node !== self.node)
    const obstacle = (): CopyFinding['obstacle'] => {
      if (suspect) return 'damaged'
      if (hardState === undefined || (snapshot === undefined && (first !== 1 || last < first))) return 'empty'
      if (!master.voters.some(({ replica, node }) => replica === self.replica && node === self.node)) return 'noMaster'
      if (others.length === 0) return 'onlyMaster'
      if (recovery >= RECOVERIES_MAX) return 'tooOften'
      return shard === REGISTRY_SHARD && recovery !== this.#state!.generation - 1 ? 'olderGeneration' : undefined
    }
    return {
      shard, replica: self.replica, term: master.term, epoch: master.configuration.epoch, recovery, last, commit: master.commitIndex,
      voters: nodesOf(inForce), others, electorates: master.configurations.slice(-2).map((each) => (each.outgoing === undefined ? [nodesOf(each.voters)] : [nodesOf(each.voters), nodesOf(each.outgoing)])), learners: master.configuration.learners.map(({ node }) => node), obstacle: obstacle(),
    }
  }

  #decide(now: Now, decision: RecoveryDecision, outbox: SalvageOutbox): void {
    assert(this.#stage === 'found', 'what is decided about was found before')
    this.#stage = 'deciding'
    this.#decision = decision
    this.#identity = new Identity({ cluster: this.#state!.cluster, random: this.#random })
    this.#identity.receive(now, { kind: 'start' }, this.#identityOutbox(now, outbox))
  }

  #identityOutbox(now: Now, outbox: SalvageOutbox): IdentityOutbox {
    return {
      device: (request) => outbox.device(request),
      loaded: ({ generation }) => {
        const decision = this.#decision!
        const isRegistry = decision.shards.some(({ shard }) => shard === REGISTRY_SHARD)
        this.#identity!.receive(now, { kind: 'save', user: 'recovery', ticket: 0, changes: { recovery: decision, generation: isRegistry ? generation + 1 : generation } }, this.#identityOutbox(now, outbox))
      },
      saved: () => {
        this.#stage = 'decided'
        outbox.decided()
      },
      refused: (reason) => this.#fail(reason, outbox),
      failed: (reason) => this.#fail(reason, outbox),
    }
  }

  #fail(reason: string, outbox: SalvageOutbox): void {
    this.#stage = 'failed'
    outbox.failed(reason)
  }
}

/**
 * Who of those that have a say beside this node is not lost: then the shard is not recovered from here. Of a configuration before the one in
 * force only those count that could go on without whoever is lost.
 */
export function remainingOf({ others, electorates }: CopyFinding, destroyed: readonly NodeId[]): readonly NodeId[] {
  const left = (nodes: readonly NodeId[]): readonly NodeId[] => nodes.filter((node) => !destroyed.includes(node))
  const able = electorates.filter((sets) => sets.every((nodes) => left(nodes).length * 2 > nodes.length))
  return [...new Set([...left(others), ...able.flatMap((sets) => sets.flatMap(left))])]
}

/** What is decided where each of these copies becomes its shard's only master. */
export function decisionOf(copies: readonly CopyFinding[], destroyed: readonly NodeId[]): RecoveryDecision {
  return { destroyed: [...destroyed], shards: copies.map(({ shard, recovery }) => ({ shard, recovery: recovery + 1 })) }
}

function nodesOf(peers: readonly { readonly node: NodeId }[]): readonly NodeId[] {
  return [...new Set(peers.map(({ node }) => node))]
}
