//! One copy of a shard's log and its part in Raft, as an actor.
//!
//!                    ┌──────────────────────────── Master ───────────────────────────┐
//!   message ───────▶ │ election    pre-vote, vote, time-outs      succession  transfer│ ──▶ send
//!   propose, turn ─▶ │ replication the leader's log               acceptance  follower│ ──▶ append, hardState (tickets)
//!   durable ───────▶ │ reading     reads by rounds                reconfiguration     │ ──▶ committed, readable
//!   wake ──────────▶ │ state: log, history, durability, lease clock, wall clock       │ ──▶ role, configured, install
//!                    └───────────────────────────────────────────────────────────────┘
//!
//! Whatever claims that something is durable leaves only behind the ticket that says so. A message for another shard or
//! another replica number is ignored, and a sender counts by number and node together.

import { assert } from '../assert.ts'
import type { Actor, Now } from '../actor.ts'
import type { Configuration } from '../message/command.ts'
import type { ConsensusMessage } from '../message/consensus.ts'
import { type Epoch, type Instant, type LeaseTime, type LogIndex, never, type NodeId, type ShardId, type Term, type WallTime } from '../units.ts'
import { answerDurable, onAppend, onInstalled, onSnapshotChunk } from './acceptance.ts'
import type { MasterInput, MasterOutbox, Peer, PeerView, Role } from './boundary.ts'
import { canvass, electionTimeout, leaderLost, onOutdatedPreVote, onPreVote, onPreVoteAnswer, onRemoved, onSuccessorsAppend, onTimeoutNow, onVote, onVoteAnswer } from './election.ts'
import { gather, type Proposable, proposable } from './proposal.ts'
import { onRead, takeReads } from './reading.ts'
import { reconfigure } from './reconfiguration.ts'
import { advance, beat, onAppendAnswer, onLoaded, onPeerLost, onSnapshotAnswer, onSnapshotOpened, ship } from './replication.ts'
import { askForRest, endRestIfOver, mayFollowAtRest, restAgreed, rouse, takeProofs } from './rest.ts'
import { SNAPSHOT_BLOCK_BYTES } from './snapshot.ts'
import { knowsStamps, leaseNow, MasterState, type MasterOptions, persist, stampsNow, tellRole } from './state.ts'
import { checkQuorum, leadsSurely } from './succession.ts'
import { beginTransfer, endTransfer, stepTransfer } from './transfer.ts'

export type { MasterOptions } from './state.ts'

/** As many as a hint takes; changes of so many nodes that were never committed do not pile up. */
const HOLDERS_MAX = 16

export class Master implements Actor<MasterInput, MasterOutbox> {
  readonly #state: MasterState

  constructor(options: MasterOptions | MasterState) {
    assert(options.settings.snapshotChunkBytes % SNAPSHOT_BLOCK_BYTES === 0, 'chunks of a snapshot are whole blocks')
    this.#state = options instanceof MasterState ? options : new MasterState(options)
  }

  receive(now: Now, input: MasterInput, out: MasterOutbox): void {
    const m = this.#state
    if (m.removedEpoch !== undefined) return
    this.#called(now, out)
    if (rouses(m, input)) rouse(m, now, out)
    switch (input.kind) {
      case 'message':
        this.#message(now, input.from, input.message, out)
        break
      case 'propose':
        if (m.lead) gather(m, now, out, input.entry)
        else out.log('a proposal at a copy that does not lead is dropped')
        break
      case 'turn':
        if (m.lead === undefined) break
        ship(m, now, out)
        stepTransfer(m, now, out)
        break
      case 'durable':
        this.#durable(now, input.ticket, out)
        break
      case 'standing':
        this.#judge(now, out)
        break
      case 'read':
        onRead(m, out, input.id)
        break
      case 'loaded':
        if (m.lead) onLoaded(m, now, out)
        else if (m.waitsForStamps) electionTimeout(m, now, out)
        break
      case 'unreadable':
        m.unreadableThrough = Math.max(m.unreadableThrough, input.index) as LogIndex
        if (m.lead) onLoaded(m, now, out)
        break
      case 'readable':
        if (input.index === m.unreadableThrough) m.unreadableThrough = 0 as LogIndex
        if (m.lead) onLoaded(m, now, out)
        else if (m.waitsForStamps) electionTimeout(m, now, out)
        break
      case 'linkDown':
        this.#linkDown(now, input.node)
        break
      case 'reconfigure':
        if (reconfigure(m, now, out, input.change)) ship(m, now, out)
        break
      case 'transfer':
        // What was gathered is on its way first: then the successor can be told at once.
        if (m.lead) ship(m, now, out)
        beginTransfer(m, now, out, input.to)
        break
      case 'snapshotted':
        this.#snapshotted(now, input.index, input.term, input.all, out)
        break
      case 'snapshotOpened':
        onSnapshotOpened(m, now, out, input.peer, input.source)
        break
      case 'installed':
        onInstalled(m, now, out, input.index)
        break
      case 'restAgreed':
        restAgreed(m)
        break
      case 'rouse':
        break
      default:
        input satisfies never
    }
    endRestIfOver(m, now, out)
    tellRole(m, out)
  }

