//! A shard at rest: nothing happens, everybody has everything, so its leader falls silent, its followers stop counting the time, and
//! one message between two nodes speaks for all their shards (CockroachDB's quiescence and coalesced heartbeats).
//!
//!   leader    busy ──calm for a while──▶ asks ──all others agree──▶ at rest        follower   asked, has all ──▶ at rest
//!              ▲                          │                            │              ▲                           │
//!              └── a proposal, a read, a vote; a node that is silent, gone, or holds the rest no more ── roused ──┘
//!
//! What is promised stays promised: an answer of the other node to the pulse proves for every rest that it holds what an answer to a
//! heartbeat of that shard would, that its copy still followed in that term. So a quorum is counted by the same times.

import type { Now } from '../actor.ts'
import type { Instant, LogIndex, NodeId, WallTime } from '../units.ts'
import type { MasterOutbox, Peer } from './boundary.ts'
import type { MasterState } from './state.ts'

/** What another node's answers to this one's pulses have shown. */
export interface PulseProof {
  /** When the newest round began that it has answered. */
  readonly provenAt: Instant
  /** When that answer came, and what it said. */
  readonly answeredAt: Instant
  readonly wall: WallTime
  readonly freeBytes: number
}

/** Handed to a master whose node speaks in pulses. */
export interface PulseView {
  /** When the pulse of a node that leads was heard last. */
  heardAt(leader: NodeId): Instant
  proofOf(follower: NodeId): PulseProof | undefined
  /** For how long the node's own loop has run: gaps in which it stood still are left out. */
  readonly awakeMs: number
  /** The state machine waits for no time that the lease clock has to tell. */
  readonly isIdle: boolean
}

export interface LeaderRest {
  readonly askedAt: Instant
  /** What `awakeMs` was when the others had agreed; undefined before. */
  awakeFrom: number | undefined
}

/** Called with every heartbeat: whether there is nothing to do here, and has not been for so long that the shard may rest. */
export function askForRest(m: MasterState, now: Now, out: MasterOutbox): void {
  const lead = m.lead!
  if (!isCalm(m, now)) {
    lead.calm = undefined
    return
  }
  if (lead.calm?.index !== m.log.last) lead.calm = { index: m.log.last, since: now.monotonic }
  if (now.monotonic - lead.calm.since < m.settings.restAfterMs) return
  lead.rest = { askedAt: now.monotonic, awakeFrom: undefined }
  out.rest({ term: m.term, from: m.self.replica, index: m.log.last, peers: lead.peers.map(({ replica, node }) => ({ replica, node })) })
}

function isCalm(m: MasterState, now: Now): boolean {
  const lead = m.lead!
  const { last } = m.log
  if (m.pulses === undefined || !m.pulses.isIdle || lead.transfer !== undefined || lead.reads.ids.length > 0) return false
  if (m.commitIndex < last || lead.shipped < last || m.commitIndex < lead.firstOfTerm || !m.history.isCommitted || m.configuration.outgoing !== undefined) return false
  if (lead.peers.length === 0 || new Set(lead.peers.map(({ node }) => node)).size < lead.peers.length) return false
  return lead.peers.every((peer) => peer.stage === 'replicate' && !peer.suspect && peer.match === last && now.monotonic - peer.heardAt < m.settings.electionMs)
}

/** All others agree: silence from now on. */
export function restAgreed(m: MasterState): void {
  const rest = m.lead?.rest
  if (rest !== undefined && rest.awakeFrom === undefined) rest.awakeFrom = m.pulses!.awakeMs
}

/** Whether a follower may stop counting the time: the leader's log is its own to the end, committed and durable. */
export function mayFollowAtRest(m: MasterState, from: Peer, term: number, index: LogIndex): boolean {
  const follows = m.lead === undefined && m.role === 'follower' && m.term === term && m.leader?.replica === from.replica && m.leader.node === from.node
  return follows && m.pulses !== undefined && !m.suspect && m.isEntitled(m.term) && m.receiving === undefined && m.log.last === index && m.commitIndex === index && m.claimable === index
}

/** Called behind every input: whoever does not lead or follow as it did then is not at rest, and says so before the next pulse is answered. */
export function endRestIfOver(m: MasterState, now: Now, out: MasterOutbox): void {
  if (m.lead?.rest !== undefined && m.lead.peers.some((peer) => peer.suspect)) rouse(m, now, out)
  if (m.restTerm === undefined || (m.lead === undefined && m.role === 'follower' && m.leader !== undefined && m.term === m.restTerm && m.removedEpoch === undefined)) return
  m.restTerm = undefined
  out.rest(undefined)
}

/** Something happens, or may have happened: the leader beats again, the follower counts the time again. */
export function rouse(m: MasterState, now: Now, out: MasterOutbox): void {
  const { lead } = m
  if (lead?.rest !== undefined) {
    const { awakeFrom } = lead.rest
    takeProofs(m)
    if (awakeFrom !== undefined) m.leaseClock.observe(now.monotonic, m.settings, m.pulses!.awakeMs - awakeFrom)
    lead.rest = undefined
    lead.calm = undefined
    lead.heartbeatAt = now.monotonic
    // Nobody was asked for a while: that is not held against the quorum.
    lead.graceUntil = Math.max(lead.graceUntil, now.monotonic + 2 * m.settings.heartbeatMs) as Instant
    out.rest(undefined)
  }
  if (m.restTerm === undefined) return
  m.leaderAt = leaderHeardAt(m)
  m.restTerm = undefined
  m.electionAt = (Math.max(m.leaderAt, now.monotonic - m.settings.electionMs) + m.settings.electionMs * (1 + m.random.fraction())) as Instant
  out.rest(undefined)
}

/** The last sign of the leader that is followed. */
export function leaderHeardAt(m: MasterState): Instant {
  return m.restTerm !== undefined && m.leader !== undefined ? (Math.max(m.leaderAt, m.pulses!.heardAt(m.leader.node)) as Instant) : m.leaderAt
}

/** Of a shard at rest what the pulses have shown counts as if the shard itself had been answered. */
export function takeProofs(m: MasterState): void {
  const { lead } = m
  if (lead?.rest?.awakeFrom === undefined) return
  for (const peer of lead.peers) {
    const proof = m.pulses!.proofOf(peer.node)
    if (proof === undefined || proof.answeredAt <= peer.activeAt) continue
    peer.heardAt = Math.max(peer.heardAt, proof.provenAt) as Instant
    peer.activeAt = proof.answeredAt
    peer.wall = proof.wall
    peer.wallAt = proof.answeredAt
    peer.freeBytes = proof.freeBytes
  }
}
