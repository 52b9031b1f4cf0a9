//! A session of one shard: commands under rising sequences, repeated under the same one until their outcome is known.
//!
//!   new ─open▶ opening ─answer▶ open ─sessionExpired▶ expiring ─nothing on its way▶ new
//!
//! Definite or Unknown (DESIGN 11, I10). Of every command it is known whether it may ever have been appended:
//!
//!   queued ──sent──▶ on a link ──notLeader, noQuorum for this very sending──▶ not appended: sent again later
//!                        └──link lost, no answer, leader lost its lead──▶ doubtful: sent again under the same sequence,
//!                                                                          and from now on its time-out says Unknown
//!
//! A definite answer to a repeat settles it, since the shard remembers the first answer of every sequence in the window.

import type { answer } from '../message/client.ts'
import { Code, openAnswer, openBody, Operation } from '../message/command.ts'
import { decode, type MessageOf } from '../message/layout.ts'
import type { Instant, SessionNumber } from '../units.ts'
import { never } from '../units.ts'
import type { ClientOutbox, ErrorCode, LinkId } from './api.ts'
import { sayDemands, sayLeases } from './demand.ts'
import { dropLeases, noteClock } from './holdings.ts'
import { ANSWER_DOUBT_MS, ANSWER_REPEAT_MS, ANSWER_REPEAT_MS_MAX, SESSION_WINDOW } from './limits.ts'
import { NO_LINK, sendOver } from './links.ts'
import { newTimer, startTimer, stopTimer } from './requests.ts'
import { doubt, isReady, refreshTopic, served, shardDueAt, turnedAway } from './routing.ts'
import type { Command, Session, Shard, State, Work } from './state.ts'
import { addressCommand, beginCommand } from './wire.ts'

const NOTHING = new Uint8Array(0)

/** `bytes` are a whole command, begun by `beginCommand`. */
export function enqueue(s: State, session: Session, bytes: Uint8Array, work: Work, deadlineAt: Instant): void {
  const command: Command = { timed: 'command', timer: newTimer(s), deadlineAt, session, bytes, fresh: true, work, sequence: 0, link: NO_LINK, sentAt: 0 as Instant, repeatMs: ANSWER_REPEAT_MS, doubtful: false }
  startTimer(s, command, deadlineAt)
  session.queue.push(command)
}

// ---- sending -------------------------------------------------------------------------------------------------------

export function flushSession(s: State, now: Instant, out: ClientOutbox, session: Session): void {
  if (session.state === 'expiring') finishExpiring(s, session)
  if (!isReady(session.shard, now)) return
  if (session.state === 'new' && isWanted(session)) sendOpen(s, now, out, session)
  if (session.state !== 'open') return
  if (session.worker !== undefined) {
    sayLeases(s, now, out, session)
    sayDemands(s, now, out, session)
  }
  if (session.unsent > 0) for (const command of session.inFlight.values()) if (command.link === NO_LINK) send(s, now, out, session, command)
  session.unsent = 0
  sendQueued(s, now, out, session)
}

function sendQueued(s: State, now: Instant, out: ClientOutbox, session: Session): void {
  let taken = 0
  while (taken < session.queue.length && session.nextSequence - lowestUnanswered(session) < SESSION_WINDOW) {
    const command = session.queue[taken++]!
    command.sequence = session.nextSequence++
    session.inFlight.set(command.sequence, command)
    send(s, now, out, session, command)
  }
  if (taken > 0) session.queue.splice(0, taken)
}

function isWanted(session: Session): boolean {
  return session.queue.length > 0 || (session.worker !== undefined && session.worker.state === 'open')
}

function lowestUnanswered(session: Session): number {
  for (const sequence of session.inFlight.keys()) return sequence
  return session.nextSequence
}

function send(s: State, now: Instant, out: ClientOutbox, session: Session, command: Command): void {
  command.link = session.shard.link
  command.sentAt = now
  session.stampAt = now
  session.checkAt = Math.min(session.checkAt, now + ANSWER_DOUBT_MS) as Instant
  if (!command.fresh) command.bytes = command.bytes.slice()
  command.fresh = false
  addressCommand(command.bytes, { shard: session.shard.id, session: session.number, sequence: command.sequence, lowest: lowestUnanswered(session), stamp: now })
  sendOver(s, now, out, command.link, command.bytes, true)
}

