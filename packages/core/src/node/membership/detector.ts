//! The failure detector (SWIM 3.1, Lifeguard 3.1): one member is probed per interval.
//!
//!   ping ──probeTimeout──▶ pingRequest to a few others ──rest of the interval──▶ nobody got an answer: suspect it
//!
//! It also pings on behalf of others. What it finds out is said once per probe; what follows from it is the membership's.

import type { Member, Sender } from '../../message/gossip.ts'
import type { Random } from '../../random.ts'
import { type Address, type Instant, never, type NodeId } from '../../units.ts'
import { sample } from '../discovery.ts'
import { Awareness } from './awareness.ts'
import { type Probe, Relays } from './probing.ts'
import { isLive, type Roster } from './roster.ts'
import { Rota } from './rota.ts'
import type { MembershipSettings } from './settings.ts'

/** A datagram of membership's, before news is put on it. */
export type Head =
  | { readonly kind: 'ping'; readonly sequence: number; readonly to: NodeId }
  | { readonly kind: 'pingRequest'; readonly sequence: number; readonly to: NodeId; readonly address: Address }
  | { readonly kind: 'pong'; readonly sequence: number }
  | { readonly kind: 'gossip' }

export interface DetectorOutbox {
  /** `about` is what the other side should hear of itself, where it is held for suspect or dead. */
  tell(to: Address, head: Head, about?: Member): void
  nack(to: Address, sequence: number): void
  /** Neither it nor anybody else's ping of it was answered within the interval. */
  unanswered(node: NodeId): void
}

/** A relay says that it has no answer yet this long before the requester's own time-out would be over. */
const NACK_SHARE = 0.8

export class Detector {
  readonly #random: Random
  readonly #settings: MembershipSettings
  readonly #awareness: Awareness
  readonly #relays: Relays
  readonly #rota: Rota
  #probe: Probe | undefined
  #probeAt: Instant = never
  #sequence = 0

  constructor(random: Random, settings: MembershipSettings, from?: Detector) {
    this.#random = random
    this.#settings = settings
    this.#awareness = from ? from.#awareness.clone() : new Awareness()
    this.#relays = from ? from.#relays.clone() : new Relays()
    this.#rota = from ? from.#rota.clone(random) : new Rota(random)
  }

  /** How much this node doubts itself; 0 is healthy. */
  get score(): number {
    return this.#awareness.score
  }

