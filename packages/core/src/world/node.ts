//! A process that runs a node: it carries out what the replica wants of sockets and disk, as `packages/node` does on a real
//! machine, and hands it what comes of that.

import type { Actor, Now } from '../actor.ts'
import type { DeviceAnswer, DeviceRequest } from '../device.ts'
import type { Identity, LedSurely, LedWaits, ReplicaEvent, ReplicaInput, ReplicaLoad, ReplicaObservation, ReplicaOutbox } from '../replica.ts'
import type { Random } from '../random.ts'
import type { Address, ConnectionId, NodeId } from '../units.ts'
import { quantize } from './clock.ts'
import type { SimulatedDevice } from './device.ts'
import type { Stage } from './event.ts'
import type { Greeted, Greeter } from './greeting.ts'
import type { Death, Link, LinkEnd } from './link.ts'
import { Process, type AnyInput } from './process.ts'
import type { World } from './world.ts'

export interface DiskSettings {
  readonly delayMsMin: number
  readonly delayMsMax: number
  /** A request that takes much longer now and then. */
  readonly slowChance: number
  readonly slowMsMax: number
}

export const QUIET_DISK: DiskSettings = { delayMsMin: 0.05, delayMsMax: 0.3, slowChance: 0, slowMsMax: 0 }

/** What the world needs of a replica. */
export type ReplicaActor = Pick<Actor<ReplicaInput, ReplicaOutbox>, 'receive' | 'wake' | 'wakeAt'> & { readonly load?: ReplicaLoad; readonly waits?: readonly LedWaits[]; ledSurely?(now: Now): readonly LedSurely[] }

export interface NodeSetup {
  /** Makes the actor of a new run, with a generator of its own. */
  readonly make: (process: NodeProcess, random: Random) => ReplicaActor
  readonly device: SimulatedDevice
  /** Without one everybody is welcome who dials the right node. */
  readonly greeter?: Greeter
}

export class NodeProcess extends Process implements ReplicaOutbox, Stage {
  diskSettings: DiskSettings = QUIET_DISK
  /** The last one that it sent, for whoever damages it. */
  lastDatagram: Uint8Array | undefined
  #disk: SimulatedDevice
  #identity: Identity | undefined
  #actor: ReplicaActor | undefined
  /** Runs the next version of the software: it says so in its greetings. */
  newer = false
  readonly #greeter: Greeter | undefined
  readonly #make: NodeSetup['make']
  readonly #random: Random
  readonly #links = new Map<NodeId, LinkEnd>()
  readonly #clients = new Map<ConnectionId, LinkEnd>()
  readonly #addresses = new Map<NodeId, Address>()
  #nextConnection = 1
  /** Requests are answered in their order: an actor may count on it per file, and one disk has one queue. */
  #diskFreeAt = 0
  #failuresBefore = 0

  constructor(world: World, index: number, name: string, home: Address, setup: NodeSetup) {
    super(world, index, name, home)
    this.#make = setup.make
    this.#greeter = setup.greeter
    this.#disk = setup.device
    this.#random = world.fork()
  }

  get actor(): ReplicaActor | undefined {
    return this.running ? this.#actor : undefined
  }

  get disk(): SimulatedDevice {
    return this.#disk
  }

  /** How many requests of this run the disk has failed. */
  get diskFailures(): number {
    return this.#disk.failures - this.#failuresBefore
  }

  /** Connections of clients that this run has. */
  get clientCount(): number {
    return this.#clients.size
  }

  /** The identity of this run, once it is durable. */
  get identified(): Identity | undefined {
    return this.#identity
  }

  override get nodeId(): NodeId | undefined {
    return this.#identity?.nodeId
  }

  override get listening(): boolean {
    return this.#identity !== undefined
  }

  override get wakeAt(): number {
    return this.#actor?.wakeAt ?? Infinity
  }

  /** A new, empty disk, as after a fire; only while the process is down. */
  replaceDisk(disk: SimulatedDevice): void {
    if (!this.running) this.#disk = disk
  }

  /** As a host would that compares its two clocks. */
  clockMoved(): void {
    if (this.state === 'up') this.deliver({ kind: 'clockMoved' } satisfies ReplicaInput)
  }

  stop(): void {
    if (this.state === 'up') this.deliver({ kind: 'stop' } satisfies ReplicaInput)
  }

