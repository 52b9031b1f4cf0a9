//! The file `identity`: what it holds of a node, how that is laid out, and how it is read where a sector of it is lost.
//!
//!   slot 0: 4,096 bytes | slot 1: 4,096 bytes
//!   slot  = magic u32 | format u16 | length u16 | crc u32 (of the body) | body
//!
//! How to change the format: add fields under a new FORMAT and keep reading the old one; a newer file is refused.

import { assert } from '../assert.ts'
import { crc32 } from '../crc32.ts'
import type { DeviceAnswer, DeviceRequest } from '../device.ts'
import { cluster, node, shard } from '../message/fields.ts'
import { acceptedDecision, ballot, decision } from '../message/gossip.ts'
import { bool, decode, encode, list, MalformedMessage, optional, record, text, u32, u53, u8, type ValueOf } from '../message/layout.ts'
import { DESTROYED_MAX } from '../message/registry.ts'

/** So that a state fits its slot. */
export const RECOVERED_SHARDS_MAX = 256

/** What this node has promised and learned of the founding of its cluster (`founding.ts`). */
const foundingState = record({
  promised: optional(ballot),
  accepted: optional(acceptedDecision),
  /** The number of nodes that its promises were bound to; 0 before the first. */
  expect: u8,
  /** It has met a founded node: it joins, and never founds again. */
  ended: bool,
  decided: optional(decision),
})
export type FoundingState = ValueOf<typeof foundingState>

/** What an operator has decided about copies on this node, to be carried out at its next start, and kept until the registry has confirmed it. */
const recoveryDecision = record({
  /** Nodes that are said to be lost with their disks. */
  destroyed: list(node, DESTROYED_MAX),
  /** This node is the only master of each, under that recovery epoch. */
  shards: list(record({ shard, recovery: u32 }), RECOVERED_SHARDS_MAX),
})
export type RecoveryDecision = ValueOf<typeof recoveryDecision>

const stateOfFormat1 = {
  sequence: u53,
  nodeId: node,
  /** The drawn number that decides who is master; drawn again only when told of a tie. */
  value: u53,
  /** Rises at every start. */
  boot: u32,
  cluster: text(255),
  clusterId: optional(cluster),
  /** Raised when the registry is recovered: from 1, always one more than the registry's recovery epoch. Nodes of an older one take the newer one before they are spoken to. */
  generation: u32,
  /** Births of shards up to, not including, this index of the registry's log are done here (0: not even the registry's own). */
  bornBefore: u53,
  founding: foundingState,
}
const identityState = record({
  ...stateOfFormat1,
  recovery: optional(recoveryDecision),
  /** What this data directory belonged to under the identity before this one: it may join that again, and no other. */
  former: optional(cluster),
})
export type IdentityState = ValueOf<typeof identityState>

export const IDENTITY_FILE = 'identity'
export const SLOT_BYTES = 4096
export const IDENTITY_BYTES = 2 * SLOT_BYTES
const HEAD_BYTES = 12
const MAGIC = 0x48_52_53_31 // 'HRS1'
/** 2: what was decided about recovery, and the cluster of the identity before this one, behind all else. */
const FORMAT = 2

/** The body of a slot. */
export const encodeIdentity = (state: IdentityState): Uint8Array => encode(identityState, state)

/**
 * The newest state in the bytes of the file, and the slot that holds it; 'none' where a crash came before the first answer, which leaves a slot
 * as it was made, so that nobody has heard of that identity; else why it cannot be used, in one line that says what to do.
 */
export function readIdentity(bytes: Uint8Array): { readonly state: IdentityState; readonly slot: number } | string {
  const slots = [readSlot(bytes, 0), readSlot(bytes, SLOT_BYTES)] as const
  if (slots.some((slot) => slot.kind === 'newer')) return 'the data directory was written by a newer version of Horus: run that version or newer'
  const states = slots.map((slot) => (slot.kind === 'state' ? slot.state : undefined))
  const newest = (states[1]?.sequence ?? -1) > (states[0]?.sequence ?? -1) ? 1 : 0
  const state = states[newest]
  if (state !== undefined) return { state, slot: newest }
  if (slots.some((slot) => slot.kind === 'empty') || bytes.length < IDENTITY_BYTES) return 'none'
  return 'both copies in the file identity are damaged: empty the data directory, the node comes back as a new one'
}

