//! Who this node is, kept in the file `identity` of its data directory: drawn once, on the first start, and durable before
//! anybody hears of it.
//!
//!   slot 0: 4,096 bytes | slot 1: 4,096 bytes
//!   slot  = magic u32 | format u16 | length u16 | crc u32 (of the body) | body
//!
//! Every save writes both slots, one after the other, first the one that does not hold the newest state, and is answered
//! when both are durable. So a torn write costs nothing that was answered, and a slot that rots afterwards costs nothing
//! at all: the other holds the same. (A vote or promise that falls back to an older state would break a promise made.)
//!
//! How to change the format: add fields under a new FORMAT and keep reading the old one; a newer file is refused.

import type { Actor, Now } from '../actor.ts'
import { assert } from '../assert.ts'
import { crc32 } from '../crc32.ts'
import type { DeviceAnswer, DeviceOutbox, DeviceRequest } from '../device.ts'
import { Hash } from '../hash.ts'
import { cluster, node, shard } from '../message/fields.ts'
import { acceptedDecision, ballot, decision } from '../message/gossip.ts'
import { bool, decode, encode, list, MalformedMessage, optional, record, text, u32, u53, u8, type ValueOf } from '../message/layout.ts'
import { DESTROYED_MAX } from '../message/registry.ts'
import type { Random } from '../random.ts'
import { type ClusterId, type Instant, never, nodeId } from '../units.ts'

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

export type IdentityChanges = Partial<Omit<IdentityState, 'sequence' | 'nodeId' | 'boot' | 'cluster'>>

/** Who wanted a save; the answer goes back there. */
export type IdentityUser = 'founding' | 'admission' | 'replica' | 'recovery' | 'generation'

export type IdentityInput =
  | { readonly kind: 'start' }
  | { readonly kind: 'device'; readonly answer: DeviceAnswer }
  /** `ticket` is the user's own number; `saved` gives it back. Saves are made durable in their order. */
  | { readonly kind: 'save'; readonly user: IdentityUser; readonly ticket: number; readonly changes: IdentityChanges }
  /** What this identity promised is not on the disk any more: another one is drawn, which joins the cluster that it belonged to and never founds. Ends with `loaded`; what is saved after it is lost. */
  | { readonly kind: 'renew' }

export interface IdentityOutbox extends DeviceOutbox {
  /** Durable, this start's boot counter included: packets may leave from now on. */
  loaded(identity: IdentityState): void
  saved(user: IdentityUser, ticket: number, identity: IdentityState): void
  /** Nothing was changed and the node must not start; the reason is one line that says what to do. */
  refused(reason: string): void
  /** The disk no longer does what it is told: the process must end. */
  failed(reason: string): void
}

export const IDENTITY_FILE = 'identity'
const SLOT_BYTES = 4096
const IDENTITY_BYTES = 2 * SLOT_BYTES
const HEAD_BYTES = 12
const MAGIC = 0x48_52_53_31 // 'HRS1'
/** 2: what was decided about recovery, and the cluster of the identity before this one, behind all else. */
const FORMAT = 2
/** More unanswered saves than this are a programmer's error. */
const WAITING_MAX = 1024

type Stage = 'idle' | 'reading' | 'creating' | 'ready' | 'writing' | 'stopped'
interface Waiting { readonly user: IdentityUser; readonly ticket: number }

export class Identity implements Actor<IdentityInput, IdentityOutbox> {
  readonly wakeAt: Instant = never
  readonly #cluster: string
  readonly #random: Random
  readonly #valueBits: number | undefined
  #stage: Stage = 'idle'
  #reader = new IdentityReader()
  #request = 0
  #state: IdentityState | undefined
  /** Slots still to be written with the state under way, in their order. */
  #slots: number[] = []
  /** The slot that alone may hold the newest state: it is written last. */
  #newest = 0
  #writing: { readonly state: IdentityState; readonly slot: Uint8Array } | undefined
  #loaded = false
  #renewNext = false
  /** Whose changes are in the write under way, and whose wait for the next one. */
  #current: Waiting[] = []
  #next: Waiting[] = []

  constructor(options: { readonly cluster: string; readonly random: Random; readonly valueBits?: number | undefined }) {
    this.#cluster = options.cluster
    this.#random = options.random
    this.#valueBits = options.valueBits
  }

  /** The newest state, durable or on its way to the disk; undefined before it is read. */
  get state(): IdentityState | undefined {
    return this.#state
  }

