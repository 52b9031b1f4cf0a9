//! Who is there and who is alive: SWIM (Das, Gupta, Motivala 2002) with Lifeguard (Dadgar, Phillips, Currey 2018).
//!
//!            no answer, nor through others           suspicion runs out
//!   alive ─────────────────────────────▶ suspect ─────────────────────▶ dead ──keepDead──▶ forgotten
//!     ▲            it refutes: higher incarnation │                       │
//!     └──────────────────────────────────────────┴──a later boot or ping──┘        (left: it said good-bye itself)
//!
//! What this node believes is a suggestion to others and to its own actors; nothing here decides who is master. The
//! detector is in `detector`, the rule of precedence in `roster`, what is still to be told in `news`, and what two nodes that meet
//! have to tell each other in `summary`.

import type { Actor, Now } from '../../actor.ts'
import { assert } from '../../assert.ts'
import { Hash } from '../../hash.ts'
import { type Buckets, DATAGRAM_BYTES_MAX, envelope, type GossipMessage, type Member, memberRecord, type Sender, type ShardHint, shardHint, SYNC_ITEMS_MAX, type SyncMessage, type Update, update } from '../../message/gossip.ts'
import { encode } from '../../message/layout.ts'
import type { Random } from '../../random.ts'
import { type Address, type Instant, never, type NodeId, type ShardId } from '../../units.ts'
import { sample } from '../discovery.ts'
import { Detector, type DetectorOutbox, type Head, isProbed } from './detector.ts'
import { Hints } from './hints.ts'
import { News } from './news.ts'
import { beats, INCARNATIONS_PER_BOOT, isLive, Roster } from './roster.ts'
import { type MembershipSettings, membershipSettings } from './settings.ts'
import { bucketOfNode, bucketOfShard, differing, summaryOf } from './summary.ts'
import { Suspicion, suspicionLimits } from './suspicion.ts'

export type Self = Omit<Member, 'incarnation' | 'state'>
export type SelfChanges = Partial<Pick<Member, 'address' | 'value' | 'eligible' | 'expect' | 'clusterId'>>

export type MembershipInput =
  | { readonly kind: 'start' }
  | { readonly kind: 'datagram'; readonly sender: Sender; readonly message: GossipMessage }
  | { readonly kind: 'sync'; readonly from: NodeId; readonly message: SyncMessage }
  /** A candidate of discovery's: is anybody there? */
  | { readonly kind: 'probe'; readonly to: Address }
  /** What others know of this node has changed. */
  | { readonly kind: 'self'; readonly changes: SelfChanges }
  /** What this node itself knows of a shard as its leader; to be repeated every few seconds. */
  | { readonly kind: 'hint'; readonly hint: ShardHint }
  /** A link to it was closed: probe it now. */
  | { readonly kind: 'doubt'; readonly node: NodeId }
  /** Says good-bye; the process may end a moment later. */
  | { readonly kind: 'leave' }

export interface MembershipOutbox {
  datagram(to: Address, message: GossipMessage): void
  /** Over the link to that node; may be lost. */
  sync(to: NodeId, message: SyncMessage): void
  /** A member that is new, or whose state or record is; this node itself included. */
  changed(member: Member): void
  hinted(hint: ShardHint): void
  /** This identity runs a second time, there: both must stop. */
  twin(at: Address): void
}

/** The length of every probe: nothing that answers one is longer. */
const PROBE_BYTES = 320
/** Within so long only one suspected twin is challenged. */
const CHALLENGE_EVERY_MS = 500
/** Long enough for the twin's own challenge to be answered, twice. */
const TWIN_GRACE_MS = 1500
/** While many answer at once, one full sync with any of them is enough. */
const JOIN_SYNC_EVERY_MS = 1000
/** So many members are told good-bye at once. */
const FAREWELLS_MAX = 16
const HINTS_PER_DATAGRAM = 8
const UPDATES_PER_DATAGRAM = 32
const NOTHING_WANTED: Buckets = { members: [], hints: [] }
/** An envelope, the longest fixed part (a ping request), and two counts. */
const HEAD_BYTES = 160

