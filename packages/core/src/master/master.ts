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
import { type Instant, type LeaseTime, type LogIndex, never, type NodeId, type ShardId, type Term, type WallTime } from '../units.ts'
import { answerDurable, onAppend, onInstalled, onSnapshotChunk } from './acceptance.ts'
import type { MasterInput, MasterOutbox, Peer, PeerView, Role } from './boundary.ts'
import { canvass, electionTimeout, leaderLost, onOutdatedPreVote, onPreVote, onPreVoteAnswer, onRemoved, onSuccessorsAppend, onTimeoutNow, onVote, onVoteAnswer } from './election.ts'
import { gather, type Proposable, proposable } from './proposal.ts'
import { onRead, takeReads } from './reading.ts'
import { reconfigure } from './reconfiguration.ts'
import { advance, beat, onAppendAnswer, onLoaded, onPeerLost, onSnapshotAnswer, onSnapshotOpened, ship } from './replication.ts'
import { SNAPSHOT_BLOCK_BYTES } from './snapshot.ts'
import { knowsStamps, MasterState, type MasterOptions, persist, stampsNow, tellRole } from './state.ts'
import { checkQuorum, leadsSurely } from './succession.ts'
import { beginTransfer, stepTransfer } from './transfer.ts'

export type { MasterOptions } from './state.ts'

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
    switch (input.kind) {
      case 'message':
        this.#message(now, input.from, input.message, out)
        break
      case 'propose':
        if (m.lead) gather(m, now, out, input.entry)
        else out.log('a proposal at a copy that does not lead is dropped')
        break
      case 'turn':
        if (m.lead) ship(m, now, out)
        break
      case 'durable':
        this.#durable(now, input.ticket, out)
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
      case 'linkDown':
        this.#linkDown(now, input.node)
        break
      case 'reconfigure':
        if (reconfigure(m, now, out, input.change)) ship(m, now, out)
        break
      case 'transfer':
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
      default:
        input satisfies never
    }
    tellRole(m, out)
  }

  wake(now: Now, out: MasterOutbox): void {
    const m = this.#state
    if (m.removedEpoch !== undefined) return
    this.#called(now, out)
    if (m.lead === undefined) {
      if (!m.suspect && now.monotonic >= m.electionAt) electionTimeout(m, now, out)
    } else if (!checkQuorum(m, now, out)) {
      stepTransfer(m, now, out)
      if (now.monotonic >= m.lead.heartbeatAt) {
        m.lead.heartbeatAt = (now.monotonic + m.settings.heartbeatMs) as Instant
        takeReads(m)
        beat(m, now, out)
      }
    }
    tellRole(m, out)
  }

  get wakeAt(): Instant {
    const m = this.#state
    if (m.removedEpoch !== undefined || m.suspect) return never
    if (m.lead) return Math.min(m.lead.heartbeatAt, m.calledAt + m.settings.leasePollMs) as Instant
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

  /** Of the configuration in force, and of those that may be again; each may stand more than once. */
  get voters(): readonly Peer[] {
    return this.#state.history.voters
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

  /** This copy's own disk has more left than what is kept back. */
  get hasRoom(): boolean {
    const { freeBytes, reserveBytes } = this.#state.reader
    return freeBytes >= reserveBytes
  }

  /** Nothing is to be added: this disk, or those of so many masters that no majority is left, have come to what is kept back. */
  get lacksRoom(): boolean {
    const { lead, configuration, self, reader } = this.#state
    const roomy = ({ voters }: { readonly voters: readonly Peer[] }): number =>
      voters.filter((voter) => voter.replica !== self.replica && (lead?.peer(voter)?.freeBytes ?? Infinity) >= reader.reserveBytes).length
    return !this.hasRoom || (1 + roomy(configuration)) * 2 <= configuration.voters.length
  }

  /** The others as the leader sees them; empty elsewhere. */
  peers(now: Now): PeerView[] {
    const m = this.#state
    const views: PeerView[] = []
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
    return this.#state.leaseClock.read(now.monotonic, this.#state.settings)
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
    if (m.lead === undefined) return
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
        return onTimeoutNow(m, now, out, from, message.term)
      case 'removed':
        return onRemoved(m, now, out, message)
      default:
        message satisfies never
    }
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