  get wakeAt(): Instant {
    const probe = this.#probe
    const askOthersAt = probe && !probe.answered && probe.relays.length === 0 ? probe.askOthersAt : never
    return Math.min(this.#probeAt, askOthersAt, this.#relays.wakeAt) as Instant
  }

  /** Nodes that start together do not probe in step. */
  start(now: Instant): void {
    this.#probeAt = later(now, this.#random.below(this.#settings.probeIntervalMs))
  }

  stop(): void {
    this.#probeAt = never
    this.#probe = undefined
  }

  add(node: NodeId): void {
    this.#rota.add(node)
  }

  remove(node: NodeId): void {
    this.#rota.remove(node)
  }

  /** There is a reason to probe this one next. */
  doubt(now: Instant, node: NodeId): void {
    this.#rota.hurry(node)
    if (!this.#probe || this.#probe.answered) this.#probeAt = now
  }

  /** Somebody had a reason to doubt this node. */
  blamed(): void {
    this.#awareness.change(1)
  }

  /** The process stood still: answers may wait unread, so nobody's time was running, and this node trusts itself less. */
  stalled(ms: number): void {
    this.#awareness.change(1)
    if (!this.#probe) return
    this.#probe.askOthersAt = later(this.#probe.askOthersAt, ms)
    this.#probeAt = later(this.#probeAt, ms)
  }

  wake(now: Instant, roster: Roster, outbox: DetectorOutbox): void {
    for (const relay of this.#relays.due(now)) outbox.nack(relay.requester, relay.requesterSequence)
    this.#askOthers(now, roster, outbox)
    if (this.#probeAt <= now) this.#next(now, roster, outbox)
  }

  #next(now: Instant, roster: Roster, outbox: DetectorOutbox): void {
    this.#judge(outbox)
    const interval = this.#awareness.stretch(this.#settings.probeIntervalMs)
    this.#probeAt = later(now, interval)
    const node = this.#rota.next()
    const member = node === undefined ? undefined : roster.get(node)?.member
    if (member === undefined) return
    const askOthersAt = later(now, Math.min(this.#awareness.stretch(this.#settings.probeTimeoutMs), interval / 2))
    this.#probe = { node: member.node, sequence: this.sequence(), askOthersAt, relays: [], nacks: 0, answered: false }
    outbox.tell(member.address, { kind: 'ping', sequence: this.#probe.sequence, to: member.node }, member)
  }

  #askOthers(now: Instant, roster: Roster, outbox: DetectorOutbox): void {
    const probe = this.#probe
    if (!probe || probe.answered || probe.relays.length > 0 || probe.askOthersAt > now) return
    const member = roster.get(probe.node)?.member
    const others = roster.entries.map((entry) => entry.member).filter((other) => other.state === 'alive' && other.node !== probe.node)
    if (member === undefined || others.length === 0) {
      probe.askOthersAt = never
      return
    }
    const relays = sample(others, this.#settings.relays, this.#random)
    probe.relays = relays.map((relay) => relay.node)
    for (const relay of relays) outbox.tell(relay.address, { kind: 'pingRequest', sequence: probe.sequence, to: member.node, address: member.address })
  }

  /** The interval is over. Relays that did not even say that they tried speak against this node. */
  #judge(outbox: DetectorOutbox): void {
    const probe = this.#probe
    this.#probe = undefined
    if (!probe) return
    if (probe.answered) return this.#awareness.change(-1)
    this.#awareness.change(probe.relays.length > 0 ? Math.max(0, probe.relays.length - probe.nacks) : 1)
    outbox.unanswered(probe.node)
  }

  /** Pings somebody for somebody else. */
  relay(now: Instant, sender: Sender, sequence: number, to: NodeId, address: Address, roster: Roster, outbox: DetectorOutbox): void {
    const own = this.sequence()
    const { probeTimeoutMs, probeIntervalMs } = this.#settings
    const relay = { sequence: own, requester: sender.address, requesterSequence: sequence, nackAt: later(now, probeTimeoutMs * NACK_SHARE), endsAt: later(now, 2 * probeIntervalMs), nacked: false }
    if (this.#relays.add(relay)) outbox.tell(address, { kind: 'ping', sequence: own, to }, roster.get(to)?.member)
  }

  answered(sender: Sender, sequence: number, outbox: DetectorOutbox): void {
    const probe = this.#probe
    if (probe?.sequence === sequence && (probe.node === sender.node || probe.relays.includes(sender.node))) probe.answered = true
    const relay = this.#relays.answered(sequence)
    if (relay) outbox.tell(relay.requester, { kind: 'pong', sequence: relay.requesterSequence })
  }

  nacked(sender: Sender, sequence: number): void {
    if (this.#probe?.sequence === sequence && this.#probe.relays.includes(sender.node)) this.#probe.nacks++
  }

  sequence(): number {
    this.#sequence = (this.#sequence + 1) >>> 0
    return this.#sequence
  }

  clone(random: Random): Detector {
    const copy = new Detector(random, this.#settings, this)
    copy.#probe = this.#probe && { ...this.#probe }
    copy.#probeAt = this.#probeAt
    copy.#sequence = this.#sequence
    return copy
  }
}

/** A member that may be probed. */
export function isProbed(roster: Roster, node: NodeId): boolean {
  const known = roster.get(node)
  return known !== undefined && isLive(known.member.state)
}

function later(at: Instant, ms: number): Instant {
  return (at + ms) as Instant
}
