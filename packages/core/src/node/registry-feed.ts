//! How nodes that are no masters of the registry keep a copy of it: a master feeds them, a follower asks.
//!
//!   follower ──registryFollow{from}──▶ master ──entries behind `from`, or the whole image in pieces──▶ follower
//!      └──────every few seconds, to any of the masters; sooner where one is silent◀──────new entries, as they come──┘
//!
//! A copy is never older than a few seconds where any master is in reach, and never goes back. It may lag: whoever acts on
//! it is told so by whom he asks.

import type { Actor, Now } from '../actor.ts'
import { joined } from '../bytes.ts'
import { Hash } from '../hash.ts'
import { FEED_BYTES_MAX, FEED_ENTRIES_MAX, type RegistryFeedMessage, type RegistryMessage } from '../message/registry.ts'
import type { Random } from '../random.ts'
import { type Instant, type LogIndex, never, type NodeId } from '../units.ts'

// ---- the master's side ---------------------------------------------------------------------------------------------

/** What the feed needs of the registry. */
export interface RegistryImage {
  readonly applied: LogIndex
  snapshot(): Uint8Array
}

export type RegistryFeedInput =
  | { readonly kind: 'follow'; readonly from: NodeId; readonly index: LogIndex; readonly registry: RegistryImage }
  /** Every entry of shard 0's log as it is applied. */
  | { readonly kind: 'applied'; readonly index: LogIndex; readonly entry: Uint8Array }
  | { readonly kind: 'turn' }
  /** An image was installed, or this node holds the registry no longer. */
  | { readonly kind: 'reset' }

export interface RegistryFeedOutbox {
  send(to: NodeId, message: RegistryFeedMessage): void
}

const SUBSCRIBERS_MAX = 16_384
/** A follower that does not ask again is dropped. */
const SUBSCRIPTION_MS = 15_000
const PIECE_BYTES = 256 * 1024

interface Subscriber { told: LogIndex; readonly until: Instant }

export class RegistryFeed implements Actor<RegistryFeedInput, RegistryFeedOutbox> {
  readonly wakeAt: Instant = never
  /** The newest entries, in their order without a gap. */
  #recent: { readonly index: LogIndex; readonly entry: Uint8Array }[] = []
  #recentBytes = 0
  #subscribers = new Map<NodeId, Subscriber>()
  /** Every subscriber has been told so far. */
  #toldAll = 0

  receive(now: Now, input: RegistryFeedInput, outbox: RegistryFeedOutbox): void {
    switch (input.kind) {
      case 'follow':
        return this.#follow(now, input.from, input.index, input.registry, outbox)
      case 'applied':
        return this.#keep(input.index, input.entry)
      case 'turn':
        return this.#tellAll(now, outbox)
      case 'reset':
        this.#recent = []
        this.#recentBytes = 0
        this.#subscribers.clear()
        this.#toldAll = 0
        return
      default:
        input satisfies never
    }
  }

  wake(): void {}

  #tellAll(now: Now, outbox: RegistryFeedOutbox): void {
    const last = this.#recent.at(-1)?.index ?? 0
    if (last === this.#toldAll) return
    this.#toldAll = last
    for (const [node, subscriber] of this.#subscribers) this.#tell(now, node, subscriber, outbox)
  }

  #keep(index: LogIndex, entry: Uint8Array): void {
    const last = this.#recent.at(-1)
    if (last && index !== last.index + 1) {
      this.#recent = []
      this.#recentBytes = 0
    }
    this.#recent.push({ index, entry: entry.slice() })
    this.#recentBytes += entry.length
    while (this.#recent.length > FEED_ENTRIES_MAX || (this.#recentBytes > FEED_BYTES_MAX && this.#recent.length > 0)) this.#recentBytes -= this.#recent.shift()!.entry.length
  }

  #follow(now: Now, from: NodeId, index: LogIndex, registry: RegistryImage, outbox: RegistryFeedOutbox): void {
    if (!this.#subscribers.has(from) && this.#subscribers.size >= SUBSCRIBERS_MAX) return
    this.#subscribers.set(from, { told: registry.applied, until: (now.monotonic + SUBSCRIPTION_MS) as Instant })
    const entries = this.#behind(index)
    if (index >= registry.applied) return outbox.send(from, { kind: 'registryFeed', applied: registry.applied, first: index, entries: [] })
    if (entries) return outbox.send(from, { kind: 'registryFeed', applied: registry.applied, first: (index + 1) as LogIndex, entries })
    const image = registry.snapshot()
    const parts = Math.max(1, Math.ceil(image.length / PIECE_BYTES))
    for (let part = 0; part < parts; part++) outbox.send(from, { kind: 'registryImage', index: registry.applied, part, parts, bytes: image.subarray(part * PIECE_BYTES, (part + 1) * PIECE_BYTES) })
  }

  #tell(now: Now, node: NodeId, subscriber: Subscriber, outbox: RegistryFeedOutbox): void {
    const last = this.#recent.at(-1)
    if (last === undefined || last.index <= subscriber.told) return
    const entries = now.monotonic < subscriber.until ? this.#behind(subscriber.told) : undefined
    if (entries === undefined) {
      this.#subscribers.delete(node)
      return
    }
    outbox.send(node, { kind: 'registryFeed', applied: last.index, first: (subscriber.told + 1) as LogIndex, entries })
    subscriber.told = last.index
  }

