//! Reads: of a shard's books, through its leader; of the cluster's state, through any node. They change nothing, so they are
//! simply asked again until their time is up. So are wishes of operators, under a drawn id: one that comes twice is done once.

import { nodeWish, query, type queryAnswer, Query as QueryKind, status, topicWish } from '../message/client.ts'
import { Code } from '../message/command.ts'
import { encode, type MessageOf } from '../message/layout.ts'
import { topicSettings } from '../message/posts.ts'
import { RegistryCode } from '../message/registry.ts'
import type { Instant } from '../units.ts'
import { never } from '../units.ts'
import { type ClientOutbox, type Failure, failure, type LinkId } from './api.ts'
import { ANSWER_REPEAT_MS, QUERIES_MAX } from './limits.ts'
import { backoff, homeLink, isAnswering, isUp, NO_LINK, sendOver } from './links.ts'
import { done, newTimer, startTimer, stopTimer } from './requests.ts'
import { isReady, shardDueAt, turnedAway } from './routing.ts'
import { errorOf } from './session.ts'
import type { Lookup, Place, Query, QueryPart, Question, State } from './state.ts'
import { encodeRow } from './wire.ts'

const NOTHING = new Uint8Array(0)

/** One read of one partition, or of all; or a question that any node answers. */
export function startQuery(s: State, out: ClientOutbox, number: number, about: Question, deadlineAt: Instant): void {
  if (s.queries.size >= QUERIES_MAX) {
    done(out, number, failure('Backpressure', `${QUERIES_MAX} reads wait for their answers already`))
    return
  }
  const places = about.kind === 'query' ? about.topic.partitions.filter((place) => about.partition === undefined || place.partition === about.partition) : [undefined]
  if (about.kind === 'query' && places.length === 0) {
    done(out, number, failure('NotFound', `topic ${about.topic.name} has no partition ${about.partition}`))
    return
  }
  const parts = places.map((place): QueryPart => ({ place, wire: 0, answer: undefined, askAt: 0 as Instant, attempts: 0 }))
  const asked: Query = { timed: 'query', timer: newTimer(s), number, about, id: about.kind === 'wish' ? s.random.u32() : 0, parts }
  s.queries.set(asked.timer, asked)
  startTimer(s, asked, deadlineAt)
}

export function flushQueries(s: State, now: Instant, out: ClientOutbox): void {
  for (const asked of s.queries.values()) {
    for (const part of asked.parts) {
      if (part.answer !== undefined || now < part.askAt) continue
      if (part.wire !== 0) forget(s, part)
      const link = linkFor(s, now, part.place)
      if (link === NO_LINK) continue
      part.wire = s.nextWire++
      part.askAt = (now + ANSWER_REPEAT_MS) as Instant
      s.lookups.set(part.wire, { kind: asked.about.kind, link, sentAt: now, topic: undefined, query: asked, part })
      sendOver(s, now, out, link, encodePart(asked, part), true)
    }
  }
}

function encodePart(asked: Query, part: QueryPart): Uint8Array {
  const { about } = asked
  if (about.kind === 'status') return encodeRow(status, { request: part.wire })
  if (about.kind === 'wish') return encodeRow(nodeWish, { request: part.wire, id: asked.id, wish: about.wish, node: about.node, force: about.force })
  if (about.kind === 'topicWish') return encodeRow(topicWish, { request: part.wire, topic: about.name, partitions: about.partitions, settings: encode(topicSettings, about.settings) })
  const { shard, partition } = part.place!
  return encodeRow(query, { request: part.wire, shard, partition, operation: about.operation, body: about.body })
}

function linkFor(s: State, now: Instant, place: Place | undefined): LinkId {
  if (place === undefined) return homeLink(s)
  const shard = s.shards.get(place.shard)!
  return isReady(shard, now) ? shard.link : NO_LINK
}

export function queriesDueAt(s: State, now: Instant): Instant {
  let at = Infinity
  for (const asked of s.queries.values()) {
    for (const part of asked.parts) {
      if (part.answer !== undefined) continue
      if (linkFor(s, now, part.place) !== NO_LINK) at = Math.min(at, part.askAt)
      else if (part.place !== undefined) at = Math.min(at, Math.max(part.askAt, shardDueAt(s, now, s.shards.get(part.place.shard)!)))
    }
  }
  return at as Instant
}

