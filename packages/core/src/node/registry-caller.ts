//! Asking the registry for something: admission, a topic, what an operator wants of a node. The question goes to its leader where that is known, else to
//! any node that belongs to the cluster, which hands it on. Whatever is asked can be repeated, so silence is answered by
//! asking somebody else, until there is an outcome or the time is over.

import type { Actor, Now } from '../actor.ts'
import { Hash } from '../hash.ts'
import { Code } from '../message/command.ts'
import { type RegistryMessage, RegistryCode, type RegistryRequest, type RegistryWish, registryAnswer, registryLogTable } from '../message/registry.ts'
import type { MessageOf } from '../message/layout.ts'
import type { Random } from '../random.ts'
import { type Instant, type LeaseTime, never, type NodeId, type WallTime } from '../units.ts'

export interface CallerSettings {
  /** So long an answer is awaited before somebody else is asked. */
  readonly silenceMs: number
  /** After an answer that says "not now". */
  readonly pauseMs: number
  /** Then the outcome is unknown. */
  readonly giveUpMs: number
}

export const callerSettings: CallerSettings = { silenceMs: 1000, pauseMs: 100, giveUpMs: 15_000 }

/** Who asked; the outcome goes back there, with the asker's own ticket. */
export type RegistryUser = 'admission' | 'client' | 'operator' | 'recovery'
type RegistryAnswer = MessageOf<typeof registryAnswer>

export type CallerInput =
  | { readonly kind: 'ask'; readonly user: RegistryUser; readonly ticket: number; readonly wish: RegistryWish }
  | { readonly kind: 'answer'; readonly message: RegistryAnswer }
  /** Where the registry is: its leader and masters as hinted, and live nodes of the cluster that could hand a question on. */
  | { readonly kind: 'targets'; readonly leader: NodeId | undefined; readonly masters: readonly NodeId[]; readonly others: readonly NodeId[] }

export interface CallerOutbox {
  /** To this very node too, where it leads the registry. */
  send(to: NodeId, message: RegistryMessage): void
  /** `code` is a `Code` or a `RegistryCode`. */
  done(user: RegistryUser, ticket: number, code: number, body: Uint8Array): void
}

interface Call {
  readonly request: number
  readonly user: RegistryUser
  readonly ticket: number
  readonly entry: Uint8Array
  readonly until: Instant
  tries: number
  askAt: Instant
}

const CALLS_MAX = 4096
const TRANSIENT: readonly number[] = [Code.notLeader, Code.noQuorum, Code.unknown, RegistryCode.notFounded]

export class RegistryCaller implements Actor<CallerInput, CallerOutbox> {
  readonly #node: NodeId
  readonly #random: Random
  readonly #settings: CallerSettings
  #calls: Call[] = []
  #request: number
  #leader: NodeId | undefined
  #masters: readonly NodeId[] = []
  #others: readonly NodeId[] = []

  constructor(options: { readonly node: NodeId; readonly random: Random; readonly settings?: Partial<CallerSettings>; readonly request?: number }) {
    this.#node = options.node
    this.#random = options.random
    this.#settings = { ...callerSettings, ...options.settings }
    // Answers to an earlier run of this node belong to nobody.
    this.#request = options.request ?? this.#random.u32()
  }

  get wakeAt(): Instant {
    return this.#calls.reduce<number>((least, call) => Math.min(least, call.askAt), never) as Instant
  }

  receive(now: Now, input: CallerInput, outbox: CallerOutbox): void {
    switch (input.kind) {
      case 'ask':
        return this.#ask(now, input, outbox)
      case 'answer':
        return this.#answered(now, input.message, outbox)
      case 'targets': {
        const led = input.leader !== undefined && input.leader !== this.#leader
        this.#leader = input.leader
        this.#masters = input.masters
        this.#others = input.others
        // A new leader is asked at once.
        if (led) for (const call of this.#calls) call.askAt = now.monotonic
        return
      }
      default:
        input satisfies never
    }
  }

  wake(now: Now, outbox: CallerOutbox): void {
    const due = this.#calls.filter((call) => call.askAt <= now.monotonic)
    for (const call of due) {
      if (call.until <= now.monotonic) this.#finish(call, Code.unknown, new Uint8Array(0), outbox)
      else this.#send(now, call, outbox)
    }
  }

  #ask(now: Now, input: Extract<CallerInput, { kind: 'ask' }>, outbox: CallerOutbox): void {
    if (this.#calls.length >= CALLS_MAX) return outbox.done(input.user, input.ticket, Code.backpressure, new Uint8Array(0))
    this.#request = (this.#request + 1) >>> 0
    const entry = registryLogTable.encode({ ...input.wish, origin: this.#node, request: this.#request, leaseNow: 0 as LeaseTime, wallNow: 0 as WallTime } as RegistryRequest)
    const call = { request: this.#request, user: input.user, ticket: input.ticket, entry, until: (now.monotonic + this.#settings.giveUpMs) as Instant, tries: 0, askAt: now.monotonic }
    this.#calls.push(call)
    this.#send(now, call, outbox)
  }

  #send(now: Now, call: Call, outbox: CallerOutbox): void {
    const to = this.#target(call)
    call.askAt = (now.monotonic + (to === undefined ? this.#settings.pauseMs : this.#settings.silenceMs)) as Instant
    if (to === undefined) return
    call.tries++
    outbox.send(to, { kind: 'registryCommand', request: call.request, relayed: false, entry: call.entry })
  }

  /** The leader, and every second time somebody else: what is believed of the leader may be old. */
  #target(call: Call): NodeId | undefined {
    if (this.#leader !== undefined && call.tries % 2 === 0) return this.#leader
    const known = this.#masters.length > 0 && call.tries % 4 !== 3 ? this.#masters : this.#others
    const all = known.length > 0 ? known : this.#masters
    return all.length > 0 ? this.#random.pick(all) : this.#leader
  }

  #answered(now: Now, message: RegistryAnswer, outbox: CallerOutbox): void {
    const call = this.#calls.find((candidate) => candidate.request === message.request)
    if (call === undefined) return
    if (!TRANSIENT.includes(message.code)) return this.#finish(call, message.code, message.body, outbox)
    if (message.leader !== undefined && message.leader !== this.#leader) {
      this.#leader = message.leader
      call.tries = 0
      return this.#send(now, call, outbox)
    }
    call.askAt = Math.min(call.askAt, now.monotonic + this.#settings.pauseMs) as Instant
  }

  #finish(call: Call, code: number, body: Uint8Array, outbox: CallerOutbox): void {
    this.#calls = this.#calls.filter((other) => other !== call)
    outbox.done(call.user, call.ticket, code, body)
  }

  clone(): this {
    const copy = new RegistryCaller({ node: this.#node, random: this.#random.clone(), settings: this.#settings, request: this.#request })
    copy.#calls = this.#calls.map((call) => ({ ...call }))
    copy.#leader = this.#leader
    copy.#masters = this.#masters
    copy.#others = this.#others
    return copy as this
  }

  digest(): string {
    const hash = new Hash().number(this.#request).text(this.#leader ?? '')
    for (const call of this.#calls) hash.number(call.request).number(call.tries).number(call.askAt)
    return hash.digest()
  }
}
