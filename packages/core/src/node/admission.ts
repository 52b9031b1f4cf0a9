//! How a node gets into the registry, and stays in it as it is.
//!
//!   ask ──ok──▶ save the cluster's id (a newcomer) ──durable──▶ admitted ──address, zone, version changed──▶ ask
//!    ▲  └─tie──▶ draw another value, save it ──durable──┐
//!    └──────────────────────────────────────────────────┘
//!
//! Until it is admitted a node is master of nothing new. A node that an operator has struck from the registry is not let in
//! again: it says so, and asks no more.

import type { Actor, Now } from '../actor.ts'
import { Hash } from '../hash.ts'
import { Code } from '../message/command.ts'
import { decode } from '../message/layout.ts'
import { admitted, type NodeRecord, RegistryCode, type RegistryWish } from '../message/registry.ts'
import type { Random } from '../random.ts'
import { type ClusterId, type Instant, never } from '../units.ts'
import { drawValue, type IdentityChanges } from './identity.ts'

export type AdmissionInput =
  /** This node belongs to a cluster or is to join one: not before, so that who may found is no applicant. */
  | { readonly kind: 'start'; readonly clusterId: ClusterId | undefined }
  /** The outcome of an ask. */
  | { readonly kind: 'answer'; readonly ticket: number; readonly code: number; readonly body: Uint8Array }
  | { readonly kind: 'saved'; readonly ticket: number }
  /** What the registry says about this node, whenever the copy here has moved. */
  | { readonly kind: 'registered'; readonly record: NodeRecord | undefined }
  /** The registry was recovered: whether it still knows this node is to be seen. */
  | { readonly kind: 'again' }
  /** What this node is has changed. */
  | { readonly kind: 'changed'; readonly record: NodeRecord }

export interface AdmissionOutbox {
  ask(ticket: number, wish: RegistryWish): void
  save(ticket: number, changes: IdentityChanges): void
  /** Durable: another value, since the old one was somebody else's. */
  redrawn(value: number): void
  /** Durable. Said after every admission, so again after a change. */
  admitted(clusterId: ClusterId, generation: number): void
  /** Not let in again; its copies count until others have taken their places, unless it was declared `destroyed`. */
  struck(destroyed: boolean): void
  log(level: 'info' | 'warning' | 'error', text: string): void
}

type Stage = 'idle' | 'asking' | 'redrawing' | 'saving' | 'admitted' | 'pausing' | 'struck'

/** After an outcome that does not change by asking again at once. */
const PAUSE_MS = 1000

export class Admission implements Actor<AdmissionInput, AdmissionOutbox> {
  readonly #random: Random
  readonly #valueBits: number | undefined
  #record: NodeRecord
  #clusterId: ClusterId | undefined
  #stage: Stage = 'idle'
  #ticket = 0
  #wakeAt: Instant = never
  #granted: { readonly clusterId: ClusterId; readonly generation: number } | undefined
  /** The copy of the registry has shown this node. */
  #seen = false
  /** The ticket of the ask that the copy's differing record has caused. */
  #askedOver = -1

  constructor(options: { readonly record: NodeRecord; readonly random: Random; readonly valueBits?: number | undefined }) {
    this.#record = options.record
    this.#random = options.random
    this.#valueBits = options.valueBits
  }

  get wakeAt(): Instant {
    return this.#wakeAt
  }

  receive(now: Now, input: AdmissionInput, outbox: AdmissionOutbox): void {
    switch (input.kind) {
      case 'start':
        this.#clusterId = input.clusterId
        return this.#stage === 'idle' ? this.#ask(outbox) : undefined
      case 'answer':
        return input.ticket === this.#ticket && this.#stage === 'asking' ? this.#answered(now, input.code, input.body, outbox) : undefined
      case 'saved':
        return input.ticket === this.#ticket ? this.#saved(outbox) : undefined
      case 'registered':
        return this.#registered(input.record, outbox)
      case 'again':
        return this.#stage === 'idle' || this.#stage === 'redrawing' || this.#stage === 'struck' ? undefined : this.#ask(outbox)
      case 'changed':
        this.#record = input.record
        return this.#stage === 'admitted' || this.#stage === 'asking' ? this.#ask(outbox) : undefined
      default:
        input satisfies never
    }
  }

