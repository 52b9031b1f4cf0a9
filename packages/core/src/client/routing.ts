//! Where a topic's partitions are, who leads their shards, and which link reaches the leader.
//!
//!   topic ──locate──▶ partitions ──▶ shards ──▶ leader's address ──▶ direct link
//!                                       │              └ none, or not reachable ──▶ any link: a node relays
//!                                       └ notLeader, noQuorum: back off; a redirect is followed at once, twice in a row at most,
//!                                         and whoever gave it relays until the link that it names is up

import { located, locate, redirect } from '../message/client.ts'
import { Code } from '../message/command.ts'
import { decode, MalformedMessage, type MessageOf } from '../message/layout.ts'
import type { Instant, LeaseTime, SessionNumber, ShardId } from '../units.ts'
import { never } from '../units.ts'
import type { ClientOutbox, LinkId } from './api.ts'
import { DIRECT_PATIENCE_MS, HANDOVER_ECHO_MS, LINKS_MAX, LOOKUP_REPEAT_MS, REDIRECT_ECHO_MS, TOPICS_MAX } from './limits.ts'
import { backoff, homeLink, isAnswering, isUp, linkTo, NO_LINK, openLink, rememberAddress, sendOver } from './links.ts'
import type { Command, Session, Shard, State, Topic, Worker } from './state.ts'
import { encodeRow } from './wire.ts'

// ---- topics --------------------------------------------------------------------------------------------------------

/** The topic's record, made on first use; undefined when there are too many. */
export function topicOf(s: State, name: string): Topic | undefined {
  let topic = s.topics.get(name)
  if (topic === undefined && s.topics.size < TOPICS_MAX) {
    topic = { name, state: 'unknown', partitions: [], create: false, wanted: 0, attempts: 0, askAt: 0 as Instant, roundRobin: 0, waiting: [] }
    s.topics.set(name, topic)
  }
  return topic
}

/** Asks again where the topic is, once; what is known of it stays in use meanwhile. */
export function refreshTopic(topic: Topic, now: Instant): void {
  if (topic.askAt === never) topic.askAt = now
}

export function askTopics(s: State, now: Instant, out: ClientOutbox): void {
  for (const topic of s.topics.values()) {
    if (now < topic.askAt) continue
    const home = homeLink(s)
    if (home === NO_LINK) return
    const wire = s.nextWire++
    s.lookups.set(wire, { kind: 'locate', link: home, sentAt: now, topic, query: undefined, part: undefined })
    if (topic.state !== 'known') topic.state = 'asked'
    topic.askAt = (now + LOOKUP_REPEAT_MS) as Instant
    sendOver(s, now, out, home, encodeRow(locate, { request: wire, topic: topic.name, create: topic.create, partitions: topic.create ? topic.wanted : 0 }), true)
  }
}

export function topicsDueAt(s: State): Instant {
  if (homeLink(s) === NO_LINK) return never
  let at = Infinity
  for (const topic of s.topics.values()) at = Math.min(at, topic.askAt)
  return at as Instant
}

/** Takes in where a topic is. True when its partitions have become known with this answer. */
export function takeLocated(s: State, now: Instant, topic: Topic, message: MessageOf<typeof located>): boolean {
  for (const { shard, leader, address } of message.leaders) {
    if (address !== undefined) rememberAddress(s, address)
    const known = s.shards.get(shard)
    if (known === undefined || address === undefined || address === known.address) continue
    known.leader = leader
    known.address = address
    known.retryAt = Math.min(known.retryAt, now) as Instant
  }
  if (message.code !== Code.ok || message.partitions.length === 0) {
    if (topic.state === 'known') topic.askAt = never
    else {
      topic.state = message.code === Code.notFound ? 'missing' : 'unknown'
      topic.attempts++
      topic.askAt = (now + backoff(s, topic.attempts)) as Instant
    }
    return false
  }
  topic.attempts = 0
  topic.askAt = never
  if (topic.state === 'known') return false
  topic.state = 'known'
  topic.partitions = message.partitions
  for (const place of topic.partitions) shardOf(s, place.shard, topic)
  for (const { shard, leader, address } of message.leaders) {
    const known = s.shards.get(shard)
    if (known === undefined || known.address !== undefined) continue
    known.leader = leader
    known.address = address
  }
  return true
}

function shardOf(s: State, id: ShardId, topic: Topic): Shard {
  let shard = s.shards.get(id)
  if (shard === undefined) {
    shard = { id, topic, leader: undefined, address: undefined, link: NO_LINK, attempts: 0, redirects: 0, followedAt: -Infinity as Instant, retryAt: 0 as Instant, sessions: [], byNumber: new Map() }
    s.shards.set(id, shard)
  }
  return shard
}

// ---- shards --------------------------------------------------------------------------------------------------------

