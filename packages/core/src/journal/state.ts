//! What a shard must never forget, and how it is laid out in a record: the hard state alone, or with the bounds of the
//! log as they stand in the opening of every segment.

import { readWhole, writeWhole } from './record.ts'
import type { Epoch, LogIndex, ReplicaNumber, Term } from '../units.ts'

export interface HardState {
  readonly term: Term
  readonly vote: ReplicaNumber | undefined
  /** The number under which this copy votes and acknowledges. */
  readonly self: ReplicaNumber
  readonly epoch: Epoch
  readonly commit: LogIndex
  /** The master's own; the journal only keeps it. */
  readonly extra: Uint8Array
}

/** A shard as the opening of a segment tells it. */
export interface ShardBounds {
  readonly hardState: HardState | undefined
  /** The index of the last entry of the log written before the opening. */
  readonly last: number
  /** Entries up to here are no part of the log any more: those still found may have been superseded in a segment that is gone. */
  readonly trimmed: number
  /** Of the newest durable snapshot; undefined where there is none, which is not the same as one at index 0. */
  readonly snapshotIndex: number | undefined
  /** The copy is not proven to be what it acknowledged; it stays so until it counts under another number. */
  readonly suspect: boolean
}

export function encodeHardState(state: HardState): Uint8Array {
  const bytes = new Uint8Array(HARD_STATE_BYTES + state.extra.length)
  writeHardState(bytes, new DataView(bytes.buffer), 0, state)
  return bytes
}

export function decodeHardState(body: Uint8Array): HardState | undefined {
  return body.length < HARD_STATE_BYTES ? undefined : readHardState(body, 0)
}

/** The body of a record that ends a snapshot: which one. */
export function encodeComplete(snapshotIndex: number): Uint8Array {
  const bytes = new Uint8Array(8)
  writeWhole(new DataView(bytes.buffer), 0, snapshotIndex)
  return bytes
}

export function decodeComplete(body: Uint8Array): number | undefined {
  return body.length < 8 ? undefined : readWhole(new DataView(body.buffer, body.byteOffset, body.length), 0)
}

export function encodeBounds(bounds: ShardBounds): Uint8Array {
  const state = bounds.hardState
  const bytes = new Uint8Array(BOUNDS_BYTES + (state ? HARD_STATE_BYTES + state.extra.length : 0))
  const view = new DataView(bytes.buffer)
  view.setUint8(0, (state ? HAS_HARD_STATE : 0) | (bounds.suspect ? IS_SUSPECT : 0) | (bounds.snapshotIndex === undefined ? 0 : HAS_SNAPSHOT))
  writeWhole(view, 8, bounds.last)
  writeWhole(view, 16, bounds.snapshotIndex ?? 0)
  writeWhole(view, 24, bounds.trimmed)
  if (state) writeHardState(bytes, view, BOUNDS_BYTES, state)
  return bytes
}

export function decodeBounds(body: Uint8Array): ShardBounds | undefined {
  if (body.length < BOUNDS_BYTES) return undefined
  const view = new DataView(body.buffer, body.byteOffset, body.length)
  const flags = view.getUint8(0)
  const hasState = (flags & HAS_HARD_STATE) !== 0
  if (hasState && body.length < BOUNDS_BYTES + HARD_STATE_BYTES) return undefined
  return {
    hardState: hasState ? readHardState(body, BOUNDS_BYTES) : undefined,
    last: readWhole(view, 8),
    snapshotIndex: (flags & HAS_SNAPSHOT) !== 0 ? readWhole(view, 16) : undefined,
    trimmed: readWhole(view, 24),
    suspect: (flags & IS_SUSPECT) !== 0,
  }
}

const HARD_STATE_BYTES = 40
const BOUNDS_BYTES = 32
const HAS_HARD_STATE = 1
const IS_SUSPECT = 2
const HAS_SNAPSHOT = 4

function writeHardState(bytes: Uint8Array, view: DataView, at: number, state: HardState): void {
  writeWhole(view, at, state.term)
  writeWhole(view, at + 8, state.epoch)
  writeWhole(view, at + 16, state.commit)
  writeWhole(view, at + 24, state.vote === undefined ? 0 : state.vote + 1)
  writeWhole(view, at + 32, state.self)
  bytes.set(state.extra, at + HARD_STATE_BYTES)
}

function readHardState(body: Uint8Array, at: number): HardState {
  const view = new DataView(body.buffer, body.byteOffset, body.length)
  const vote = readWhole(view, at + 24)
  return {
    term: readWhole(view, at) as Term,
    epoch: readWhole(view, at + 8) as Epoch,
    commit: readWhole(view, at + 16) as LogIndex,
    vote: vote === 0 ? undefined : ((vote - 1) as ReplicaNumber),
    self: readWhole(view, at + 32) as ReplicaNumber,
    extra: body.slice(at + HARD_STATE_BYTES),
  }
}
