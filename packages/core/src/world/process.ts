//! One process of a world: an actor, its clocks, and whether it runs, is paused or lies dead. A process may die between
//! any two effects of one input: what the actor would have done after that never happened.
//!
//!   down ──start──▶ up ◀──resume/pause──▶ paused
//!     ▲─────────────crash───────────┘

import type { Now } from '../actor.ts'
import type { DeviceAnswer, DeviceRequest } from '../device.ts'
import { AssertionFailed } from '../assert.ts'
import type { Address, NodeId } from '../units.ts'
import { ProcessClock } from './clock.ts'
import type { WorldEvent } from './event.ts'
import type { Death, Link, LinkEnd } from './link.ts'
import type { World } from './world.ts'

/** More wakes of one process in one instant are an actor that never moves its `wakeAt` on. */
const SPINS_MAX = 10_000

/** Everything that can be delivered has a kind; what else an input holds is between world and actor. */
export interface AnyInput {
  readonly kind: string
}

export abstract class Process {
  readonly world: World
  readonly index: number
  readonly name: string
  /** Where it is reached; it changes only while the process is down. */
  home: Address
  readonly clock = new ProcessClock()
  state: 'down' | 'up' | 'paused' = 'down'
  /** Rises with every start and every death: what was meant for an earlier run never reaches a later one. */
  run = 0
  /** Events that came while paused, in their order. */
  readonly held: WorldEvent[] = []
  turnPending = false
  /** True time of the earliest wake in the queue. */
  wakePushed = Infinity
  /** How long a turn of the event loop gathers inputs. */
  turnMs = 0
  /** How long after its death it is started again; undefined leaves it dead until somebody starts it. */
  restartAfterMs: number | undefined
  #effects = 0
  #effectsLeft = Infinity
  #afterWrite: number | undefined
  #death: Death = 'killed'
  #wokenAt = -1
  #spins = 0

  constructor(world: World, index: number, name: string, home: Address) {
    this.world = world
    this.index = index
    this.name = name
    this.home = home
  }

  abstract readonly wakeAt: number
  /** Makes the actor of a new run. */
  protected abstract boot(): void
  protected abstract receive(now: Now, input: AnyInput): void
  protected abstract wakeActor(now: Now): void
  /** The run has ended: its links break, unsynced data is lost. */
  protected abstract died(how: Death): void
  /** The disk has carried out a request. */
  abstract deviceDone(request: DeviceRequest, answer: DeviceAnswer): void
  abstract datagramArrived(from: Address, bytes: Uint8Array): void
  /** The identity that a node has said to be durable. */
  abstract readonly nodeId: NodeId | undefined
  /** Takes connections: its sockets are open. */
  abstract readonly listening: boolean
  /** A dial has come in: `accept` or `refuse` it. */
  abstract acceptNode(link: Link): void
  abstract acceptClient(link: Link): void
  /** The end's link is up, down, or has brought a message. */
  abstract linkUp(end: LinkEnd): void
  abstract linkDown(end: LinkEnd): void
  abstract linkMessage(end: LinkEnd, bytes: Uint8Array): void

  get running(): boolean {
    return this.state !== 'down'
  }

  start(): void {
    if (this.state !== 'down') return
    this.run++
    this.state = 'up'
    this.turnPending = false
    this.wakePushed = Infinity
    this.disarm()
    this.clock.restart(this.world.now, this.world.clockBase())
    this.boot()
    this.deliver({ kind: 'start' })
  }

  crash(how: Death = 'killed'): void {
    if (this.state === 'down') return
    this.run++
    this.state = 'down'
    this.disarm()
    for (const event of this.held.splice(0)) if (event.kind === 'dial') this.world.network.refuse(event.link)
    this.died(how)
    this.world.watcher.died(this)
    if (this.restartAfterMs !== undefined) this.world.restart(this, this.restartAfterMs)
  }

  /** The process dies as soon as it has done `effects` more effects. */
  crashAfter(effects: number, how: Death = 'killed'): void {
    if (!this.running) return
    this.#effectsLeft = effects
    this.#death = how
  }

  /** The process dies `effects` effects after its next write to the disk: 0 is just before it. */
  crashAtWrite(effects: number, how: Death): void {
    if (!this.running) return
    this.#afterWrite = effects
    this.#death = how
  }

  /** Nothing that was to happen to this run happens any more. */
  disarm(): void {
    this.#effectsLeft = Infinity
    this.#afterWrite = undefined
  }

  /** Every effect asks first whether the process is still alive. */
  protected effect(kind: string, detail: unknown): boolean {
    if (kind === 'write' && this.#afterWrite !== undefined) {
      this.#effectsLeft = Math.min(this.#effectsLeft, this.#afterWrite)
      this.#afterWrite = undefined
    }
    if (this.#effectsLeft <= 0) return false
    this.#effectsLeft--
    this.#effects++
    this.world.trace.effect(this.world.now, this.name, kind, detail)
    return true
  }

  deliver(input: AnyInput): void {
    const before = this.#effects
    this.world.delivered(this, input)
    try {
      this.receive(this.clock.read(this.world.now), input)
    } catch (error) {
      this.#threw(error)
      return
    }
    if (input.kind === 'turn' && this.#effects > before) this.world.events++
    this.#settle(input.kind !== 'turn')
  }

  wake(): void {
    const before = this.#effects
    this.world.wakes++
    this.#spins = this.#wokenAt === this.world.now ? this.#spins + 1 : 0
    this.#wokenAt = this.world.now
    if (this.#spins > SPINS_MAX) {
      this.#threw(new AssertionFailed(`a wake moves wakeAt on: ${this.name} was woken ${SPINS_MAX} times in one instant`))
      return
    }
    this.world.trace.input(this.world.now, this.index, this.name, 'wake', undefined)
    try {
      this.wakeActor(this.clock.read(this.world.now))
    } catch (error) {
      this.#threw(error)
      return
    }
    if (this.#effects > before) this.world.events++
    this.#settle(true)
  }

  #threw(error: unknown): void {
    this.world.watcher.threw(this, error)
    this.crash()
  }

  #settle(turn: boolean): void {
    if (this.#effectsLeft <= 0) {
      this.crash(this.#death)
      return
    }
    if (!this.running) return
    if (turn) {
      if (this.turnPending) return
      this.turnPending = true
      this.world.push(this.turnMs, { kind: 'turn', process: this, run: this.run })
    } else {
      this.planWake()
    }
  }

  /** A wake is read off the actor once a turn, so that the queue does not fill with times that have moved. */
  planWake(earliest = this.world.now): void {
    const wakeAt = this.wakeAt
    if (wakeAt === Infinity) return
    const at = Math.max(this.clock.trueTimeOf(wakeAt as never), earliest)
    if (at >= this.wakePushed) return
    this.wakePushed = at
    this.world.pushAt(at, { kind: 'wake', process: this, run: this.run })
  }
}
