//! The state of one copy, shared by the parts of a master (election, acceptance, replication ...), and the few steps that
//! all of them take: answer a peer, write the hard state, commit, change the role.

import { assert } from '../assert.ts'
import { Hash } from '../hash.ts'
import { type Configuration, entryTimes } from '../message/command.ts'
import type { ConsensusMessage } from '../message/consensus.ts'
import type { Now } from '../actor.ts'
import type { Random } from '../random.ts'
import type { Epoch, Instant, LeaseTime, LogIndex, ShardId, Term, WallTime } from '../units.ts'
import type { LogReader, MasterOutbox, Peer, RecoveredCopy, Role, Stamps } from './boundary.ts'
import { decodeConfiguration, emptyConfiguration, History, isMember, isVoter } from './configuration.ts'
import { Durability } from './durability.ts'
import { LeaseClock } from './lease-clock.ts'
import type { Leadership } from './leadership.ts'
import { Log } from './log.ts'
import { READING_AGE } from './progress.ts'
import { majorityOf } from './quorum.ts'
import { age, wait } from './relative.ts'
import { type PulseView, takeProofs } from './rest.ts'
import type { MasterSettings } from './settings.ts'
import type { SnapshotReceiving } from './snapshot.ts'
import { WallClock } from './wall-clock.ts'

export interface MasterOptions {
  readonly shard: ShardId
  readonly self: Peer
  readonly settings: MasterSettings
  readonly random: Random
  readonly reader: LogReader
  readonly now: Now
  /** What the shard was born with; undefined for a copy that the leader will fill. */
  readonly birth?: Configuration | undefined
  readonly recovered?: RecoveredCopy | undefined
  /** Whether the disk is known to hold what it once held: before, this copy neither votes nor stands. Always, unless told. */
  readonly isCleared?: (() => boolean) | undefined
  /** Without it the shard never rests. */
  readonly pulses?: PulseView | undefined
  /**
   * Whether the registry stands behind a copy in that term: before, this one neither votes, stands nor acknowledges, so that one that is believed
   * to be destroyed and comes back makes no quorum. Always, unless told.
   */
  readonly isEntitled?: ((term: Term) => boolean) | undefined
}

/** An election that this copy stands in. */
export interface Campaign {
  /** Undefined for a pre-vote; else the ticket of the own vote, before which nobody is asked. */
  readonly ticket: number | undefined
  readonly transfer: boolean
  asked: boolean
  readonly granted: number[]
  readonly refused: number[]
}

/** A peer's clock, as seen in an answer to a vote. */
export interface ClockReading {
  readonly replica: number
  readonly wall: WallTime
  readonly at: Instant
}

export class MasterState {
  readonly shard: ShardId
  readonly self: Peer
  readonly settings: MasterSettings
  readonly random: Random
  readonly reader: LogReader
  readonly suspect: boolean
  readonly isCleared: () => boolean
  readonly pulses: PulseView | undefined
  readonly isEntitled: (term: Term) => boolean
  /** As it was judged last. */
  wasEntitled: boolean
  /** The time of the last call: what a digest tells times from. */
  calledAt: Instant

  term = 0 as Term
  vote: number | undefined
  /** The tickets of the last hard state that changed the term, and of the one that changed the vote. */
  termTicket = 0
  voteTicket = 0
  commitIndex = 0 as LogIndex
  commitWritten = 0 as LogIndex
  commitWrittenAt = -Infinity as Instant
  /** Told by the leader that a committed configuration is without this copy: nothing is done any more. */
  removedEpoch: Epoch | undefined

  log: Log
  disk: Durability
  history: History
  leaseClock = new LeaseClock()
  wallClock = new WallClock()
  /** The last entry whose stamps are known; a copy that does not know its last entry's does not stand for election. */
  stampedAt = 0 as LogIndex
  /** The leader's times of this moment: all entries of one moment carry the same. */
  stamps: Stamps = { leaseNow: 0 as LeaseTime, wallNow: 0 as WallTime }
  stampsAt = -Infinity as Instant
  unreadableThrough = 0 as LogIndex

