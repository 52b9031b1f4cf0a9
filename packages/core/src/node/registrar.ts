//! The registry's leader at its desk: takes what nodes ask for into the log, hands on what it cannot take, tells outcomes,
//! and writes by itself what nobody asks for: the founding, and births of shards that topics wait for.
//!
//! A shard's first masters are chosen here, among live, eligible, admitted nodes, and go into the entry: so every node that
//! applies it agrees, whatever it believes about who lives, and whatever its version thinks of ranks. So too a node is struck:
//! whether it lives or is still a master is judged here, and then it is a fact of the log.

import type { Actor, Now } from '../actor.ts'
import { assert } from '../assert.ts'
import { Hash } from '../hash.ts'
import { Code } from '../message/command.ts'
import type { Decision } from '../message/gossip.ts'
import { MalformedMessage, type MessageOf } from '../message/layout.ts'
import { type Birth, isRegistryTag, RegistryCode, registryCommand, type RegistryEntry, registryLogTable, type RegistryMessage } from '../message/registry.ts'
import { type ClusterId, type Instant, type LeaseTime, never, type NodeId, type ShardId, type WallTime } from '../units.ts'
import { type Candidate, desiredMasters } from './placement.ts'

/** What the desk needs of the registry. */
export interface RegistryDesk {
  readonly clusterId: ClusterId | undefined
  readonly unborn: readonly ShardId[]
  isDraining(node: NodeId): boolean
  isStruck(node: NodeId): boolean
  isDestroyed(node: NodeId): boolean
  birthsFor(partitions: number): readonly ShardId[]
}

export interface RegistrarView {
  readonly registry: RegistryDesk
  /** Admitted, eligible and alive, and not draining. */
  readonly candidates: readonly Candidate[]
  /** Those that are draining, and candidates otherwise: a shard that is born with too few masters would refuse adds. */
  readonly reserve: readonly Candidate[]
  /** As far as gossip tells. */
  isLive(node: NodeId): boolean
  /** Whether it is among the masters of some shard, as far as hints tell, and births where there are none. */
  isMaster(node: NodeId): boolean
  /** What this node learned when its cluster was founded. */
  readonly decision: Decision | undefined
  readonly generation: number
}

export type RegistrarInput =
  | { readonly kind: 'command'; readonly from: NodeId; readonly message: MessageOf<typeof registryCommand>; readonly view: RegistrarView }
  /** `proposable` where this node leads and a quorum is in reach. */
  | { readonly kind: 'role'; readonly leading: boolean; readonly leader: NodeId | undefined; readonly proposable: boolean }
  /** An outcome, as the registry's `apply` gives it. */
  | { readonly kind: 'outcome'; readonly origin: NodeId; readonly request: number; readonly code: number; readonly body: Uint8Array }
  /** A few times a second while leading. */
  | { readonly kind: 'tend'; readonly view: RegistrarView }

export interface RegistrarOutbox {
  /** An entry for shard 0's log; the master stamps it. */
  propose(entry: Uint8Array): void
  /** To this very node too. */
  send(to: NodeId, message: RegistryMessage): void
}

export interface RegistrarSettings {
  /** A shard is born with as many masters as this; `min(3, expect)`. */
  readonly mastersWanted: number
  /** After so long with fewer in sight it is born with those. */
  readonly birthPatienceMs: number
  /** What was proposed but has not been applied by then is proposed again. */
  readonly repeatMs: number
}

export const registrarSettings: RegistrarSettings = { mastersWanted: 3, birthPatienceMs: 5000, repeatMs: 1000 }

const NOTHING = new Uint8Array(0)
type Asked = Extract<RegistryEntry, { origin: NodeId }>
const stamps = { leaseNow: 0 as LeaseTime, wallNow: 0 as WallTime }

export class Registrar implements Actor<RegistrarInput, RegistrarOutbox> {
  readonly wakeAt: Instant = never
  readonly #node: NodeId
  readonly #settings: RegistrarSettings
  #leading = false
  #proposable = false
  #leader: NodeId | undefined
  #proposedAt = -Infinity as Instant
  #unbornSince: Instant | undefined

  constructor(options: { readonly node: NodeId; readonly settings?: Partial<RegistrarSettings> }) {
    this.#node = options.node
    this.#settings = { ...registrarSettings, ...options.settings }
  }