  protected override boot(): void {
    this.#identity = undefined
    this.#diskFreeAt = this.world.now
    this.#failuresBefore = this.#disk.failures
    this.#actor = this.#make(this, this.#random.fork())
  }

  protected override receive(now: Now, input: AnyInput): void {
    this.#actor!.receive(now, input as ReplicaInput, this)
  }

  protected override wakeActor(now: Now): void {
    this.#actor!.wake(now, this)
  }

  protected override died(how: Death): void {
    for (const end of this.#links.values()) this.world.network.ended(end, how)
    for (const end of this.#clients.values()) this.world.network.ended(end, how)
    this.#links.clear()
    this.#clients.clear()
    this.#addresses.clear()
    this.#identity = undefined
    this.#actor = undefined
    if (how === 'killed') this.#disk.kill()
    else this.#disk.crash(this.#random)
  }

  // ---- what arrives ------------------------------------------------------------------------------------------------

  override deviceDone(request: DeviceRequest, answer: DeviceAnswer): void {
    this.#disk.complete(request)
    this.#input({ kind: 'device', answer })
  }

  override datagramArrived(from: Address, bytes: Uint8Array): void {
    if (this.listening) this.#input({ kind: 'datagram', from, bytes })
  }

  /**
   * Two nodes that dial each other at once keep the link that the smaller id dialled. A peer that dials while its old link
   * still seems to stand has lost that one.
   */
  override acceptNode(link: Link): void {
    const peer = link.dialler.process.nodeId
    const self = this.nodeId
    if (peer === undefined || self === undefined || (this.#greeter === undefined && link.dialler.peer !== self)) {
      this.world.network.refuse(link)
      return
    }
    if (!this.#welcomes(link)) {
      this.world.network.refuse(link)
      return
    }
    const existing = this.#links.get(peer)
    if (existing?.state === 'dialling' && self < peer) {
      this.world.network.refuse(link)
      return
    }
    const wasUp = existing?.state === 'up'
    if (existing !== undefined) {
      existing.state = 'down'
      existing.link.cut = true
    }
    const end = this.world.network.accept(link, this, peer)
    this.#links.set(peer, end)
    for (const bytes of existing?.queued ?? []) this.world.network.send(end, bytes)
    const run = this.run
    if (wasUp) this.#input({ kind: 'linkDown', node: peer })
    if (this.run === run) this.#input({ kind: 'linkUp', node: peer })
  }

  /** Both sides greet, and either may refuse the other. A host that meets its own identity in another process ends its node. */
  #welcomes(link: Link): boolean {
    const dialler = link.dialler.process
    if (this.#greeter === undefined || !(dialler instanceof NodeProcess)) return true
    const expects = link.dialler.peer as NodeId
    const own = this.#greeted()
    const theirs = dialler.#greeted()
    const refusal = this.#greeter.judge(own, this.#greeter.hello(theirs, expects), undefined) ?? this.#greeter.judge(theirs, this.#greeter.hello(own, undefined), expects)
    if (refusal === undefined) return true
    this.world.count(`refused ${refusal.refused}`)
    if (refusal.refused === 'twin') {
      for (const process of [this, dialler]) process.halt(`another process runs with the identity of this node: ${process === this ? dialler.name : this.name}`)
    }
    if (refusal.refused === 'generation') {
      const generation = Math.max(own.identity.generation, theirs.identity.generation)
      for (const { process, identity } of [{ process: this as NodeProcess, identity: own.identity }, { process: dialler, identity: theirs.identity }]) {
        if (identity.generation < generation) process.#input({ kind: 'generation', generation })
      }
    }
    return false
  }

  #greeted(): Greeted {
    return { identity: this.#identity!, instance: `${this.name} ${this.run}`, newer: this.newer }
  }

  override acceptClient(link: Link): void {
    const connection = this.#nextConnection++ as ConnectionId
    this.#clients.set(connection, this.world.network.accept(link, this, connection))
    this.#input({ kind: 'clientUp', connection, principal: link.dialler.process.name })
  }

  override linkUp(end: LinkEnd): void {
    if (typeof end.peer === 'string') this.#input({ kind: 'linkUp', node: end.peer })
  }

  override linkDown(end: LinkEnd): void {
    if (typeof end.peer === 'string') {
      if (this.#links.get(end.peer) === end) this.#links.delete(end.peer)
      this.#input({ kind: 'linkDown', node: end.peer })
    } else if (this.#clients.delete(end.peer)) this.#input({ kind: 'clientDown', connection: end.peer })
  }

  override linkMessage(end: LinkEnd, bytes: Uint8Array): void {
    if (typeof end.peer === 'string') this.#input({ kind: 'message', from: end.peer, bytes })
    else this.#input({ kind: 'clientMessage', connection: end.peer, bytes })
  }

  // ---- what the replica does ---------------------------------------------------------------------------------------

  device(request: DeviceRequest): void {
    if (!this.effect(request.kind, request)) return
    this.#hashRequest(request)
    const answer = this.#disk.execute(request)
    const { delayMsMin, delayMsMax, slowChance, slowMsMax } = this.diskSettings
    let ms = delayMsMin + this.#random.fraction() * (delayMsMax - delayMsMin)
    if (slowChance > 0 && this.#random.chance(slowChance)) {
      ms += this.#random.fraction() * slowMsMax
      this.world.struck('slowDisk', this)
    }
    this.#diskFreeAt = Math.max(this.#diskFreeAt, this.world.now) + quantize(ms)
    this.world.pushAt(this.#diskFreeAt, { kind: 'device', process: this, run: this.run, request, answer })
  }

  datagram(to: Address, bytes: Uint8Array): void {
    if (!this.effect('datagram', bytes)) return
    this.world.trace.bytes(bytes)
    this.lastDatagram = bytes
    this.world.network.datagram(this, to, bytes)
  }

  send(to: NodeId, bytes: Uint8Array): void {
    if (!this.effect('send', bytes)) return
    this.world.trace.bytes(bytes)
    let end = this.#links.get(to)
    if (end === undefined || !end.alive) {
      end = this.world.network.dial(this, to, this.#addresses.get(to) ?? NOWHERE, 'nodes')
      this.#links.set(to, end)
    }
    this.world.network.send(end, bytes)
  }

  address(node: NodeId, at: Address): void {
    if (this.effect('address', at)) this.#addresses.set(node, at)
  }

  client(connection: ConnectionId, bytes: Uint8Array): void {
    if (!this.effect('client', bytes)) return
    this.world.trace.bytes(bytes)
    const end = this.#clients.get(connection)
    if (end !== undefined) this.world.network.send(end, bytes)
  }

  closeClient(connection: ConnectionId, reason: string): void {
    if (!this.effect('closeClient', reason)) return
    const end = this.#clients.get(connection)
    if (end === undefined) return
    this.world.network.close(end)
    this.world.schedule(0, this, connection)
  }

  /** A connection that the node has closed is down for it as well, once its host has seen to that. */
  act(connection: number): void {
    if (this.state === 'paused') this.world.schedule(PAUSED_LOOK_MS, this, connection)
    else if (this.#clients.delete(connection as ConnectionId)) this.#input({ kind: 'clientDown', connection: connection as ConnectionId })
  }

  closeLink(node: NodeId, reason: string): void {
    if (!this.effect('closeLink', reason)) return
    const end = this.#links.get(node)
    if (end === undefined) return
    this.#links.delete(node)
    this.world.network.close(end)
  }

  identity(identity: Identity): void {
    if (!this.effect('identity', identity)) return
    this.#identity = identity
    this.world.watcher.identity(this, identity)
  }

  event(event: ReplicaEvent): void {
    if (this.effect('event', event)) this.world.watcher.event(this, event)
  }

  halt(reason: string): void {
    if (!this.effect('halt', reason)) return
    this.world.watcher.halted(this, reason)
    this.crashAfter(0)
  }

  stopped(): void {
    if (!this.effect('stopped', undefined)) return
    this.world.watcher.stopped(this)
    this.crashAfter(0)
  }

  observe(observation: ReplicaObservation): void {
    this.world.watcher.observe(this, observation)
  }

  #hashRequest(request: DeviceRequest): void {
    if (request.kind === 'list' || request.kind === 'space') return
    for (let i = 0; i < request.file.length; i++) this.world.trace.number(request.file.charCodeAt(i))
    if (request.kind !== 'write') return
    this.world.trace.number(request.at)
    for (const piece of request.pieces) this.world.trace.bytes(piece)
  }

  #input(input: ReplicaInput): void {
    this.deliver(input)
  }
}

const NOWHERE = '' as Address
/** How often a host that stands still is looked after. */
const PAUSED_LOOK_MS = 10
