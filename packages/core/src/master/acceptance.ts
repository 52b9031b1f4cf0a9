//! The follower's side of the log: takes the leader's entries where they fit, cuts what contradicts them, and says how far
//! it agrees and how far that is durable.
//!
//!   append ─▶ fits? ── no ──▶ refused, with the newest entry that may agree
//!               └── yes ──▶ cut a conflicting tail ─▶ journal ─ durable ─▶ accepted, match

import { assert } from '../assert.ts'
import type { Now } from '../actor.ts'
import type { Append, SentEntry, SnapshotChunk } from '../message/consensus.ts'
import type { LeaseTime, LogIndex, Term, WallTime } from '../units.ts'
import type { LogRecord, MasterOutbox, Peer } from './boundary.ts'
import { CONFIGURATION_TAG, decodeConfiguration } from './configuration.ts'
import { SnapshotReceiving } from './snapshot.ts'
import { commitTo, follow, type MasterState, noteEntry, persist, persistCommit, resetElection, send } from './state.ts'

export function onAppend(m: MasterState, now: Now, out: MasterOutbox, from: Peer, message: Append): void {
  if (!hears(m, now, out, from, message.term, message.round)) return
  m.wallClock.learn(message.wall, now.monotonic)
  const isNewRound = message.round > m.round
  m.round = Math.max(m.round, message.round)
  if (m.receiving?.installing) return answer(m, now, out, from)
  if (!fits(m, message)) return refuse(m, now, out, from, message)
  const reached = (message.prevIndex + message.entries.length) as LogIndex
  const stored = store(m, now, out, message)
  m.matched = Math.max(m.matched, reached) as LogIndex
  commitTo(m, out, Math.min(message.commit, m.matched) as LogIndex)
  // The log has overtaken a snapshot that was on its way.
  if (m.receiving !== undefined && m.receiving.index <= m.matched) m.receiving = undefined
  // What was stored just now is answered for when it is durable; a new round is answered at once, since a slow disk is no reason to be taken for dead.
  if (stored) m.owesAnswer = true
  if (!stored || isNewRound) answer(m, now, out, from)
}

/** More of the log, or the term, is durable. */
export function answerDurable(m: MasterState, now: Now, out: MasterOutbox): void {
  if (!m.owesAnswer || m.leader === undefined || m.lead !== undefined || m.claimable === 0) return
  if (m.disk.index >= m.matched) m.owesAnswer = false
  answer(m, now, out, m.leader)
}

export function onSnapshotChunk(m: MasterState, now: Now, out: MasterOutbox, from: Peer, message: SnapshotChunk): void {
  if (!hears(m, now, out, from, message.term, message.round)) return
  m.round = Math.max(m.round, message.round)
  if (m.receiving?.installing) return answerChunk(m, now, out, from, message, m.receiving.image.length)
  if (message.index <= m.commitIndex || m.log.termAt(message.index) === message.indexTerm) {
    // Everything in it is here already, so the log in front of it agrees with the leader's too.
    m.receiving = undefined
    m.matched = Math.max(m.matched, Math.min(Math.max(message.index, m.commitIndex), m.log.last)) as LogIndex
    commitTo(m, out, message.index)
    return answer(m, now, out, from)
  }
  if (message.totalBytes > m.settings.snapshotBytesMax) return out.log(`a snapshot of ${message.totalBytes} bytes is refused`)
  if (m.receiving === undefined || !m.receiving.isOf(message)) m.receiving = SnapshotReceiving.begin(message)
  const { receiving } = m
  receiving.take(message)
  if (receiving.isComplete && !receiving.isIntact) {
    out.log('a snapshot came damaged: it is received again')
    receiving.restart()
  }
  if (receiving.isComplete && receiving.have > 0 || receiving.image.length === 0) {
    receiving.installing = true
    m.leaseClock.learn(message.leaseNow as LeaseTime)
    m.wallClock.learn(message.wallNow as WallTime, now.monotonic)
    out.install({ index: receiving.index, term: receiving.term, configuration: receiving.configuration, image: receiving.image })
  }
  answerChunk(m, now, out, from, message, receiving.have)
}

/** The snapshot is in the books and on the disk; the log restarts behind it. */
export function onInstalled(m: MasterState, now: Now, out: MasterOutbox, index: LogIndex): void {
  const { receiving } = m
  if (receiving === undefined || !receiving.installing || receiving.index !== index) return out.log('a snapshot was installed that nobody waits for')
  m.receiving = undefined
  m.log.restart(index, receiving.term)
  m.disk.restart(index)
  m.stampedAt = index
  m.history.restart(index, receiving.term, decodeConfiguration(receiving.configuration))
  m.commitIndex = index
  out.configured(m.configuration, true)
  persist(m, now, out)
  // Committed, so it is in every later leader's log.
  m.matched = Math.max(m.matched, index) as LogIndex
  if (m.leader !== undefined) answer(m, now, out, m.leader)
}