export function takeQueryAnswer(s: State, now: Instant, out: ClientOutbox, link: LinkId, lookup: Lookup, message: MessageOf<typeof queryAnswer>): void {
  const { query: asked, part } = lookup
  if (asked === undefined || part === undefined || part.wire !== message.request) return
  part.wire = 0
  if (message.code === Code.ok) {
    part.answer = message.body
    part.askAt = never
    if (asked.parts.every((other) => other.answer !== undefined)) finish(s, out, asked)
  } else if (message.code === Code.notLeader || isNotThereYet(asked, message.code) || message.code === Code.noQuorum || message.code === Code.unknown || message.code === Code.unknownPartition) {
    part.attempts++
    part.askAt = (now + backoff(s, part.attempts)) as Instant
    if (part.place !== undefined) turnedAway(s, now, s.shards.get(part.place.shard)!, link, message.code, message.code === Code.notLeader ? message.body : NOTHING)
  } else {
    dropQuery(s, asked)
    done(out, asked.number, isWish(asked) ? refusalOf(message.code) : failure(errorOf(message.code), message.code === Code.notFound ? 'there is no such job' : `the read was refused with code ${message.code}`))
  }
}

/** A topic that was located but whose partition its shard has not opened yet. A job that is not found, though, is an answer. */
function isNotThereYet({ about }: Query, code: number): boolean {
  return code === Code.notFound && about.kind === 'query' && about.operation !== QueryKind.job
}

const isWish = ({ about }: Query): boolean => about.kind === 'wish' || about.kind === 'topicWish'

/** Why the registry does not do what an operator wants. */
function refusalOf(code: number): Failure {
  switch (code) {
    case Code.notFound:
      return failure('NotFound', 'the registry knows no such node')
    case RegistryCode.lives:
      return failure('Refused', 'the node lives: drain it and stop it first')
    case RegistryCode.master:
      return failure('Refused', 'the node is still a master of a shard: it is replaced by another one, where there is one, when it has been dead for the time of --replace-after, or is draining')
    case RegistryCode.differs:
      return failure('Refused', 'the topic exists with another number of partitions, which never changes')
    case RegistryCode.noDeadLetter:
      return failure('Refused', 'the dead-letter topic does not exist: make it first')
    case RegistryCode.deadLetterChain:
      return failure('Refused', 'a dead-letter topic has none itself: what dies there stays there. The topic names itself, or one that has a dead-letter topic, or is the dead-letter topic of another')
    default:
      return failure(errorOf(code), `the registry refused it with code ${code}`)
  }
}

function finish(s: State, out: ClientOutbox, asked: Query): void {
  dropQuery(s, asked)
  if (asked.about.kind === 'status') done(out, asked.number, { kind: 'status', body: asked.parts[0]!.answer! })
  else if (isWish(asked)) done(out, asked.number, { kind: 'ok' })
  else done(out, asked.number, { kind: 'answered', answers: asked.parts.map((part) => ({ partition: part.place!.partition, body: part.answer! })) })
}

/** A read that nobody waits for any more. */
export function dropQuery(s: State, asked: Query): void {
  stopTimer(s, asked)
  s.queries.delete(asked.timer)
  for (const part of asked.parts) forget(s, part)
}

export function queryTimedOut(s: State, out: ClientOutbox, asked: Query): void {
  dropQuery(s, asked)
  done(out, asked.number, isWish(asked) ? failure('Unknown', 'no answer came in time: it may have been done') : failure('NoQuorum', 'no leader answered in time'))
}

/** Questions whose link has gone are asked again; so are those that a relay has swallowed. */
export function forgetLookups(s: State, now: Instant): void {
  for (const [wire, lookup] of s.lookups) {
    // A question that any node answers is not left with one that is silent.
    const isLeft = lookup.kind === 'locate' && !isAnswering(s, lookup.link) && homeLink(s) !== lookup.link
    if (isUp(s, lookup.link) && !isLeft && now < lookup.sentAt + 2 * ANSWER_REPEAT_MS) continue
    s.lookups.delete(wire)
    if (lookup.part?.wire === wire) {
      lookup.part.wire = 0
      lookup.part.askAt = now
    }
    if (lookup.kind === 'locate' && lookup.topic !== undefined && lookup.topic.askAt !== never) lookup.topic.askAt = Math.min(lookup.topic.askAt, now) as Instant
  }
}

function forget(s: State, part: QueryPart): void {
  if (part.wire !== 0) s.lookups.delete(part.wire)
  part.wire = 0
}
