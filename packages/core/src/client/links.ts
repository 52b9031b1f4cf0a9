//! Connections. One is home: any node that answers, for questions and for relaying. Others go straight to leaders. A link that
//! owes an answer and stays silent is probed, then closed: a paused process keeps its sockets open.

import { locate, status } from '../message/client.ts'
import type { Address, Instant } from '../units.ts'
import { never } from '../units.ts'
import type { ClientOutbox, LinkId } from './api.ts'
import { ADDRESSES_MAX, BACKOFF_MS_MAX, BACKOFF_MS_MIN, DIRECT_RETRY_FACTOR, HOME_PATIENCE_MS, LINKS_MAX, OPEN_TIMEOUT_MS, SILENCE_CLOSE_MS, SILENCE_PROBE_MS } from './limits.ts'
import type { Link, State, Topic } from './state.ts'
import { encodeRow } from './wire.ts'

export const NO_LINK = 0 as LinkId

export function rememberAddress(s: State, address: Address): void {
  if (s.addresses.length < ADDRESSES_MAX && !s.addresses.includes(address)) s.addresses.push(address)
}

export function linkTo(s: State, address: Address): Link | undefined {
  const id = s.linkOf.get(address)
  return id === undefined ? undefined : s.links.get(id)
}

export function isUp(s: State, id: LinkId): boolean {
  return s.links.get(id)?.state === 'up'
}

export function openLink(s: State, now: Instant, out: ClientOutbox, address: Address): void {
  const id = s.nextLink++ as LinkId
  s.links.set(id, { id, address, state: 'opening', since: now, owedSince: never, probed: false })
  s.linkOf.set(address, id)
  out.open(id, address)
}

export function linkIsUp(s: State, now: Instant, id: LinkId): void {
  const link = s.links.get(id)
  if (link === undefined) return
  link.state = 'up'
  link.since = now
  s.broken.delete(link.address)
}

/** Forgets the link; the caller tells the shards and lookups that used it. */
export function forgetLink(s: State, now: Instant, id: LinkId): boolean {
  const link = s.links.get(id)
  if (link === undefined) return false
  s.links.delete(id)
  if (s.linkOf.get(link.address) === id) s.linkOf.delete(link.address)
  if (s.home === id) s.home = NO_LINK
  const attempts = (s.broken.get(link.address)?.attempts ?? 0) + 1
  const wait = backoff(s, attempts)
  s.broken.set(link.address, { attempts, until: (now + wait) as Instant, directAt: (now + wait * DIRECT_RETRY_FACTOR) as Instant })
  return true
}

/** 10 ms doubled up to 1 s, of which a random half is waited, so that clients do not come back all at once. */
export function backoff(s: State, attempts: number): number {
  const whole = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** Math.min(attempts - 1, 20))
  return whole / 2 + (whole / 2) * s.random.fraction()
}

export function sendOver(s: State, now: Instant, out: ClientOutbox, id: LinkId, bytes: Uint8Array, owed: boolean): void {
  const link = s.links.get(id)!
  if (owed && link.owedSince === never) link.owedSince = now
  out.send(id, bytes)
}

/** Whatever came over it, it lives. */
export function heardOver(s: State, id: LinkId): void {
  const link = s.links.get(id)
  if (link === undefined) return
  link.owedSince = never
  link.probed = false
}

/** The link for questions that any node answers. */
export function homeLink(s: State): LinkId {
  if (isAnswering(s, s.home)) return s.home
  let best = isUp(s, s.home) ? s.home : NO_LINK
  for (const link of s.links.values()) {
    if (link.state !== 'up' || (link.probed && best !== NO_LINK)) continue
    best = link.id
    if (!link.probed) break
  }
  s.home = best
  return best
}

/** Up, and not silent for so long that it was probed. */
export function isAnswering(s: State, id: LinkId): boolean {
  const link = s.links.get(id)
  return link?.state === 'up' && !link.probed
}

/** Opens a way into the cluster when none is up; a slow attempt is left going while the next is tried, until one is up. */
export function keepHome(s: State, now: Instant, out: ClientOutbox): void {
  if (isAnswering(s, homeLink(s))) {
    if (s.links.size > 1) dropAttempts(s, out)
    return
  }
  for (const link of s.links.values()) if (now < link.since + HOME_PATIENCE_MS) return
  if (s.links.size >= LINKS_MAX) return
  const open = s.addresses.filter((address) => !s.linkOf.has(address) && now >= (s.broken.get(address)?.until ?? 0))
  const untried = open.filter((address) => !s.broken.has(address))
  if (open.length > 0) openLink(s, now, out, s.random.pick(untried.length > 0 ? untried : open))
}

/** Attempts that lead to no leader are not needed any more. */
function dropAttempts(s: State, out: ClientOutbox): void {
  for (const link of s.links.values()) {
    if (link.state === 'up') continue
    let isLeader = false
    for (const shard of s.shards.values()) if (shard.address === link.address) isLeader = true
    if (isLeader) continue
    s.links.delete(link.id)
    if (s.linkOf.get(link.address) === link.id) s.linkOf.delete(link.address)
    out.close(link.id)
  }
}

/** When `keepHome` next has something to do. */
export function homeDueAt(s: State): Instant {
  if (isAnswering(s, homeLink(s)) || s.addresses.length === 0 || s.links.size >= LINKS_MAX) return never
  let patience = 0
  for (const link of s.links.values()) patience = Math.max(patience, link.since + HOME_PATIENCE_MS)
  let earliest = Infinity
  for (const address of s.addresses) {
    if (!s.linkOf.has(address)) earliest = Math.min(earliest, s.broken.get(address)?.until ?? 0)
  }
  return Math.max(patience, earliest) as Instant
}

/** Probes silent links, and asks elsewhere who leads what they led to; returns those to be given up. */
export function silentLinks(s: State, now: Instant, out: ClientOutbox): LinkId[] {
  const gone: LinkId[] = []
  for (const link of s.links.values()) {
    if (link.state === 'opening') {
      if (now >= link.since + OPEN_TIMEOUT_MS) gone.push(link.id)
    } else if (now >= link.owedSince + SILENCE_CLOSE_MS) gone.push(link.id)
    else if (!link.probed && now >= link.owedSince + SILENCE_PROBE_MS) {
      link.probed = true
      for (const shard of s.shards.values()) if (shard.link === link.id && shard.topic.askAt === never) shard.topic.askAt = now
      probe(s, now, out, link.id)
    }
  }
  return gone
}

/** Asks something that any node answers at once; where a topic is known, news of its leaders come with it. */
function probe(s: State, now: Instant, out: ClientOutbox, link: LinkId): void {
  const wire = s.nextWire++
  let topic: Topic | undefined
  for (const candidate of s.topics.values()) {
    if (candidate.state === 'known') topic = candidate
    if (topic !== undefined) break
  }
  s.lookups.set(wire, { kind: 'probe', link, sentAt: now, topic, query: undefined, part: undefined })
  out.send(link, topic === undefined ? encodeRow(status, { request: wire }) : encodeRow(locate, { request: wire, topic: topic.name, create: false, partitions: 0 }))
}

export function linksDueAt(s: State): Instant {
  let at = Infinity
  for (const link of s.links.values()) {
    if (link.state === 'opening') at = Math.min(at, link.since + OPEN_TIMEOUT_MS)
    else at = Math.min(at, link.owedSince + (link.probed ? SILENCE_CLOSE_MS : SILENCE_PROBE_MS))
  }
  return at as Instant
}
