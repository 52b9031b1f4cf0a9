//! A little network for the actors of a node: virtual time, seeded delay, loss and partitions, every datagram through the
//! real gate and codec. A node is whatever takes datagrams and can be woken.

import { Heap } from '@horus/core/heap'
import { Random } from '@horus/core/random'
import type { Now } from '@horus/core/actor'
import type { Address, Instant, WallTime } from '@horus/core/units'

export interface Host {
  readonly address: Address
  readonly wakeAt: Instant
  datagram(now: Now, from: Address, bytes: Uint8Array): void
  link(now: Now, from: Address, message: unknown): void
  wake(now: Now): void
}

export class Network {
  readonly random: Random
  readonly hosts = new Map<Address, Host>()
  loss = 0
  delayMs: readonly [number, number] = [1, 10]
  duplicate = 0
  /** Groups that hear only each other; none: everybody hears everybody. */
  groups: readonly (readonly Address[])[] = []
  time = 0
  sent = 0
  longest = 0
  readonly #due = new Heap()
  readonly #events = new Map<number, () => void>()
  #order = 0
  #paused = new Set<Address>()

  constructor(seed: number) {
    this.random = new Random(seed)
  }

  get now(): Now {
    return { monotonic: this.time as Instant, wall: (1_700_000_000_000 + this.time) as WallTime }
  }

  add(host: Host): void {
    this.hosts.set(host.address, host)
  }

  remove(address: Address): void {
    this.hosts.delete(address)
  }

  /** Keeps everything for it until it goes on, as SIGSTOP does. */
  pause(address: Address): void {
    this.#paused.add(address)
  }

  resume(address: Address): void {
    this.#paused.delete(address)
  }

  send(from: Address, to: Address, bytes: Uint8Array): void {
    this.sent++
    this.longest = Math.max(this.longest, bytes.length)
    const copies = this.random.chance(this.duplicate) ? 2 : 1
    for (let i = 0; i < copies; i++) {
      if (this.random.chance(this.loss)) continue
      this.after(this.random.between(...this.delayMs), () => this.#deliver(to, from, (host) => host.datagram(this.now, from, bytes)))
    }
  }

  link(from: Address, to: Address, message: unknown): void {
    this.after(this.random.between(...this.delayMs), () => this.#deliver(to, from, (host) => host.link(this.now, from, message)))
  }

  after(ms: number, run: () => void): void {
    this.#events.set(++this.#order, run)
    this.#due.push(this.time + ms, this.#order)
  }

  #deliver(to: Address, from: Address, run: (host: Host) => void): void {
    if (this.groups.length > 0 && !this.groups.some((group) => group.includes(from) && group.includes(to))) return
    if (this.#paused.has(to)) return this.after(1, () => this.#deliver(to, from, run))
    const host = this.hosts.get(to)
    if (host) run(host)
  }

  /** Runs until the condition holds and says how long that took; throws after `limitMs`. */
  until(limitMs: number, claim: string, condition: () => boolean): number {
    const began = this.time
    while (!condition()) {
      if (this.time - began > limitMs) throw new Error(`not within ${limitMs} ms: ${claim}`)
      this.step()
    }
    return this.time - began
  }

  run(ms: number): void {
    const end = this.time + ms
    while (this.time < end) this.step(end)
  }

  /** The next thing that happens before `end`. */
  step(end = Infinity): void {
    const nextAt = this.#due.peekKey
    let host: Host | undefined
    for (const candidate of this.hosts.values()) if (!this.#paused.has(candidate.address) && (host === undefined || candidate.wakeAt < host.wakeAt)) host = candidate
    const hostAt = host?.wakeAt ?? Infinity
    if (Math.min(hostAt, nextAt) > end) {
      this.time = end
      return
    }
    if (nextAt <= hostAt && nextAt < Infinity) {
      this.time = Math.max(this.time, nextAt)
      const order = this.#due.pop()
      const run = this.#events.get(order)!
      this.#events.delete(order)
      run()
    } else if (host && hostAt < Infinity) {
      this.time = Math.max(this.time, hostAt)
      host.wake(this.now)
      if (host.wakeAt <= this.time && this.hosts.get(host.address) === host) this.time += 0.001
    } else this.time += 1000
  }
}