type Slot = { readonly kind: 'state'; readonly state: IdentityState } | { readonly kind: 'empty' | 'damaged' | 'newer' }

/** Asks for both slots at once; where that cannot be read for each alone, since a sector that is lost takes but one of them. */
export class IdentityReader {
  #slot: number | undefined
  /** Of a slot that cannot be read it has what is in no slot. */
  readonly #each = new Uint8Array(IDENTITY_BYTES).fill(0xff)
  #readable = 0
  /** What is in the file, once that is known; nothing where there is none. */
  bytes: Uint8Array | undefined

  start(request: number): DeviceRequest {
    return { kind: 'read', request, file: IDENTITY_FILE, at: 0, length: IDENTITY_BYTES }
  }

  /** The next request, under that number; undefined where there is none: `bytes` is known, or the file cannot be read. */
  answer(answer: DeviceAnswer, request: number): DeviceRequest | undefined {
    if (answer.kind === 'error' && answer.error === 'missing') this.bytes = new Uint8Array(0)
    else if (this.#slot !== undefined) return this.#slotAnswered(this.#slot, answer, request)
    else if (answer.kind === 'bytes') this.bytes = answer.bytes
    else return this.#ask(0, request)
    return undefined
  }

  #slotAnswered(slot: number, answer: DeviceAnswer, request: number): DeviceRequest | undefined {
    if (answer.kind === 'bytes') {
      this.#each.set(answer.bytes, slot * SLOT_BYTES)
      this.#readable++
    }
    if (slot === 0) return this.#ask(1, request)
    if (this.#readable > 0) this.bytes = this.#each
    return undefined
  }

  #ask(slot: number, request: number): DeviceRequest {
    this.#slot = slot
    return { kind: 'read', request, file: IDENTITY_FILE, at: slot * SLOT_BYTES, length: SLOT_BYTES }
  }

  clone(): IdentityReader {
    const copy = new IdentityReader()
    copy.#slot = this.#slot
    copy.#each.set(this.#each)
    copy.#readable = this.#readable
    copy.bytes = this.bytes
    return copy
  }
}

export function writeSlot(state: IdentityState): Uint8Array {
  const body = encodeIdentity(state)
  assert(body.length <= SLOT_BYTES - HEAD_BYTES, `an identity of ${body.length} bytes`)
  const bytes = new Uint8Array(SLOT_BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, MAGIC)
  view.setUint16(4, FORMAT)
  view.setUint16(6, body.length)
  view.setUint32(8, crc32(body))
  bytes.set(body, HEAD_BYTES)
  return bytes
}

function readSlot(bytes: Uint8Array, at: number): Slot {
  if (bytes.length < at + SLOT_BYTES) return { kind: 'damaged' }
  const slot = bytes.subarray(at, at + SLOT_BYTES)
  if (slot.every((byte) => byte === 0)) return { kind: 'empty' }
  const view = new DataView(slot.buffer, slot.byteOffset, SLOT_BYTES)
  const length = view.getUint16(6)
  if (view.getUint32(0) !== MAGIC || length > SLOT_BYTES - HEAD_BYTES) return { kind: 'damaged' }
  const body = slot.subarray(HEAD_BYTES, HEAD_BYTES + length)
  if (crc32(body) !== view.getUint32(8)) return { kind: 'damaged' }
  const format = view.getUint16(4)
  if (format > FORMAT) return { kind: 'newer' }
  try {
    return { kind: 'state', state: format < 2 ? { ...decode(record(stateOfFormat1), body), recovery: undefined, former: undefined } : decode(identityState, body) }
  } catch (error) {
    if (error instanceof MalformedMessage) return { kind: 'damaged' }
    throw error
  }
}
