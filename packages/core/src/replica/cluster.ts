//! A node's part in the cluster: who it is, whom it knows, how it came to belong, and what ties its actors to each other.
//!
//!   Identity ─loaded─▶ Discovery ─probe─▶ Membership ─member─▶ Founding ─decided─▶ the registry's birth, or
//!                                              │                   └──ended──▶ Admission ──ask──▶ RegistryCaller
//!                                              └─hints─▶ where leaders are      Registry ◀─entries─ RegistryFollower
//!
//! Each of them is an actor of its own in `node/`, made in `parts.ts`; here they are only tied together. What one says is queued
//! and handed on when it has returned, so none is ever entered twice. What the node knows of the registry is in `registry-view.ts`,
//! which shards it has yet to make a copy of in `births.ts`.

import type { Now } from '../actor.ts'
import type { DeviceAnswer, DeviceRequest } from '../device.ts'
import { type Decision, type GossipMessage, isFounding, type Member, type ShardHint, type SyncMessage } from '../message/gossip.ts'
import type { NodeRecord, RegistryMessage, RegistryWish } from '../message/registry.ts'
import type { AdmissionOutbox } from '../node/admission.ts'
import type { ConfirmationOutbox } from '../node/confirmation.ts'
import type { DiscoveryOutbox } from '../node/discovery.ts'
import type { FoundingOutbox } from '../node/founding.ts'
import { Identity, type IdentityChanges, type IdentityOutbox, type IdentityUser } from '../node/identity.ts'
import type { IdentityState } from '../node/identity-file.ts'
import type { MembershipOutbox, SelfChanges } from '../node/membership/membership.ts'
import type { Candidate } from '../node/placement.ts'
import type { RegistrarOutbox, RegistrarView } from '../node/registrar.ts'
import type { CallerOutbox } from '../node/registry-caller.ts'
import type { FollowerOutbox } from '../node/registry-feed.ts'
import type { Registry } from '../registry/registry.ts'
import { type Address, type ClusterId, type NodeId, REGISTRY_SHARD, type ShardId } from '../units.ts'
import { Births } from './births.ts'
import type { Identity as PublicIdentity, ReplicaEvent, ReplicaOptions } from './boundary.ts'
import { Notes } from './notes.ts'
import { makeParts, type Parts } from './parts.ts'
import { type HostedRegistry, RegistryView } from './registry-view.ts'
import { Standing } from './standing.ts'

/** How often what depends on time alone is looked at: births that wait, a registry that lags. */
const TEND_MS = 200

export interface ClusterOutbox {
  device(request: DeviceRequest): void
  datagram(to: Address, bytes: Uint8Array): void
  send(to: NodeId, message: SyncMessage | RegistryMessage): void
  address(node: NodeId, at: Address): void
  identity(identity: PublicIdentity): void
  event(event: ReplicaEvent): void
  halt(reason: string): void
  /** The identity is known: the journal may be read. */
  loaded(state: IdentityState): void
  /** This node is among the first masters of a shard; `born` is wanted when its copy is durable. */
  birth(shard: ShardId, masters: readonly NodeId[]): void
  /** The registry's state has moved, or who is where. */
  changed(): void
  /** An entry for shard 0, which this node leads. */
  propose(entry: Uint8Array): void
  /** A topic was asked for by a client of this node, and this came of it. */
  topicAnswered(ticket: number, code: number): void
  /** So did what an operator wanted of a node. */
  wishAnswered(ticket: number, code: number): void
  /** What the registry thinks of this node, and so of copies here, may have changed (`standing`). */
  standing(): void
  /** The copy of the shard never will: another one was recovered. */
  outdated(shard: ShardId): void
}

export class Cluster {
  readonly #options: ReplicaOptions
  readonly #out: ClusterOutbox
  readonly #run: number
  readonly #identity: Identity
  readonly #registry = new RegistryView()
  readonly standing = new Standing(() => this.state, () => this.registry)
  readonly #births: Births
  #parts: Parts | undefined
  #started = false
  readonly #notes = new Notes()
  #tendAt = 0
  #dirty = false
  /** Somebody has told where some other shard is than the registry. */
  #hinted = false
  /** The state of the registry that births and addresses were taken from. */
  #readAt = -1
  #following = false
  #ticket = 0

  constructor(options: ReplicaOptions, out: ClusterOutbox) {
    this.#options = options
    this.#out = out
    this.#run = options.random.u32()
    this.#births = new Births((shard, masters) => out.birth(shard, masters))
    this.#identity = new Identity({ cluster: options.cluster, random: options.random.fork(), valueBits: options.tuning?.valueBits })
  }