  role: 'follower' | 'preCandidate' | 'candidate' | 'leader' = 'follower'
  leader: Peer | undefined
  /** Whom this copy followed last, or itself where it led after that; kept when that leader is lost. */
  lastLeader: Peer | undefined
  told: { role: Role; term: Term; leader: Peer | undefined } | undefined
  /** The last sign of a leader that counts for keeping to it. */
  leaderAt = -Infinity as Instant
  electionAt: Instant
  hastyUntil = -Infinity as Instant
  campaign: Campaign | undefined
  readings: ClockReading[] = []
  /** It would stand, but its last entry is still being read. */
  waitsForStamps = false
  /** Born, and not written down yet. */
  unwritten: boolean

  /** At rest behind the leader of this term. */
  restTerm: Term | undefined

  /** Up to here the log is known to agree with that of this term's leader, whose newest round this is. */
  matched = 0 as LogIndex
  round = 0
  owesAnswer = false
  receiving: SnapshotReceiving | undefined

  /** Told by the last leader to lead next, as far as this copy knows, and not heard to do so yet: clients may as well be sent there. */
  heir: Peer | undefined

  lead: Leadership | undefined
  /** Voters that the committed end of a joint configuration will have removed. */
  leaving: readonly Peer[] = []

  constructor(options: MasterOptions) {
    const { recovered } = options
    this.shard = options.shard
    this.self = options.self
    this.settings = options.settings
    this.random = options.random
    this.reader = options.reader
    this.suspect = recovered?.suspect ?? false
    this.isCleared = options.isCleared ?? ((): boolean => true)
    this.pulses = options.pulses
    this.isEntitled = options.isEntitled ?? ((): boolean => true)
    this.calledAt = options.now.monotonic
    this.log = recovered ? Log.recover(recovered) : new Log()
    this.disk = new Durability(this.log.last)
    const snapshot = recovered?.snapshot
    const base = snapshot ? decodeConfiguration(snapshot.configuration) : (options.birth ?? emptyConfiguration)
    this.history = new History(snapshot?.index ?? (0 as LogIndex), snapshot?.term ?? (0 as Term), base)
    if (recovered?.hardState) this.#restore(recovered.hardState, snapshot?.index ?? (0 as LogIndex), options.now)
    if (snapshot && this.stampedAt < snapshot.index) this.#learnSnapshot(snapshot, options.now)
    const least = Math.max(this.commitIndex, snapshot?.index ?? 0) as LogIndex
    this.commitIndex = this.commitWritten = Math.min(least, this.log.last) as LogIndex
    this.history.commit(this.commitIndex)
    this.unwritten = options.birth !== undefined && recovered?.hardState === undefined
    this.electionAt = this.firstElectionAt(options.now.monotonic)
    this.wasEntitled = this.isEntitled(this.term)
  }

