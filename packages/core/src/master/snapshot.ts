//! A snapshot on its way to a copy that is behind the leader's first entry.
//!
//!   leader    openSnapshot ─▶ source ─▶ chunk chunk chunk ...         a window of chunks is under way
//!   follower             offset wanted next ◀── each ──┘   all there, hash right ─▶ install ─▶ installed
//!
//! A lost chunk, a restart of either side or another leader with the same snapshot go on at the offset that is wanted.

import { Hash } from '../hash.ts'
import type { SnapshotChunk } from '../message/consensus.ts'
import type { Instant, LogIndex, Term } from '../units.ts'
import type { SnapshotSource } from './boundary.ts'
import type { MasterSettings } from './settings.ts'

/** The hash is taken over blocks of this size, so that it does not depend on how the image is cut; chunks are multiples of it. */
export const SNAPSHOT_BLOCK_BYTES = 4096

/** What a source gives as the hash of its image. Takes a millisecond for a few MiB: large images are hashed piece by piece with `SnapshotHash`. */
export function snapshotHash(image: Uint8Array): number {
  const hash = new SnapshotHash()
  hash.add(image)
  return hash.value()
}

export class SnapshotHash {
  #hash = new Hash()

  /** All pieces but the last are multiples of `SNAPSHOT_BLOCK_BYTES`. */
  add(piece: Uint8Array): void {
    for (let at = 0; at < piece.length; at += SNAPSHOT_BLOCK_BYTES) this.#hash.bytes(piece.subarray(at, at + SNAPSHOT_BLOCK_BYTES))
  }

  value(): number {
    return this.#hash.value()
  }

  clone(): SnapshotHash {
    const copy = new SnapshotHash()
    copy.#hash = this.#hash.clone()
    return copy
  }
}

/** Longer than a heartbeat's way there and back, so that what is under way is rarely sent twice. */
const STALLED_HEARTBEATS = 3

/** The leader's side, for one peer. */
export class SnapshotSending {
  /** Undefined until it is opened. */
  source: SnapshotSource | undefined
  /** The follower has everything up to here; up to there it was sent. */
  acknowledged = 0
  sent = 0
  #round = 0
  #started = false
  /** When it was opened. */
  readonly since: Instant
  #progressAt: Instant

  constructor(now: Instant) {
    this.since = now
    this.#progressAt = now
  }

  /** The next chunk within the window, or undefined: all is under way, or the source is still loading. */
  next(settings: MasterSettings): { readonly offset: number; readonly bytes: Uint8Array } | undefined {
    const source = this.source
    if (source === undefined) return undefined
    // An empty image still takes one chunk, so that the follower hears of it.
    if (this.sent >= source.totalBytes && (this.#started || source.totalBytes > 0)) return undefined
    if (this.sent - this.acknowledged >= settings.snapshotChunksInFlight * settings.snapshotChunkBytes) return undefined
    const bytes = source.chunk(this.sent, settings.snapshotChunkBytes)
    if (bytes === undefined) return undefined
    const offset = this.sent
    this.sent += bytes.length
    this.#started = true
    return { offset, bytes }
  }

  /** The follower wants `offset` next. Falling back is believed only from an answer to a later round: it has restarted. */
  wants(offset: number, round: number, now: Instant): void {
    if (this.source === undefined || offset > this.source.totalBytes) return
    if (offset > this.acknowledged) this.sent = Math.max(this.sent, offset)
    else if (offset < this.acknowledged && round > this.#round) this.sent = offset
    else {
      // Everything is there and is being installed: that is progress too.
      if (offset === this.source.totalBytes) this.#progressAt = now
      return
    }
    this.acknowledged = offset
    this.#round = round
    this.#progressAt = now
  }

  /** Nothing has moved for some heartbeats: what was under way is sent again, at least the last block. Whether the source itself is still wanted. */
  retry(now: Instant, settings: MasterSettings): boolean {
    if (now - this.#progressAt < STALLED_HEARTBEATS * settings.heartbeatMs) return false
    this.#progressAt = now
    if (this.source === undefined) return true
    this.#started = false
    this.sent = this.acknowledged
    if (this.sent === this.source.totalBytes && this.sent > 0) this.sent = Math.floor((this.sent - 1) / SNAPSHOT_BLOCK_BYTES) * SNAPSHOT_BLOCK_BYTES
    return false
  }

  clone(): SnapshotSending {
    const copy = new SnapshotSending(this.since)
    copy.#progressAt = this.#progressAt
    copy.source = this.source
    copy.acknowledged = this.acknowledged
    copy.sent = this.sent
    copy.#round = this.#round
    copy.#started = this.#started
    return copy
  }

  mix(hash: Hash, now: Instant): void {
    hash.number(this.source?.index ?? -1).number(this.acknowledged).number(this.sent).number(this.#round).word(this.#started ? 1 : 0).number(now - this.since).number(now - this.#progressAt)
  }
}

/** The follower's side. */
export class SnapshotReceiving {
  readonly index: LogIndex
  readonly term: Term
  readonly configuration: Uint8Array
  readonly image: Uint8Array
  readonly #hashWanted: number
  #hash = new SnapshotHash()
  /** So much of the image is there. */
  have = 0
  /** Handed over for installing: nothing more is received until it is there. */
  installing = false

  constructor(index: LogIndex, term: Term, configuration: Uint8Array, image: Uint8Array, hash: number) {
    this.index = index
    this.term = term
    this.configuration = configuration
    this.image = image
    this.#hashWanted = hash
  }

  static begin(first: SnapshotChunk): SnapshotReceiving {
    return new SnapshotReceiving(first.index, first.indexTerm, first.configuration.slice(), new Uint8Array(first.totalBytes), first.hash)
  }

  isOf(chunk: SnapshotChunk): boolean {
    return chunk.index === this.index && chunk.indexTerm === this.term && chunk.totalBytes === this.image.length && chunk.hash === this.#hashWanted
  }

  /** Takes the chunk where it is the next one. */
  take(chunk: SnapshotChunk): void {
    if (chunk.offset !== this.have || this.have + chunk.chunk.length > this.image.length) return
    this.image.set(chunk.chunk, this.have)
    this.#hash.add(chunk.chunk)
    this.have += chunk.chunk.length
  }

  get isComplete(): boolean {
    return this.have === this.image.length
  }

  get isIntact(): boolean {
    return this.#hash.value() === this.#hashWanted
  }

  /** From the beginning: the bytes that came were not those that were promised. */
  restart(): void {
    this.have = 0
    this.#hash = new SnapshotHash()
  }

  clone(): SnapshotReceiving {
    const copy = new SnapshotReceiving(this.index, this.term, this.configuration, this.image.slice(), this.#hashWanted)
    copy.#hash = this.#hash.clone()
    copy.have = this.have
    copy.installing = this.installing
    return copy
  }

  mix(hash: Hash): void {
    hash.number(this.index).number(this.term).number(this.#hashWanted).number(this.have).number(this.#hash.value()).word(this.installing ? 1 : 0)
  }
}
