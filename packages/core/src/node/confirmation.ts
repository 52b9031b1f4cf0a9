//! A shard that was recovered from one copy is nobody's before the registry says so: of two copies that were both recovered only the
//! first counts, and the nodes that are said to be destroyed are struck in the same entry.
//!
//!   decided (in the identity) ──admitted──▶ ask ──ok──▶ taken off the decision, durable ──▶ settled: the copy may vote
//!                                            │ └─another was recovered, or no such shard──▶ settled: the copy goes
//!                                            └─not now, a destroyed node lives──▶ asks again
//!
//! The registry itself needs no confirmation: what was recovered is all there is of it.

import type { Actor, Now } from '../actor.ts'
import { Hash } from '../hash.ts'
import { Code } from '../message/command.ts'
import { RegistryCode, type RegistryWish } from '../message/registry.ts'
import { type Instant, never, type NodeId, REGISTRY_SHARD, type ShardId } from '../units.ts'
import type { IdentityChanges } from './identity.ts'
import type { RecoveryDecision } from './identity-file.ts'

export type ConfirmationInput =
  /** This node is admitted in this run: what was decided, undefined where there is nothing. */
  | { readonly kind: 'start'; readonly decision: RecoveryDecision | undefined }
  | { readonly kind: 'answer'; readonly ticket: number; readonly code: number }
  | { readonly kind: 'saved'; readonly ticket: number }

export interface ConfirmationOutbox {
  ask(ticket: number, wish: RegistryWish): void
  save(ticket: number, changes: IdentityChanges): void
  /** Durable: the copy of the shard counts from now on, or never will. */
  settled(shard: ShardId, confirmed: boolean): void
  log(level: 'info' | 'error', text: string): void
}

const PAUSE_MS = 1000

export class Confirmation implements Actor<ConfirmationInput, ConfirmationOutbox> {
  readonly #node: NodeId
  #decision: RecoveryDecision | undefined
  #ticket = 0
  #wakeAt: Instant = never
  #stage: 'idle' | 'asking' | 'saving' = 'idle'
  #confirmed = false
  /** The last reason that was told: the same is not told every second. */
  #told = -1

  constructor(node: NodeId) {
    this.#node = node
  }

  get wakeAt(): Instant {
    return this.#wakeAt
  }

  receive(now: Now, input: ConfirmationInput, outbox: ConfirmationOutbox): void {
    switch (input.kind) {
      case 'start':
        if (this.#stage === 'saving') return
        this.#decision = input.decision
        return this.#next(outbox)
      case 'answer':
        return input.ticket === this.#ticket && this.#stage === 'asking' ? this.#answered(now, input.code, outbox) : undefined
      case 'saved':
        return input.ticket === this.#ticket && this.#stage === 'saving' ? this.#saved(outbox) : undefined
      default:
        input satisfies never
    }
  }

  wake(now: Now, outbox: ConfirmationOutbox): void {
    if (this.#wakeAt <= now.monotonic) this.#next(outbox)
  }

  #next(outbox: ConfirmationOutbox): void {
    this.#wakeAt = never
    this.#stage = 'idle'
    const next = this.#decision?.shards[0]
    if (next === undefined) return
    if (next.shard === REGISTRY_SHARD) return this.#settle(true, outbox)
    this.#stage = 'asking'
    outbox.ask(++this.#ticket, { kind: 'shardRecovered', shard: next.shard, recovery: next.recovery, node: this.#node, destroyed: this.#decision!.destroyed })
  }

  #answered(now: Now, code: number, outbox: ConfirmationOutbox): void {
    const { shard } = this.#decision!.shards[0]!
    if (code === Code.ok) return this.#settle(true, outbox)
    if (code === RegistryCode.outdated || code === Code.notFound) {
      outbox.log('error', code === Code.notFound ? `shard ${shard} is not recovered: the registry does not know it` : `shard ${shard} is not recovered from this copy: the registry knows of another one that was`)
      return this.#settle(false, outbox)
    }
    if (code !== Code.unknown && code !== this.#told) outbox.log('error', code === RegistryCode.lives ? `shard ${shard} is not served: a node that was said to be destroyed lives; stop it for good` : `shard ${shard} is not served: the registry does not confirm its recovery (code ${code})`)
    this.#told = code
    this.#stage = 'idle'
    this.#wakeAt = (now.monotonic + PAUSE_MS) as Instant
  }

  #settle(confirmed: boolean, outbox: ConfirmationOutbox): void {
    const { destroyed, shards } = this.#decision!
    this.#confirmed = confirmed
    this.#stage = 'saving'
    outbox.save(++this.#ticket, { recovery: shards.length === 1 ? undefined : { destroyed, shards: shards.slice(1) } })
  }

  #saved(outbox: ConfirmationOutbox): void {
    const { destroyed, shards } = this.#decision!
    this.#decision = { destroyed, shards: shards.slice(1) }
    const { shard, recovery } = shards[0]!
    if (this.#confirmed) outbox.log('info', `shard ${shard} is recovered: this node is its only master, in recovery epoch ${recovery}`)
    outbox.settled(shard, this.#confirmed)
    this.#next(outbox)
  }

  clone(): this {
    const copy = new Confirmation(this.#node)
    copy.#decision = this.#decision
    copy.#ticket = this.#ticket
    copy.#wakeAt = this.#wakeAt
    copy.#stage = this.#stage
    copy.#confirmed = this.#confirmed
    copy.#told = this.#told
    return copy as this
  }

  digest(): string {
    return new Hash().text(this.#stage).number(this.#ticket).number(this.#wakeAt).text(JSON.stringify(this.#decision ?? null)).digest()
  }
}