  #restore(state: NonNullable<RecoveredCopy['hardState']>, snapshotIndex: LogIndex, now: Now): void {
    assert(state.self === this.self.replica, 'a copy keeps its number')
    this.term = state.term
    this.vote = state.vote
    this.commitIndex = state.commit
    if (state.extra.length === 0) return
    const extra = this.history.recover(state.extra, this.log, snapshotIndex)
    if (this.log.termAt(extra.stampedAt) === extra.stampedTerm) this.stampedAt = extra.stampedAt
    this.leaseClock.learn(extra.leaseNow)
    this.wallClock.learn(extra.wallNow, now.monotonic)
  }

  /** The hard state may be older than the snapshot: its configuration bears the stamps of the last entry that the snapshot covers. */
  #learnSnapshot(snapshot: NonNullable<RecoveredCopy['snapshot']>, now: Now): void {
    const times = entryTimes(snapshot.configuration)
    this.leaseClock.learn(times.leaseNow)
    this.wallClock.learn(times.wallNow, now.monotonic)
    this.stampedAt = snapshot.index
  }

  /**
   * A shard's first leader need not be waited for: alone one stands at once, and of many the lowest number begins. A copy that
   * starts again waits only so long that a leader that lives is heard first; where all were down, each hurries until they meet.
   */
  firstElectionAt(now: Instant): Instant {
    const { voters } = this.history.current
    if (voters.length === 1) return now
    if (this.term === 0 && voters.length > 0 && voters.every((voter) => voter.replica >= this.self.replica)) {
      this.hastyUntil = (now + this.settings.electionMs) as Instant
      return (now + this.random.fraction() * this.settings.linkDownDelayMs) as Instant
    }
    const { electionMs } = this.settings
    if (this.term === 0) return (now + electionMs * (1 + this.random.fraction())) as Instant
    this.hastyUntil = (now + HASTY_AFTER_START * electionMs) as Instant
    return (now + (electionMs * (1 + this.random.fraction())) / 4) as Instant
  }

  get configuration(): Configuration {
    return this.history.current
  }

  /**
   * May stand for election. So may one that an uncommitted configuration leaves out: it can have the longest log, and then
   * nobody else would be elected (Raft thesis 4.2.2). Its own vote does not count then.
   */
  get promotable(): boolean {
    return !this.suspect && this.isCleared() && this.isEntitled(this.term) && !this.receiving?.installing && this.history.some((configuration) => isVoter(configuration, this.self))
  }

  /** Knows itself to be a member, of the configuration in force or of one that may be again. */
  get isMember(): boolean {
    return this.history.some((configuration) => isMember(configuration, this.self))
  }

  /**
   * Only a copy that knows itself to be a member votes: one that was removed, deleted and is made again by a message that
   * comes late has forgotten what it voted and acknowledged.
   */
  get mayVote(): boolean {
    return !this.suspect && this.isCleared() && this.isEntitled(this.term) && this.isMember
  }

  /** The newest entry that can be claimed as the leader's and durable. */
  get claimable(): LogIndex {
    // A term that a crash could forget must not be claimed in: an older leader could then cut what was acknowledged.
    if (!this.disk.has(this.termTicket)) return 0 as LogIndex
    return Math.min(this.matched, this.disk.index) as LogIndex
  }

  clone(): MasterState {
    const copy = Object.assign(Object.create(MasterState.prototype) as MasterState, this)
    return Object.assign(copy, {
      random: this.random.clone(), log: this.log.clone(), disk: this.disk.clone(), history: this.history.clone(),
      leaseClock: this.leaseClock.clone(), wallClock: this.wallClock.clone(), receiving: this.receiving?.clone(), lead: this.lead?.clone(),
      campaign: this.campaign && { ...this.campaign, granted: this.campaign.granted.slice(), refused: this.campaign.refused.slice() },
      readings: this.readings.slice(),
    })
  }

  /**
   * Everything that decides what comes next, with times told from the last call: what was only told to the outside (`told`) follows from the
   * rest, and so does what of a campaign or of a timer is not in use.
   */
  digest(): string {
    const hash = new Hash()
    const { calledAt, disk, settings } = this
    hash.number(this.shard).word(this.self.replica).word(flags(this.suspect, this.unwritten, this.waitsForStamps, this.owesAnswer, this.stampsAt === calledAt))
    hash.number(this.term).number(this.vote ?? -1).number(disk.pending(this.termTicket)).number(disk.pending(this.voteTicket)).number(this.removedEpoch ?? -1)
    hash.number(this.commitIndex).number(this.commitWritten).number(age(this.commitWrittenAt, calledAt, settings.commitWriteMs))
    hash.number(this.restTerm ?? -1).number(this.stampedAt).number(this.unreadableThrough).number(this.matched).number(this.round)
    if (this.stampsAt === calledAt) hash.number(this.stamps.leaseNow).number(this.stamps.wallNow)
    hash.text(this.role).number(this.leader?.replica ?? -1).number(this.heir?.replica ?? -1)
    if (this.leader !== undefined) hash.number(age(this.leaderAt, calledAt, settings.electionMs))
    if (this.lead === undefined) hash.number(wait(this.electionAt, calledAt)).number(wait(this.hastyUntil, calledAt))
    if (this.role === 'candidate' || this.role === 'preCandidate') mixCampaign(hash, this.campaign!, disk)
    for (const { replica, wall, at } of this.readings.slice().sort((a, b) => a.replica - b.replica)) hash.word(replica).number(wall).number(age(at, calledAt, READING_AGE * settings.electionMs))
    for (const peer of this.leaving) hash.word(peer.replica)
    this.log.mix(hash)
    disk.mix(hash)
    this.history.mix(hash)
    this.leaseClock.mix(hash, calledAt)
    this.wallClock.mix(hash, calledAt)
    this.lead?.mix(hash, calledAt, settings)
    this.receiving?.mix(hash)
    return hash.digest()
  }
}

