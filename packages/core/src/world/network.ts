//! Datagrams and connections. A datagram is lost, doubled or late on its own. A connection keeps its order or breaks, and
//! each side learns of the break in its own time.

import type { Random } from '../random.ts'
import type { Address, ConnectionId, NodeId } from '../units.ts'
import { quantize } from './clock.ts'
import type { NetworkConditions } from './conditions.ts'
import type { WorldEvent } from './event.ts'
import { type Death, Link, LinkEnd } from './link.ts'
import type { Process } from './process.ts'
import type { World } from './world.ts'

/** How long a dial that nobody answers is tried. */
const DIAL_TIMEOUT_MS = 2000
/** How long a side may go on believing in a broken connection. */
const HALF_OPEN_MS_MAX = 6000
/** A host gives a silent link up after three looks, five seconds apart (transport's links). */
const SILENCE_MS = 15_000

export class Network {
  readonly conditions: NetworkConditions
  /** What a node's host keeps for one client that does not read (transport's CLIENT_BYTES_MAX); the simulator draws it small. */
  clientBytesMax = Infinity
  readonly #world: World
  readonly #random: Random
  /** Links that stand or are being dialled, for whoever wants to cut some; dead ones are dropped as they are met. */
  #links: Link[] = []
  #pruneAt = 64

  constructor(world: World, conditions: NetworkConditions, random: Random) {
    this.#world = world
    this.conditions = conditions
    this.#random = random
  }

  // ---- datagrams ---------------------------------------------------------------------------------------------------

  datagram(from: Process, to: Address, bytes: Uint8Array): void {
    const target = this.#world.processAt(to)
    if (target === undefined) return
    if (this.conditions.lost()) {
      this.#world.struck('loss', from)
      return
    }
    if (this.#blocked(from, target)) return
    this.#arrive(from, target, bytes.slice())
    if (!this.conditions.duplicated()) return
    this.#arrive(from, target, bytes.slice())
    this.#world.struck('duplicate', from)
  }

  /** A datagram that comes from wherever `from` says: nobody need have sent it. */
  forge(from: Address, target: Process, bytes: Uint8Array): void {
    this.#world.push(this.#delay(target), { kind: 'datagram', from, process: target, bytes })
  }

  #arrive(from: Process, target: Process, bytes: Uint8Array): void {
    this.#world.push(this.#delay(from), { kind: 'datagram', from: from.home, process: target, bytes })
  }

  // ---- connections -------------------------------------------------------------------------------------------------

