//! The leader's side of the log: what a turn has gathered goes to the disk and to the followers at the same time, answers
//! move the peers' progress, and what a quorum has on its disks is committed.
//!
//!   propose ... propose │ turn ──▶ journal (own match counts when durable)
//!                       └────────▶ one append per follower ──▶ answers ──▶ commit
//!
//! Only entries of the own term are committed by counting (Raft 5.4.2); earlier ones ride along.

import type { Now } from '../actor.ts'
import { present } from '../assert.ts'
import { type AppendAnswer, ENTRIES_PER_APPEND_MAX, type SnapshotAnswer } from '../message/consensus.ts'
import type { LogIndex, Term } from '../units.ts'
import type { LogRecord, MasterOutbox, Peer, SnapshotSource } from './boundary.ts'
import type { Progress } from './progress.ts'
import { reachedByQuorum } from './quorum.ts'
import { answerReads, takeReads } from './reading.ts'
import { afterCommit } from './reconfiguration.ts'
import { SnapshotSending } from './snapshot.ts'
import { commitTo, follow, isKnown, type MasterState, persistCommit, send, stampsNow } from './state.ts'
import { stepTransfer } from './transfer.ts'

/** Gives out what was gathered. Called once a turn, and at once for the leader's own entries. */
export function ship(m: MasterState, now: Now, out: MasterOutbox): void {
  const lead = m.lead!
  if (lead.gathered.length > 0) {
    persistCommit(m, now, out)
    out.append(m.disk.takeAppend(m.log.last), lead.gathered)
    lead.uncommitted.lasts.push(m.log.last)
    lead.uncommitted.bytes.push(lead.gatheredBytes)
    lead.uncommitted.total += lead.gatheredBytes
    lead.fresh = lead.gathered
    lead.freshBytes = lead.gatheredBytes
    lead.gathered = []
    lead.gatheredBytes = 0
    lead.shipped = m.log.last
    for (const peer of lead.peers) feed(m, now, out, peer)
    lead.fresh = []
    lead.freshBytes = 0
  }
  if (takeReads(m)) beat(m, now, out)
}

/** A round: everybody is sent an append without entries, which also probes whether everything sent so far has arrived. */
export function beat(m: MasterState, now: Now, out: MasterOutbox): void {
  const lead = m.lead!
  lead.beginRound(now.monotonic)
  for (const peer of lead.peers) {
    if (peer.stage === 'snapshot') {
      if (peer.sending?.retry(now.monotonic, m.settings)) out.openSnapshot(peer.replica)
      feedSnapshot(m, now, out, peer)
    }
    sendEmpty(m, now, out, peer)
  }
  answerReads(m, out)
}

export function onAppendAnswer(m: MasterState, now: Now, out: MasterOutbox, from: Peer, message: AppendAnswer): void {
  if (message.term > m.term) {
    // A member that is ahead in terms can be led by nobody below: the next election will be above it.
    if (isKnown(m, from)) follow(m, now, out, message.term, undefined)
    return
  }
  const peer = message.term === m.term ? m.lead?.peer(from) : undefined
  if (peer === undefined) return
  noteSign(peer, now, message)
  if (message.suspect) return peer.distrust()
  if (peer.suspect || !noteRound(m, peer, message.round)) return
  const advanced = message.accepted ? accepted(m, peer, message) : refused(m, now, out, peer, message)
  if (message.accepted && hasOldSnapshot(m, now, peer, message)) openSnapshot(now, out, peer)
  feed(m, now, out, peer)
  if (advanced) {
    advance(m, now, out)
    if (m.lead !== undefined) stepTransfer(m, now, out)
  }
  if (m.lead !== undefined) answerReads(m, out)
}

export function onSnapshotAnswer(m: MasterState, now: Now, out: MasterOutbox, from: Peer, message: SnapshotAnswer): void {
  const peer = message.term === m.term ? m.lead?.peer(from) : undefined
  if (peer === undefined || peer.suspect) return
  noteSign(peer, now, message)
  if (!noteRound(m, peer, message.round)) return
  if (peer.sending?.source?.index === message.index) {
    peer.sending.wants(message.offset, message.round, now.monotonic)
    feedSnapshot(m, now, out, peer)
  }
  answerReads(m, out)
}

export function onSnapshotOpened(m: MasterState, now: Now, out: MasterOutbox, replica: number, source: SnapshotSource): void {
  const peer = m.lead?.peers.find((each) => each.replica === replica)
  if (peer?.sending === undefined || peer.sending.source !== undefined) return
  peer.sending.source = source
  feedSnapshot(m, now, out, peer)
}