function mixCampaign(hash: Hash, campaign: Campaign, disk: Durability): void {
  const sorted = (replicas: readonly number[]): number[] => replicas.slice().sort((a, b) => a - b)
  hash.number(campaign.ticket === undefined ? -1 : disk.pending(campaign.ticket)).word(flags(campaign.transfer, campaign.asked))
  for (const replica of sorted(campaign.granted)) hash.word(replica)
  hash.word(-1)
  for (const replica of sorted(campaign.refused)) hash.word(replica)
}

function flags(...set: readonly boolean[]): number {
  return set.reduce((word, one, i) => word | (one ? 1 << i : 0), 0)
}

// ---- steps that all parts take -------------------------------------------------------------------------------------

type Headless<M> = M extends ConsensusMessage ? Omit<M, 'shard' | 'term' | 'from' | 'to'> : never

/** Completes a message's head for one peer. `term` is the own one but for answers that must not disturb. */
export function addressed(m: MasterState, to: Peer, message: Headless<ConsensusMessage>, term = m.term): ConsensusMessage {
  return { ...message, shard: m.shard, term, from: m.self.replica, to: to.replica } as ConsensusMessage
}

export function send(m: MasterState, out: MasterOutbox, to: Peer, message: Headless<ConsensusMessage>): void {
  out.send(to.node, addressed(m, to, message))
}

export function persist(m: MasterState, now: Now, out: MasterOutbox): number {
  const ticket = m.disk.take()
  m.commitWritten = m.commitIndex
  m.commitWrittenAt = now.monotonic
  out.hardState(ticket, {
    term: m.term, vote: m.vote as typeof m.self.replica | undefined, self: m.self.replica, epoch: m.configuration.epoch, commit: m.commitIndex,
    extra: m.history.encodeExtra({ leaseNow: m.leaseClock.value, wallNow: m.wallClock.value, stampedAt: m.stampedAt, stampedTerm: m.log.termAt(m.stampedAt) ?? (0 as Term) }),
  })
  return ticket
}

/** In front of a group that is written anyway: the commit index never needs a flush of its own. */
export function persistCommit(m: MasterState, now: Now, out: MasterOutbox): void {
  if (m.commitIndex > m.commitWritten && now.monotonic - m.commitWrittenAt >= m.settings.commitWriteMs) persist(m, now, out)
}

export function commitTo(m: MasterState, out: MasterOutbox, index: LogIndex): void {
  if (index <= m.commitIndex) return
  assert(index <= m.log.last, 'only what is in the log is committed')
  m.commitIndex = index
  out.committed(index)
  if (m.history.commit(index)) out.configured(m.configuration, m.history.isCommitted)
}

/** The entry is in the log from now on: what it says about time and masters holds. */
export function noteEntry(m: MasterState, now: Now, out: MasterOutbox, index: LogIndex, term: Term, bytes: Uint8Array, configuration?: Configuration): void {
  const times = entryTimes(bytes)
  m.leaseClock.learn(times.leaseNow)
  m.wallClock.learn(times.wallNow, now.monotonic)
  m.stampedAt = index
  if (configuration === undefined) return
  m.history.append(index, term, configuration)
  out.configured(configuration, false)
}

/** Learns the stamps of the last entry where the log came from the disk; false while that entry is being read. */
export function knowsStamps(m: MasterState, now: Now, out: MasterOutbox): boolean {
  if (m.stampedAt >= m.log.last) return true
  const last = m.reader.entries(m.shard, m.log.last, m.log.last, 1)?.[0]
  if (last === undefined) {
    out.fetch(m.log.last, m.log.last, 1)
    return false
  }
  noteEntry(m, now, out, last.index, last.term, last.bytes)
  return true
}