  dial(from: Process, peer: NodeId | ConnectionId, to: Address, between: 'nodes' | 'client'): LinkEnd {
    const link = new Link(from, peer, between)
    const end = link.dialler
    this.#links.push(link)
    if (this.#links.length > this.#pruneAt) this.#pruneAt = 2 * this.standing().length + 64
    const target = this.#world.processAt(to)
    const lost = target !== undefined && (this.#blocked(from, target) || this.#blocked(target, from))
    if (lost) this.#world.push(DIAL_TIMEOUT_MS, { kind: 'linkDown', link, end })
    else this.#world.push(this.#delay(from), { kind: 'dial', link, process: target })
    return end
  }

  /** The dial has come to where it was meant for: that process takes it, or the dialler is told. */
  dialArrived(link: Link, process: Process | undefined): void {
    if (!link.dialler.alive || link.cut) return
    if (process === undefined || process.state !== 'up' || !process.listening) this.refuse(link)
    else if (link.between === 'client') process.acceptClient(link)
    else process.acceptNode(link)
  }

  refuse(link: Link): void {
    link.cut = true
    this.#world.push(this.#delay(link.dialler.process), { kind: 'linkDown', link, end: link.dialler })
  }

  /** The acceptor's side is up at once, the dialler's a delay later. */
  accept(link: Link, process: Process, peer: NodeId | ConnectionId): LinkEnd {
    const end = new LinkEnd(link, process, peer)
    end.state = 'up'
    link.acceptor = end
    link.dialler.lastArrival = this.#world.now + this.#delay(process)
    this.#world.pushAt(link.dialler.lastArrival, { kind: 'linkUp', link, end: link.dialler })
    return end
  }

  /** What arrives is a copy, whatever happens to it: whoever receives a command may stamp it where it lies. */
  send(end: LinkEnd, bytes: Uint8Array): void {
    if (end.state === 'dialling') {
      end.queue(bytes.slice())
      return
    }
    const link = end.link
    const other = link.other(end)
    if (end.state === 'down' || other === undefined || link.cut) return
    const happens = link.between === 'nodes' ? this.conditions.adversary(bytes[0] ?? 0) : 'none'
    if (happens !== 'none') this.#world.struck(happens, end.process)
    if (happens === 'lose') return
    if (link.between === 'client' && end !== link.dialler && !this.#takes(other, bytes.length)) return
    const unread = link.between === 'client' && end.waiting > this.clientBytesMax / 2
    const arrival = Math.max(this.#world.now + this.#delay(end.process), link.stalledUntil, other.readsAt, unread ? end.readsAt : 0)
    if (happens === 'reorder') {
      this.#world.pushAt(arrival + quantize(this.conditions.settings.delayMsMax * this.#random.fraction() * 4), { kind: 'linkMessage', link, end: other, bytes: bytes.slice() })
      return
    }
    other.lastArrival = Math.max(other.lastArrival, arrival)
    this.#world.pushAt(other.lastArrival, { kind: 'linkMessage', link, end: other, bytes: bytes.slice() })
    if (happens === 'double') this.#world.pushAt(other.lastArrival + this.conditions.delay(), { kind: 'linkMessage', link, end: other, bytes: bytes.slice() })
  }

  arrived(event: Extract<WorldEvent, { kind: 'linkMessage' | 'linkUp' | 'linkDown' }>): void {
    const { end, link } = event
    if (end.state === 'down') return
    const process = end.process
    if (event.kind === 'linkDown') {
      end.state = 'down'
      process.linkDown(end)
      return
    }
    if (link.cut) return
    if (event.kind === 'linkMessage') {
      if (link.between === 'client' && end === link.dialler) end.waiting -= event.bytes.length
      if (end.state === 'up') process.linkMessage(end, event.bytes)
      return
    }
    end.state = 'up'
    for (const bytes of end.queued.splice(0)) this.send(end, bytes)
    process.linkUp(end)
  }

  /** One side closes in an orderly way: what it sent before still arrives. */
  close(end: LinkEnd): void {
    if (end.state === 'down') return
    end.state = 'down'
    const other = end.link.other(end)
    if (other === undefined) return
    other.lastArrival = Math.max(other.lastArrival, this.#world.now + this.conditions.delay(), end.link.stalledUntil)
    this.#world.pushAt(other.lastArrival, { kind: 'linkDown', link: end.link, end: other })
  }

  /** The run behind an end has ended. */
  ended(end: LinkEnd, how: Death): void {
    const link = end.link
    const other = link.other(end)
    end.state = 'down'
    if (other === undefined) return
    if (how !== 'unreachable') {
      other.lastArrival = Math.max(other.lastArrival, this.#world.now + this.conditions.delay())
      this.#world.pushAt(other.lastArrival, { kind: 'linkDown', link, end: other })
    } else this.#world.push(this.#halfOpen(), { kind: 'linkDown', link, end: other })
  }

  /** Breaks a connection: nothing passes from now on, and each side learns of it in its own time. */
  cut(link: Link): void {
    if (link.cut) return
    link.cut = true
    this.#world.push(this.#halfOpen(), { kind: 'linkDown', link, end: link.dialler })
    if (link.acceptor !== undefined) this.#world.push(this.#halfOpen(), { kind: 'linkDown', link, end: link.acceptor })
  }

  /** What is sent stops on its way for so long, and then comes all at once; neither side notices more than silence. */
  clog(link: Link, ms: number): void {
    link.stalledUntil = Math.max(link.stalledUntil, this.#world.now + quantize(ms))
  }

  /** Nothing passes any more. One side is told at once, the other believes in the connection until its host counts the silence. */
  halfOpen(link: Link, told: LinkEnd): void {
    const other = link.other(told)
    if (link.cut || other === undefined) return
    link.cut = true
    this.#world.push(0, { kind: 'linkDown', link, end: told })
    this.#world.push(SILENCE_MS, { kind: 'linkDown', link, end: other })
  }

  /** The client at the dialling end reads nothing for so long: what it is sent waits at the node. */
  readLate(link: Link, ms: number): void {
    link.dialler.readsAt = Math.max(link.dialler.readsAt, this.#world.now + quantize(ms))
  }

  /**
   * A host keeps what a client does not read, up to a bound; then it closes the connection. Until then it reads nothing more from
   * a client that is half as far behind, so that its answers stop growing.
   */
  #takes(client: LinkEnd, bytes: number): boolean {
    if (client.waiting + bytes <= this.clientBytesMax) {
      client.waiting += bytes
      return true
    }
    this.#world.count('client reads too slowly')
    this.cut(client.link)
    return false
  }

  /** Nothing sent from one process arrives at the other for a while; connections break, or outlive a short break. */
  block(from: Process, to: Process, ms: number): void {
    const until = this.#world.now + quantize(ms)
    this.conditions.block(from.index, to.index, until)
    for (const link of this.standing()) {
      const { dialler, acceptor } = link
      if (acceptor === undefined) continue
      const between = (dialler.process === from && acceptor.process === to) || (dialler.process === to && acceptor.process === from)
      if (!between) continue
      if (ms < HALF_OPEN_MS_MAX && this.#random.chance(0.3)) link.stalledUntil = Math.max(link.stalledUntil, until)
      else this.cut(link)
    }
  }

  /** Nothing passes between the two for a while, in either direction. */
  part(a: Process, b: Process, ms: number): void {
    this.block(a, b, ms)
    this.block(b, a, ms)
  }

  /** Ends every fault of the network; broken connections stay broken until they are dialled again. */
  heal(): void {
    this.conditions.heal()
    for (const link of this.standing()) {
      link.stalledUntil = Math.min(link.stalledUntil, this.#world.now)
      link.dialler.readsAt = Math.min(link.dialler.readsAt, this.#world.now)
    }
  }

  standing(): readonly Link[] {
    this.#links = this.#links.filter((link) => !link.cut && (link.dialler.alive || link.acceptor?.alive === true))
    return this.#links
  }

  #blocked(from: Process, to: Process): boolean {
    return this.conditions.blockedUntil(from.index, to.index) > this.#world.now
  }

  #delay(process: Process): number {
    const before = this.conditions.spikes
    const ms = this.conditions.delay()
    if (this.conditions.spikes > before) this.#world.struck('spike', process)
    return ms
  }

  #halfOpen(): number {
    return this.#random.chance(0.5) ? this.#random.fraction() * 20 : this.#random.fraction() * HALF_OPEN_MS_MAX
  }
}