  // ---- what others read ------------------------------------------------------------------------------------------

  get state(): IdentityState {
    return this.#identity.state!
  }

  get self(): NodeId {
    return this.state.nodeId
  }

  /** The newest state of the registry that is known here. */
  get registry(): Registry {
    return this.#registry.newest
  }

  get members(): readonly Member[] {
    return this.#parts?.membership.members ?? []
  }

  member(node: NodeId): Member | undefined {
    return this.#parts?.membership.member(node)
  }

  get hints(): readonly ShardHint[] {
    return this.#parts?.membership.hints ?? []
  }

  hint(shard: ShardId): ShardHint | undefined {
    return this.#parts?.membership.hint(shard)
  }

  addressOf(node: NodeId): Address | undefined {
    return this.member(node)?.address ?? this.registry.node(node)?.address
  }

  /** Admitted, eligible, alive and not draining: who may become a master. */
  get candidates(): readonly Candidate[] {
    const { registry } = this
    return registry.nodes.filter((record) => this.#isAble(record) && !registry.isDraining(record.node))
  }

  /** Draining, and else like a candidate. */
  get reserve(): readonly Candidate[] {
    return this.registry.draining.filter((record) => this.#isAble(record))
  }

  #isAble({ node, eligible }: NodeRecord): boolean {
    return eligible && this.member(node)?.state === 'alive'
  }

  isLeaving(node: NodeId): boolean {
    return this.registry.isDraining(node) || this.registry.isStruck(node)
  }

  /** An operator has struck this node from the registry: it ends when nothing depends on it. */
  get struck(): boolean {
    return this.registry.isStruck(this.self) || this.standing.isDestroyed
  }

  /** Who holds a shard, by what its leader has told of it last; by its birth where it has told nothing. */
  mastersOf(shard: ShardId): readonly NodeId[] {
    return this.hint(shard)?.masters ?? this.firstMasters(shard) ?? []
  }

  /** Who held a shard when it was born, in the order of their numbers; undefined where that is not known here yet. */
  firstMasters(shard: ShardId): readonly NodeId[] | undefined {
    return this.#registry.firstMasters(shard, this.decision)
  }

  /** Drawn at every start. */
  get run(): number {
    return this.#run
  }

  get admitted(): boolean {
    return this.#identity.state !== undefined && this.registry.node(this.self) !== undefined
  }

  get decision(): Decision | undefined {
    return this.#identity.state?.founding.decided
  }

  get wakeAt(): number {
    const parts = this.#parts
    if (parts === undefined || !this.#started) return Infinity
    return Math.min(parts.discovery.wakeAt, parts.membership.wakeAt, parts.founding.wakeAt, parts.caller.wakeAt, parts.admission.wakeAt, parts.confirmation.wakeAt, parts.follower.wakeAt, this.#tendAt)
  }

  // ---- inputs ----------------------------------------------------------------------------------------------------

  start(now: Now): void {
    this.#identity.receive(now, { kind: 'start' }, this.#identityOutbox)
    this.#notes.settle(now)
  }

  device(now: Now, answer: DeviceAnswer): void {
    this.#identity.receive(now, { kind: 'device', answer }, this.#identityOutbox)
    this.#notes.settle(now)
  }

  /** What this node held is lost: it comes back as another one, which says `loaded` once more. Only before `begin`. */
  renew(now: Now): void {
    this.#identity.receive(now, { kind: 'renew' }, this.#identityOutbox)
    this.#notes.settle(now)
  }

  /** The journal is read: the node may speak, and not before, since nobody is served while it recovers. */
  begin(now: Now, hosted: HostedRegistry | undefined): void {
    const { membership, discovery, founding } = this.#parts!
    this.#tellIdentity()
    this.#started = true
    this.#registry.host(hosted)
    membership.receive(now, { kind: 'start' }, this.#membershipOutbox)
    discovery.receive(now, { kind: 'start' }, this.#discoveryOutbox)
    const { clusterId } = this.state
    founding.receive(now, { kind: 'start', identity: this.state }, this.#foundingOutbox)
    if (clusterId !== undefined) this.#belongs(now, clusterId)
    this.#dirty = true
    this.#notes.settle(now)
  }

  datagram(now: Now, from: Address, bytes: Uint8Array): void {
    const parts = this.#parts
    if (parts === undefined || !this.#started) return
    const opened = parts.gate.open(from, bytes, { foreign: (reason) => this.#log('error', reason) })
    if (opened === undefined) return
    const { sender, message } = opened
    if (isFounding(message)) parts.founding.receive(now, { kind: 'datagram', sender, message }, this.#foundingOutbox)
    else parts.membership.receive(now, { kind: 'datagram', sender, message }, this.#membershipOutbox)
    this.#notes.settle(now)
  }

  sync(now: Now, from: NodeId, message: SyncMessage): void {
    this.#parts?.membership.receive(now, { kind: 'sync', from, message }, this.#membershipOutbox)
    this.#notes.settle(now)
  }

  /** What another node says about the registry, but for `registryFollow`, which only a master of it can serve. */
  registryMessage(now: Now, from: NodeId, message: RegistryMessage): void {
    const parts = this.#parts
    if (parts === undefined || !this.#started) return
    switch (message.kind) {
      case 'registryCommand':
        parts.registrar.receive(now, { kind: 'command', from, message, view: this.#view() }, this.#registrarOutbox)
        break
      case 'registryAnswer':
        parts.caller.receive(now, { kind: 'answer', message }, this.#callerOutbox)
        break
      case 'registryFeed':
      case 'registryImage':
        parts.follower.receive(now, { kind: 'message', from, message }, this.#followerOutbox)
        // Even where it brings nothing new: somebody may wait to hear just that.
        this.#dirty = true
        break
      case 'registryFollow':
        break
      default:
        message satisfies never
    }
    this.#notes.settle(now)
  }

  linkDown(now: Now, node: NodeId): void {
    if (!this.#started) return
    this.#parts?.membership.receive(now, { kind: 'doubt', node }, this.#membershipOutbox)
    this.#notes.settle(now)
  }

  /** This node's copy of shard 0 has come, gone, or changed its role. */
  registryHosted(now: Now, hosted: HostedRegistry | undefined): void {
    this.#registry.host(hosted)
    this.#dirty = true
    this.#notes.settle(now)
  }

  registryApplied(): void {
    this.#dirty = true
  }

  outcome(now: Now, origin: NodeId, request: number, code: number, body: Uint8Array): void {
    this.#parts?.registrar.receive(now, { kind: 'outcome', origin, request, code, body }, this.#registrarOutbox)
    this.#notes.settle(now)
  }

  /** What this node knows of a shard as its leader, to be gossiped. */
  tellHint(now: Now, hint: ShardHint): void {
    if (!this.#started) return
    this.#parts?.membership.receive(now, { kind: 'hint', hint }, this.#membershipOutbox)
    this.#notes.settle(now)
  }

  /** The copy of a shard that `birth` asked for is durable. */
  born(now: Now, shard: ShardId): void {
    const bornBefore = this.#births.born(shard, this.state.bornBefore)
    if (bornBefore !== undefined) this.#save(now, 'replica', 0, { bornBefore })
    this.#notes.settle(now)
  }

  /** When the registry as it is known here was last sure to hold everything; -Infinity before. */
  registryCurrentAt(now: Now): number {
    const { hosted } = this.#registry
    if (hosted !== undefined && !this.#following) return hosted.leader === undefined ? -Infinity : now.monotonic
    return this.#parts?.follower.currentAt ?? -Infinity
  }

  refreshRegistry(now: Now): void {
    this.#parts?.follower.receive(now, { kind: 'refresh' }, this.#followerOutbox)
    this.#notes.settle(now)
  }

  createTopic(now: Now, topic: string, partitions: number): number {
    const ticket = ++this.#ticket
    this.#parts?.caller.receive(now, { kind: 'ask', user: 'client', ticket, wish: { kind: 'createTopic', topic, partitions: partitions === 0 ? 1 : partitions, settings: new Uint8Array(0), births: [] } }, this.#callerOutbox)
    this.#notes.settle(now)
    return ticket
  }

  /** Any node can be asked; the outcome is said in `wishAnswered`. */
  wish(now: Now, wish: RegistryWish): number {
    const ticket = ++this.#ticket
    this.#parts?.caller.receive(now, { kind: 'ask', user: 'operator', ticket, wish }, this.#callerOutbox)
    this.#notes.settle(now)
    return ticket
  }

  /** A node of a newer generation was met: the registry was recovered. What was admitted before has to be admitted by that one. */
  newer(now: Now, generation: number): void {
    if (!this.#started || this.state.clusterId === undefined || generation <= this.state.generation) return
    this.standing.lapse()
    this.#out.standing()
    this.#save(now, 'generation', 0, { generation })
    this.#notes.settle(now)
  }

  leave(now: Now): void {
    this.#parts?.membership.receive(now, { kind: 'leave' }, this.#membershipOutbox)
    this.#notes.settle(now)
  }

  turn(now: Now): void {
    if (!this.#started) return
    if (this.#dirty) this.#refresh(now)
    else if (this.#hinted) this.#out.changed()
    this.#dirty = false
    this.#hinted = false
    this.#notes.settle(now)
  }

  wake(now: Now): void {
    const parts = this.#parts
    if (parts === undefined || !this.#started) return
    if (parts.discovery.wakeAt <= now.monotonic) parts.discovery.wake(now, this.#discoveryOutbox)
    if (parts.membership.wakeAt <= now.monotonic) parts.membership.wake(now, this.#membershipOutbox)
    if (parts.founding.wakeAt <= now.monotonic) parts.founding.wake(now, this.#foundingOutbox)
    if (parts.caller.wakeAt <= now.monotonic) parts.caller.wake(now, this.#callerOutbox)
    if (parts.admission.wakeAt <= now.monotonic) parts.admission.wake(now, this.#admissionOutbox)
    if (parts.confirmation.wakeAt <= now.monotonic) parts.confirmation.wake(now, this.#confirmationOutbox)
    if (parts.follower.wakeAt <= now.monotonic) parts.follower.wake(now, this.#followerOutbox)
    if (this.#tendAt <= now.monotonic) {
      this.#tendAt = now.monotonic + TEND_MS
      this.#tellRegistrar(now)
    }
    this.#notes.settle(now)
  }

  // ---- what the actors say ---------------------------------------------------------------------------------------

  readonly #identityOutbox: IdentityOutbox = {
    device: (request) => this.#out.device(request),
    loaded: (state) => this.#notes.note(() => this.#loaded(state)),
    saved: (user, ticket) => this.#notes.note((now) => this.#saved(now, user, ticket)),
    refused: (reason) => this.#out.halt(reason),
    failed: (reason) => this.#out.halt(reason),
  }

  readonly #discoveryOutbox: DiscoveryOutbox = {
    probe: (to) => this.#notes.note((now) => this.#parts!.membership.receive(now, { kind: 'probe', to }, this.#membershipOutbox)),
    scanned: () => this.#notes.note((now) => this.#parts!.founding.receive(now, { kind: 'scanned' }, this.#foundingOutbox)),
  }

  readonly #membershipOutbox: MembershipOutbox = {
    datagram: (to, message) => this.#datagram(to, message),
    // Behind the news of that member, which says where its links are opened: a newcomer's first sync has nowhere to go otherwise.
    sync: (to, message) => this.#notes.note(() => this.#out.send(to, message)),
    changed: (member) => this.#notes.note((now) => this.#memberChanged(now, member)),
    hinted: ({ shard }) => {
      if (shard === REGISTRY_SHARD) this.#dirty = true
      else this.#hinted = true
    },
    twin: (at) => this.#out.halt(`this identity runs a second time at ${at}: a data directory belongs to one node; stop one of the two and give it a directory of its own`),
  }

  readonly #foundingOutbox: FoundingOutbox = {
    datagram: (to, message) => this.#datagram(to, message),
    save: (ticket, changes) => this.#notes.note((now) => this.#save(now, 'founding', ticket, changes)),
    decided: (decision) => this.#notes.note((now) => this.#decided(now, decision)),
    ended: () => this.#notes.note((now) => {
      this.#self(now, { expect: 0 })
      this.#parts!.admission.receive(now, { kind: 'start', clusterId: undefined }, this.#admissionOutbox)
    }),
    redrawn: (value) => this.#notes.note((now) => {
      this.#self(now, { value })
      this.#parts!.admission.receive(now, { kind: 'changed', record: this.#record() }, this.#admissionOutbox)
    }),
    log: (level, text) => this.#log(level, text),
  }

  readonly #admissionOutbox: AdmissionOutbox = {
    ask: (ticket, wish) => this.#notes.note((now) => this.#parts!.caller.receive(now, { kind: 'ask', user: 'admission', ticket, wish }, this.#callerOutbox)),
    save: (ticket, changes) => this.#notes.note((now) => this.#save(now, 'admission', ticket, changes)),
    redrawn: (value) => this.#notes.note((now) => this.#self(now, { value })),
    admitted: (clusterId) => this.#notes.note((now) => {
      this.#parts!.founding.receive(now, { kind: 'admitted' }, this.#foundingOutbox)
      this.#belongs(now, clusterId)
      this.#parts!.confirmation.receive(now, { kind: 'start', decision: this.state.recovery }, this.#confirmationOutbox)
      this.#isConfirmed()
    }),
    struck: (destroyed) => this.#notes.note(() => {
      if (!destroyed) return this.#isConfirmed()
      this.standing.destroy()
      this.#out.standing()
    }),
    log: (level, text) => this.#log(level, text),
  }

  readonly #confirmationOutbox: ConfirmationOutbox = {
    ask: (ticket, wish) => this.#notes.note((now) => this.#parts!.caller.receive(now, { kind: 'ask', user: 'recovery', ticket, wish }, this.#callerOutbox)),
    save: (ticket, changes) => this.#notes.note((now) => this.#save(now, 'recovery', ticket, changes)),
    settled: (shard, confirmed) => (confirmed ? this.#out.standing() : this.#out.outdated(shard)),
    log: (level, text) => this.#log(level, text),
  }

  readonly #callerOutbox: CallerOutbox = {
    send: (to, message) => this.#toNode(to, message),
    done: (user, ticket, code, body) => this.#notes.note((now) => {
      if (user === 'admission') this.#parts!.admission.receive(now, { kind: 'answer', ticket, code, body }, this.#admissionOutbox)
      else if (user === 'recovery') this.#parts!.confirmation.receive(now, { kind: 'answer', ticket, code }, this.#confirmationOutbox)
      else if (user === 'client') this.#out.topicAnswered(ticket, code)
      else this.#out.wishAnswered(ticket, code)
    }),
  }

  readonly #registrarOutbox: RegistrarOutbox = {
    propose: (entry) => this.#out.propose(entry),
    send: (to, message) => this.#toNode(to, message),
  }

  readonly #followerOutbox: FollowerOutbox = {
    send: (to, message) => this.#toNode(to, message),
    entries: (first, entries) => {
      this.#registry.apply(first, entries)
      this.#dirty = true
    },
    image: (_index, image) => {
      this.#registry.restore(image)
      this.#dirty = true
    },
  }

  // ---- inside ----------------------------------------------------------------------------------------------------

  #loaded(state: IdentityState): void {
    this.#parts = makeParts(this.#options, state, this.#run)
    this.#out.loaded(state)
  }

  #tellIdentity(): void {
    const { nodeId, value, boot, cluster, clusterId, generation } = this.state
    this.#out.identity({ nodeId, value, boot, cluster, clusterId, generation })
  }

  #save(now: Now, user: IdentityUser, ticket: number, changes: IdentityChanges): void {
    this.#identity.receive(now, { kind: 'save', user, ticket, changes }, this.#identityOutbox)
  }

  #saved(now: Now, user: IdentityUser, ticket: number): void {
    if (user === 'founding') this.#parts!.founding.receive(now, { kind: 'saved', ticket }, this.#foundingOutbox)
    else if (user === 'admission') this.#parts!.admission.receive(now, { kind: 'saved', ticket }, this.#admissionOutbox)
    else if (user === 'recovery') this.#parts!.confirmation.receive(now, { kind: 'saved', ticket }, this.#confirmationOutbox)
    else if (user === 'generation') this.#isNewer(now)
  }

  #isConfirmed(): void {
    this.standing.confirm()
    this.#out.standing()
  }

  #isNewer(now: Now): void {
    this.#log('warning', `the registry was recovered: this node is of generation ${this.state.generation} from now on`)
    this.#tellIdentity()
    if (this.#registry.hosted !== undefined && this.#registry.hosted.recovery < this.state.generation - 1) this.#out.outdated(REGISTRY_SHARD)
    this.#parts!.admission.receive(now, { kind: 'again' }, this.#admissionOutbox)
    this.#dirty = true
  }

  #decided(now: Now, decision: Decision): void {
    this.#out.event({ kind: 'founded', clusterId: decision.clusterId })
    this.#belongs(now, decision.clusterId)
  }

  /** Durable: the node belongs to this cluster. */
  #belongs(now: Now, clusterId: ClusterId): void {
    const parts = this.#parts!
    parts.gate.adopt(clusterId)
    this.#self(now, { clusterId, expect: 0 })
    this.#tellIdentity()
    const { decision } = this
    if (decision !== undefined && this.state.bornBefore === 0 && decision.masters.some((master) => master.node === this.self)) {
      this.#births.bear(REGISTRY_SHARD, decision.masters.map((master) => master.node), 1)
    }
    parts.admission.receive(now, { kind: 'start', clusterId }, this.#admissionOutbox)
    this.#dirty = true
  }

  #self(now: Now, changes: SelfChanges): void {
    this.#parts!.membership.receive(now, { kind: 'self', changes }, this.#membershipOutbox)
  }

  #memberChanged(now: Now, member: Member): void {
    const parts = this.#parts!
    this.#dirty = true
    if (member.node === this.self) return
    const live = member.state === 'alive' || member.state === 'suspect'
    if (live) this.#out.address(member.node, member.address)
    parts.discovery.receive(now, { kind: live ? 'known' : 'unknown', address: member.address }, this.#discoveryOutbox)
    parts.founding.receive(now, { kind: 'member', member }, this.#foundingOutbox)
  }

  #record(): NodeRecord {
    const { address, zone, version, eligible } = this.#options
    return { node: this.self, address, value: this.state.value, zone, version, eligible }
  }

  /** Brings everybody up to date about the registry and where it is. */
  #refresh(now: Now): void {
    const parts = this.#parts!
    const { registry } = this
    const { hosted } = this.#registry
    const hint = this.hint(REGISTRY_SHARD)
    const masters = this.#registry.masters(hint, this.decision)
    const leader = this.#following ? (hint?.leader ?? hosted?.leader) : (hosted?.leader ?? hint?.leader)
    const others = this.members.filter((member) => member.clusterId !== undefined && member.node !== this.self && member.state === 'alive').map((member) => member.node)
    parts.caller.receive(now, { kind: 'targets', leader, masters, others }, this.#callerOutbox)
    this.#tellRegistrar(now)
    this.#follow(now, masters)
    if (registry.clusterId !== undefined) parts.admission.receive(now, { kind: 'registered', record: registry.node(this.self) }, this.#admissionOutbox)
    if (this.#readAt !== registry.applied) {
      this.#readAt = registry.applied
      for (const record of registry.nodes) if (record.node !== this.self && this.member(record.node) === undefined) this.#out.address(record.node, record.address)
      this.#births.bearNew(registry, this.self, this.state.bornBefore)
    }
    this.#out.changed()
  }

  /** Also from time to time: a master that takes proposals again, after a hand-over that came to nothing, tells nobody. */
  #tellRegistrar(now: Now): void {
    const { registrar } = this.#parts!
    const { hosted } = this.#registry
    const leader = hosted?.leader ?? this.hint(REGISTRY_SHARD)?.leader
    registrar.receive(now, { kind: 'role', leading: hosted?.leading ?? false, leader, proposable: hosted?.proposable ?? false }, this.#registrarOutbox)
    if (hosted?.leading) registrar.receive(now, { kind: 'tend', view: this.#view() }, this.#registrarOutbox)
  }

  #follow(now: Now, masters: readonly NodeId[]): void {
    const { follower } = this.#parts!
    // A copy that was begun and never filled, since its change was lost with its leader, knows nothing and hears nothing.
    const holds = this.#registry.hosted !== undefined && masters.includes(this.self)
    const follows = !holds && this.state.clusterId !== undefined
    if (follows !== this.#following) {
      this.#following = follows
      follower.receive(now, follows ? { kind: 'start', applied: this.#registry.copied } : { kind: 'stop' }, this.#followerOutbox)
    }
    if (follows) follower.receive(now, { kind: 'masters', masters: masters.filter((node) => node !== this.self) }, this.#followerOutbox)
  }

  #view(): RegistrarView {
    const { registry, decision } = this
    const cluster = this
    return {
      registry, decision, generation: this.state.generation,
      // Read only where a shard is born: both walk the registry.
      get candidates() {
        return cluster.candidates
      },
      get reserve() {
        return cluster.reserve
      },
      isLive: (node) => this.member(node)?.state === 'alive' || this.member(node)?.state === 'suspect',
      isMaster: (node) => [REGISTRY_SHARD, ...registry.shards.map(({ shard }) => shard)].some((shard) => this.mastersOf(shard).includes(node)),
    }
  }

  #toNode(to: NodeId, message: RegistryMessage): void {
    if (to === this.self) this.#notes.note((now) => this.registryMessage(now, to, message))
    else this.#out.send(to, message)
  }

  #datagram(to: Address, message: GossipMessage): void {
    this.#out.datagram(to, this.#parts!.gate.seal(message))
  }

  #log(level: 'info' | 'warning' | 'error', text: string): void {
    this.#out.event({ kind: 'log', level, text })
  }
}