/** Sessions are told apart by the sequence of their open, which no other open of this client shares. */
function sendOpen(s: State, now: Instant, out: ClientOutbox, session: Session): void {
  session.state = 'opening'
  session.openSequence = s.nextOpen++
  session.openLink = session.shard.link
  session.openedAt = now
  session.checkAt = Math.min(session.checkAt, now + ANSWER_DOUBT_MS) as Instant
  const writer = beginCommand(Operation.open)
  openBody.write(writer, { client: s.random.hex(128) })
  const bytes = writer.take()
  addressCommand(bytes, { shard: session.shard.id, session: 0 as SessionNumber, sequence: session.openSequence, lowest: session.openSequence, stamp: now })
  sendOver(s, now, out, session.openLink, bytes, true)
}

/** Looks for answers that are overdue: first asks who leads, then repeats. */
export function checkUnanswered(now: Instant, session: Session): void {
  if (now < session.checkAt) return
  session.checkAt = never
  if (session.state === 'opening') {
    refreshTopic(session.shard.topic, now)
    if (now >= session.openedAt + ANSWER_REPEAT_MS) session.state = 'new'
    else session.checkAt = (now + ANSWER_DOUBT_MS) as Instant
  }
  for (const command of session.inFlight.values()) {
    if (command.link === NO_LINK) continue
    if (now >= command.sentAt + ANSWER_DOUBT_MS) refreshTopic(session.shard.topic, now)
    if (now < command.sentAt + command.repeatMs) session.checkAt = (now + ANSWER_DOUBT_MS / 2) as Instant
    else {
      doubt(session, command)
      command.repeatMs = Math.min(command.repeatMs * 2, ANSWER_REPEAT_MS_MAX)
    }
  }
}

/** When the session next wants to be flushed or checked. */
export function sessionDueAt(s: State, now: Instant, session: Session): Instant {
  const pending = session.unsent > 0 || (session.state === 'new' && isWanted(session)) || (session.queue.length > 0 && session.inFlight.size === 0 && session.state === 'open')
  return (pending && !isReady(session.shard, now) ? Math.min(session.checkAt, shardDueAt(s, now, session.shard)) : session.checkAt) as Instant
}

// ---- answers -------------------------------------------------------------------------------------------------------

export function takeAnswer(s: State, now: Instant, out: ClientOutbox, link: LinkId, message: MessageOf<typeof answer>): void {
  const shard = s.shards.get(message.shard)
  if (shard === undefined) return
  const session = shard.byNumber.get(message.session)
  if (session === undefined) {
    takeOpened(s, now, shard, link, message)
    return
  }
  noteClock(session, message.stamp, message.leaseClock)
  const { code, body } = message
  const command = session.inFlight.get(message.sequence)
  if (command === undefined) {
    // Sequence 0 answers what is no command: a resume or a beat.
    if (message.sequence === 0 && code === Code.sessionExpired) expireSession(out, session)
    else if (message.sequence === 0 && code === Code.notLeader) turnedAway(s, now, shard, link, code, body)
    return
  }
  if (code === Code.ok) {
    served(shard)
    settle(s, command, 'ok', '', body)
  } else if (code === Code.sessionExpired) {
    notAppended(session, command, link)
    expireSession(out, session)
  } else if (code === Code.notLeader || code === Code.noQuorum) {
    notAppended(session, command, link)
    turnedAway(s, now, shard, link, code, body)
  } else if (code === Code.unknown) {
    if (command.link === link) doubt(session, command)
    turnedAway(s, now, shard, link, Code.notLeader, body)
  } else refused(s, now, shard, session, command, link, code)
}

function refused(s: State, now: Instant, shard: Shard, session: Session, command: Command, link: LinkId, code: number): void {
  const early = code === Code.unknownPartition || code === Code.backpressure
  if (early && command.doubtful) {
    // This sending was refused, but an earlier one may have got in: only a repeat under the same sequence can tell.
    notAppended(session, command, link)
    turnedAway(s, now, shard, link, code, NOTHING)
  } else if (code === Code.unknownPartition) {
    // The refusal is remembered under this sequence, so the command goes out again under a new one.
    withdraw(session, command)
    session.queue.unshift(command)
    turnedAway(s, now, shard, link, code, NOTHING)
    refreshTopic(shard.topic, now)
  } else settle(s, command, errorOf(code), DETAILS[code] ?? `the shard answered with code ${code}`, NOTHING)
}