  /** The entries behind an index; undefined where they are no longer here. */
  #behind(index: LogIndex): readonly Uint8Array[] | undefined {
    const first = this.#recent[0]
    if (first === undefined || index + 1 < first.index) return undefined
    return this.#recent.slice(index + 1 - first.index).map((item) => item.entry)
  }

  clone(): this {
    const copy = new RegistryFeed()
    copy.#recent = [...this.#recent]
    copy.#recentBytes = this.#recentBytes
    copy.#toldAll = this.#toldAll
    for (const [node, subscriber] of this.#subscribers) copy.#subscribers.set(node, { ...subscriber })
    return copy as this
  }

  digest(): string {
    return new Hash().number(this.#recent.at(-1)?.index ?? 0).number(this.#recentBytes).number(this.#subscribers.size).digest()
  }
}

// ---- the follower's side -------------------------------------------------------------------------------------------

export interface FollowerSettings {
  /** A master is asked anew this often, each time another. */
  readonly renewMs: number
  /** So long an answer is awaited, once several have not come. */
  readonly silenceMs: number
  /** And so long the first; then twice as long each time. A node that has just started asks before its links are up. */
  readonly silenceMsMin: number
}

export const followerSettings: FollowerSettings = { renewMs: 5000, silenceMs: 1000, silenceMsMin: 50 }

export type FollowerInput =
  /** The copy starts empty (`applied` 0), or somebody else has moved it: this node was a master of the registry till now. */
  | { readonly kind: 'start'; readonly applied: LogIndex }
  /** This node is a master of the registry itself: nothing is to be followed. */
  | { readonly kind: 'stop' }
  | { readonly kind: 'masters'; readonly masters: readonly NodeId[] }
  /** Somebody wants to know what is new now. */
  | { readonly kind: 'refresh' }
  | { readonly kind: 'message'; readonly from: NodeId; readonly message: RegistryFeedMessage }

export interface FollowerOutbox {
  send(to: NodeId, message: RegistryMessage): void
  /** To be applied to the copy, the first at index `first`. */
  entries(first: LogIndex, entries: readonly Uint8Array[]): void
  /** Takes the place of the copy. */
  image(index: LogIndex, image: Uint8Array): void
}

/** However many ask, a master is asked no more often. */
const REFRESH_EVERY_MS = 50
/** An image of more pieces than this is refused: 256 MiB. */
const PIECES_MAX = 1024

export class RegistryFollower implements Actor<FollowerInput, FollowerOutbox> {
  readonly #random: Random
  readonly #settings: FollowerSettings
  #applied = 0 as LogIndex
  #masters: readonly NodeId[] = []
  #asked: NodeId | undefined
  #wakeAt: Instant = never
  #following = false
  /** How long the answer to the latest question is awaited. */
  #patienceMs = 0
  #askedAt = -Infinity
  #currentAt = -Infinity
  #pieces: { readonly from: NodeId; readonly index: LogIndex; readonly parts: number; readonly bytes: Uint8Array[] } | undefined

  constructor(options: { readonly random: Random; readonly settings?: Partial<FollowerSettings> }) {
    this.#random = options.random
    this.#settings = { ...followerSettings, ...options.settings }
  }

  get applied(): LogIndex {
    return this.#applied
  }

  get wakeAt(): Instant {
    return this.#wakeAt
  }

  /** When the copy was last known to hold all that the asked master knew when it was asked; -Infinity before. */
  get currentAt(): number {
    return this.#currentAt
  }

  receive(now: Now, input: FollowerInput, outbox: FollowerOutbox): void {
    switch (input.kind) {
      case 'start':
        this.#applied = input.applied
        this.#following = true
        return this.#ask(now, outbox)
      case 'stop':
        this.#following = false
        this.#wakeAt = never
        this.#pieces = undefined
        return
      case 'masters': {
        const first = this.#masters.length === 0
        this.#masters = input.masters
        if (first && this.#following) this.#ask(now, outbox)
        return
      }
      case 'refresh':
        if (!this.#following) return
        if (now.monotonic >= this.#askedAt + REFRESH_EVERY_MS) this.#ask(now, outbox)
        else this.#wakeAt = Math.min(this.#wakeAt, this.#askedAt + REFRESH_EVERY_MS) as Instant
        return
      case 'message':
        if (this.#following) this.#fed(now, input.from, input.message, outbox)
        return
      default:
        input satisfies never
    }
  }

  wake(now: Now, outbox: FollowerOutbox): void {
    if (this.#following && this.#wakeAt <= now.monotonic) this.#ask(now, outbox)
  }

  /** Another master than last time, where there is one: so a master that lags or is cut off does no harm for long. */
  #ask(now: Now, outbox: FollowerOutbox): void {
    if (this.#masters.length === 0) {
      this.#wakeAt = never
      return
    }
    const { silenceMs, silenceMsMin } = this.#settings
    this.#patienceMs = Math.min(silenceMs, Math.max(silenceMsMin, 2 * this.#patienceMs))
    this.#wakeAt = (now.monotonic + this.#patienceMs) as Instant
    const others = this.#masters.filter((node) => node !== this.#asked)
    this.#asked = this.#random.pick(others.length > 0 ? others : this.#masters)
    this.#askedAt = now.monotonic
    this.#pieces = undefined
    outbox.send(this.#asked, { kind: 'registryFollow', from: this.#applied })
  }

  #fed(now: Now, from: NodeId, message: RegistryFeedMessage, outbox: FollowerOutbox): void {
    if (from === this.#asked) this.#patienceMs = 0
    if (message.kind === 'registryImage') return this.#piece(now, from, message, outbox)
    // A master that is behind this copy has nothing to tell; the next one may.
    if (message.applied < this.#applied) return
    if (from === this.#asked) this.#wakeAt = (now.monotonic + this.#settings.renewMs) as Instant
    const known = this.#applied + 1 - message.first
    if (known < 0) return this.#ask(now, outbox)
    const news = message.entries.slice(known)
    const first = (this.#applied + 1) as LogIndex
    this.#applied = (this.#applied + news.length) as LogIndex
    if (from === this.#asked && this.#applied >= message.applied) this.#currentAt = this.#askedAt
    if (news.length > 0) outbox.entries(first, news)
  }

  #piece(now: Now, from: NodeId, message: Extract<RegistryFeedMessage, { kind: 'registryImage' }>, outbox: FollowerOutbox): void {
    if (message.parts > PIECES_MAX || message.index <= this.#applied) return
    if (message.part === 0) this.#pieces = { from, index: message.index, parts: message.parts, bytes: [] }
    const pieces = this.#pieces
    if (!pieces || pieces.from !== from || pieces.index !== message.index || pieces.bytes.length !== message.part) return
    pieces.bytes.push(message.bytes.slice())
    if (from === this.#asked) this.#wakeAt = (now.monotonic + this.#settings.silenceMs) as Instant
    if (pieces.bytes.length < pieces.parts) return
    this.#pieces = undefined
    this.#applied = message.index
    if (from === this.#asked) {
      this.#wakeAt = (now.monotonic + this.#settings.renewMs) as Instant
      this.#currentAt = this.#askedAt
    }
    outbox.image(message.index, joined(pieces.bytes))
  }

  clone(): this {
    const copy = new RegistryFollower({ random: this.#random.clone(), settings: this.#settings })
    copy.#applied = this.#applied
    copy.#masters = this.#masters
    copy.#asked = this.#asked
    copy.#wakeAt = this.#wakeAt
    copy.#following = this.#following
    copy.#patienceMs = this.#patienceMs
    copy.#askedAt = this.#askedAt
    copy.#currentAt = this.#currentAt
    copy.#pieces = this.#pieces && { ...this.#pieces, bytes: [...this.#pieces.bytes] }
    return copy as this
  }

  digest(): string {
    return new Hash().number(this.#applied).number(this.#wakeAt).number(this.#patienceMs).text(this.#asked ?? '').number(this.#pieces?.bytes.length ?? 0).digest()
  }
}
