//! Who leads. A copy that misses its leader first asks whether it would be elected (pre-vote), and only then raises the
//! term, so that one that was cut off never disturbs a working shard. Whoever hears a leader keeps to it.
//!
//!   follower ── time-out ──▶ pre-candidate ── quorum would ──▶ candidate ── own vote durable, quorum voted ──▶ leader
//!       ▲                                                          │
//!       └── a leader is heard, or a higher term ───────────────────┘        a leader's hand-over skips the pre-vote

import type { Now } from '../actor.ts'
import type { Append, PreVote, PreVoteAnswer, Removed, TimeoutNow, Vote, VoteAnswer } from '../message/consensus.ts'
import type { Instant, Term } from '../units.ts'
import type { MasterOutbox, Peer } from './boundary.ts'
import { isMember, isVoter, othersOf } from './configuration.ts'
import { outcomeOf } from './quorum.ts'
import { leaderHeardAt } from './rest.ts'
import { addressed, enterTerm, follow, isKnown, knowsStamps, type MasterState, persist, resetElection, send } from './state.ts'
import { takeLead } from './succession.ts'

/** The election timer has run out. */
export function electionTimeout(m: MasterState, now: Now, out: MasterOutbox): void {
  resetElection(m, now)
  m.heir = undefined
  if (m.promotable) {
    if (now.monotonic < m.hastyUntil) waitHastily(m, now)
    m.waitsForStamps = !knowsStamps(m, now, out)
    if (!m.waitsForStamps) askBeforehand(m, now, out)
  } else if (!m.suspect && !m.receiving?.installing) inquire(m, out)
}

/** The leader's end is certain enough to ask at once, though not to disturb it if it lives. */
export function leaderLost(m: MasterState, now: Now): void {
  m.leader = undefined
  m.leaderAt = -Infinity as Instant
  m.electionAt = (now.monotonic + m.random.fraction() * m.settings.linkDownDelayMs) as Instant
  m.hastyUntil = (now.monotonic + m.settings.electionMs) as Instant
}

export function onPreVote(m: MasterState, now: Now, out: MasterOutbox, from: Peer, message: PreVote): void {
  if (!m.mayVote || tellsRemoved(m, out, from)) return
  const leader = keepsToLeader(m, now) ? m.leader : undefined
  const granted = leader === undefined && message.term >= m.term && m.log.isUpToDate(message.lastIndex, message.lastTerm)
  if (granted) giveWay(m, now, message)
  send(m, out, from, { kind: 'preVoteAnswer', asked: (message.term + 1) as Term, granted, leader, wall: now.wall })
}

/** Somebody asks for a copy that was here before this one: it cannot vote any more, but whoever asks may be as outdated. */
export function onOutdatedPreVote(m: MasterState, now: Now, out: MasterOutbox, from: Peer, message: PreVote): void {
  if (tellsRemoved(m, out, from) || !keepsToLeader(m, now)) return
  send(m, out, from, { kind: 'preVoteAnswer', asked: (message.term + 1) as Term, granted: false, leader: m.leader, wall: now.wall })
}

/** A leader speaks to a later copy on this node: then this one may have been removed, and the leader is the one to ask. */
export function onSuccessorsAppend(m: MasterState, out: MasterOutbox, from: Peer, message: Append): void {
  if (message.to > m.self.replica && message.term >= m.term && m.lead === undefined && m.leader === undefined && !m.suspect) askOne(m, out, from)
}

export function onPreVoteAnswer(m: MasterState, now: Now, out: MasterOutbox, from: Peer, message: PreVoteAnswer): void {
  const { leader } = message
  // Whoever asks for long may have been removed while it was away, and may not know the one who can tell it so.
  if (leader && m.lead === undefined && m.leader === undefined && leader.replica !== message.from && !isVoter(m.configuration, leader)) askOne(m, out, leader)
  if (!isKnown(m, from)) return
  if (message.term > m.term) return follow(m, now, out, message.term, undefined)
  if (m.role !== 'preCandidate' || message.asked !== m.term + 1) return
  note(m, now, from, message)
  const outcome = outcomeOf(m.configuration, m.campaign!.granted, m.campaign!.refused)
  if (outcome === 'won') stand(m, now, out, false)
  // Refused: it waits for its timer as a follower; a leader that it still hears of takes it back.
  else if (outcome === 'lost') m.role = 'follower'
}

export function onVote(m: MasterState, now: Now, out: MasterOutbox, from: Peer, message: Vote): void {
  if (!m.mayVote || tellsRemoved(m, out, from)) return
  if (message.term > m.term) {
    // No answer and no new term: a candidate that won its pre-vote among others finds out by itself.
    if (!message.transfer && keepsToLeader(m, now)) return
    follow(m, now, out, message.term, undefined)
    if (message.transfer) m.heir = from
  }
  const free = m.vote === undefined ? m.leader === undefined : m.vote === message.from
  const granted = message.term === m.term && free && m.log.isUpToDate(message.lastIndex, message.lastTerm)
  if (granted && m.vote === undefined) {
    m.vote = message.from
    m.voteTicket = persist(m, now, out)
  }
  if (granted) resetElection(m, now)
  else if (m.heir?.replica === from.replica) m.heir = undefined
  const answer = addressed(m, from, { kind: 'voteAnswer', granted, wall: now.wall })
  if (granted && !m.disk.has(m.voteTicket)) m.disk.defer(m.voteTicket, from.node, answer)
  else out.send(from.node, answer)
}

