//! One probe of one member, and the probes that are passed on for others. A relay that gets no answer in time
//! says so (nack): silence of relays then speaks against oneself, not the member.

import type { Address, Instant, NodeId } from '../../units.ts'

/** The probe under way. */
export interface Probe {
  readonly node: NodeId
  readonly sequence: number
  askOthersAt: Instant
  relays: readonly NodeId[]
  nacks: number
  answered: boolean
}

/** A probe on somebody else's behalf. */
export interface Relay {
  readonly sequence: number
  readonly requester: Address
  readonly requesterSequence: number
  nackAt: Instant
  endsAt: Instant
  nacked: boolean
}

/** More requests at once are left unanswered. */
const RELAYS_MAX = 256

export class Relays {
  #relays: Relay[] = []

  add(relay: Relay): boolean {
    if (this.#relays.length >= RELAYS_MAX) return false
    this.#relays.push(relay)
    return true
  }

  /** The request that an answer with this sequence belongs to; it is done with. */
  answered(sequence: number): Relay | undefined {
    const relay = this.#relays.find((candidate) => candidate.sequence === sequence)
    if (relay) this.#relays = this.#relays.filter((other) => other !== relay)
    return relay
  }

  /** Those whose requester is now told that there is no answer yet. */
  due(now: Instant): readonly Relay[] {
    const due = this.#relays.filter((relay) => !relay.nacked && relay.nackAt <= now)
    for (const relay of due) relay.nacked = true
    if (this.#relays.some((relay) => relay.endsAt <= now)) this.#relays = this.#relays.filter((relay) => relay.endsAt > now)
    return due
  }

  get wakeAt(): Instant {
    return this.#relays.reduce((least, relay) => Math.min(least, relay.nacked ? relay.endsAt : relay.nackAt), Infinity) as Instant
  }

  clone(): Relays {
    const copy = new Relays()
    copy.#relays = this.#relays.map((relay) => ({ ...relay }))
    return copy
  }
}
