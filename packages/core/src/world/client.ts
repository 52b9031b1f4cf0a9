//! A process that runs a client: it opens connections to nodes and hands its actor what they bring.

import type { Actor, Now } from '../actor.ts'
import type { Random } from '../random.ts'
import type { Address, ConnectionId } from '../units.ts'
import type { Death, Link, LinkEnd } from './link.ts'
import { Process, type AnyInput } from './process.ts'
import type { World } from './world.ts'

/** A client numbers its connections itself, from 1, and never uses a number twice in one run. */
export type ClientProcessInput =
  | { readonly kind: 'start' }
  | { readonly kind: 'connected' | 'disconnected'; readonly connection: ConnectionId }
  | { readonly kind: 'received'; readonly connection: ConnectionId; readonly bytes: Uint8Array }
  | { readonly kind: 'turn' }

export interface ClientProcessOutbox {
  /** Ends in `connected` or `disconnected`. */
  connect(connection: ConnectionId, to: Address): void
  transmit(connection: ConnectionId, bytes: Uint8Array): void
  disconnect(connection: ConnectionId): void
}

/** So far back a client repeats itself. */
const SAID_MAX = 64

export type ClientActor = Actor<ClientProcessInput, ClientProcessOutbox>

export class ClientProcess extends Process implements ClientProcessOutbox {
  readonly #make: (process: ClientProcess, random: Random) => ClientActor
  readonly #random: Random
  readonly #connections = new Map<ConnectionId, LinkEnd>()
  #actor: ClientActor | undefined
  /** The newest of what this run has sent, for a client that says old things again. */
  readonly #said: Uint8Array[] = []
  #saidNext = 0

  constructor(world: World, index: number, name: string, home: Address, make: (process: ClientProcess, random: Random) => ClientActor) {
    super(world, index, name, home)
    this.#make = make
    this.#random = world.fork()
  }

  get actor(): ClientActor | undefined {
    return this.running ? this.#actor : undefined
  }

  override get nodeId(): undefined {
    return undefined
  }

  override get listening(): boolean {
    return false
  }

  override get wakeAt(): number {
    return this.#actor?.wakeAt ?? Infinity
  }

  protected override boot(): void {
    this.#actor = this.#make(this, this.#random.fork())
  }

  protected override receive(now: Now, input: AnyInput): void {
    this.#actor!.receive(now, input as ClientProcessInput, this)
  }

  protected override wakeActor(now: Now): void {
    this.#actor!.wake(now, this)
  }

  protected override died(how: Death): void {
    for (const end of this.#connections.values()) this.world.network.ended(end, how)
    this.#connections.clear()
    this.#said.length = this.#saidNext = 0
    this.#actor = undefined
  }

  override deviceDone(): void {}

  override datagramArrived(): void {}

  override acceptNode(link: Link): void {
    this.world.network.refuse(link)
  }

  override acceptClient(link: Link): void {
    this.world.network.refuse(link)
  }

  override linkUp(end: LinkEnd): void {
    this.#input({ kind: 'connected', connection: end.peer as ConnectionId })
  }

  override linkDown(end: LinkEnd): void {
    if (this.#connections.delete(end.peer as ConnectionId)) this.#input({ kind: 'disconnected', connection: end.peer as ConnectionId })
  }

  override linkMessage(end: LinkEnd, bytes: Uint8Array): void {
    this.#input({ kind: 'received', connection: end.peer as ConnectionId, bytes })
  }

  connect(connection: ConnectionId, to: Address): void {
    if (this.effect('connect', to)) this.#connections.set(connection, this.world.network.dial(this, connection, to, 'client'))
  }

  transmit(connection: ConnectionId, bytes: Uint8Array): void {
    if (!this.effect('transmit', bytes)) return
    this.world.trace.bytes(bytes)
    const end = this.#connections.get(connection)
    if (end === undefined) return
    this.#said[this.#saidNext] = bytes
    this.#saidNext = (this.#saidNext + 1) % SAID_MAX
    this.world.network.send(end, bytes)
  }

  /** Sends something that this run sent before once more, over whichever of its connections stands. Whether there was one. */
  repeat(random: Random): boolean {
    const standing = [...this.#connections.values()].filter((end) => end.state === 'up')
    if (!this.running || standing.length === 0 || this.#said.length === 0) return false
    this.world.network.send(random.pick(standing), random.pick(this.#said))
    return true
  }

  disconnect(connection: ConnectionId): void {
    if (!this.effect('disconnect', connection)) return
    const end = this.#connections.get(connection)
    if (end === undefined) return
    this.#connections.delete(connection)
    this.world.network.close(end)
  }

  #input(input: ClientProcessInput): void {
    this.deliver(input)
  }
}
