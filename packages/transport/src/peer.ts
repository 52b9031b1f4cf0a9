//! Another node as this one sees it: at most one usable link, at most one attempt to make one, and what waits for it.
//!
//! Two nodes may dial each other in the same moment. Then the link that the lower node id dialled counts, and both sides
//! find so without asking:
//!
//!                        my dial is under way            a link is up
//!   a greeting comes     I am lower: it is held until    it is younger than a greeting can be on its way, I dialled it
//!   over a connection    my dial ends; it counts only    and am lower: the newcomer is refused.
//!   that the other       if mine fails.                  Otherwise the newcomer replaces it: the other side dials only
//!   side dialled         I am higher: mine is given up   when it has no link, so it must have lost the old one.

import type { Address, NodeId } from '@horus/core/units'
import type { Connection } from './connection.ts'
import { TransportError } from './errors.ts'
import { FRAME_BYTES_MAX } from './frame.ts'
import type { NodeHello, Refusal } from './hello.ts'
import { HANDSHAKE_MS_MAX } from './tls.ts'

/** Messages that wait for a link to open: one of the largest, or many small ones. */
export const WAITING_BYTES_MAX = FRAME_BYTES_MAX
/** After a failure the next attempt waits this long, twice as long after each further one, and less by a random part up to half. */
const BACKOFF_MS_FIRST = 50
const BACKOFF_MS_MAX = 1000
/** A link that lasted this long counts as a success. */
const STEADY_MS = 2000

export interface Link {
  readonly connection: Connection
  readonly hello: NodeHello
  /** By this node. */
  readonly dialled: boolean
  readonly since: number
}

export interface Arrival {
  readonly connection: Connection
  readonly hello: NodeHello
}

export class Peer {
  readonly node: NodeId
  at: Address | undefined
  link: Link | undefined
  /** Gives up the attempt that is under way. */
  abandonDial: (() => void) | undefined
  /** Greeted while the own attempt, which counts, was under way. */
  held: Arrival | undefined
  /** What the last refusal said, so that the same is not reported again and again. */
  complaint: string | undefined
  #waiting: Uint8Array[] = []
  #waitingBytes = 0
  #refusing = false
  #failures = 0
  #dialAt = 0

  constructor(node: NodeId) {
    this.node = node
  }

  /** Whether a new attempt may be made at `now`. */
  mayDial(now: number): boolean {
    return this.abandonDial === undefined && now >= this.#dialAt
  }

  /** Keeps a message for the link to come, or drops it when there are too many: the first refusal is worth telling. */
  wait(payload: Uint8Array): 'kept' | 'first refused' | 'refused' {
    if (this.#waitingBytes + payload.length > WAITING_BYTES_MAX) {
      const first = !this.#refusing
      this.#refusing = true
      return first ? 'first refused' : 'refused'
    }
    this.#waiting.push(payload)
    this.#waitingBytes += payload.length
    return 'kept'
  }

  takeWaiting(): readonly Uint8Array[] {
    const waiting = this.#waiting
    this.#waiting = []
    this.#waitingBytes = 0
    this.#refusing = false
    return waiting
  }

  failed(now: number): void {
    this.#failures++
    this.#postpone(now)
  }

  linkEnded(now: number, since: number): void {
    this.#failures = now - since >= STEADY_MS ? 0 : this.#failures + 1
    this.#postpone(now)
  }

  /** The node has moved, or has shown that it lives. */
  encourage(): void {
    this.#failures = 0
    this.#dialAt = 0
  }

  #postpone(now: number): void {
    const longest = this.#failures === 0 ? 0 : Math.min(BACKOFF_MS_MAX, BACKOFF_MS_FIRST * 2 ** (this.#failures - 1))
    this.#dialAt = now + longest * (1 - Math.random() / 2)
  }
}

export type Judgement = { readonly kind: 'accept' | 'hold' } | { readonly kind: 'refuse'; readonly refusal: Refusal }

/** What becomes of a connection that the other side dialled; see the table above. */
export function judge(own: NodeId, peer: Peer, hello: NodeHello, now: number): Judgement {
  const { link } = peer
  if (link) {
    const crossing = link.dialled && own < peer.node && link.hello.instance === hello.instance && now - link.since < HANDSHAKE_MS_MAX
    return crossing ? { kind: 'refuse', refusal: DUPLICATE } : { kind: 'accept' }
  }
  return { kind: peer.abandonDial && own < peer.node ? 'hold' : 'accept' }
}

export const DUPLICATE: Refusal = { code: 'duplicate', text: 'another link of these two nodes counts' }
export const REPLACED = new TransportError('duplicate', 'replaced by a newer link')
