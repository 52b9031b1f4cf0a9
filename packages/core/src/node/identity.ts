//! Who this node is, kept in the file `identity` of its data directory (`identity-file.ts`): drawn once, on the first start, and durable before
//! anybody hears of it.
//!
//! Every save writes both slots, one after the other, first the one that does not hold the newest state, and is answered
//! when both are durable. So a torn write costs nothing that was answered, and a slot that rots afterwards costs nothing
//! at all: the other holds the same. (A vote or promise that falls back to an older state would break a promise made.)

import type { Actor, Now } from '../actor.ts'
import { assert } from '../assert.ts'
import type { DeviceAnswer, DeviceOutbox } from '../device.ts'
import { Hash } from '../hash.ts'
import type { Random } from '../random.ts'
import { type ClusterId, type Instant, never, nodeId } from '../units.ts'
import { encodeIdentity, IDENTITY_BYTES, IDENTITY_FILE, IdentityReader, type IdentityState, readIdentity, SLOT_BYTES, writeSlot } from './identity-file.ts'

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
    if (this.#state) hash.bytes(encodeIdentity(this.#state))
    return hash.digest()
  }
}

export const VALUE_BITS = 53

/** 53 random bits: two nodes of a million draw the same once in ten thousand clusters, and then one draws again. With fewer `bits` ties are frequent. */
export function drawValue(random: Random, bits = VALUE_BITS): number {
  return Math.floor((random.u32() * 0x20_0000 + (random.u32() >>> 11)) / 2 ** (VALUE_BITS - bits))
}
