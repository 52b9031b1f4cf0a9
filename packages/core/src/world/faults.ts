//! The hand that does the damage. Each source of faults has its own generator, so that one fault more or less of one kind
//! moves none of another kind; whom it hits is drawn, with a preference for whoever leads.

import type { Random } from '../random.ts'
import type { ClientProcess } from './client.ts'
import { QUIET_NETWORK } from './conditions.ts'
import type { Stage } from './event.ts'
import type { SimulatedDevice } from './device.ts'
import type { Death } from './link.ts'
import { QUIET_DISK, type NodeProcess } from './node.ts'
import { NO_FAULTS, type FaultPlan } from './plan.ts'
import type { Process } from './process.ts'
import type { World } from './world.ts'

/** What only somebody who watches the cluster can tell. */
export interface FaultGuard {
  /** Whether the promise still holds when this node's disk is lost, beside those that were lost before. */
  mayWipe(node: NodeProcess): boolean
  wiped(node: NodeProcess): void
  /** Nodes that lead something. */
  leaders(): readonly NodeProcess[]
  emptyDisk(): SimulatedDevice
}

const SOURCES = ['wallJump', 'partition', 'cut', 'crash', 'blackout', 'pause', 'wipe', 'clientCrash', 'stop'] as const
type Source = (typeof SOURCES)[number]

/** A crash that is to hit between two effects waits for at most this many of them. */
const EFFECTS_MAX = 12
/** The code of a power failure that comes a moment later than the others. */
const FELL = 100
const BLACKOUT_MS_MAX = 20
/** How many effects after a write a crash may come: the write itself, and what was sent behind it too early. */
const AT_WRITE_MAX = 6

export class Faults implements Stage {
  readonly #world: World
  readonly #plan: FaultPlan
  readonly #guard: FaultGuard
  readonly #nodes: NodeProcess[] = []
  readonly #clients: ClientProcess[] = []
  readonly #randoms: readonly Random[]
  readonly #set: Random
  #active = false

  constructor(world: World, plan: FaultPlan, random: Random, guard: FaultGuard) {
    this.#world = world
    this.#plan = plan
    this.#guard = guard
    this.#randoms = SOURCES.map(() => random.fork())
    this.#set = random.fork()
  }

  begin(): void {
    this.#active = true
    this.#world.network.conditions.settings = this.#plan.network
    for (let code = 0; code < SOURCES.length; code++) this.#next(code)
  }