/** Bytes that were on the disk are in memory now. */
export function onLoaded(m: MasterState, now: Now, out: MasterOutbox): void {
  for (const peer of m.lead!.peers) {
    peer.loading = false
    feed(m, now, out, peer)
    feedSnapshot(m, now, out, peer)
  }
}

/** What was under way to that peer may be lost. */
export function onPeerLost(m: MasterState, peer: Progress): void {
  peer.resetRound = m.lead!.round + 1
  if (peer.stage === 'replicate') peer.restart('probe', peer.next)
}

/** Commits what a quorum has, and does what follows from it. */
export function advance(m: MasterState, now: Now, out: MasterOutbox): void {
  const lead = present(m.lead, 'only a leader commits by counting')
  const reached = reachedByQuorum(m.configuration, m.self, m.disk.index, lead.peers, 'match')
  if (reached <= m.commitIndex || m.log.termAt(reached as LogIndex) !== m.term) return
  commitTo(m, out, reached as LogIndex)
  const { lasts, bytes } = lead.uncommitted
  let count = 0
  while (count < lasts.length && lasts[count]! <= reached) lead.uncommitted.total -= bytes[count++]!
  lasts.splice(0, count)
  bytes.splice(0, count)
  if (afterCommit(m, now, out)) {
    ship(m, now, out)
    // A configuration of fewer voters can be committed by what is there already.
    advance(m, now, out)
  }
}

function noteSign(peer: Progress, now: Now, message: { readonly wall: typeof now.wall; readonly freeBytes: number }): void {
  peer.activeAt = now.monotonic
  peer.wall = message.wall
  peer.wallAt = now.monotonic
  peer.freeBytes = message.freeBytes
}

/** An answer counts from when its round began, not from when it came: it may have lain in a socket for long. */
function noteRound(m: MasterState, peer: Progress, round: number): boolean {
  if (round > m.lead!.round) return false
  peer.round = Math.max(peer.round, round)
  const began = m.lead!.roundBegan(round)
  if (began !== undefined && began > peer.heardAt) peer.heardAt = began
  return true
}

/** Whether more is durable there. */
function accepted(m: MasterState, peer: Progress, message: AppendAnswer): boolean {
  if (message.match > m.log.last || message.reached > m.log.last) return false
  const advanced = peer.acknowledged(message.match, message.round)
  const known = Math.max(peer.match, message.reached)
  if (peer.stage === 'snapshot') {
    if (known > 0 && known >= m.log.base && known >= m.unreadableThrough) peer.restart('replicate', (known + 1) as LogIndex)
  } else if (peer.stage === 'probe') {
    if (message.round >= peer.resetRound && known >= peer.next - 1) peer.restart('replicate', (known + 1) as LogIndex)
  } else if (peer.next <= peer.match) peer.next = (peer.match + 1) as LogIndex
  return advanced
}

/**
 * The snapshot that was sent has arrived, but the log in front of it went while it was on its way: a newer one is needed. At most one
 * a heartbeat, and none that says the same again: each is answered, and asks the question anew.
 */
function hasOldSnapshot(m: MasterState, now: Now, peer: Progress, message: AppendAnswer): boolean {
  const source = peer.stage === 'snapshot' ? peer.sending?.source : undefined
  if (source === undefined || Math.max(peer.match, message.reached) < source.index) return false
  return m.commitIndex > source.index && now.monotonic - peer.sending!.since >= m.settings.heartbeatMs
}

function openSnapshot(now: Now, out: MasterOutbox, peer: Progress): void {
  peer.sending = new SnapshotSending(now.monotonic)
  out.openSnapshot(peer.replica)
}

/** Steps back to where both logs may agree. Never below what the peer has acknowledged. */
function refused(m: MasterState, now: Now, out: MasterOutbox, peer: Progress, message: AppendAnswer): boolean {
  if (peer.stage === 'snapshot' || message.round < peer.resetRound) return false
  if (message.hintIndex < peer.match) {
    // An old refusal that comes late; or one that was made after the acknowledgement, and then the disk has lost it.
    if (message.round <= peer.matchRound) return false
    peer.distrust()
    out.log(`replica ${peer.replica} is below what it acknowledged: it counts as lost`)
    return false
  }
  if (message.reached <= peer.match) return false
  // Below the base nothing can be compared: `feed` sends a snapshot then.
  const at = m.log.mayAgreeAt(message.hintIndex, message.hintTerm)
  const agrees = at === message.hintIndex && m.log.termAt(at) === message.hintTerm
  peer.restart(agrees ? 'replicate' : 'probe', (Math.max(at, peer.match) + 1) as LogIndex)
  // Refusals of what is still under way would make the peer step back again and again.
  peer.resetRound = m.lead!.beginRound(now.monotonic)
  if (peer.stage === 'probe' && peer.next > m.log.base) sendEmpty(m, now, out, peer)
  return false
}

