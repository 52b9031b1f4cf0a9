//! The hand that does the damage. Each strike of each source has its own generator, so that one fault more or less of one
//! kind moves none of another kind; whom it hits is drawn, with a preference for whoever leads.

import type { Random } from '../../random.ts'
import type { ClientProcess } from '../client.ts'
import type { Stage } from '../event.ts'
import type { NodeProcess } from '../node.ts'
import type { Process } from '../process.ts'
import type { World } from '../world.ts'
import { type FaultPlan, makeSources } from './plan.ts'
import type { FaultGuard, FaultSource, Hands, Occasion, Strike } from './source.ts'

/** How soon whoever lies dead is started when all is healed. */
const REVIVE_MS_MAX = 50

export class Faults implements Stage, Hands {
  readonly world: World
  readonly guard: FaultGuard
  readonly nodes: NodeProcess[] = []
  readonly clients: ClientProcess[] = []
  active = false
  readonly #sources: readonly FaultSource[]
  readonly #strikes: readonly { readonly strike: Strike; readonly random: Random }[]
  readonly #random: Random

  constructor(world: World, plan: FaultPlan, random: Random, guard: FaultGuard) {
    this.world = world
    this.guard = guard
    this.#random = random.fork()
    this.#sources = makeSources(this, plan, random.fork())
    this.#strikes = this.#sources.flatMap((source) => {
      const forks = random.fork()
      return source.strikes.map((strike) => ({ strike, random: forks.fork() }))
    })
  }

  begin(): void {
    this.active = true
    for (const source of this.#sources) source.begin?.()
    for (let code = 0; code < this.#strikes.length; code++) this.#next(code)
  }

  /** Gives a new node its clock, its disk's pace and its event loop; from now on it may be hit. */
  addNode(node: NodeProcess): void {
    this.nodes.push(node)
    for (const source of this.#sources) source.added?.(node)
  }

  addClient(client: ClientProcess): void {
    this.clients.push(client)
    for (const source of this.#sources) source.added?.(client)
  }

  /** Ends all faults: whoever lay dead or paused goes on, except for `dead`. */
  heal(dead?: NodeProcess): void {
    this.active = false
    for (const source of this.#sources) source.heal?.()
    for (const node of this.nodes) {
      if (node === dead) node.crash()
      else this.#revive(node)
    }
    for (const client of this.clients) this.#revive(client)
  }

  provoke(node: NodeProcess, occasion: Occasion): void {
    if (!this.active) return
    for (const source of this.#sources) for (const process of source.provoke?.(node, occasion) ?? []) this.world.struck('provoked', process)
  }

  act(code: number): void {
    if (!this.active) return
    const { strike, random } = this.#strikes[code]!
    for (const process of strike.hit(random)) this.world.struck(strike.name, process)
    this.#next(code)
  }

  // ---- what the sources have to work with --------------------------------------------------------------------------

  victim(random: Random): NodeProcess | undefined {
    const leaders = this.guard.leaders()
    if (leaders.length > 0 && random.chance(0.5)) return random.pick(leaders)
    return this.nodes.length === 0 ? undefined : random.pick(this.nodes)
  }

  after(ms: number, action: () => void): void {
    const act = (): void => {
      if (this.active) action()
    }
    this.world.schedule(ms, { act }, 0)
  }

  #next(code: number): void {
    const { strike, random } = this.#strikes[code]!
    if (strike.everyMs > 0) this.world.schedule(random.fraction() * 2 * strike.everyMs, this, code)
  }

  #revive(process: Process): void {
    process.disarm()
    if (process.state === 'down') this.world.restart(process, this.#random.fraction() * REVIVE_MS_MAX)
    else this.world.resume(process)
  }
}