  receive(now: Now, input: RegistrarInput, outbox: RegistrarOutbox): void {
    switch (input.kind) {
      case 'command':
        return this.#command(input, outbox)
      case 'role':
        if (input.leading && !this.#leading) this.#proposedAt = -Infinity as Instant
        this.#leading = input.leading
        this.#leader = input.leader
        this.#proposable = input.proposable
        return
      case 'outcome':
        if (this.#leading) outbox.send(input.origin, { kind: 'registryAnswer', request: input.request, code: input.code, leader: this.#node, body: input.body })
        return
      case 'tend':
        return this.#tend(now, input.view, outbox)
      default:
        input satisfies never
    }
  }

  wake(): void {}

  #command(input: Extract<RegistrarInput, { kind: 'command' }>, outbox: RegistrarOutbox): void {
    const { message } = input
    const entry = requestIn(message.entry)
    if (entry === undefined) return outbox.send(input.from, { kind: 'registryAnswer', request: message.request, code: RegistryCode.malformed, leader: undefined, body: NOTHING })
    const refuse = (code: number): void => outbox.send(entry.origin, { kind: 'registryAnswer', request: entry.request, code, leader: this.#leader, body: NOTHING })
    if (!this.#leading) {
      const other = this.#leader !== this.#node ? this.#leader : undefined
      return other !== undefined && !message.relayed ? outbox.send(other, { ...message, relayed: true }) : refuse(Code.notLeader)
    }
    if (!this.#proposable) return refuse(Code.noQuorum)
    if (input.view.registry.clusterId === undefined) return refuse(RegistryCode.notFounded)
    const refusal = whyNot(entry, input.view)
    if (refusal !== undefined) return refuse(refusal)
    outbox.propose(registryLogTable.encode(entry.kind === 'createTopic' ? { ...entry, births: this.#births(input.view.registry.birthsFor(entry.partitions), input.view, true) } : entry))
  }

  #tend(now: Now, view: RegistrarView, outbox: RegistrarOutbox): void {
    if (!this.#leading || !this.#proposable || now.monotonic < this.#proposedAt + this.#settings.repeatMs) return
    if (view.registry.clusterId === undefined) {
      if (view.decision === undefined) return
      this.#proposedAt = now.monotonic
      return outbox.propose(registryLogTable.encode({ kind: 'founded', ...stamps, clusterId: view.decision.clusterId, generation: view.generation, masters: view.decision.masters }))
    }
    const { unborn } = view.registry
    if (unborn.length === 0) {
      this.#unbornSince = undefined
      return
    }
    this.#unbornSince ??= now.monotonic
    const patient = now.monotonic < this.#unbornSince + this.#settings.birthPatienceMs
    const births = this.#births(unborn, view, patient)
    if (births.length > 0) this.#proposedAt = now.monotonic
    for (const birth of births) outbox.propose(registryLogTable.encode({ kind: 'shardBorn', ...stamps, birth }))
  }

  #births(shards: readonly ShardId[], { candidates, reserve }: RegistrarView, patient: boolean): readonly Birth[] {
    const { mastersWanted } = this.#settings
    if (candidates.length + reserve.length < (patient ? mastersWanted : 1)) return []
    const missing = Math.max(0, mastersWanted - candidates.length)
    return shards.map((shard) => ({ shard, masters: [...desiredMasters(shard, candidates), ...desiredMasters(shard, reserve, missing)] }))
  }

  clone(): this {
    const copy = new Registrar({ node: this.#node, settings: this.#settings })
    copy.#leading = this.#leading
    copy.#proposable = this.#proposable
    copy.#leader = this.#leader
    copy.#proposedAt = this.#proposedAt
    copy.#unbornSince = this.#unbornSince
    return copy as this
  }

  digest(): string {
    return new Hash().word(this.#leading ? 1 : 0).text(this.#leader ?? '').number(this.#proposedAt).digest()
  }
}

/** What the log would refuse, or what would be a mistake: one that lives may leave when it has been drained, and not otherwise. */
function whyNot(entry: Asked, view: RegistrarView): number | undefined {
  if (entry.kind === 'admit' && view.registry.isDestroyed(entry.record.node)) return RegistryCode.destroyed
  if (entry.kind === 'admit' && view.registry.isStruck(entry.record.node)) return RegistryCode.struck
  // Who declares a node destroyed that lives would make a second leader beside its own.
  if (entry.kind === 'shardRecovered') return entry.destroyed.some((node) => view.isLive(node)) ? RegistryCode.lives : undefined
  if (entry.kind !== 'forget' || entry.force) return undefined
  const { node } = entry
  // What was done already is not refused to whoever did not hear of it.
  if (view.registry.isStruck(node)) return undefined
  if (view.isMaster(node)) return RegistryCode.master
  return view.isLive(node) && !view.registry.isDraining(node) ? RegistryCode.lives : undefined
}

/** The entry that a node asks for; undefined where it is broken, or not for nodes to ask. */
function requestIn(bytes: Uint8Array): Asked | undefined {
  if (bytes.length === 0 || !isRegistryTag(bytes[0]!)) return undefined
  try {
    const entry = registryLogTable.decode(bytes)
    return 'origin' in entry ? entry : undefined
  } catch (error) {
    assert(error instanceof MalformedMessage, `an entry that cannot be read: ${error instanceof Error ? error.message : 'unknown'}`)
    return undefined
  }
}
