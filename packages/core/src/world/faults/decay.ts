//! Disks that go bad where it hurts: the one that a commit rested on loses it just when the other that had it is away; a whole area
//! rots; a node that has just won a term, or has just found its disk damaged, is killed again and again as it starts.

import type { Random } from '../../random.ts'
import type { SimulatedDevice } from '../device.ts'
import type { NodeProcess } from '../node.ts'
import type { Process } from '../process.ts'
import { provenSpot, tellOfDamage, writtenSegments } from './damage.ts'
import { type FaultSource, type Hands, NOBODY, type Occasion, type Strike } from './source.ts'
import { every, share } from './swarm.ts'

export interface DecayPlan {
  /** One master lags; the journal of another loses its newest entries or its newest beginning, while the third is away. */
  readonly betrayedEveryMs: number
  /** An area of a journal rots under a node that goes on. */
  readonly blightEveryMs: number
  readonly blightBytesMax: number
  /** Part of the new leaders, and of the nodes whose disk was just found damaged, that are killed again as soon as they start. */
  readonly relapseChance: number
}

export const NO_DECAY: DecayPlan = { betrayedEveryMs: 0, blightEveryMs: 0, blightBytesMax: 0, relapseChance: 0 }

export function drawDecay(random: Random): DecayPlan {
  return {
    betrayedEveryMs: every(random, 0.25, 2500, 8000),
    blightEveryMs: every(random, 0.25, 1000, 6000),
    blightBytesMax: random.pick([512, 8 * 1024, 64 * 1024]),
    relapseChance: share(random, 0.3),
  }
}

/** How long the master that lags hears nothing, at the most. */
const LAG_MS_MAX = 1500
/** A start is over after this, and what was written before it stands in a segment that is no longer the newest. */
const START_MS = 150
const RESTART_MS_MAX = 20
const AWAY_MS_MAX = 5000
/** When a start that was just made ends again: before its opening is on the disk, or after. */
const RELAPSE_MS_MAX = 60
const EFFECTS_MAX = 12
/** Anchor and head of a segment, both of them. */
const BEGINNING_BYTES = 600
/** No record is shorter than its header: none in an area stays whole. */
const ROT_EVERY_BYTES = 32

export class DecayFaults implements FaultSource {
  readonly strikes: readonly Strike[]
  readonly #hands: Hands
  readonly #plan: DecayPlan
  readonly #random: Random

  constructor(hands: Hands, plan: DecayPlan, random: Random) {
    this.#hands = hands
    this.#plan = plan
    this.#random = random
    this.strikes = [
      { name: 'betrayed', everyMs: plan.betrayedEveryMs, hit: (own) => this.#betray(own) },
      { name: 'blight', everyMs: plan.blightEveryMs, hit: (own) => this.#blight(own) },
    ]
  }

  provoke(node: NodeProcess, occasion: Occasion): readonly Process[] {
    const random = this.#random
    if (occasion === 'change' || !random.chance(this.#plan.relapseChance)) return NOBODY
    node.restartAfterMs = random.fraction() * RESTART_MS_MAX
    node.crashAfter(1 + random.below(EFFECTS_MAX), 'killed')
    this.#relapse(node, random)
    return [node]
  }

  /** What two of three have acknowledged is on two disks: when one of these goes bad, and the other is away, the third must not make do without. */
  #betray(random: Random): readonly Process[] {
    const { guard, world } = this.#hands
    const leaders = guard.leaders()
    const masters = guard.masters(random)
    if (masters.length < 3 || masters.some((node) => node.state !== 'up')) return NOBODY
    const lagging = random.pick(masters.filter((node) => !leaders.includes(node) || masters.every((each) => leaders.includes(each))))
    const others = masters.filter((node) => node !== lagging)
    const victim = random.pick(others)
    const away = others.find((node) => node !== victim)!
    if (!guard.mayDamage(victim)) return NOBODY
    const ms = random.fraction() * LAG_MS_MAX
    for (const other of others) world.network.part(lagging, other, ms + START_MS)
    this.#hands.after(ms, () => this.#restart(victim, random))
    this.#hands.after(ms + START_MS, () => {
      if (victim.state !== 'up' || !guard.mayDamage(victim)) return
      if (!this.#spoil(victim, random.chance(0.3) ? beginning(victim.disk) : recent(victim.disk, random))) return
      if (away.running) {
        away.restartAfterMs = random.fraction() * AWAY_MS_MAX
        away.crash('restarted')
      }
      this.#restart(victim, random)
      if (random.chance(0.5)) this.#relapse(victim, random)
    })
    return [victim]
  }

  #blight(random: Random): readonly Process[] {
    const { guard } = this.#hands
    const node = this.#hands.victim(random)
    if (node === undefined || !guard.mayDamage(node)) return NOBODY
    const spot = provenSpot(node.disk, random)
    if (spot === undefined) return NOBODY
    const end = Math.min(spot.at + 1 + random.below(this.#plan.blightBytesMax), node.disk.written(spot.file)!.newest)
    return this.#spoil(node, { file: spot.file, from: spot.at, to: Math.max(spot.at + 1, end) }) ? [node] : NOBODY
  }

  #spoil(node: NodeProcess, area: Area | undefined): boolean {
    if (area === undefined) return false
    tellOfDamage(this.#hands, node, area.file)
    for (let at = area.from; at < area.to; at += ROT_EVERY_BYTES) node.disk.rot(area.file, at)
    return true
  }

  #restart(node: NodeProcess, random: Random): void {
    if (!node.running) return
    node.restartAfterMs = random.fraction() * RESTART_MS_MAX
    node.crash('killed')
  }

  #relapse(node: NodeProcess, random: Random): void {
    this.#hands.after(RESTART_MS_MAX + random.fraction() * RELAPSE_MS_MAX, () => this.#restart(node, random))
  }
}

interface Area {
  readonly file: string
  readonly from: number
  readonly to: number
}

/** Both of what stands at the beginning of the newest segment, where a later write shows that they were flushed. */
function beginning(disk: SimulatedDevice): Area | undefined {
  const file = writtenSegments(disk).at(-1)
  return file === undefined || file.newest < BEGINNING_BYTES ? undefined : { file: file.name, from: 0, to: BEGINNING_BYTES }
}

/** What was written last to the segment before the newest. */
function recent(disk: SimulatedDevice, random: Random): Area | undefined {
  const file = writtenSegments(disk).at(-2)
  return file && { file: file.name, from: Math.max(0, file.newest - random.pick([0, 2, 16, 256]) * 1024), to: file.newest + 512 }
}
