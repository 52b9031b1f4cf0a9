//! Faults after which a disk has forgotten what it once held, and does not know it: an old copy is put in its place, flushes are
//! confirmed and never made, a write goes to the wrong place.
//!
//! Such a disk beside any other failure is outside the promise: nobody may be left who could tell. So a seed that has these
//! faults has no others of nodes, links and disks, and they hit one node at a time, while all the others live.

import type { Random } from '../../random.ts'
import type { SimulatedDevice } from '../device.ts'
import type { NodeProcess } from '../node.ts'
import type { Process } from '../process.ts'
import { type FaultSource, type Hands, NOBODY, type Strike } from './source.ts'

export interface RollbackPlan {
  readonly oldCopyEveryMs: number
  readonly lostFlushEveryMs: number
  readonly lostFlushMsMax: number
  readonly misdirectedEveryMs: number
  readonly downMsMax: number
}

export const NO_ROLLBACK: RollbackPlan = { oldCopyEveryMs: 0, lostFlushEveryMs: 0, lostFlushMsMax: 0, misdirectedEveryMs: 0, downMsMax: 0 }

/** In few seeds, and then often. */
export function drawRollback(random: Random): RollbackPlan {
  if (!random.chance(0.12)) return NO_ROLLBACK
  const rates = [random.between(1500, 5000), random.between(1500, 5000), random.between(1500, 5000)]
  const only = random.chance(0.5) ? random.below(3) : undefined
  const rate = (which: number): number => (only === undefined || only === which ? rates[which]! : 0)
  return { oldCopyEveryMs: rate(0), lostFlushEveryMs: rate(1), lostFlushMsMax: random.between(50, 3000), misdirectedEveryMs: rate(2), downMsMax: random.pick([5, 50, 500, 2000]) }
}

export function isNone(plan: RollbackPlan): boolean {
  return plan === NO_ROLLBACK
}

/** Long enough to be found out, or to have got back what it lacks. */
const RECOVERY_MS = 6000
const JOURNAL = 'journal-'

export class RollbackFaults implements FaultSource {
  readonly strikes: readonly Strike[]
  readonly #hands: Hands
  readonly #plan: RollbackPlan
  /** What each disk held at some moment before, as a loss of power would have left it. */
  readonly #copies = new Map<NodeProcess, SimulatedDevice>()
  /** Until when a node may have forgotten something that nobody has found out. */
  readonly #blamedUntil = new Map<NodeProcess, number>()

  constructor(hands: Hands, plan: RollbackPlan) {
    this.#hands = hands
    this.#plan = plan
    this.strikes = [
      { name: 'oldCopy', everyMs: plan.oldCopyEveryMs, hit: (random) => this.#restore(random) },
      { name: 'lostFlush', everyMs: plan.lostFlushEveryMs, hit: (random) => this.#lie(random) },
      { name: 'misdirected', everyMs: plan.misdirectedEveryMs, hit: (random) => this.#misdirect(random) },
    ]
  }

  heal(): void {
    for (const node of this.#hands.nodes) node.disk.liesAbout = undefined
  }

  /** Every time a copy is taken of some disk, and another one comes back. */
  #restore(random: Random): readonly Process[] {
    const { nodes } = this.#hands
    const kept = random.pick(nodes)
    // A copy of a disk that has forgotten would be two failures.
    if (kept.identified !== undefined && !this.#isBlamed(kept)) this.#copies.set(kept, crashed(kept.disk, random))
    const node = this.#victim(random)
    const copy = node === undefined ? undefined : this.#copies.get(node)
    if (node === undefined || copy === undefined) return NOBODY
    this.#copies.delete(node)
    this.#down(node, random, 'unreachable')
    node.replaceDisk(copy)
    return [node]
  }

  #lie(random: Random): readonly Process[] {
    const node = this.#victim(random)
    if (node === undefined) return NOBODY
    const { disk } = node
    disk.liesAbout = JOURNAL
    this.#blame(node)
    this.#hands.after(random.fraction() * this.#plan.lostFlushMsMax, () => {
      if (node.disk !== disk || !node.running) return
      this.#down(node, random, 'restarted')
      disk.liesAbout = undefined
    })
    return [node]
  }

  #misdirect(random: Random): readonly Process[] {
    const node = this.#victim(random)
    const files = node?.disk.files().filter(({ name }) => name.startsWith(JOURNAL) && !name.includes('spare')) ?? []
    const file = files.at(-1)
    if (node === undefined || file === undefined) return NOBODY
    node.disk.inject({ kind: 'misdirected', at: random.below(file.size) })
    this.#blame(node)
    this.#hands.after(random.fraction() * 1000, () => this.#down(node, random, 'killed'))
    return [node]
  }

  /** Somebody who may forget: all nodes live, and everybody has what it should have. Once found out it may forget again: a second start before the first could ask is outside the promise. */
  #victim(random: Random): NodeProcess | undefined {
    const { nodes, guard } = this.#hands
    const node = this.#hands.victim(random)
    const fits = node !== undefined && !this.#isBlamed(node) && nodes.every((each) => each.state === 'up' && each.identified !== undefined) && guard.mayDamage(node) && guard.mayForget(node)
    return fits ? node : undefined
  }

  #down(node: NodeProcess, random: Random, how: 'killed' | 'restarted' | 'unreachable'): void {
    if (!node.running) return
    this.#blame(node)
    node.restartAfterMs = random.fraction() * this.#plan.downMsMax
    node.crash(how)
  }

  #isBlamed(node: NodeProcess): boolean {
    return this.#hands.world.now < (this.#blamedUntil.get(node) ?? 0)
  }

  #blame(node: NodeProcess): void {
    const { guard, world } = this.#hands
    this.#blamedUntil.set(node, world.now + RECOVERY_MS)
    guard.damaged(node, () => this.#isBlamed(node) || node.state !== 'up')
    guard.forgets(node)
  }
}

/** What a loss of power would leave of the disk now. */
function crashed(disk: SimulatedDevice, random: Random): SimulatedDevice {
  const copy = disk.clone()
  copy.crash(random)
  return copy
}