  receive(_now: Now, input: IdentityInput, outbox: IdentityOutbox): void {
    switch (input.kind) {
      case 'start':
        assert(this.#stage === 'idle', 'an identity starts once')
        this.#stage = 'reading'
        return outbox.device(this.#reader.start(++this.#request))
      case 'device':
        return this.#answered(input.answer, outbox)
      case 'save':
        return this.#save(input, outbox)
      case 'renew':
        return this.#renew(outbox)
      default:
        input satisfies never
    }
  }

  wake(): void {}

  #answered(answer: DeviceAnswer, outbox: IdentityOutbox): void {
    if (answer.request !== this.#request || this.#stage === 'stopped') return
    if (this.#stage === 'reading') {
      const next = this.#reader.answer(answer, this.#request + 1)
      if (next !== undefined) {
        this.#request = next.request
        return outbox.device(next)
      }
      if (this.#reader.bytes !== undefined) return this.#read(this.#reader.bytes, outbox)
    }
    if (answer.kind === 'error') {
      this.#stage = 'stopped'
      return outbox.failed(`the file identity cannot be used: ${answer.detail}`)
    }
    if (this.#stage === 'creating') {
      this.#draw(0, false, undefined)
      return this.#write(outbox)
    }
    if (this.#stage === 'writing') this.#written(outbox)
  }

  #create(outbox: IdentityOutbox): void {
    this.#stage = 'creating'
    outbox.device({ kind: 'create', request: ++this.#request, file: IDENTITY_FILE, size: IDENTITY_BYTES })
  }

  #draw(sequence: number, ended: boolean, former: ClusterId | undefined): void {
    this.#state = {
      sequence, nodeId: nodeId(this.#random.hex(128)), value: drawValue(this.#random, this.#valueBits), boot: 1, cluster: this.#cluster, clusterId: undefined, generation: 1, bornBefore: 0,
      founding: { promised: undefined, accepted: undefined, expect: 0, ended, decided: undefined }, recovery: undefined, former,
    }
  }

  #read(bytes: Uint8Array, outbox: IdentityOutbox): void {
    const found = readIdentity(bytes)
    if (found === 'none') return this.#create(outbox)
    if (typeof found === 'string') return this.#refuse(found, outbox)
    const { state } = found
    this.#newest = found.slot
    if (state.cluster !== this.#cluster) {
      return this.#refuse(`the data directory belongs to cluster ${JSON.stringify(state.cluster)}, not ${JSON.stringify(this.#cluster)}: give that name or another directory`, outbox)
    }
    this.#state = { ...state, boot: state.boot + 1 }
    this.#write(outbox)
  }

  #refuse(reason: string, outbox: IdentityOutbox): void {
    this.#stage = 'stopped'
    outbox.refused(reason)
  }

  #save(input: Extract<IdentityInput, { kind: 'save' }>, outbox: IdentityOutbox): void {
    if (this.#stage === 'stopped') return
    assert(this.#loaded && this.#state !== undefined, 'nothing is saved before the identity is loaded')
    assert(this.#next.length < WAITING_MAX, 'too many saves wait')
    const known = this.#state.clusterId
    assert(known === undefined || !('clusterId' in input.changes) || input.changes.clusterId === known, 'a node never takes another cluster')
    this.#state = { ...this.#state, ...input.changes }
    this.#next.push({ user: input.user, ticket: input.ticket })
    if (this.#stage === 'ready') this.#write(outbox)
  }

  #renew(outbox: IdentityOutbox): void {
    if (this.#stage === 'writing') this.#renewNext = true
    if (this.#stage !== 'ready') return
    assert(this.#state !== undefined, 'an identity that was read is renewed')
    this.#renewNext = false
    this.#draw(this.#state.sequence, true, this.#state.clusterId ?? this.#state.former)
    this.#loaded = false
    this.#write(outbox)
  }

  #write(outbox: IdentityOutbox): void {
    assert(this.#state !== undefined, 'a state to write')
    this.#state = { ...this.#state, sequence: this.#state.sequence + 1 }
    this.#writing = { state: this.#state, slot: writeSlot(this.#state) }
    this.#stage = 'writing'
    this.#slots = [1 - this.#newest, this.#newest]
    this.#current = this.#next
    this.#next = []
    this.#writeNextSlot(outbox)
  }

  #writeNextSlot(outbox: IdentityOutbox): void {
    const slot = this.#slots[0]
    assert(slot !== undefined && this.#writing !== undefined, 'a slot to write')
    outbox.device({ kind: 'write', request: ++this.#request, file: IDENTITY_FILE, at: slot * SLOT_BYTES, pieces: [this.#writing.slot], durable: true })
  }

  #written(outbox: IdentityOutbox): void {
    const slot = this.#slots.shift()
    assert(slot !== undefined && this.#writing !== undefined, 'a slot was written')
    if (this.#slots.length > 0) {
      this.#newest = slot
      return this.#writeNextSlot(outbox)
    }
    this.#stage = 'ready'
    const { state } = this.#writing
    if (!this.#loaded) {
      this.#loaded = true
      outbox.loaded(state)
    }
    for (const { user, ticket } of this.#current) outbox.saved(user, ticket, state)
    this.#current = []
    if (this.#renewNext) this.#renew(outbox)
    else if (this.#next.length > 0) this.#write(outbox)
  }

  clone(): this {
    const copy = new Identity({ cluster: this.#cluster, random: this.#random.clone(), valueBits: this.#valueBits })
    copy.#stage = this.#stage
    copy.#reader = this.#reader.clone()
    copy.#request = this.#request
    copy.#state = this.#state
    copy.#slots = [...this.#slots]
    copy.#newest = this.#newest
    copy.#writing = this.#writing
    copy.#loaded = this.#loaded
    copy.#renewNext = this.#renewNext
    copy.#current = [...this.#current]
    copy.#next = [...this.#next]
    return copy as this
  }

  digest(): string {
    const hash = new Hash().text(this.#stage).number(this.#request).number(this.#newest).number(this.#slots.length).number(this.#next.length)
    if (this.#state) hash.bytes(encode(identityState, this.#state))
    return hash.digest()
  }
}

export const VALUE_BITS = 53

/** 53 random bits: two nodes of a million draw the same once in ten thousand clusters, and then one draws again. With fewer `bits` ties are frequent. */
export function drawValue(random: Random, bits = VALUE_BITS): number {
  return Math.floor((random.u32() * 0x20_0000 + (random.u32() >>> 11)) / 2 ** (VALUE_BITS - bits))
}

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

function writeSlot(state: IdentityState): Uint8Array {
  const body = encode(identityState, state)
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
