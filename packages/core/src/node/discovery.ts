//! Finding the others: probes over a list of candidate addresses.
//!
//!   quick rounds (200 probes a second) ──enough known──▶ slow rounds (5 a second), for ever, so that late nodes are found
//!                        ▲──────────────too few──────────────┘
//!
//! Seeds come first in every round, the rest in an order drawn for this node, so that a thousand nodes that start at once
//! do not knock at one door after the other together. Addresses of members that are alive are passed over.

import type { Actor, Now } from '../actor.ts'
import { Hash } from '../hash.ts'
import type { Random } from '../random.ts'
import { type Address, type Instant, never } from '../units.ts'

export interface DiscoverySettings {
  /** Probes a second until enough are known. */
  readonly quickPerSecond: number
  /** Probes a second afterwards. Where more than `slowNodes` are known all of them together keep to what so many would send: who comes late is found as soon. */
  readonly slowPerSecond: number
  readonly slowNodes: number
  /** A quick round takes at least this long, so that few candidates are not asked without pause. */
  readonly quickRoundMs: number
  readonly slowRoundMs: number
}

export const discoverySettings: DiscoverySettings = { quickPerSecond: 200, slowPerSecond: 5, slowNodes: 16, quickRoundMs: 100, slowRoundMs: 5000 }

export interface DiscoveryOptions {
  readonly self: Address
  readonly candidates: readonly Address[]
  readonly seeds: readonly Address[]
  /** So many others are enough. */
  readonly enough: number
  readonly random: Random
  readonly settings?: Partial<DiscoverySettings>
}

export type DiscoveryInput =
  | { readonly kind: 'start' }
  /** A member that is alive has this address, or no longer. */
  | { readonly kind: 'known' | 'unknown'; readonly address: Address }
  /** The seeds' names were resolved anew. */
  | { readonly kind: 'seeds'; readonly seeds: readonly Address[] }

export interface DiscoveryOutbox {
  probe(to: Address): void
  /** Every candidate has been asked once since the start: what does not answer is not there, or is deaf. Said once. */
  scanned(): void
}

/** A range over 65,536 addresses is refused by the host; seeds and a span of ports come on top. */
const CANDIDATES_MAX = 1 << 20
/** After a pause of the process the missed probes are not all sent at once. */
const BURST_MAX = 64

export class Discovery implements Actor<DiscoveryInput, DiscoveryOutbox> {
  readonly #self: Address
  readonly #candidates: readonly Address[]
  readonly #enough: number
  readonly #random: Random
  readonly #settings: DiscoverySettings
  #seeds: readonly Address[]
  #known = new Set<Address>()
  #round: Address[] = []
  #at = 0
  #roundBegan = 0 as Instant
  #wakeAt: Instant = never
  #scanned = false

  constructor(options: DiscoveryOptions) {
    if (options.candidates.length > CANDIDATES_MAX) throw new RangeError(`${options.candidates.length} addresses to probe: give seeds instead of so wide a range`)
    this.#self = options.self
    this.#candidates = options.candidates
    this.#seeds = options.seeds
    this.#enough = options.enough
    this.#random = options.random
    this.#settings = { ...discoverySettings, ...options.settings }
  }

  get wakeAt(): Instant {
    return this.#wakeAt
  }

  receive(now: Now, input: DiscoveryInput, outbox: DiscoveryOutbox): void {
    switch (input.kind) {
      case 'start':
        this.#beginRound(now)
        return this.wake(now, outbox)
      case 'known':
        this.#known.add(input.address)
        return
      case 'unknown': {
        this.#known.delete(input.address)
        // Too few are left: the slow pace ends now, not when its next probe would have been due.
        if (this.#wakeAt !== never && this.#quick) this.#wakeAt = Math.min(this.#wakeAt, now.monotonic + 1000 / this.#settings.quickPerSecond) as Instant
        return
      }
      case 'seeds':
        this.#seeds = input.seeds
        return
      default:
        input satisfies never
    }
  }

  wake(now: Now, outbox: DiscoveryOutbox): void {
    const { quickPerSecond, slowPerSecond, slowNodes } = this.#settings
    const step = this.#quick ? 1000 / quickPerSecond : (1000 / slowPerSecond) * Math.max(1, (this.#known.size + 1) / slowNodes)
    for (let sent = 0; this.#wakeAt <= now.monotonic && sent < BURST_MAX; ) {
      const address = this.#next()
      if (address === undefined) return this.#endRound(now, outbox)
      outbox.probe(address)
      sent++
      this.#wakeAt = (this.#wakeAt + step) as Instant
    }
    if (this.#wakeAt <= now.monotonic) this.#wakeAt = (now.monotonic + step) as Instant
  }

  get #quick(): boolean {
    return this.#known.size < this.#enough
  }

  /** The next address worth asking, undefined at the round's end. */
  #next(): Address | undefined {
    while (this.#at < this.#round.length) {
      const address = this.#round[this.#at++]!
      if (address !== this.#self && !this.#known.has(address)) return address
    }
    return undefined
  }

  #beginRound(now: Now): void {
    const seeds = new Set(this.#seeds)
    const others = this.#candidates.filter((address) => !seeds.has(address))
    shuffle(others, this.#random)
    this.#round = [...seeds, ...others]
    this.#at = 0
    this.#roundBegan = now.monotonic
    this.#wakeAt = now.monotonic
  }

  #endRound(now: Now, outbox: DiscoveryOutbox): void {
    if (!this.#scanned) {
      this.#scanned = true
      outbox.scanned()
    }
    if (this.#seeds.length + this.#candidates.length === 0) {
      this.#wakeAt = never
      return
    }
    const earliest = this.#roundBegan + (this.#quick ? this.#settings.quickRoundMs : this.#settings.slowRoundMs)
    this.#beginRound(now)
    this.#wakeAt = Math.max(earliest, now.monotonic + 1) as Instant
  }

  clone(): this {
    const copy = new Discovery({ self: this.#self, candidates: this.#candidates, seeds: this.#seeds, enough: this.#enough, random: this.#random.clone(), settings: this.#settings })
    copy.#known = new Set(this.#known)
    copy.#round = this.#round
    copy.#at = this.#at
    copy.#roundBegan = this.#roundBegan
    copy.#wakeAt = this.#wakeAt
    copy.#scanned = this.#scanned
    return copy as this
  }

  digest(): string {
    const hash = new Hash().number(this.#at).number(this.#wakeAt).number(this.#known.size)
    for (const address of this.#round) hash.text(address)
    return hash.digest()
  }
}

/** `count` of them, or all, drawn at random; the order of `items` is not kept. */
export function sample<T>(items: T[], count: number, random: Random): readonly T[] {
  const drawn = Math.min(count, items.length)
  for (let i = 0; i < drawn; i++) {
    const k = i + random.below(items.length - i)
    const item = items[i]!
    items[i] = items[k]!
    items[k] = item
  }
  return items.slice(0, drawn)
}

/** Fisher and Yates, in place. */
export function shuffle<T>(items: T[], random: Random): void {
  for (let i = items.length - 1; i > 0; i--) {
    const k = random.below(i + 1)
    const item = items[i]!
    items[i] = items[k]!
    items[k] = item
  }
}