  /** Gives a new node its clock, its disk's pace and its event loop; from now on it may be hit. */
  addNode(node: NodeProcess): void {
    this.#nodes.push(node)
    if (this.#active) node.diskSettings = this.#plan.disk
    this.#setClock(node)
  }

  addClient(client: ClientProcess): void {
    this.#clients.push(client)
    this.#setClock(client)
  }

  /** Ends all faults: whoever lay dead or paused goes on, except for `dead`. */
  heal(dead?: NodeProcess): void {
    this.#active = false
    const { network } = this.#world
    network.conditions.settings = QUIET_NETWORK
    network.heal()
    for (const node of this.#nodes) {
      node.diskSettings = QUIET_DISK
      if (node === dead) node.crash()
      else this.#revive(node)
    }
    for (const client of this.#clients) this.#revive(client)
  }

  act(code: number, subject: number): void {
    if (!this.#active) return
    if (code === FELL) {
      this.#world.processes[subject]!.crash('restarted')
      return
    }
    const source = SOURCES[code]!
    if (this.#strike(source, this.#randoms[code]!)) this.#world.count(`fault ${source}`)
    this.#next(code)
  }

  #next(code: number): void {
    const mean = this.#plan[`${SOURCES[code]!}EveryMs`]
    if (mean > 0) this.#world.schedule(this.#randoms[code]!.fraction() * 2 * mean, this, code)
  }

  #strike(source: Source, random: Random): boolean {
    switch (source) {
      case 'wallJump':
        return this.#jump(random)
      case 'partition':
        return this.#partition(random)
      case 'cut':
        return this.#cut(random)
      case 'crash':
        return this.#crash(random)
      case 'blackout':
        return this.#blackout(random)
      case 'pause':
        return this.#pause(random)
      case 'wipe':
        return this.#wipe(random)
      case 'clientCrash':
        return this.#crashClient(random)
      case 'stop':
        return this.#stop(random)
      default:
        return source satisfies never
    }
  }

  #jump(random: Random): boolean {
    const ms = random.between(-this.#plan.wallJumpMsMax, this.#plan.wallJumpMsMax)
    random.pick(this.#world.processes).clock.jumpWall(ms)
    return true
  }

  /** A random part of the nodes and clients does not reach the rest, or is not reached by it. */
  #partition(random: Random): boolean {
    const ms = random.fraction() * this.#plan.partitionMsMax
    const victim = random.chance(0.4) ? this.#victim(random) : undefined
    const inside = this.#world.processes.filter((process) => (victim === undefined ? random.chance(0.4) : process === victim))
    const outside = this.#world.processes.filter((process) => !inside.includes(process))
    if (inside.length === 0 || outside.length === 0) return false
    const oneWay = random.chance(this.#plan.oneWayChance)
    for (const a of inside) {
      for (const b of outside) {
        this.#world.network.block(a, b, ms)
        if (!oneWay) this.#world.network.block(b, a, ms)
      }
    }
    return true
  }

  #cut(random: Random): boolean {
    const links = this.#world.network.standing()
    if (links.length === 0) return false
    this.#world.network.cut(random.pick(links))
    return true
  }

  #crash(random: Random): boolean {
    const node = this.#victim(random)
    if (node === undefined || !node.running) return false
    const how: Death = random.chance(this.#plan.unreachableChance) ? 'unreachable' : random.pick(['killed', 'restarted'])
    node.restartAfterMs = random.fraction() * this.#plan.downMsMax
    if (!random.chance(this.#plan.midInputChance)) node.crash(how)
    else if (random.chance(0.5)) node.crashAfter(1 + random.below(EFFECTS_MAX), how)
    else node.crashAtWrite(random.below(AT_WRITE_MAX), how)
    return true
  }

  /** The power fails for most or all nodes, each at its next write or within moments: what only memory knew is gone everywhere. */
  #blackout(random: Random): boolean {
    for (const node of this.#nodes) {
      if (!node.running || random.chance(0.2)) continue
      node.restartAfterMs = random.fraction() * this.#plan.downMsMax
      if (random.chance(0.5)) node.crashAtWrite(random.below(AT_WRITE_MAX), 'restarted')
      else this.#world.schedule(random.fraction() * BLACKOUT_MS_MAX, this, FELL, node.index)
    }
    return true
  }

  /**
   * Something rare has just begun at this node: a term, a change of masters. Now and then it is struck at once, since by
   * chance alone few faults would fall into so short a time.
   */
  provoke(node: NodeProcess): void {
    if (!this.#active || !this.#set.chance(this.#plan.provokeChance)) return
    this.#world.count('fault provoked')
    if (this.#set.chance(0.4)) {
      node.restartAfterMs = this.#set.fraction() * this.#plan.downMsMax
      node.crashAtWrite(this.#set.below(2 * AT_WRITE_MAX), 'restarted')
      return
    }
    const ms = this.#set.fraction() * this.#plan.partitionMsMax
    const lost = this.#nodes.filter((other) => other !== node && this.#set.chance(0.5))
    for (const other of lost) {
      this.#world.network.block(node, other, ms)
      if (!this.#set.chance(this.#plan.oneWayChance)) this.#world.network.block(other, node, ms)
    }
  }

  #pause(random: Random): boolean {
    const all: readonly Process[] = random.chance(0.3) && this.#clients.length > 0 ? this.#clients : this.#nodes
    const process = all === this.#nodes ? this.#victim(random) : random.pick(all)
    if (process === undefined || process.state !== 'up') return false
    this.#world.pause(process, random.fraction() * this.#plan.pauseMsMax)
    return true
  }

  #wipe(random: Random): boolean {
    const node = this.#victim(random)
    if (node === undefined || !this.#guard.mayWipe(node)) return false
    this.#guard.wiped(node)
    node.restartAfterMs = undefined
    node.crash('unreachable')
    node.replaceDisk(this.#guard.emptyDisk())
    this.#world.restart(node, random.fraction() * this.#plan.downMsMax)
    return true
  }

  #crashClient(random: Random): boolean {
    if (this.#clients.length === 0) return false
    const client = random.pick(this.#clients)
    client.restartAfterMs = random.fraction() * 3000
    client.crash()
    return true
  }

  #stop(random: Random): boolean {
    const node = this.#victim(random)
    if (node === undefined || node.state !== 'up') return false
    node.restartAfterMs = random.fraction() * this.#plan.downMsMax
    node.stop()
    return true
  }

  #victim(random: Random): NodeProcess | undefined {
    const leaders = this.#guard.leaders()
    if (leaders.length > 0 && random.chance(0.5)) return random.pick(leaders)
    return this.#nodes.length === 0 ? undefined : random.pick(this.#nodes)
  }

  #setClock(process: Process): void {
    const { driftMax, wallOffsetMsMax, turnMsMax } = this.#active ? this.#plan : NO_FAULTS
    process.clock.setRate(1 + (this.#set.fraction() * 2 - 1) * driftMax)
    process.clock.jumpWall(Math.floor((this.#set.fraction() * 2 - 1) * wallOffsetMsMax))
    process.turnMs = this.#set.fraction() * turnMsMax
  }

  #revive(process: Process): void {
    process.disarm()
    if (process.state === 'down') this.#world.restart(process, this.#set.fraction() * 50)
    else this.#world.resume(process)
  }
}
