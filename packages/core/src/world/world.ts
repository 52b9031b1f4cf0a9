//! A world of its own: virtual time, processes, a network and disks, all in one thread and decided by one seed.
//!
//!   queue of (time, sequence) ──▶ process.deliver(input) ──▶ actor ──▶ effects ──▶ network, disk ──▶ queue
//!
//! Nothing here waits: a minute of virtual time lasts as long as its events take to handle. The same seed gives the same
//! events to the last byte, which the trace's hash shows.

import { assert } from '../assert.ts'
import type { ReplicaEvent, ReplicaObservation, Identity } from '../replica.ts'
import { Random } from '../random.ts'
import type { Address } from '../units.ts'
import { TICKS_PER_MS, quantize } from './clock.ts'
import { NetworkConditions, QUIET_NETWORK } from './conditions.ts'
import type { Stage, WorldEvent } from './event.ts'
import { Network } from './network.ts'
import type { AnyInput, Process } from './process.ts'
import { EventQueue } from './queue.ts'
import { Trace } from './trace.ts'

/** Whoever wants to know what happens: the checkers. A watcher only looks. */
export interface WorldWatcher {
  threw(process: Process, error: unknown): void
  /** A run has ended, for whatever reason. */
  died(process: Process): void
  identity(process: Process, identity: Identity): void
  event(process: Process, event: ReplicaEvent): void
  observe(process: Process, observation: ReplicaObservation): void
  halted(process: Process, reason: string): void
  /** A fault has hit the process; called when it has. */
  struck?(process: Process, fault: string): void
  stopped(process: Process): void
}

/** A wake that is early by a rounding error is tried again this much later. */
const WAKE_STEP_MS = 1 / TICKS_PER_MS

export class World {
  now = 0
  /** Inputs delivered to actors; of turns and wakes only those that made the actor do something. */
  events = 0
  turns = 0
  wakes = 0
  readonly trace = new Trace()
  readonly network: Network
  readonly processes: Process[] = []
  /** How often each thing happened, for coverage: every kind of input, every fault. */
  readonly counts = new Map<string, number>()
  watcher: WorldWatcher
  /** By how much all wall clocks have been moved on at once. */
  leapt = 0
  readonly #random: Random
  readonly #queue = new EventQueue<WorldEvent>()
  readonly #byAddress = new Map<Address, Process>()

  constructor(random: Random, watcher: WorldWatcher) {
    this.#random = random
    this.watcher = watcher
    this.network = new Network(this, new NetworkConditions(QUIET_NETWORK, random.fork()), random.fork())
  }

  add<P extends Process>(make: (index: number) => P): P {
    const process = make(this.processes.length)
    assert(!this.#byAddress.has(process.home), 'no two processes share an address')
    process.clock.jumpWall(this.leapt)
    this.processes.push(process)
    this.#byAddress.set(process.home, process)
    return process
  }

  processAt(address: Address): Process | undefined {
    return this.#byAddress.get(address)
  }

  /** Where a new run's monotonic clock begins. */
  clockBase(): number {
    return this.#random.below(1_000_000)
  }

  fork(): Random {
    return this.#random.fork()
  }

  push(afterMs: number, event: WorldEvent): void {
    this.#queue.push(this.now + quantize(afterMs), event)
  }

  pushAt(time: number, event: WorldEvent): void {
    this.#queue.push(time, event)
  }

  schedule(afterMs: number, stage: Stage, code: number, subject = 0): void {
    this.push(afterMs, { kind: 'stage', stage, code, subject })
  }

  count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1)
  }

  /** Every fault is told here, whatever its source: by name, as in the catalogue, and whom it hit. */
  struck(fault: string, process: Process): void {
    this.count(`fault ${fault}`)
    this.watcher.struck?.(process, fault)
  }

  /** The process is to be reached somewhere else from its next start on; only while it is down. */
  move(process: Process, to: Address): void {
    assert(process.state === 'down' && !this.#byAddress.has(to), 'a process moves while it is down, to where nobody is')
    this.#byAddress.delete(process.home)
    this.#byAddress.set(to, process)
    process.home = to
  }

  /** Two processes that are down come back where the other one was. */
  swap(a: Process, b: Process): void {
    const [home, other] = [a.home, b.home]
    this.move(a, `${home} (nowhere)` as Address)
    this.move(b, home)
    this.move(a, other)
  }

  /** Runs until `until` (true time in ms), or until `enough` says so between two events. */
  runUntil(until: number, enough?: () => boolean): void {
    while (this.#queue.nextTime <= until) {
      this.now = this.#queue.nextTime
      this.#dispatch(this.#queue.pop())
      if (enough?.()) return
    }
    this.now = Math.max(this.now, until)
  }

  /**
   * All wall clocks go on by `ms` at once, and nothing else does: as if every machine had been suspended in the same moment. No monotonic clock
   * notices, so no time-out ends that would not have.
   */
  leap(ms: number): void {
    this.leapt += ms
    for (const process of this.processes) process.clock.jumpWall(ms)
  }

  /** Without `ms` until it is resumed. */
  pause(process: Process, ms?: number): void {
    if (process.state !== 'up') return
    process.state = 'paused'
    if (ms !== undefined) this.push(ms, { kind: 'resume', process, run: process.run })
  }

  restart(process: Process, afterMs: number): void {
    this.push(afterMs, { kind: 'restart', process, run: process.run })
  }

  /** Called by every process before its actor gets an input. */
  delivered(process: Process, input: AnyInput): void {
    if (input.kind === 'turn') this.turns++
    else {
      this.events++
      this.count(input.kind)
    }
    this.trace.input(this.now, process.index, process.name, input.kind, input)
  }

  #dispatch(event: WorldEvent): void {
    switch (event.kind) {
      case 'stage':
        event.stage.act(event.code, event.subject)
        return
      case 'restart':
        if (event.process.run === event.run) event.process.start()
        return
      case 'resume':
        if (event.process.run === event.run) this.resume(event.process)
        return
      case 'turn':
        if (!this.#reaches(event, event.process, event.run)) return
        event.process.turnPending = false
        event.process.deliver(TURN)
        return
      case 'wake':
        if (this.#reaches(event, event.process, event.run)) this.#wake(event.process)
        return
      case 'device':
        if (this.#reaches(event, event.process, event.run)) event.process.deviceDone(event.request, event.answer)
        return
      case 'datagram':
        if (this.#reaches(event, event.process, event.process.run)) event.process.datagramArrived(event.from, event.bytes)
        return
      case 'dial':
        if (event.process === undefined || event.process.state !== 'paused') this.network.dialArrived(event.link, event.process)
        else event.process.held.push(event)
        return
      case 'linkMessage':
      case 'linkUp':
      case 'linkDown':
        if (this.#reaches(event, event.end.process, event.end.run)) this.network.arrived(event)
        return
      default:
        event satisfies never
    }
  }

  /** Whether the process can take the event now; one that is paused takes it later. */
  #reaches(event: WorldEvent, process: Process, run: number): boolean {
    if (process.run !== run || process.state === 'down') return false
    if (process.state === 'up') return true
    process.held.push(event)
    return false
  }

  resume(process: Process): void {
    if (process.state !== 'paused') return
    process.state = 'up'
    const held = process.held.splice(0)
    for (let i = 0; i < held.length; i++) this.#dispatch(held[i]!)
  }

  #wake(process: Process): void {
    process.wakePushed = Infinity
    const now = process.clock.read(this.now).monotonic
    if (process.wakeAt > now) return process.planWake(this.now + WAKE_STEP_MS)
    process.wake()
  }
}

const TURN: AnyInput = { kind: 'turn' }
