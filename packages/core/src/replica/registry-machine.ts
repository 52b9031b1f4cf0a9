//! Shard 0 as a hosted machine: the registry's state, the desk of its leader, and the feed for those who follow.

import type { Now } from '../actor.ts'
import { type Imaging, readSmall, smallImage, type Walk } from '../message/image.ts'
import type { RegistryMessage } from '../message/registry.ts'
import { RegistryFeed, type RegistryFeedOutbox } from '../node/registry-feed.ts'
import { Registry, type RegistryEffects } from '../registry/registry.ts'
import { recoveryOf } from '../recovery-epoch.ts'
import type { LogIndex, NodeId } from '../units.ts'
import type { HostedRegistry } from './registry-view.ts'
import type { Hosted } from './hosted.ts'
import type { Machine } from './machine.ts'

export interface RegistryMachineOutbox {
  send(to: NodeId, message: RegistryMessage): void
  /** An outcome for whoever asked; only a leader passes it on. */
  outcome(origin: NodeId, request: number, code: number, body: Uint8Array): void
  applied(): void
}

export class RegistryMachine implements Machine, HostedRegistry {
  readonly #out: RegistryMachineOutbox
  readonly #feed = new RegistryFeed()
  #registry = new Registry()
  /** The first entry of the term that this node leads. */
  #firstOwn = 0
  #hosted: Hosted | undefined
  #now: Now = { monotonic: 0 as never, wall: 0 as never }

  constructor(out: RegistryMachineOutbox) {
    this.#out = out
  }

  attach(hosted: Hosted): void {
    this.#hosted = hosted
  }

  // ---- what the node reads ---------------------------------------------------------------------------------------

  get registry(): Registry {
    return this.#registry
  }

  get leading(): boolean {
    return this.#hosted?.started === true && this.#hosted.master.role === 'leader'
  }

  get leader(): NodeId | undefined {
    return this.#hosted?.started === true ? this.#hosted.master.leader?.node : undefined
  }

  /** Not before everything of earlier leaders is applied: what this one found missing could be in the log already. */
  get proposable(): boolean {
    return this.leading && this.#hosted!.applied >= this.#firstOwn && this.#hosted!.master.proposable === 'yes'
  }

  get recovery(): number {
    return this.#hosted?.started === true ? recoveryOf(this.#hosted.master.term) : 0
  }

  /** A node that is no master of the registry wants to know what is new. */
  follow(now: Now, from: NodeId, index: LogIndex): void {
    this.#now = now
    this.#hosted?.stir()
    this.#feed.receive(now, { kind: 'follow', from, index, registry: this.#registry }, this.#feedOutbox)
  }

  // ---- the machine -----------------------------------------------------------------------------------------------

  apply(index: LogIndex, entry: Uint8Array): void {
    this.#registry.apply(index, entry, this.#effects)
    this.#feed.receive(this.#now, { kind: 'applied', index, entry }, this.#feedOutbox)
    this.#out.applied()
  }

  /** So small that it is written and read at once. */
  freeze(): Imaging {
    return smallImage(this.#registry.snapshot())
  }

  *restoring(pieces: Uint8Array[]): Walk {
    this.#registry = Registry.restore(readSmall(pieces))
    this.#feed.receive(this.#now, { kind: 'reset' }, this.#feedOutbox)
    this.#out.applied()
  }

  digest(): string {
    return this.#registry.digest()
  }

  needs(): boolean {
    return false
  }

  livePayloads(): readonly LogIndex[] {
    return []
  }

  nextPayload(): number {
    return Infinity
  }

  lead(leads: boolean): void {
    this.#firstOwn = leads ? this.#hosted!.master.lastIndex : 0
    this.#out.applied()
  }

  wake(): void {}

  turn(now: Now): void {
    this.#now = now
    this.#feed.receive(now, { kind: 'turn' }, this.#feedOutbox)
  }

  wakeAt(): number {
    return Infinity
  }

  get isIdle(): boolean {
    return true
  }

  unreadable(): void {}

  readonly #feedOutbox: RegistryFeedOutbox = { send: (to, message) => this.#out.send(to, message) }

  readonly #effects: RegistryEffects = {
    answer: (origin, request, code, body) => this.#out.outcome(origin, request, code, body),
    admitted: () => {},
    forgotten: () => {},
    born: () => {},
    topic: () => {},
  }
}