  wake(now: Now, out: MasterOutbox): void {
    const m = this.#state
    if (m.removedEpoch !== undefined) return
    this.#called(now, out)
    if (m.lead === undefined) {
      if (!m.suspect && m.restTerm === undefined && now.monotonic >= m.electionAt) electionTimeout(m, now, out)
    } else if (m.lead.rest?.awakeFrom === undefined && !checkQuorum(m, now, out)) {
      stepTransfer(m, now, out)
      // Whoever does not agree in time needs the heartbeats that the others would be roused by.
      if (m.lead.rest !== undefined && now.monotonic >= m.lead.rest.askedAt + m.settings.electionMs / 2) rouse(m, now, out)
      if (m.lead.rest === undefined && now.monotonic >= m.lead.heartbeatAt) this.#beat(now, out)
    }
    tellRole(m, out)
  }

  #beat(now: Now, out: MasterOutbox): void {
    const m = this.#state
    const lead = m.lead!
    lead.heartbeatAt = (now.monotonic + m.settings.heartbeatMs) as Instant
    takeReads(m)
    beat(m, now, out)
    if (m.lead === lead) askForRest(m, now, out)
  }

  get wakeAt(): Instant {
    const m = this.#state
    if (m.removedEpoch !== undefined || m.suspect) return never
    if (m.lead?.rest !== undefined) return m.lead.rest.awakeFrom === undefined ? (Math.min(m.lead.rest.askedAt + m.settings.electionMs / 2, m.calledAt + m.settings.leasePollMs) as Instant) : never
    if (m.lead) return Math.min(m.lead.heartbeatAt, m.calledAt + m.settings.leasePollMs) as Instant
    if (m.restTerm !== undefined) return never
    return m.configuration.voters.length === 0 ? never : m.electionAt
  }

  get shard(): ShardId {
    return this.#state.shard
  }

  get self(): Peer {
    return this.#state.self
  }

  get role(): Role {
    return this.#state.role === 'preCandidate' ? 'candidate' : this.#state.role
  }

  get term(): Term {
    return this.#state.term
  }

  get leader(): Peer | undefined {
    return this.#state.leader
  }

  /** Who led this copy last, in this run of the node: a lost leader until there is another one. */
  get lastLeader(): Peer | undefined {
    return this.#state.lastLeader
  }

  /** Who was told to lead next and was not heard to do so yet, as far as this copy knows: a leader that has one takes nothing more. */
  get heir(): Peer | undefined {
    return this.#state.heir
  }

  /** It stands for election because its leader has told it to. */
  get isSucceeding(): boolean {
    const { role, campaign } = this.#state
    return role === 'candidate' && campaign?.transfer === true
  }

  /** The oldest entry that the log still has. */
  get firstIndex(): LogIndex {
    return this.#state.log.first
  }

  get lastIndex(): LogIndex {
    return this.#state.log.last
  }

  get commitIndex(): LogIndex {
    return this.#state.commitIndex
  }

  /** The term of an entry from just before `firstIndex` to `lastIndex`. */
  termAt(index: LogIndex): Term | undefined {
    return this.#state.log.termAt(index)
  }

  /** In force, committed or not. */
  get configuration(): Configuration {
    return this.#state.configuration
  }

  /** The newest that is known to be committed and those behind it, the last in force. */
  get configurations(): readonly Configuration[] {
    return this.#state.history.all
  }

  /** Of the configuration in force, and of those that may be again; each may stand more than once. */
  get voters(): readonly Peer[] {
    return this.#state.history.voters
  }

  /**
   * Who holds the shard, as others may be told. While a change is under way these are the old and the new ones, since the shard may need
   * any of them; the epoch says less than the one in force until that is committed, so that its end is news.
   */
  get holders(): { readonly epoch: Epoch; readonly nodes: readonly NodeId[] } {
    const { history } = this.#state
    const { current, committed, isCommitted } = history
    const epoch = isCommitted || current.outgoing !== undefined ? current.epoch : committed.epoch
    return { epoch, nodes: [...new Set(history.voters.map(({ node }) => node))].slice(0, HOLDERS_MAX) }
  }

  /** The newest one that is known to be committed: what a snapshot is written with. */
  get configurationCommitted(): Configuration {
    return this.#state.history.committed
  }

  /** An entry of the own term is committed, so the leader knows everything that ever was. */
  get isSettled(): boolean {
    const { lead, commitIndex } = this.#state
    return lead !== undefined && commitIndex >= lead.firstOfTerm
  }

  /** This copy was not found intact: it has to be replaced under a new number. */
  get isSuspect(): boolean {
    return this.#state.suspect
  }

  /**
   * Where this is false, or the copy is suspect, an append or a snapshot to a higher number may take its place. No other kind
   * of message ever makes a copy: an empty one that votes under a number that was removed would vote twice.
   */
  get isMember(): boolean {
    return this.#state.isMember
  }

  get proposable(): Proposable {
    return proposable(this.#state)
  }

  /** It leads, and no other leader's lease clock can have moved yet: what its own says is good for whoever was heard just now. */
  leadsSurely(now: Now): boolean {
    return this.#state.lead !== undefined && leadsSurely(this.#state, now)
  }

  /** What the registry thinks of this copy is no more what it was told to have been: it wants a `standing`. */
  get isMisjudged(): boolean {
    const { term, wasEntitled } = this.#state
    return this.#state.isEntitled(term) !== wasEntitled
  }

  /** The shard is at rest, and this copy leads it or follows. */
  get isAtRest(): boolean {
    const { lead, restTerm } = this.#state
    return lead === undefined ? restTerm !== undefined : lead.rest?.awakeFrom !== undefined
  }

  /** The leader `from` wants the shard to rest, its log ending at `index`: whether this copy agrees, and from now on counts no time. */
  followAtRest(from: Peer, term: Term, index: LogIndex): boolean {
    const m = this.#state
    if (!mayFollowAtRest(m, from, term, index)) return false
    m.restTerm = term
    return true
  }

  /** This copy's own disk has more left than what is kept back. */
  get hasRoom(): boolean {
    const { freeBytes, reserveBytes } = this.#state.reader
    return freeBytes >= reserveBytes
  }

  /** Nothing is to be added: this disk, or those of so many masters that no majority is left, have come to what is kept back. */
  get lacksRoom(): boolean {
    takeProofs(this.#state)
    const { lead, configuration, self, reader } = this.#state
    const roomy = ({ voters }: { readonly voters: readonly Peer[] }): number =>
      voters.filter((voter) => voter.replica !== self.replica && (lead?.peer(voter)?.freeBytes ?? Infinity) >= reader.reserveBytes).length
    return !this.hasRoom || (1 + roomy(configuration)) * 2 <= configuration.voters.length
  }

  /** That node's end would change something here: it leads this copy, or holds another that this one leads. */
  concerns(node: NodeId): boolean {
    const { lead, leader } = this.#state
    return lead === undefined ? leader?.node === node : lead.peers.some((peer) => peer.node === node)
  }

  /** It leads, and has found the copy of another master to be lost. */
  get seesDoubt(): boolean {
    return this.#state.lead?.peers.some((peer) => peer.suspect) ?? false
  }

  /** The others as the leader sees them; empty elsewhere. */
  peers(now: Now): PeerView[] {
    const m = this.#state
    const views: PeerView[] = []
    takeProofs(m)
    for (const peer of m.lead?.peers ?? []) {
      // A peer that this leader has never heard is silent since it leads, not since ever.
      const activeAgoMs = now.monotonic - Math.max(peer.activeAt, peer.heardAt)
      const caughtUp = !peer.suspect && peer.stage === 'replicate' && now.monotonic - peer.activeAt < m.settings.electionMs && peer.match + m.settings.caughtUpEntries >= m.log.last
      views.push({ replica: peer.replica, node: peer.node, match: peer.match, activeAgoMs, learner: peer.learner, caughtUp, suspect: peer.suspect, hasRoom: peer.freeBytes >= m.reader.reserveBytes })
    }
    return views
  }

  /** The lease clock; on a follower the last stamped time that it knows. */
  leaseNow(now: Now): LeaseTime {
    return leaseNow(this.#state, now)
  }

  /** The shard's wall clock, on a follower the last one that it knows. */
  wallNow(now: Now): WallTime {
    const m = this.#state
    return m.lead ? stampsNow(m, now).wallNow : m.wallClock.value
  }

  clone(): this {
    return new Master(this.#state.clone()) as this
  }

  digest(): string {
    return this.#state.digest()
  }

  #called(now: Now, out: MasterOutbox): void {
    const m = this.#state
    const idleMs = now.monotonic - m.calledAt
    m.calledAt = now.monotonic
    if (m.unwritten) {
      m.unwritten = false
      persist(m, now, out)
    }
    // At rest the node watches over its loop for all shards.
    if (m.lead === undefined || m.lead.rest?.awakeFrom !== undefined) return
    m.leaseClock.observe(now.monotonic, m.settings)
    // A loop that stood still has heard nobody: the quorum gets two heartbeats before that is held against it.
    if (idleMs > m.settings.electionMs / 2) {
      m.lead.graceUntil = (now.monotonic + 2 * m.settings.heartbeatMs) as Instant
      m.lead.heartbeatAt = now.monotonic
    }
  }

  #message(now: Now, node: NodeId, message: ConsensusMessage, out: MasterOutbox): void {
    const m = this.#state
    if (message.shard !== m.shard) return
    const from: Peer = { replica: message.from, node }
    if (message.to !== m.self.replica) {
      if (message.kind === 'preVote') onOutdatedPreVote(m, now, out, from, message)
      if (message.kind === 'append') onSuccessorsAppend(m, out, from, message)
      return
    }
    switch (message.kind) {
      case 'append':
        return onAppend(m, now, out, from, message)
      case 'appendAnswer':
        return onAppendAnswer(m, now, out, from, message)
      case 'preVote':
        return onPreVote(m, now, out, from, message)
      case 'preVoteAnswer':
        return onPreVoteAnswer(m, now, out, from, message)
      case 'vote':
        return onVote(m, now, out, from, message)
      case 'voteAnswer':
        return onVoteAnswer(m, now, out, from, message)
      case 'snapshot':
        return onSnapshotChunk(m, now, out, from, message)
      case 'snapshotAnswer':
        return onSnapshotAnswer(m, now, out, from, message)
      case 'timeoutNow':
        return onTimeoutNow(m, now, out, from, message)
      case 'removed':
        return onRemoved(m, now, out, message)
      default:
        message satisfies never
    }
  }

  /** Behind a copy that the registry stands behind from now on: it need not wait as long as if it had lost a leader. One that it has left answers for nothing. */
  #judge(now: Now, out: MasterOutbox): void {
    const m = this.#state
    const isEntitled = m.isEntitled(m.term)
    if (!isEntitled) rouse(m, now, out)
    else if (!m.wasEntitled && m.lead === undefined && m.leader === undefined) m.electionAt = Math.min(m.electionAt, m.firstElectionAt(now.monotonic)) as Instant
    m.wasEntitled = isEntitled
  }

  #durable(now: Now, ticket: number, out: MasterOutbox): void {
    const m = this.#state
    for (const deferred of m.disk.reached(ticket)) out.send(deferred.to, deferred.message)
    canvass(m, now, out)
    if (m.lead) advance(m, now, out)
    else answerDurable(m, now, out)
  }

  #linkDown(now: Now, node: NodeId): void {
    const m = this.#state
    if (m.lead) {
      for (const peer of m.lead.peers) if (peer.node === node) onPeerLost(m, peer)
      // It may have been told or not; where it stands and wins, that is heard soon enough.
      if (m.lead.transfer?.to.node === node) endTransfer(m)
    } else if (m.leader?.node === node) leaderLost(m, now)
  }

  /** Log that the snapshot covers goes, but for a tail for slow followers and what a transfer under way will go on with. */
  #snapshotted(now: Now, index: LogIndex, term: Term, all: boolean, out: MasterOutbox): void {
    const m = this.#state
    if (m.log.termAt(index) !== term || index > m.commitIndex) return
    let base = all ? index : index - m.settings.keepEntries
    for (const peer of m.lead?.peers ?? []) {
      if (peer.sending === undefined || now.monotonic - peer.heardAt >= m.settings.electionMs) continue
      // While it is put together nobody here knows its index.
      if (peer.sending.source === undefined) return
      base = Math.min(base, peer.sending.source.index)
    }
    // Where the log came from the disk its last entry stays until it has been read: whoever leads next goes on from its times.
    if (base >= m.log.last && !knowsStamps(m, now, out)) base = m.log.last - 1
    if (base <= m.log.base) return
    m.log.trim(base as LogIndex)
    // The entries whose stamps those were may go with their segment.
    persist(m, now, out)
    out.trim(base as LogIndex)
  }
}

/** What ends a rest beforehand; whatever else an input does to it is found out behind. */
function rouses(m: MasterState, input: MasterInput): boolean {
  const message = input.kind === 'message' && input.message.shard === m.shard && input.message.to === m.self.replica ? input.message.kind : undefined
  if (m.lead?.rest === undefined) return m.restTerm !== undefined && (input.kind === 'rouse' || message === 'append' || message === 'snapshot')
  if (input.kind === 'message') return message !== undefined && message !== 'appendAnswer' && message !== 'snapshotAnswer'
  return ROUSING.has(input.kind)
}

const ROUSING: ReadonlySet<MasterInput['kind']> = new Set(['propose', 'read', 'reconfigure', 'transfer', 'linkDown', 'snapshotOpened', 'rouse'])
