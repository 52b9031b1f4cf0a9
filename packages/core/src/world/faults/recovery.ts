//! Two of the three masters of a shard are lost for ever, and an operator goes on with the third copy (`horus recover`).
//!
//!   the last copy falls behind, perhaps ─▶ two masters die ─▶ the operator decides at each node that has a last copy ─▶ it is started, perhaps dies while it carries that out
//!                  └─▶ the disks of the two are empty when they come back; or they come back as they were, though they were said to be destroyed
//!
//! Whoever says so while another failure is about may lose more than is promised: so a seed that has this has no other faults of nodes,
//! links and disks, and it strikes while all is whole.

import type { Random } from '../../random.ts'
import type { Death } from '../link.ts'
import type { NodeProcess } from '../node.ts'
import type { Process } from '../process.ts'
import { AT_WRITE_MAX } from './nodes.ts'
import { type FaultSource, type Hands, NOBODY, type Strike } from './source.ts'

export interface RecoveryPlan {
  readonly recoverEveryMs: number
  /** How long an operator takes, and whoever is started again. */
  readonly recoverMsMax: number
  /** Part of the recovered nodes that die as they carry it out. */
  readonly interruptedChance: number
  /** Part of the recoveries after which the lost nodes come back with their disks. */
  readonly returnChance: number
  /** For how long the last copy hears nothing of the two before they are lost. */
  readonly behindMsMax: number
}

export const NO_RECOVERY: RecoveryPlan = { recoverEveryMs: 0, recoverMsMax: 0, interruptedChance: 0, returnChance: 0, behindMsMax: 0 }

/** In few seeds, and then often. */
export function drawRecovery(random: Random): RecoveryPlan {
  if (!random.chance(0.1)) return NO_RECOVERY
  return { recoverEveryMs: random.between(1000, 5000), recoverMsMax: random.pick([50, 500, 2000]), interruptedChance: random.pick([0, 0.5, 1]), returnChance: random.pick([0, 0.5, 1]), behindMsMax: random.pick([0, 100, 1000]) }
}

/** Whoever comes back must have been found out by then; then somebody empties its disk. */
const RETURNED_MS = 8000
/** A carry-out is some effects long. */
const EFFECTS_MAX = 40

interface Case {
  readonly lost: readonly NodeProcess[]
  /** Before, the last copy falls behind. */
  struck: boolean
  decided: boolean
}

export class RecoveryFaults implements FaultSource {
  readonly strikes: readonly Strike[]
  readonly #hands: Hands
  readonly #plan: RecoveryPlan
  #open: Case | undefined

  constructor(hands: Hands, plan: RecoveryPlan) {
    this.#hands = hands
    this.#plan = plan
    this.strikes = [{ name: 'recover', everyMs: plan.recoverEveryMs, hit: (random) => this.#lose(random) }]
  }

  /** What was begun is ended, as an operator would. */
  heal(): void {
    const open = this.#open
    if (open === undefined) return
    if (!open.struck) {
      this.#open = undefined
      return
    }
    if (!open.decided) this.#decide(open)
    this.#empty(open)
  }

  #lose(random: Random): readonly Process[] {
    const lost = this.#open === undefined ? this.#hands.guard.mayLose(random) : []
    if (lost.length === 0) return NOBODY
    const open: Case = { lost, struck: false, decided: false }
    this.#open = open
    const { world, nodes, guard } = this.#hands
    const others = nodes.filter((node) => !lost.includes(node))
    // What a leader that is cut off goes on to write may stand where the lost ones had something else: who could tell then (docs/decisions/recovery.md)?
    const behindMs = guard.leaders().some((node) => others.includes(node)) ? 0 : random.fraction() * this.#plan.behindMsMax
    if (behindMs === 0) return this.#strike(open, random)
    for (const node of others) for (const other of lost) world.network.part(node, other, behindMs)
    this.#hands.after(behindMs, () => {
      if (!guard.mayStillLose(lost)) this.#open = undefined
      else for (const node of this.#strike(open, random)) world.struck('recover', node)
    })
    return NOBODY
  }

  #strike(open: Case, random: Random): readonly Process[] {
    const { lost } = open
    open.struck = true
    for (const node of lost) {
      this.#hands.guard.wiped(node)
      node.restartAfterMs = undefined
      node.crash(random.pick<Death>(['killed', 'restarted', 'unreachable']))
    }
    const returns = random.chance(this.#plan.returnChance)
    this.#hands.after(random.fraction() * this.#plan.recoverMsMax, () => {
      for (const node of this.#decide(open)) this.#start(node, random)
      if (!returns) this.#hands.after(random.fraction() * this.#plan.recoverMsMax, () => this.#empty(open))
      else this.#return(open, random)
    })
    return lost
  }

  #decide(open: Case): readonly NodeProcess[] {
    open.decided = true
    return this.#hands.guard.recover(open.lost)
  }

  #start(node: NodeProcess, random: Random): void {
    const ms = random.fraction() * this.#plan.recoverMsMax
    node.restartAfterMs = ms
    this.#hands.after(ms, () => {
      node.start()
      if (!random.chance(this.#plan.interruptedChance)) return
      if (random.chance(0.5)) node.crashAfter(1 + random.below(EFFECTS_MAX), random.pick<Death>(['killed', 'restarted']))
      else node.crashAtWrite(random.below(AT_WRITE_MAX), random.pick<Death>(['killed', 'restarted']))
    })
  }

  /** Not before the shards are served again: whoever lives is not declared destroyed. */
  #return(open: Case, random: Random): void {
    if (!this.#hands.guard.isRecovered()) return this.#hands.after(RETURN_LOOK_MS, () => this.#return(open, random))
    // Best where nobody is there who could tell them: without a registry they must not count on each other.
    if (this.#hands.guard.mayBeAlone(open.lost)) for (const node of this.#hands.nodes) if (!open.lost.includes(node)) this.#hands.world.pause(node, ALONE_MS)
    for (const node of open.lost) {
      this.#hands.guard.returns(node)
      this.#hands.after(random.fraction() * this.#plan.recoverMsMax, () => {
        if (this.#open === open) node.start()
      })
    }
    this.#hands.after(this.#plan.recoverMsMax + ALONE_MS + RETURNED_MS, () => {
      this.#hands.guard.foundOut(open.lost)
      this.#empty(open)
    })
  }

  #empty(open: Case): void {
    if (this.#open !== open) return
    this.#open = undefined
    for (const node of open.lost) {
      node.restartAfterMs = undefined
      node.crash('killed')
      node.replaceDisk(this.#hands.guard.emptyDisk())
      this.#hands.world.restart(node, 1)
    }
  }
}

const RETURN_LOOK_MS = 100
/** Some election time-outs, of 80 to 1000 ms each. */
const ALONE_MS = 4000