export function resetElection(m: MasterState, now: Now): void {
  m.electionAt = (now.monotonic + m.settings.electionMs * (1 + m.random.fraction())) as Instant
}

/** Follows `leader` in `term`, or nobody yet. A new term is written down, and nothing is claimed in it before. */
export function follow(m: MasterState, now: Now, out: MasterOutbox, term: Term, leader: Peer | undefined): void {
  assert(term >= m.term, 'terms never fall')
  if (m.lead !== undefined) abdicate(m, out)
  if (term > m.term) enterTerm(m, now, out, term, undefined)
  m.role = 'follower'
  m.campaign = undefined
  m.readings = []
  m.leader = leader
  m.lastLeader = leader ?? m.lastLeader
  m.heir = undefined
  resetElection(m, now)
}

/** A new term, with the own vote already in it or none. */
export function enterTerm(m: MasterState, now: Now, out: MasterOutbox, term: Term, vote: number | undefined): void {
  m.term = term
  m.vote = vote
  m.leader = undefined
  // What is committed is in every later leader's log.
  m.matched = m.commitIndex
  m.round = 0
  m.owesAnswer = false
  m.termTicket = m.voteTicket = persist(m, now, out)
}

/** What was proposed but not given to anyone is dropped: it was never appended. */
function abdicate(m: MasterState, out: MasterOutbox): void {
  const { shipped, reads, rest } = m.lead!
  if (rest !== undefined) out.rest(undefined)
  if (m.log.last > shipped) {
    m.log.truncate((shipped + 1) as LogIndex)
    m.stampedAt = Math.min(m.stampedAt, shipped) as LogIndex
    if (m.history.truncate((shipped + 1) as LogIndex)) out.configured(m.configuration, m.history.isCommitted)
  }
  for (const id of reads.ids) out.readRefused(id)
  m.lead = undefined
  m.leaving = []
  m.leaseClock.follow()
  m.leaderAt = -Infinity as Instant
}

/** Tells of the role where it has changed; called at the end of every input. */
export function tellRole(m: MasterState, out: MasterOutbox): void {
  const role = m.role === 'preCandidate' ? 'candidate' : m.role
  if (m.told && m.told.role === role && m.told.term === m.term && m.told.leader?.replica === m.leader?.replica) return
  m.told = { role, term: m.term, leader: m.leader }
  out.role(m.told)
}

/** A message's head speaks for a member of the configuration in force. */
export function isKnown(m: MasterState, peer: Peer): boolean {
  return isMember(m.configuration, peer) || isMember(m.history.committed, peer)
}

/** Election time-outs after a start in which pre-votes are repeated in haste: nodes that start together come up as far apart. */
const HASTY_AFTER_START = 4

/** The times for an entry, or for a message of the leader. */
export function stampsNow(m: MasterState, now: Now): Stamps {
  if (m.stampsAt === now.monotonic) return m.stamps
  m.stampsAt = now.monotonic
  takeProofs(m)
  const { voters } = m.configuration
  const clocks: number[] = []
  for (const voter of voters) {
    if (voter.replica === m.self.replica) clocks.push(now.wall)
    const peer = m.lead?.peer(voter)
    if (peer && now.monotonic - peer.wallAt < READING_AGE * m.settings.electionMs) clocks.push(peer.wall + (now.monotonic - peer.wallAt))
  }
  if (clocks.length === 0) clocks.push(now.wall)
  m.wallClock.observe(now.monotonic, clocks, majorityOf(voters.length), m.settings)
  m.stamps = { leaseNow: leaseNow(m, now), wallNow: m.wallClock.value }
  return m.stamps
}

/** The lease clock; on a follower the last stamped time that it knows. */
export function leaseNow(m: MasterState, now: Now): LeaseTime {
  const awakeFrom = m.lead?.rest?.awakeFrom
  return m.leaseClock.read(now.monotonic, m.settings, awakeFrom === undefined ? undefined : m.pulses!.awakeMs - awakeFrom)
}