/** The session for a worker's leases, or, without one, that for adds and cancels; made on first use. */
export function sessionOf(shard: Shard, worker: Worker | undefined): Session {
  const known = shard.sessions.find((session) => session.worker === worker)
  if (known !== undefined) return known
  const session: Session = {
    shard, worker, state: 'new', number: 0 as SessionNumber, openSequence: 0, openLink: NO_LINK, openedAt: 0 as Instant, nextSequence: 1,
    queue: [], inFlight: new Map(), unsent: 0, checkAt: never, resume: worker !== undefined, resumedAt: 0 as Instant, stampAt: 0 as Instant, bound: undefined, earliest: Infinity as LeaseTime, slots: new Map(),
  }
  shard.sessions.push(session)
  return session
}

/** Chooses what the shard's messages go over, opening a direct link where that may work. */
export function route(s: State, now: Instant, out: ClientOutbox, shard: Shard): void {
  const link = choose(s, now, out, shard)
  if (link === shard.link) return
  shard.link = link
  rerouted(shard)
}

function choose(s: State, now: Instant, out: ClientOutbox, shard: Shard): LinkId {
  const address = shard.address
  if (address !== undefined) {
    const direct = linkTo(s, address)
    if (direct?.state === 'up') return direct.id
    const broken = s.broken.get(address)
    if (direct === undefined && s.links.size < LINKS_MAX && now >= (broken?.directAt ?? 0)) openLink(s, now, out, address)
    const opening = linkTo(s, address)
    const relaying = isUp(s, shard.link)
    if (!relaying && broken === undefined && opening !== undefined && now < opening.since + DIRECT_PATIENCE_MS) return NO_LINK
    if (relaying) return shard.link
  }
  return isAnswering(s, shard.link) ? shard.link : homeLink(s)
}

/** Over another link the leader knows nothing of this client, and what was sent before may or may not have arrived. */
export function rerouted(shard: Shard): void {
  for (const session of shard.sessions) {
    if (session.state === 'opening') session.state = 'new'
    if (session.worker !== undefined) session.resume = true
    for (const command of session.inFlight.values()) doubt(session, command)
    session.checkAt = never
  }
}

/** The last sending will tell nothing any more: it may have been appended. */
export function doubt(session: Session, command: Command): void {
  if (command.link === NO_LINK) return
  command.link = NO_LINK
  command.doubtful = true
  session.unsent++
}

export function isReady(shard: Shard, now: Instant): boolean {
  return shard.link !== NO_LINK && now >= shard.retryAt
}

/** The shard could not take what was sent over `link`: follow the redirect, or wait. */
export function turnedAway(s: State, now: Instant, shard: Shard, link: LinkId, code: number, body: Uint8Array): void {
  if (link !== shard.link || now < shard.retryAt) return
  const hint = code === Code.notLeader ? readRedirect(body) : undefined
  for (const session of shard.sessions) if (session.worker !== undefined) session.resume = true
  const direct = shard.address === undefined ? undefined : linkTo(s, shard.address)
  const isDirect = direct?.id === link
  if (hint?.address !== undefined) {
    const isSame = hint.address === shard.address
    // What else was refused on the way to the same leader is no refusal by that leader.
    if (isSame && now < shard.followedAt + (isDirect ? HANDOVER_ECHO_MS : REDIRECT_ECHO_MS)) return
    if (shard.redirects < 2 && (!isSame || isDirect)) {
      rememberAddress(s, hint.address)
      shard.redirects++
      shard.followedAt = now
      shard.leader = hint.leader
      shard.address = hint.address
      return
    }
  }
  if (code === Code.notLeader && isDirect) {
    shard.address = undefined
    shard.leader = undefined
  }
  shard.redirects = 0
  shard.attempts++
  shard.retryAt = (now + backoff(s, shard.attempts)) as Instant
  if (shard.attempts >= 2) refreshTopic(shard.topic, now)
}

export function served(shard: Shard): void {
  shard.attempts = 0
  shard.redirects = 0
}

/** When the shard may be tried again, for one that has something to send. */
export function shardDueAt(s: State, now: Instant, shard: Shard): Instant {
  if (shard.link !== NO_LINK) return shard.retryAt
  const opening = shard.address === undefined ? undefined : linkTo(s, shard.address)
  const patience = opening?.state === 'opening' ? opening.since + DIRECT_PATIENCE_MS : 0
  // Later than that only a link that comes up can help, and that is an input.
  return (patience > now ? patience : never) as Instant
}

function readRedirect(body: Uint8Array): { leader: Shard['leader']; address: Shard['address'] } | undefined {
  if (body.length === 0) return undefined
  try {
    return decode(redirect, body)
  } catch (error) {
    if (error instanceof MalformedMessage) return undefined
    throw error
  }
}
