//! Faults of single spots and requests of a disk: bits that rot, sectors that cannot be read, writes and reads that fail, a disk
//! that is full for a while, journal files that are gone.
//!
//! A spot is only chosen where a later write has shown that it was flushed: damage above that cannot be told from the torn end
//! of the last group, and is outside the promise.

import type { Random } from '../../random.ts'
import type { SimulatedDevice } from '../device.ts'
import { SECTOR_BYTES } from '../device.ts'
import type { NodeProcess } from '../node.ts'
import type { Process } from '../process.ts'
import { type FaultSource, type Hands, NOBODY, type Strike } from './source.ts'
import { every } from './swarm.ts'

export interface DamagePlan {
  readonly rotEveryMs: number
  readonly badSectorEveryMs: number
  /** Part of the damaged nodes that are started again soon, and read everything. */
  readonly rereadChance: number
  readonly failedWriteEveryMs: number
  readonly failedReadEveryMs: number
  readonly fullEveryMs: number
  readonly fullMsMax: number
  /** What a full disk still takes. */
  readonly fullSpareBytes: number
  readonly lostJournalEveryMs: number
}

export const NO_DAMAGE: DamagePlan = {
  rotEveryMs: 0, badSectorEveryMs: 0, rereadChance: 0, failedWriteEveryMs: 0, failedReadEveryMs: 0, fullEveryMs: 0, fullMsMax: 0, fullSpareBytes: 0, lostJournalEveryMs: 0,
}

export function drawDamage(random: Random): DamagePlan {
  return {
    rotEveryMs: every(random, 0.3, 1000, 8000),
    badSectorEveryMs: every(random, 0.25, 1500, 8000),
    rereadChance: random.pick([0.2, 0.5, 1]),
    failedWriteEveryMs: every(random, 0.25, 2000, 12_000),
    failedReadEveryMs: every(random, 0.25, 500, 6000),
    fullEveryMs: every(random, 0.3, 3000, 15_000),
    fullMsMax: random.between(300, 8000),
    fullSpareBytes: random.pick([0, 64, 256, 512]) * 1024,
    lostJournalEveryMs: every(random, 0.15, 8000, 25_000),
  }
}

const RESTART_MS_MAX = 1500
const ROT_BYTES_MAX = 600

interface Spot {
  readonly file: string
  readonly at: number
}

export class DamageFaults implements FaultSource {
  readonly strikes: readonly Strike[]
  readonly #hands: Hands
  readonly #plan: DamagePlan