function takeOpened(s: State, now: Instant, shard: Shard, link: LinkId, message: MessageOf<typeof answer>): void {
  const session = shard.sessions.find((candidate) => candidate.state === 'opening' && candidate.openSequence === message.sequence)
  if (session === undefined) {
    if (message.sequence === 0 && message.code === Code.notLeader) turnedAway(s, now, shard, link, message.code, message.body)
    return
  }
  if (message.code !== Code.ok) {
    session.state = 'new'
    turnedAway(s, now, shard, link, message.code, message.body)
    return
  }
  served(shard)
  session.state = 'open'
  session.number = decode(openAnswer, message.body).session
  session.nextSequence = 1
  shard.byNumber.set(session.number, session)
  noteClock(session, message.stamp, message.leaseClock)
}

/** The sending over this very link was refused before it came into the log. */
function notAppended(session: Session, command: Command, link: LinkId): void {
  if (command.link !== link) return
  command.link = NO_LINK
  session.unsent++
}

// ---- endings -------------------------------------------------------------------------------------------------------

export function settle(s: State, command: Command, code: ErrorCode | 'ok', detail: string, body: Uint8Array): void {
  const session = command.session
  if (command.sequence === 0) session.queue.splice(session.queue.indexOf(command), 1)
  else withdraw(session, command)
  stopTimer(s, command)
  s.settled.push({ command, code, detail, body })
}

export function commandTimedOut(s: State, command: Command): void {
  if (mayBeAppended(command)) settle(s, command, 'Unknown', 'no answer came in time: it may have been done', NOTHING)
  else settle(s, command, 'NoQuorum', 'no leader with a quorum took it in time: it was not done', NOTHING)
}

export function mayBeAppended(command: Command): boolean {
  return command.doubtful || command.link !== NO_LINK
}

function withdraw(session: Session, command: Command): void {
  if (session.inFlight.delete(command.sequence) && command.link === NO_LINK) session.unsent--
  command.sequence = 0
  command.link = NO_LINK
}

/** The shard does not know the session: its leases are lost; what is on its way is waited for before a new one is opened. */
export function expireSession(out: ClientOutbox, session: Session): void {
  if (session.state !== 'open') return
  session.state = 'expiring'
  out.log(`session ${session.number} of shard ${session.shard.id} has expired`)
  dropLeases(out, session, 'session')
}

function finishExpiring(s: State, session: Session): void {
  for (const command of [...session.inFlight.values()]) {
    if (command.link !== NO_LINK) continue
    if (command.doubtful) settle(s, command, 'Unknown', 'the session expired before the outcome was known', NOTHING)
    else if (command.work.kind === 'lease' || command.work.kind === 'close') settle(s, command, 'LeaseLost', 'the session expired', NOTHING)
    else {
      withdraw(session, command)
      session.queue.push(command)
    }
  }
  for (const command of [...session.queue]) if (command.work.kind === 'lease' || command.work.kind === 'close') settle(s, command, 'LeaseLost', 'the session expired', NOTHING)
  if (session.inFlight.size > 0) return
  session.shard.byNumber.delete(session.number)
  session.state = 'new'
  session.number = 0 as SessionNumber
  session.unsent = 0
  session.resume = session.worker !== undefined
  session.queue.sort((a, b) => a.timer - b.timer)
}

const ERRORS: Readonly<Record<number, ErrorCode>> = {
  [Code.backpressure]: 'Backpressure', [Code.payloadTooLarge]: 'PayloadTooLarge', [Code.malformed]: 'Malformed', [Code.notAuthorized]: 'NotAuthorized',
  [Code.versionSkew]: 'VersionSkew', [Code.notFound]: 'NotFound', [Code.noQuorum]: 'NoQuorum', [Code.notLeader]: 'NoQuorum', [Code.unknownPartition]: 'NotFound',
}

const DETAILS: Readonly<Record<number, string>> = {
  [Code.stale]: 'the shard has dropped this sequence: it may have been done',
  [Code.backpressure]: 'the shard is full or over a limit: try again later',
  [Code.payloadTooLarge]: 'a payload is larger than the cluster allows',
  [Code.malformed]: 'the shard could not read the command',
  [Code.notAuthorized]: 'this client may not do that',
  [Code.versionSkew]: 'the cluster speaks another version',
  [Code.notFound]: 'there is no such thing',
}

/** What a refusal is called; a code that is not known here may mean anything. */
export function errorOf(code: number): ErrorCode {
  return ERRORS[code] ?? 'Unknown'
}