export class Membership implements Actor<MembershipInput, MembershipOutbox> {
  readonly #run: number
  readonly #random: Random
  readonly #settings: MembershipSettings
  #self: Member
  #roster = new Roster()
  #detector: Detector
  #hints = new Hints()
  #updates = new News<NodeId, Update>((value) => encode(update, value).length)
  #hintNews = new News<ShardId, ShardHint>((value) => encode(shardHint, value).length)
  #gossipAt: Instant = never
  #reviveAt: Instant = never
  #syncAt: Instant = never
  #joinSyncAt = 0 as Instant
  #challenge: { readonly nonce: number; readonly at: Instant } | undefined
  #twin: { readonly at: Address; readonly stopAt: Instant } | undefined

  constructor(options: { readonly self: Self; readonly run: number; readonly random: Random; readonly settings?: Partial<MembershipSettings> }) {
    this.#self = { ...options.self, state: 'alive', incarnation: options.self.boot * INCARNATIONS_PER_BOOT }
    this.#run = options.run
    this.#random = options.random
    this.#settings = { ...membershipSettings, ...options.settings }
    this.#detector = new Detector(this.#random, this.#settings)
  }

  // ---- what others read --------------------------------------------------------------------------------------------

  get self(): Member {
    return this.#self
  }

  /** All known members, this node first. */
  get members(): readonly Member[] {
    return [this.#self, ...this.#roster.entries.map((entry) => entry.member)]
  }

  member(node: NodeId): Member | undefined {
    return node === this.#self.node ? this.#self : this.#roster.get(node)?.member
  }

  hint(shard: ShardId): ShardHint | undefined {
    return this.#hints.get(shard)
  }

  get hints(): readonly ShardHint[] {
    return this.#hints.all
  }

  get wakeAt(): Instant {
    const { suspicionEndsAt } = this.#roster
    return Math.min(this.#detector.wakeAt, suspicionEndsAt, this.#gossipAt, this.#reviveAt, this.#syncAt, this.#twin?.stopAt ?? never) as Instant
  }

  // ---- inputs ------------------------------------------------------------------------------------------------------

  receive(now: Now, input: MembershipInput, outbox: MembershipOutbox): void {
    switch (input.kind) {
      case 'start':
        return this.#start(now)
      case 'datagram':
        return this.#datagram(now, input.sender, input.message, outbox)
      case 'sync':
        return this.#synced(now, input.from, input.message, outbox)
      case 'probe':
        return outbox.datagram(input.to, { kind: 'probe', nonce: this.#random.u32(), padding: new Uint8Array(PROBE_BYTES) })
      case 'self':
        return this.#renew(input.changes, outbox)
      case 'hint':
        return this.#tellHint(now, input.hint, outbox)
      case 'doubt':
        if (isProbed(this.#roster, input.node)) this.#detector.doubt(now.monotonic, input.node)
        return
      case 'leave':
        return this.#leave(outbox)
      default:
        input satisfies never
    }
  }

  #start(now: Now): void {
    this.#detector.start(now.monotonic)
    this.#reviveAt = this.#later(now, this.#settings.reviveIntervalMs)
    this.#syncAt = this.#later(now, this.#settings.syncIntervalMs)
  }

  #datagram(now: Now, sender: Sender, message: GossipMessage, outbox: MembershipOutbox): void {
    if (sender.node === this.#self.node) return this.#met(now, sender, message, outbox)
    switch (message.kind) {
      case 'probe':
        return outbox.datagram(sender.address, { kind: 'probeAnswer', nonce: message.nonce, member: this.#self })
      case 'probeAnswer':
        if (message.member.node !== sender.node) return
        this.#judge(now, { member: message.member, by: undefined }, outbox)
        return this.#joinSync(now, sender.node, outbox)
      case 'ping':
        this.#learn(now, message.updates, message.hints, outbox)
        if (message.to === this.#self.node) this.#tell(sender.address, { kind: 'pong', sequence: message.sequence }, outbox, this.#roster.get(sender.node)?.member)
        return
      case 'pingRequest':
        this.#learn(now, message.updates, message.hints, outbox)
        return this.#detector.relay(now.monotonic, sender, message.sequence, message.to, message.address, this.#roster, this.#detectorOutbox(now, outbox))
      case 'pong':
        this.#learn(now, message.updates, message.hints, outbox)
        return this.#detector.answered(sender, message.sequence, this.#detectorOutbox(now, outbox))
      case 'nack':
        return this.#detector.nacked(sender, message.sequence)
      case 'gossip':
        return this.#learn(now, message.updates, message.hints, outbox)
      default:
        // Founding has its own actor.
    }
  }

  /**
   * Something that bears this node's identity but is another process. An old datagram of an earlier run cannot answer a
   * challenge; a twin can. Whoever is sure goes on answering for a moment, so that the other becomes sure as well.
   */
  #met(now: Now, sender: Sender, message: GossipMessage, outbox: MembershipOutbox): void {
    if (sender.run === this.#run) return
    if (message.kind === 'probe') outbox.datagram(sender.address, { kind: 'probeAnswer', nonce: message.nonce, member: this.#self })
    if (message.kind === 'probeAnswer' && message.nonce === this.#challenge?.nonce) this.#twin ??= { at: sender.address, stopAt: this.#later(now, TWIN_GRACE_MS) }
    this.#dare(now, sender.address, outbox)
  }

  #dare(now: Now, at: Address, outbox: MembershipOutbox): void {
    if (this.#challenge && now.monotonic < this.#challenge.at + CHALLENGE_EVERY_MS) return
    this.#challenge = { nonce: this.#random.u32(), at: now.monotonic }
    outbox.datagram(at, { kind: 'probe', nonce: this.#challenge.nonce, padding: new Uint8Array(PROBE_BYTES) })
  }

  // ---- what is believed --------------------------------------------------------------------------------------------

  #learn(now: Now, updates: readonly Update[], hints: readonly ShardHint[], outbox: MembershipOutbox): void {
    for (const item of updates) this.#judge(now, item, outbox)
    for (const hint of hints) this.#hear(hint, outbox)
    if (this.#updates.size + this.#hintNews.size > 0) this.#gossipSoon(now)
  }

  /** A leader says the same again from time to time: whoever was missed by the gossip hears it then. */
  #tellHint(now: Now, hint: ShardHint, outbox: MembershipOutbox): void {
    if (this.#hints.put(hint)) outbox.hinted(hint)
    if (this.#hints.get(hint.shard)?.term === hint.term) this.#hintNews.put(hint.shard, hint)
    this.#gossipSoon(now)
  }

  #hear(hint: ShardHint, outbox: MembershipOutbox): void {
    if (!this.#hints.put(hint)) return
    this.#hintNews.put(hint.shard, hint)
    outbox.hinted(hint)
  }

  #judge(now: Now, news: Update, outbox: MembershipOutbox): void {
    const { member } = news
    if (member.node === this.#self.node) return this.#aboutMe(now, member, outbox)
    if (this.#self.clusterId !== undefined && member.clusterId !== undefined && member.clusterId !== this.#self.clusterId) return
    const known = this.#roster.get(member.node)
    if (known === undefined) {
      // Nobody needs to hear of a death before he has heard of the life.
      if (isLive(member.state) && !this.#roster.full) this.#take(now, news, outbox)
      return
    }
    if (beats(member, known.member)) return this.#take(now, news, outbox)
    const confirms = member.state === 'suspect' && known.suspicion && news.by && member.incarnation === known.member.incarnation
    if (confirms && known.suspicion?.confirm(news.by!)) this.#updates.put(member.node, news)
  }

  #take(now: Now, news: Update, outbox: MembershipOutbox): void {
    const { member } = news
    const suspicion = member.state === 'suspect' ? new Suspicion(this.#limits(), now.monotonic, news.by ?? member.node) : undefined
    this.#roster.set(member.node, { member, changedAt: now.monotonic, suspicion })
    if (isLive(member.state)) this.#detector.add(member.node)
    else this.#detector.remove(member.node)
    this.#updates.put(member.node, news)
    this.#gossipSoon(now)
    outbox.changed(member)
  }

  #limits(): ReturnType<typeof suspicionLimits> {
    return suspicionLimits(this.#roster.live + 1, this.#settings.probeIntervalMs, this.#settings.suspicionFactor)
  }

  /** Somebody says something about this node that is not so, or was said of an earlier run: a higher incarnation refutes it. */
  #aboutMe(now: Now, said: Member, outbox: MembershipOutbox): void {
    if (said.incarnation < this.#self.incarnation) return
    if (said.address !== this.#self.address && said.state === 'alive') this.#dare(now, said.address, outbox)
    if (this.#self.state === 'left' || (said.incarnation === this.#self.incarnation && said.state === 'alive')) return
    this.#self = { ...this.#self, incarnation: said.incarnation + 1 }
    if (said.state !== 'alive') this.#detector.blamed()
    this.#updates.put(this.#self.node, { member: this.#self, by: undefined })
    this.#gossipSoon(now)
  }

  #renew(changes: SelfChanges, outbox: MembershipOutbox): void {
    this.#self = { ...this.#self, ...changes, incarnation: this.#self.incarnation + 1 }
    this.#updates.put(this.#self.node, { member: this.#self, by: undefined })
    outbox.changed(this.#self)
  }

  #leave(outbox: MembershipOutbox): void {
    this.#self = { ...this.#self, state: 'left', incarnation: this.#self.incarnation + 1 }
    for (const member of this.#some(FAREWELLS_MAX)) this.#tell(member.address, { kind: 'gossip' }, outbox)
    this.#detector.stop()
    this.#gossipAt = this.#reviveAt = this.#syncAt = never
  }

  // ---- time --------------------------------------------------------------------------------------------------------

  wake(now: Now, outbox: MembershipOutbox): void {
    const late = now.monotonic - this.wakeAt
    if (late > this.#settings.stallMs) {
      this.#detector.stalled(late)
      for (const { suspicion } of this.#roster.entries) suspicion?.shift(late)
    }
    this.#detector.wake(now.monotonic, this.#roster, this.#detectorOutbox(now, outbox))
    this.#bury(now, outbox)
    if (this.#gossipAt <= now.monotonic) this.#gossip(now, outbox)
    if (this.#reviveAt <= now.monotonic) this.#revive(now, outbox)
    if (this.#syncAt <= now.monotonic) this.#syncSomebody(now, outbox)
    if (this.#twin && this.#twin.stopAt <= now.monotonic) {
      outbox.twin(this.#twin.at)
      this.#twin = undefined
    }
  }

  #detectorOutbox(now: Now, outbox: MembershipOutbox): DetectorOutbox {
    return {
      tell: (to, head, about) => this.#tell(to, head, outbox, about),
      nack: (to, sequence) => outbox.datagram(to, { kind: 'nack', sequence }),
      unanswered: (node) => {
        const known = this.#roster.get(node)
        if (known && isLive(known.member.state)) this.#judge(now, { member: { ...known.member, state: 'suspect' }, by: this.#self.node }, outbox)
      },
    }
  }

  #bury(now: Now, outbox: MembershipOutbox): void {
    for (const { member, suspicion, changedAt } of this.#roster.entries) {
      if (suspicion && suspicion.endsAt <= now.monotonic) this.#take(now, { member: { ...member, state: 'dead' }, by: undefined }, outbox)
      else if (!isLive(member.state) && changedAt + this.#settings.keepDeadMs <= now.monotonic) {
        this.#roster.delete(member.node)
        this.#updates.drop(member.node)
      }
    }
  }

  #gossip(now: Now, outbox: MembershipOutbox): void {
    this.#gossipAt = never
    for (const member of this.#some(this.#settings.gossipFanout)) {
      if (this.#updates.size + this.#hintNews.size === 0) return
      this.#tell(member.address, { kind: 'gossip' }, outbox)
    }
    if (this.#updates.size + this.#hintNews.size > 0 && this.#roster.live > 0) this.#gossipSoon(now)
  }

  /** Pings somebody who is held for dead and says so: who lives refutes it, and the halves of a healed partition meet. */
  #revive(now: Now, outbox: MembershipOutbox): void {
    this.#reviveAt = this.#later(now, this.#settings.reviveIntervalMs)
    const dead = this.#roster.entries.filter((entry) => entry.member.state === 'dead')
    if (dead.length === 0) return
    const { member } = this.#random.pick(dead)
    this.#tell(member.address, { kind: 'ping', sequence: this.#detector.sequence(), to: member.node }, outbox, member)
  }

  #syncSomebody(now: Now, outbox: MembershipOutbox): void {
    this.#syncAt = this.#later(now, this.#settings.syncIntervalMs)
    const partner = this.#roster.distant(this.#self.node, this.#random)
    if (partner !== undefined) outbox.sync(partner, this.#summary())
  }

  #synced(now: Now, from: NodeId, message: SyncMessage, outbox: MembershipOutbox): void {
    if (message.kind === 'sync') {
      const wanted = differing(this.#summary().sums, message.sums)
      outbox.sync(from, { kind: 'syncAnswer', wanted, ...this.#known(wanted) })
      return this.#learn(now, [message.self], [], outbox)
    }
    const { wanted } = message
    if (wanted.members.length + wanted.hints.length > 0) outbox.sync(from, { kind: 'syncAnswer', wanted: NOTHING_WANTED, ...this.#known(wanted) })
    this.#learn(now, message.updates, message.hints, outbox)
  }

  #joinSync(now: Now, node: NodeId, outbox: MembershipOutbox): void {
    if (now.monotonic < this.#joinSyncAt || this.#roster.get(node) === undefined) return
    this.#joinSyncAt = this.#later(now, JOIN_SYNC_EVERY_MS)
    outbox.sync(node, this.#summary())
  }

  // ---- datagrams ---------------------------------------------------------------------------------------------------

  /**
   * Fills a datagram with news: first this node's own record, so that whoever hears of it at all knows it; then what the
   * other side should hear about itself when it is held for suspect or dead; then what is still to be told.
   */
  #tell(to: Address, head: Head, outbox: MembershipOutbox, about?: Member): void {
    const updates: Update[] = [{ member: this.#self, by: undefined }]
    if (about && about.state !== 'alive') updates.push({ member: about, by: undefined })
    let left = DATAGRAM_BYTES_MAX - HEAD_BYTES
    for (const first of updates) left -= encode(update, first).length
    const times = this.#settings.retransmitFactor * Math.ceil(Math.log10(this.#roster.live + 2))
    const hints = this.#hintNews.take(Math.floor(left / 2), HINTS_PER_DATAGRAM, times)
    const news = this.#updates.take(left - hints.bytes, UPDATES_PER_DATAGRAM, times)
    updates.push(...news.values)
    outbox.datagram(to, { ...head, updates, hints: hints.values })
  }

  /** Up to `count` live members, drawn at random. */
  #some(count: number): readonly Member[] {
    const members = this.#roster.entries.map((entry) => entry.member).filter((member) => isLive(member.state))
    return sample(members, count, this.#random)
  }

  #summary(): SyncMessage & { readonly kind: 'sync' } {
    return { kind: 'sync', self: { member: this.#self, by: undefined }, sums: summaryOf(this.members, this.#hints.all) }
  }

  /** What is known in these buckets. */
  #known(wanted: Buckets): { readonly updates: readonly Update[]; readonly hints: readonly ShardHint[] } {
    const members = this.members.filter(({ node }) => wanted.members.includes(bucketOfNode(node)))
    return {
      updates: members.slice(0, SYNC_ITEMS_MAX).map((member) => ({ member, by: undefined })),
      hints: this.#hints.all.filter(({ shard }) => wanted.hints.includes(bucketOfShard(shard))).slice(0, SYNC_ITEMS_MAX),
    }
  }

  #gossipSoon(now: Now): void {
    if (this.#self.state !== 'left') this.#gossipAt = Math.min(this.#gossipAt, now.monotonic + this.#settings.gossipIntervalMs) as Instant
  }

  #later(now: Now, ms: number): Instant {
    return (now.monotonic + ms) as Instant
  }

  // ---- copies ------------------------------------------------------------------------------------------------------

  clone(): this {
    const copy = new Membership({ self: this.#self, run: this.#run, random: this.#random.clone(), settings: this.#settings })
    copy.#self = this.#self
    copy.#roster = this.#roster.clone()
    copy.#detector = this.#detector.clone(copy.#random)
    copy.#hints = this.#hints.clone()
    copy.#updates = this.#updates.clone()
    copy.#hintNews = this.#hintNews.clone()
    copy.#gossipAt = this.#gossipAt
    copy.#reviveAt = this.#reviveAt
    copy.#syncAt = this.#syncAt
    copy.#joinSyncAt = this.#joinSyncAt
    copy.#challenge = this.#challenge
    copy.#twin = this.#twin
    return copy as this
  }

  digest(): string {
    const hash = new Hash().number(this.wakeAt).number(this.#detector.score)
    for (const member of this.members) hash.bytes(encode(memberRecord, member))
    for (const hint of this.#hints.all) hash.bytes(encode(shardHint, hint))
    return hash.digest()
  }
}

assert(encode(envelope, { format: 1, network: 0, clusterId: '0'.repeat(32) as never, node: '0'.repeat(32) as NodeId, run: 0 }).length + 1 + 4 + 16 + 66 + 4 <= HEAD_BYTES, 'the room kept for a head')