export function onVoteAnswer(m: MasterState, now: Now, out: MasterOutbox, from: Peer, message: VoteAnswer): void {
  if (!isKnown(m, from)) return
  if (message.term > m.term) return follow(m, now, out, message.term, undefined)
  if (m.role !== 'candidate' || message.term !== m.term || !m.campaign!.asked) return
  note(m, now, from, message)
  settle(m, now, out)
}

/** The leader hands over. Where something is missing here, others would not vote for this copy; the leader says it again when that has come. */
export function onTimeoutNow(m: MasterState, now: Now, out: MasterOutbox, from: Peer, message: TimeoutNow): void {
  if (message.term !== m.term || m.role !== 'follower' || m.leader?.replica !== from.replica || m.matched < message.lastIndex) return
  if (m.promotable && knowsStamps(m, now, out)) stand(m, now, out, true)
}

export function onRemoved(m: MasterState, now: Now, out: MasterOutbox, message: Removed): void {
  if (message.term < m.term || m.removedEpoch !== undefined) return
  // A copy that has not heard yet who the masters are is on its way in, not out.
  if (m.configuration.epoch === 0) return
  // A configuration that I am in, and that is as new, is not the past of the one that is shown.
  if (isMember(m.configuration, m.self) && message.epoch <= m.configuration.epoch) return
  if (message.epoch < m.configuration.epoch) return
  if (message.term > m.term || m.lead !== undefined) follow(m, now, out, message.term, undefined)
  m.removedEpoch = message.epoch
  m.role = 'follower'
  out.removed(message.epoch)
}

/** The disk has the own vote: only now are others asked, and it counts. */
export function canvass(m: MasterState, now: Now, out: MasterOutbox): void {
  const { campaign } = m
  if (m.role !== 'candidate' || campaign?.ticket === undefined || campaign.asked || !m.disk.has(campaign.ticket)) return
  campaign.asked = true
  campaign.granted.push(m.self.replica)
  for (const peer of electors(m)) {
    send(m, out, peer, { kind: 'vote', lastIndex: m.log.last, lastTerm: m.log.lastTerm, transfer: campaign.transfer })
  }
  settle(m, now, out)
}

function askBeforehand(m: MasterState, now: Now, out: MasterOutbox): void {
  m.role = 'preCandidate'
  m.leader = undefined
  m.campaign = { ticket: undefined, transfer: false, asked: true, granted: [m.self.replica], refused: [] }
  if (outcomeOf(m.configuration, m.campaign.granted, m.campaign.refused) === 'won') return stand(m, now, out, false)
  for (const peer of electors(m)) askOne(m, out, peer)
}

/** A copy without a vote that hears no leader asks too: no answer makes it one, but a leader may tell it that it is removed. */
function inquire(m: MasterState, out: MasterOutbox): void {
  m.leader = undefined
  for (const peer of electors(m)) askOne(m, out, peer)
}

function askOne(m: MasterState, out: MasterOutbox, peer: Peer): void {
  send(m, out, peer, { kind: 'preVote', lastIndex: m.log.last, lastTerm: m.log.lastTerm })
}

/** Whoever was granted gets a moment to stand, since two that stand at once would both fail; of two that ask at once the better one goes on. */
function giveWay(m: MasterState, now: Now, message: PreVote): void {
  if (m.role === 'preCandidate') {
    const isEqual = message.lastIndex === m.log.last && message.lastTerm === m.log.lastTerm
    if (isEqual && message.from > m.self.replica) return
    m.role = 'follower'
  }
  if (m.role === 'follower' && now.monotonic < m.hastyUntil) waitHastily(m, now)
}

function stand(m: MasterState, now: Now, out: MasterOutbox, transfer: boolean): void {
  enterTerm(m, now, out, (m.term + 1) as Term, m.self.replica)
  m.role = 'candidate'
  m.campaign = { ticket: m.voteTicket, transfer, asked: false, granted: [], refused: [] }
  resetElection(m, now)
  // A split vote while everybody hurries costs a few round trips and flushes, not a whole time-out.
  if (now.monotonic < m.hastyUntil) m.electionAt = (now.monotonic + 4 * m.settings.hastyRetryMs * (1 + m.random.fraction())) as Instant
}

function waitHastily(m: MasterState, now: Now): void {
  m.electionAt = (now.monotonic + m.settings.hastyRetryMs * (0.5 + m.random.fraction())) as Instant
}

function settle(m: MasterState, now: Now, out: MasterOutbox): void {
  const outcome = outcomeOf(m.configuration, m.campaign!.granted, m.campaign!.refused)
  if (outcome === 'won') takeLead(m, now, out)
  else if (outcome === 'lost') m.role = 'follower'
}

function note(m: MasterState, now: Now, from: Peer, message: PreVoteAnswer | VoteAnswer): void {
  const list = message.granted ? m.campaign!.granted : m.campaign!.refused
  if (!list.includes(from.replica)) list.push(from.replica)
  m.readings = m.readings.filter((reading) => reading.replica !== from.replica)
  m.readings.push({ replica: from.replica, wall: message.wall, at: now.monotonic })
}

function electors(m: MasterState): Peer[] {
  const { configuration } = m
  return othersOf({ ...configuration, learners: [] }, m.self)
}

/** Leader stickiness (Raft thesis 4.2.3): as long as a leader is heard nobody helps another. */
function keepsToLeader(m: MasterState, now: Now): boolean {
  return m.lead !== undefined || (m.leader !== undefined && now.monotonic - leaderHeardAt(m) < m.settings.electionMs)
}

/** A leader that is asked by somebody outside tells it so. */
function tellsRemoved(m: MasterState, out: MasterOutbox, from: Peer): boolean {
  if (m.lead === undefined || isKnown(m, from)) return false
  send(m, out, from, { kind: 'removed', epoch: m.history.committed.epoch })
  return true
}
