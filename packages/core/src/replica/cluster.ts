//! A node's part in the cluster: who it is, whom it knows, how it came to belong, and its copy of the registry.
//!
//!   Identity ─loaded─▶ Discovery ─probe─▶ Membership ─member─▶ Founding ─decided─▶ the registry's birth, or
//!                                              │                   └──ended──▶ Admission ──ask──▶ RegistryCaller
//!                                              └─hints─▶ where leaders are      Registry ◀─entries─ RegistryFollower
//!
//! Each of them is an actor of its own in `node/`; here they are only tied together. What one says is queued and handed on when
//! it has returned, so none is ever entered twice.

import type { Now } from '../actor.ts'
import type { DeviceAnswer, DeviceRequest } from '../device.ts'
import type { Decision, GossipMessage, Member, ShardHint, SyncMessage } from '../message/gossip.ts'
import type { NodeRecord, RegistryMessage } from '../message/registry.ts'
import { Admission, type AdmissionOutbox } from '../node/admission.ts'
import { Discovery, type DiscoveryOutbox } from '../node/discovery.ts'
import { Founding, type FoundingOutbox } from '../node/founding.ts'
import { Gate } from '../node/gate.ts'
import { Identity, type IdentityChanges, type IdentityOutbox, type IdentityState, type IdentityUser } from '../node/identity.ts'
import { Membership, type MembershipOutbox } from '../node/membership/membership.ts'
import type { Candidate } from '../node/placement.ts'
import { Registrar, type RegistrarOutbox, type RegistrarView } from '../node/registrar.ts'
import { type CallerOutbox, RegistryCaller } from '../node/registry-caller.ts'
import { type FollowerOutbox, RegistryFollower } from '../node/registry-feed.ts'
import { Registry, type RegistryEffects } from '../registry/registry.ts'
import { type Address, type ClusterId, type NodeId, REGISTRY_SHARD, type ShardId } from '../units.ts'
import type { Identity as PublicIdentity, ReplicaEvent, ReplicaOptions } from './boundary.ts'

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
}

/** How this node holds the registry, if it is one of its masters. */
export interface HostedRegistry {
  readonly registry: Registry
  readonly leader: NodeId | undefined
  readonly leading: boolean
  readonly proposable: boolean
}

export class Cluster {
  readonly #options: ReplicaOptions
  readonly #out: ClusterOutbox
  readonly #run: number
  readonly #identity: Identity
  #parts: Parts | undefined
  #started = false
  #copy = new Registry()
  #hosted: HostedRegistry | undefined
  #queue: ((now: Now) => void)[] = []
  #tendAt = 0
  #dirty = false
  #following = false
  /** Births under way: until which index of the registry's log they will be done, by shard. */
  readonly #births = new Map<ShardId, number>()
  #bornBefore = 0
  #ticket = 0