  wake(now: Now, outbox: AdmissionOutbox): void {
    if (this.#wakeAt > now.monotonic) return
    this.#wakeAt = never
    if (this.#stage === 'pausing') this.#ask(outbox)
  }

  #ask(outbox: AdmissionOutbox): void {
    this.#stage = 'asking'
    outbox.ask(++this.#ticket, { kind: 'admit', record: this.#record })
  }

  #answered(now: Now, code: number, body: Uint8Array, outbox: AdmissionOutbox): void {
    if (code === Code.ok) {
      this.#granted = decode(admitted, body)
      if (this.#clusterId !== undefined && this.#clusterId !== this.#granted.clusterId) {
        outbox.log('error', `a registry of cluster ${this.#granted.clusterId} has answered, but this node belongs to ${this.#clusterId}: it never takes another`)
        return this.#pause(now)
      }
      this.#stage = 'saving'
      return outbox.save(++this.#ticket, this.#granted)
    }
    if (code === RegistryCode.struck || code === RegistryCode.destroyed) return this.#isStruck(outbox, code === RegistryCode.destroyed)
    if (code === RegistryCode.tie) {
      this.#record = { ...this.#record, value: drawValue(this.#random, this.#valueBits) }
      this.#stage = 'redrawing'
      return outbox.save(++this.#ticket, { value: this.#record.value })
    }
    if (code !== Code.unknown) outbox.log('warning', `the registry does not admit this node (code ${code}): asking again`)
    this.#pause(now)
  }

  #pause(now: Now): void {
    this.#stage = 'pausing'
    this.#wakeAt = (now.monotonic + PAUSE_MS) as Instant
  }

  #saved(outbox: AdmissionOutbox): void {
    if (this.#stage === 'redrawing') {
      outbox.redrawn(this.#record.value)
      return this.#ask(outbox)
    }
    if (this.#stage !== 'saving' || !this.#granted) return
    this.#stage = 'admitted'
    this.#clusterId = this.#granted.clusterId
    outbox.admitted(this.#granted.clusterId, this.#granted.generation)
  }

  #registered(record: NodeRecord | undefined, outbox: AdmissionOutbox): void {
    if (this.#stage !== 'admitted') return
    if (record === undefined) {
      // The copy may lag behind the admission; once it has shown this node, its absence is somebody's will.
      return this.#seen ? this.#isStruck(outbox, false) : undefined
    }
    this.#seen = true
    if (!sameRecord(record, this.#record)) this.#differs(outbox)
  }

  #isStruck(outbox: AdmissionOutbox, destroyed: boolean): void {
    this.#stage = 'struck'
    outbox.struck(destroyed)
    if (destroyed) outbox.log('warning', 'this node was declared destroyed when what it held was recovered from another one, and it ends; empty its data directory to let it come back as a new one')
    else outbox.log('warning', 'this node was struck from the registry: it ends as soon as it is master of nothing; empty its data directory to let it come back as a new one')
  }

  /** The copy may show an earlier admission of this node; that is asked over once per change, the registry takes repeats. */
  #differs(outbox: AdmissionOutbox): void {
    if (this.#askedOver === this.#ticket) return
    this.#ask(outbox)
    this.#askedOver = this.#ticket
  }

  clone(): this {
    const copy = new Admission({ record: this.#record, random: this.#random.clone(), valueBits: this.#valueBits })
    copy.#clusterId = this.#clusterId
    copy.#stage = this.#stage
    copy.#ticket = this.#ticket
    copy.#wakeAt = this.#wakeAt
    copy.#granted = this.#granted
    copy.#seen = this.#seen
    copy.#askedOver = this.#askedOver
    return copy as this
  }

  digest(): string {
    return new Hash().text(this.#stage).number(this.#ticket).number(this.#wakeAt).text(JSON.stringify(this.#record)).digest()
  }
}

function sameRecord(a: NodeRecord, b: NodeRecord): boolean {
  return a.address === b.address && a.value === b.value && a.zone === b.zone && a.version === b.version && a.eligible === b.eligible
}