/** Sends what the peer lacks, as far as its window goes. */
function feed(m: MasterState, now: Now, out: MasterOutbox, peer: Progress): void {
  const lead = m.lead!
  if (peer.suspect) return
  // What is not committed is in no snapshot: there is nothing to send until the entry can be read.
  if (peer.next <= m.unreadableThrough && m.unreadableThrough > m.commitIndex) return
  if (peer.stage !== 'snapshot' && (peer.next <= m.log.base || peer.next <= m.unreadableThrough)) {
    // The log does not go back so far any more.
    peer.restart('snapshot', peer.next)
    return openSnapshot(now, out, peer)
  }
  while (peer.stage === 'replicate' && !peer.loading && peer.next <= lead.shipped && !peer.isFull(m.settings)) {
    const records = recordsFor(m, peer.next)
    if (records === undefined) {
      peer.loading = true
      out.fetch(peer.next, lead.shipped, m.settings.appendBytesMax)
      return
    }
    const last = records[records.length - 1]!.index
    sendAppend(m, now, out, peer, (peer.next - 1) as LogIndex, records)
    peer.sent(last, records === lead.fresh ? lead.freshBytes : bytesOf(records))
  }
}

function feedSnapshot(m: MasterState, now: Now, out: MasterOutbox, peer: Progress): void {
  const { sending } = peer
  if (sending?.source === undefined || peer.suspect) return
  const { source } = sending
  const { leaseNow, wallNow } = stampsNow(m, now)
  for (let chunk = sending.next(m.settings); chunk !== undefined; chunk = sending.next(m.settings)) {
    send(m, out, peer, {
      kind: 'snapshot', round: m.lead!.round, index: source.index, indexTerm: source.term, configuration: source.configuration,
      leaseNow, wallNow, totalBytes: source.totalBytes, hash: source.hash, offset: chunk.offset, chunk: chunk.bytes,
    })
  }
}

/** Entries from `from` on for one message: out of the batch that is just going out, or out of the journal's memory. */
function recordsFor(m: MasterState, from: LogIndex): readonly LogRecord[] | undefined {
  const { fresh, freshBytes, shipped } = m.lead!
  const freshFrom = fresh[0]?.index ?? Infinity
  if (from < freshFrom) {
    const to = Math.min(shipped, freshFrom - 1, from + ENTRIES_PER_APPEND_MAX - 1) as LogIndex
    const records = m.reader.entries(m.shard, from, to, m.settings.appendBytesMax)
    return records === undefined || records.length === 0 ? undefined : records
  }
  if (from === freshFrom && freshBytes <= m.settings.appendBytesMax && fresh.length <= ENTRIES_PER_APPEND_MAX) return fresh
  let end = from - freshFrom
  let bytes = 0
  const most = Math.min(fresh.length, end + ENTRIES_PER_APPEND_MAX)
  do bytes += fresh[end++]!.bytes.length
  while (end < most && bytes + fresh[end]!.bytes.length <= m.settings.appendBytesMax)
  return fresh.slice(from - freshFrom, end)
}

function sendEmpty(m: MasterState, now: Now, out: MasterOutbox, peer: Progress): void {
  // In the middle of a snapshot, and to a copy that counts as lost, it says only that there is a leader.
  const prevIndex = peer.stage === 'snapshot' || peer.suspect ? 0 : peer.next - 1
  if (m.log.termAt(prevIndex as LogIndex) === undefined && prevIndex !== 0) return feed(m, now, out, peer)
  sendAppend(m, now, out, peer, prevIndex as LogIndex, [])
}

function sendAppend(m: MasterState, now: Now, out: MasterOutbox, peer: Progress, prevIndex: LogIndex, entries: readonly LogRecord[]): void {
  const prevTerm = prevIndex === 0 ? (0 as Term) : present(m.log.termAt(prevIndex), 'the entry in front is known')
  const { wallNow } = stampsNow(m, now)
  // Written out, since a spread makes objects of a new shape on the hot path (measured with three masters in one process: five times the cost of a turn).
  out.send(peer.node, {
    kind: 'append', shard: m.shard, term: m.term, from: m.self.replica, to: peer.replica,
    round: m.lead!.round, prevIndex, prevTerm, commit: m.commitIndex, wall: wallNow, entries,
  })
}

function bytesOf(records: readonly LogRecord[]): number {
  let bytes = 0
  for (const record of records) bytes += record.bytes.length
  return bytes
}