/** Whether this comes from the leader of the newest term; then it is followed. */
function hears(m: MasterState, now: Now, out: MasterOutbox, from: Peer, term: Term, round: number): boolean {
  if (m.suspect) {
    sendAnswer(m, now, out, from, term, round, false, true, 0, 0, 0, 0)
    return false
  }
  if (!m.isEntitled(term)) return false
  if (term < m.term) {
    // Not silence: a leader below must hear of the higher term, or this copy would be stuck above it.
    sendAnswer(m, now, out, from, m.term, round, false, false, 0, 0, 0, 0)
    return false
  }
  if (term > m.term) follow(m, now, out, term, from)
  else if (m.role !== 'follower' || m.leader?.replica !== from.replica) {
    assert(m.lead === undefined && (m.leader === undefined || m.leader.replica === from.replica), 'a term has one leader')
    follow(m, now, out, term, from)
  } else resetElection(m, now)
  m.leaderAt = now.monotonic
  return true
}

function fits(m: MasterState, message: Append): boolean {
  const { log } = m
  // What lies below the base is committed, so it agrees with every leader's log.
  return message.prevIndex < log.base || log.termAt(message.prevIndex) === message.prevTerm
}

/** Whether there was anything new in it. */
function store(m: MasterState, now: Now, out: MasterOutbox, message: Append): boolean {
  const { entries, prevIndex } = message
  let at = Math.max(0, m.log.base - prevIndex)
  while (at < entries.length && m.log.termAt((prevIndex + 1 + at) as LogIndex) === entries[at]!.term) at++
  if (at >= entries.length) return false
  const from = (prevIndex + 1 + at) as LogIndex
  if (from <= m.log.last) cut(m, out, from)
  persistCommit(m, now, out)
  const records: LogRecord[] = []
  for (; at < entries.length; at++) records.push(take(m, now, out, entries[at]!))
  const last = records[records.length - 1]!
  noteEntry(m, now, out, last.index, last.term, last.bytes)
  // Behind the hard state of `take`: an entry on the disk is never a configuration that its hard state does not know.
  out.append(m.disk.takeAppend(m.log.last), records)
  return true
}

function take(m: MasterState, now: Now, out: MasterOutbox, entry: SentEntry): LogRecord {
  const index = m.log.push(entry.term)
  if (entry.bytes[0] === CONFIGURATION_TAG) {
    noteEntry(m, now, out, index, entry.term, entry.bytes, decodeConfiguration(entry.bytes))
    persist(m, now, out)
  }
  return { index, term: entry.term, bytes: entry.bytes }
}

function cut(m: MasterState, out: MasterOutbox, from: LogIndex): void {
  assert(from > m.commitIndex, 'what is committed is never cut')
  m.log.truncate(from)
  m.disk.truncate(from)
  if (m.history.truncate(from)) out.configured(m.configuration, m.history.isCommitted)
}

function refuse(m: MasterState, now: Now, out: MasterOutbox, from: Peer, message: Append): void {
  assert(message.prevIndex > m.commitIndex, 'what is committed agrees with every leader')
  const hintIndex = m.log.mayAgreeAt(message.prevIndex, message.prevTerm)
  const hintTerm = m.log.termAt(hintIndex) as Term
  sendAnswer(m, now, out, from, m.term, message.round, false, false, 0, message.prevIndex, hintIndex, hintTerm)
}

function answer(m: MasterState, now: Now, out: MasterOutbox, to: Peer): void {
  sendAnswer(m, now, out, to, m.term, m.round, true, false, m.claimable, m.matched, 0, 0)
}

function sendAnswer(
  m: MasterState, now: Now, out: MasterOutbox, to: Peer, term: Term, round: number, accepted: boolean, suspect: boolean, match: number, reached: number, hintIndex: number, hintTerm: number,
): void {
  out.send(to.node, {
    kind: 'appendAnswer', shard: m.shard, term, from: m.self.replica, to: to.replica, round, accepted,
    match: match as LogIndex, reached: reached as LogIndex, hintIndex: hintIndex as LogIndex, hintTerm: hintTerm as Term, wall: now.wall, freeBytes: m.reader.freeBytes, suspect,
  })
}

function answerChunk(m: MasterState, now: Now, out: MasterOutbox, to: Peer, message: SnapshotChunk, offset: number): void {
  send(m, out, to, { kind: 'snapshotAnswer', round: message.round, index: message.index, offset, wall: now.wall, freeBytes: m.reader.freeBytes })
}