  constructor(options: ReplicaOptions, out: ClusterOutbox) {
    this.#options = options
    this.#out = out
    this.#run = options.random.u32()
    this.#identity = new Identity({ cluster: options.cluster, random: options.random.fork() })
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
    const hosted = this.#hosted?.registry
    return hosted !== undefined && hosted.applied >= this.#copy.applied ? hosted : this.#copy
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

  /** Admitted, eligible and alive: who may become a master. */
  get candidates(): readonly Candidate[] {
    const candidates: Candidate[] = []
    for (const record of this.registry.nodes) {
      if (record.eligible && this.member(record.node)?.state === 'alive') candidates.push(record)
    }
    return candidates
  }

  /** Who held a shard when it was born, in the order of their numbers; undefined where that is not known here yet. */
  firstMasters(shard: ShardId): readonly NodeId[] | undefined {
    if (shard !== REGISTRY_SHARD) {
      const masters = this.registry.shard(shard)?.masters
      return masters?.length ? masters : undefined
    }
    if (this.decision !== undefined) return this.decision.masters.map((master) => master.node)
    return this.registry.clusterId === undefined ? undefined : this.registry.founders.map((founder) => founder.node)
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
    return Math.min(parts.discovery.wakeAt, parts.membership.wakeAt, parts.founding.wakeAt, parts.caller.wakeAt, parts.admission.wakeAt, parts.follower.wakeAt, this.#tendAt)
  }

  // ---- inputs ----------------------------------------------------------------------------------------------------

  start(now: Now): void {
    this.#identity.receive(now, { kind: 'start' }, this.#identityOutbox)
    this.#drain(now)
  }

  device(now: Now, answer: DeviceAnswer): void {
    this.#identity.receive(now, { kind: 'device', answer }, this.#identityOutbox)
    this.#drain(now)
  }

  /** The journal is read: the node may speak, and not before, since nobody is served while it recovers. */
  begin(now: Now, hosted: HostedRegistry | undefined): void {
    const { membership, discovery, founding } = this.#parts!
    this.#tellIdentity()
    this.#started = true
    this.#hosted = hosted
    membership.receive(now, { kind: 'start' }, this.#membershipOutbox)
    discovery.receive(now, { kind: 'start' }, this.#discoveryOutbox)
    const { clusterId } = this.state
    if (clusterId === undefined) founding.receive(now, { kind: 'start', identity: this.state }, this.#foundingOutbox)
    else {
      founding.receive(now, { kind: 'start', identity: this.state }, this.#foundingOutbox)
      this.#belongs(now, clusterId)
    }
    this.#dirty = true
    this.#drain(now)
  }

  datagram(now: Now, from: Address, bytes: Uint8Array): void {
    const parts = this.#parts
    if (parts === undefined || !this.#started) return
    const opened = parts.gate.open(from, bytes, { foreign: (reason) => this.#log('error', reason) })
    if (opened === undefined) return
    const { sender, message } = opened
    switch (message.kind) {
      case 'prepare':
      case 'promise':
      case 'accept':
      case 'accepted':
      case 'refused':
      case 'redraw':
      case 'decided':
      case 'inquire':
        parts.founding.receive(now, { kind: 'datagram', sender, message }, this.#foundingOutbox)
        break
      default:
        parts.membership.receive(now, { kind: 'datagram', sender, message }, this.#membershipOutbox)
    }
    this.#drain(now)
  }

  sync(now: Now, from: NodeId, message: SyncMessage): void {
    this.#parts?.membership.receive(now, { kind: 'sync', from, message }, this.#membershipOutbox)
    this.#drain(now)
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
        break
      case 'registryFollow':
        break
      default:
        message satisfies never
    }
    this.#drain(now)
  }

  linkDown(now: Now, node: NodeId): void {
    if (!this.#started) return
    this.#parts?.membership.receive(now, { kind: 'doubt', node }, this.#membershipOutbox)
    this.#drain(now)
  }

  /** This node's copy of shard 0 has come, gone, or changed its role. */
  registryHosted(now: Now, hosted: HostedRegistry | undefined): void {
    // What was applied as a master is not lost when the mastership ends.
    if (hosted === undefined && this.#hosted !== undefined && this.#hosted.registry.applied > this.#copy.applied) this.#copy = this.#hosted.registry
    this.#hosted = hosted
    this.#dirty = true
    this.#drain(now)
  }

  registryApplied(): void {
    this.#dirty = true
  }

  outcome(now: Now, origin: NodeId, request: number, code: number, body: Uint8Array): void {
    this.#parts?.registrar.receive(now, { kind: 'outcome', origin, request, code, body }, this.#registrarOutbox)
    this.#drain(now)
  }

  /** What this node knows of a shard as its leader, to be gossiped. */
  tellHint(now: Now, hint: ShardHint): void {
    if (!this.#started) return
    this.#parts?.membership.receive(now, { kind: 'hint', hint }, this.#membershipOutbox)
    this.#drain(now)
  }

  /** The copy of a shard that `birth` asked for is durable. */
  born(now: Now, shard: ShardId): void {
    this.#births.delete(shard)
    if (this.#births.size === 0 && this.#bornBefore > this.state.bornBefore) this.#save(now, 'replica', 0, { bornBefore: this.#bornBefore })
    this.#drain(now)
  }

  createTopic(now: Now, topic: string, partitions: number): number {
    const ticket = ++this.#ticket
    this.#parts?.caller.receive(now, { kind: 'ask', user: 'client', ticket, wish: { kind: 'createTopic', topic, partitions: partitions === 0 ? 1 : partitions, settings: new Uint8Array(0), births: [] } }, this.#callerOutbox)
    this.#drain(now)
    return ticket
  }

  leave(now: Now): void {
    this.#parts?.membership.receive(now, { kind: 'leave' }, this.#membershipOutbox)
    this.#drain(now)
  }

  turn(now: Now): void {
    if (!this.#started || !this.#dirty) return
    this.#dirty = false
    this.#refresh(now)
    this.#drain(now)
  }

  wake(now: Now): void {
    const parts = this.#parts
    if (parts === undefined || !this.#started) return
    if (parts.discovery.wakeAt <= now.monotonic) parts.discovery.wake(now, this.#discoveryOutbox)
    if (parts.membership.wakeAt <= now.monotonic) parts.membership.wake(now, this.#membershipOutbox)
    if (parts.founding.wakeAt <= now.monotonic) parts.founding.wake(now, this.#foundingOutbox)
    if (parts.caller.wakeAt <= now.monotonic) parts.caller.wake(now, this.#callerOutbox)
    if (parts.admission.wakeAt <= now.monotonic) parts.admission.wake(now, this.#admissionOutbox)
    if (parts.follower.wakeAt <= now.monotonic) parts.follower.wake(now, this.#followerOutbox)
    if (this.#tendAt <= now.monotonic) {
      this.#tendAt = now.monotonic + TEND_MS
      parts.registrar.receive(now, { kind: 'tend', view: this.#view() }, this.#registrarOutbox)
    }
    this.#drain(now)
  }

  // ---- what the actors say ---------------------------------------------------------------------------------------

  readonly #identityOutbox: IdentityOutbox = {
    device: (request) => this.#out.device(request),
    loaded: (state) => this.#later(() => this.#loaded(state)),
    saved: (user, ticket) => this.#later((now) => this.#saved(now, user, ticket)),
    refused: (reason) => this.#out.halt(reason),
    failed: (reason) => this.#out.halt(reason),
  }

  readonly #discoveryOutbox: DiscoveryOutbox = {
    probe: (to) => this.#later((now) => this.#parts!.membership.receive(now, { kind: 'probe', to }, this.#membershipOutbox)),
    scanned: () => this.#later((now) => this.#parts!.founding.receive(now, { kind: 'scanned' }, this.#foundingOutbox)),
  }

  readonly #membershipOutbox: MembershipOutbox = {
    datagram: (to, message) => this.#datagram(to, message),
    sync: (to, message) => this.#out.send(to, message),
    changed: (member) => this.#later((now) => this.#memberChanged(now, member)),
    hinted: () => {
      this.#dirty = true
    },
    twin: (at) => this.#out.halt(`this identity runs a second time at ${at}: a data directory belongs to one node; stop one of the two and give it a directory of its own`),
  }

  readonly #foundingOutbox: FoundingOutbox = {
    datagram: (to, message) => this.#datagram(to, message),
    save: (ticket, changes) => this.#later((now) => this.#save(now, 'founding', ticket, changes)),
    decided: (decision) => this.#later((now) => this.#decided(now, decision)),
    ended: () => this.#later((now) => {
      this.#self(now, { expect: 0 })
      this.#parts!.admission.receive(now, { kind: 'start', clusterId: undefined }, this.#admissionOutbox)
    }),
    redrawn: (value) => this.#later((now) => {
      this.#self(now, { value })
      this.#parts!.admission.receive(now, { kind: 'changed', record: this.#record() }, this.#admissionOutbox)
    }),
    log: (level, text) => this.#log(level, text),
  }

  readonly #admissionOutbox: AdmissionOutbox = {
    ask: (ticket, wish) => this.#later((now) => this.#parts!.caller.receive(now, { kind: 'ask', user: 'admission', ticket, wish }, this.#callerOutbox)),
    save: (ticket, changes) => this.#later((now) => this.#save(now, 'admission', ticket, changes)),
    redrawn: (value) => this.#later((now) => this.#self(now, { value })),
    admitted: (clusterId) => this.#later((now) => {
      this.#parts!.founding.receive(now, { kind: 'admitted' }, this.#foundingOutbox)
      this.#belongs(now, clusterId)
    }),
    log: (level, text) => this.#log(level, text),
  }

  readonly #callerOutbox: CallerOutbox = {
    send: (to, message) => this.#toNode(to, message),
    done: (user, ticket, code, body) => this.#later((now) => {
      if (user === 'admission') this.#parts!.admission.receive(now, { kind: 'answer', ticket, code, body }, this.#admissionOutbox)
      else this.#out.topicAnswered(ticket, code)
    }),
  }

  readonly #registrarOutbox: RegistrarOutbox = {
    propose: (entry) => this.#out.propose(entry),
    send: (to, message) => this.#toNode(to, message),
  }

  readonly #followerOutbox: FollowerOutbox = {
    send: (to, message) => this.#toNode(to, message),
    entries: (first, entries) => {
      entries.forEach((entry, at) => this.#copy.apply((first + at) as never, entry, NO_EFFECTS))
      this.#dirty = true
    },
    image: (_index, image) => {
      this.#copy = Registry.restore(image)
      this.#dirty = true
    },
  }

  // ---- inside ----------------------------------------------------------------------------------------------------

  #loaded(state: IdentityState): void {
    const { address, zone, version, eligible, range, seeds, random, tuning } = this.#options
    const node = state.nodeId
    const alone = range.length === 0 && seeds.length === 0 && !this.#options.join
    const expect = this.#options.join ? 0 : (this.#options.expect ?? 1)
    const mayFound = state.clusterId === undefined && !state.founding.ended ? expect : 0
    const gate = new Gate({ cluster: this.#options.cluster, node, run: this.#run })
    if (state.clusterId !== undefined) gate.adopt(state.clusterId)
    const replaceAfterMs = tuning?.replaceAfterMs
    const membership = new Membership({
      self: { node, address, boot: state.boot, value: state.value, zone, version, eligible, expect: mayFound, clusterId: state.clusterId },
      run: this.#run, random: random.fork(),
      settings: {
        ...(replaceAfterMs === undefined ? {} : { probeIntervalMs: Math.min(500, Math.max(100, replaceAfterMs / 4)) }),
        ...(tuning?.syncMs === undefined ? {} : { syncIntervalMs: tuning.syncMs }),
      },
    })
    this.#parts = {
      gate, membership,
      discovery: new Discovery({ self: address, candidates: range, seeds, enough: Math.max(1, expect - 1), random: random.fork() }),
      founding: new Founding({ node, address, eligible, expect, alone, random: random.fork() }),
      admission: new Admission({ record: { node, address, value: state.value, zone, version, eligible }, random: random.fork() }),
      caller: new RegistryCaller({ node, random: random.fork() }),
      registrar: new Registrar({ node, settings: { mastersWanted: Math.min(3, Math.max(1, expect)) } }),
      follower: new RegistryFollower({ random: random.fork() }),
    }
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
      this.#bear(REGISTRY_SHARD, decision.masters.map((master) => master.node), 1)
    }
    parts.admission.receive(now, { kind: 'start', clusterId }, this.#admissionOutbox)
    this.#dirty = true
  }

  #bear(shard: ShardId, masters: readonly NodeId[], before: number): void {
    if (this.#births.has(shard)) return
    this.#births.set(shard, before)
    this.#bornBefore = Math.max(this.#bornBefore, before)
    this.#out.birth(shard, masters)
  }

  #self(now: Now, changes: Parameters<Membership['receive']>[1] extends infer I ? (I extends { kind: 'self'; changes: infer C } ? C : never) : never): void {
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
    const hint = this.hint(REGISTRY_SHARD)
    const known = hint?.masters ?? registry.founders.map((founder) => founder.node)
    const masters = known.length > 0 ? known : (this.decision?.masters.map((master) => master.node) ?? [])
    const leader = this.#hosted?.leader ?? hint?.leader
    const others = this.members.filter((member) => member.clusterId !== undefined && member.node !== this.self && member.state === 'alive').map((member) => member.node)
    parts.caller.receive(now, { kind: 'targets', leader, masters, others }, this.#callerOutbox)
    parts.registrar.receive(now, { kind: 'role', leading: this.#hosted?.leading ?? false, leader, proposable: this.#hosted?.proposable ?? false }, this.#registrarOutbox)
    parts.registrar.receive(now, { kind: 'tend', view: this.#view() }, this.#registrarOutbox)
    this.#follow(now, masters.filter((node) => node !== this.self))
    if (registry.clusterId !== undefined) parts.admission.receive(now, { kind: 'registered', record: registry.node(this.self) }, this.#admissionOutbox)
    for (const record of registry.nodes) if (record.node !== this.self && this.member(record.node) === undefined) this.#out.address(record.node, record.address)
    this.#bearNew(registry)
    this.#out.changed()
  }

  #follow(now: Now, masters: readonly NodeId[]): void {
    const { follower } = this.#parts!
    const follows = this.#hosted === undefined && this.state.clusterId !== undefined
    if (follows !== this.#following) {
      this.#following = follows
      follower.receive(now, follows ? { kind: 'start', applied: this.#copy.applied } : { kind: 'stop' }, this.#followerOutbox)
    }
    if (follows) follower.receive(now, { kind: 'masters', masters }, this.#followerOutbox)
  }

  /** Shards that were born with this node among their masters, and that it has not made yet. */
  #bearNew(registry: Registry): void {
    const before = Math.max(this.state.bornBefore, this.#bornBefore)
    for (const { shard, masters, bornAt } of registry.shards) {
      if (masters.length > 0 && bornAt >= before && masters.includes(this.self)) this.#bear(shard, masters, registry.applied + 1)
    }
  }

  #view(): RegistrarView {
    return { registry: this.registry, candidates: this.candidates, decision: this.decision, generation: this.state.generation }
  }

  #toNode(to: NodeId, message: RegistryMessage): void {
    if (to === this.self) this.#later((now) => this.registryMessage(now, to, message))
    else this.#out.send(to, message)
  }

  #datagram(to: Address, message: GossipMessage): void {
    this.#out.datagram(to, this.#parts!.gate.seal(message))
  }

  #log(level: 'info' | 'warning' | 'error', text: string): void {
    this.#out.event({ kind: 'log', level, text })
  }

  #later(effect: (now: Now) => void): void {
    this.#queue.push(effect)
  }

  #draining = false

  #drain(now: Now): void {
    if (this.#draining) return
    this.#draining = true
    for (let at = 0; at < this.#queue.length; at++) this.#queue[at]!(now)
    this.#queue = []
    this.#draining = false
  }
}

interface Parts {
  readonly gate: Gate
  readonly membership: Membership
  readonly discovery: Discovery
  readonly founding: Founding
  readonly admission: Admission
  readonly caller: RegistryCaller
  readonly registrar: Registrar
  readonly follower: RegistryFollower
}

/** A copy only wants the state; what comes of an entry is the masters' affair. */
const NO_EFFECTS: RegistryEffects = { answer: () => {}, admitted: () => {}, forgotten: () => {}, born: () => {}, topic: () => {} }