  constructor(hands: Hands, plan: DamagePlan) {
    this.#hands = hands
    this.#plan = plan
    this.strikes = [
      { name: 'rot', everyMs: plan.rotEveryMs, hit: (random) => this.#spoil(random, rot) },
      { name: 'badSector', everyMs: plan.badSectorEveryMs, hit: (random) => this.#spoil(random, (device, { file, at }) => device.spoil(file, at)) },
      { name: 'failedWrite', everyMs: plan.failedWriteEveryMs, hit: (random) => this.#failWrite(random) },
      { name: 'failedRead', everyMs: plan.failedReadEveryMs, hit: (random) => this.#failRead(random) },
      { name: 'full', everyMs: plan.fullEveryMs, hit: (random) => this.#fill(random) },
      { name: 'lostJournal', everyMs: plan.lostJournalEveryMs, hit: (random) => this.#loseJournal(random) },
    ]
  }

  heal(): void {
    for (const node of this.#hands.nodes) node.disk.capacityBytes = Infinity
  }

  #spoil(random: Random, harm: (device: SimulatedDevice, spot: Spot, random: Random) => void): readonly Process[] {
    const node = this.#hands.victim(random)
    if (node === undefined || !this.#hands.guard.mayDamage(node)) return NOBODY
    const spot = provenSpot(node.disk, random)
    if (spot === undefined) return NOBODY
    tellOfDamage(this.#hands, node, spot.file)
    harm(node.disk, spot, random)
    if (random.chance(this.#plan.rereadChance)) this.#restart(node, random)
    return [node]
  }

  #failWrite(random: Random): readonly Process[] {
    const node = this.#hands.victim(random)
    if (node === undefined || !node.running) return NOBODY
    node.restartAfterMs = random.fraction() * RESTART_MS_MAX
    node.disk.inject({ kind: 'unflushed' })
    return [node]
  }

  /** One that succeeds the next time; but what a start cannot read counts as lost. */
  #failRead(random: Random): readonly Process[] {
    const node = this.#hands.victim(random)
    if (node === undefined || !node.running || !this.#hands.guard.mayDamage(node)) return NOBODY
    const { disk } = node
    this.#hands.guard.damaged(node, () => disk.armed)
    disk.inject({ kind: 'error', on: 'read', error: 'failed' })
    return [node]
  }

  #fill(random: Random): readonly Process[] {
    const node = this.#hands.victim(random)
    if (node === undefined || node.disk.capacityBytes < Infinity) return NOBODY
    const { disk } = node
    disk.capacityBytes = disk.usedBytes + this.#plan.fullSpareBytes
    this.#hands.after(random.fraction() * this.#plan.fullMsMax, () => (disk.capacityBytes = Infinity))
    return [node]
  }

  #loseJournal(random: Random): readonly Process[] {
    const node = this.#hands.victim(random)
    if (node === undefined || !this.#hands.guard.mayDamage(node) || !this.#hands.guard.mayWipe(node)) return NOBODY
    // What it held comes back as little as after a fire.
    this.#hands.guard.wiped(node)
    this.#restart(node, random)
    for (const { name } of journalFiles(node.disk)) node.disk.lose(name)
    return [node]
  }

  #restart(node: NodeProcess, random: Random): void {
    if (!node.running) return
    node.restartAfterMs = random.fraction() * RESTART_MS_MAX
    node.crash(random.pick(['killed', 'restarted']))
  }
}

/** The guard hears of it: damage lasts as long as the file stands for what it does now. */
export function tellOfDamage({ guard }: Hands, node: NodeProcess, file: string): void {
  const { disk } = node
  const serial = disk.serial(file)
  guard.damaged(node, () => node.disk === disk && disk.serial(file) === serial)
}

function journalFiles(device: SimulatedDevice): readonly { readonly name: string; readonly size: number }[] {
  return device.files().filter(({ name }) => name.startsWith('journal-'))
}

/** The segments of the journal that hold durable writes, the newest last. */
export function writtenSegments(device: SimulatedDevice): readonly { readonly name: string; readonly newest: number; readonly reach: number }[] {
  return journalFiles(device).flatMap(({ name }) => {
    const bounds = name.includes('spare') ? undefined : device.written(name)
    return bounds === undefined ? [] : [{ name, ...bounds }]
  })
}

/** A place that was flushed, and is followed by a durable write that says so, which begins in a later sector: a whole one may be lost. */
export function provenSpot(device: SimulatedDevice, random: Random): Spot | undefined {
  const written = writtenSegments(device)
  const last = written.at(-1)
  if (last === undefined) return undefined
  const file = random.chance(0.5) ? last : random.pick(written)
  const end = file === last ? file.newest - (file.newest % SECTOR_BYTES) : file.reach
  return end === 0 ? undefined : { file: file.name, at: random.below(end) }
}

/** One bit, a few bytes, or more than a sector, but never over the end of what is proven. */
function rot(device: SimulatedDevice, { file, at }: Spot, random: Random): void {
  const bounds = device.written(file)
  const most = random.pick([1, 8, SECTOR_BYTES, ROT_BYTES_MAX])
  const end = Math.min(at + most, bounds === undefined || bounds.newest <= at ? at + 1 : bounds.newest)
  for (let each = at; each < end; each++) device.rot(file, each, 1 << random.below(8))
}
