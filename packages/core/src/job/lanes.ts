//! All that waits in a partition, by priority and name: the highest priority goes first, within it the smallest number over
//! the names that were asked for.

import { Freezer } from '../freeze.ts'
import type { Frozen, ImageReader, Walk } from '../message/image.ts'
import { readPacked, writePacked } from '../message/packed.ts'
import { lanePriority, laneName } from './names.ts'
import { ReadyList } from './ready.ts'

interface Lane {
  readonly lane: number
  readonly list: ReadyList
}

export class Lanes {
  readonly #freezer: Freezer
  readonly #byLane = new Map<number, ReadyList>()
  /** By priority, the highest first. */
  #order: Lane[] = []
  #sweepAt = SWEEP_MIN

  constructor(freezer = new Freezer()) {
    this.#freezer = freezer
  }

  get(lane: number): ReadyList | undefined {
    return this.#byLane.get(lane)
  }

  open(lane: number): ReadyList {
    let list = this.#byLane.get(lane)
    if (list) return list
    if (this.#order.length >= this.#sweepAt) this.#sweep()
    list = new ReadyList(this.#freezer)
    this.#insert(lane, list)
    return list
  }

  /**
   * Takes at most `limit` jobs of the names (undefined: all) in the order in which they go; the numbers and their lanes are
   * written into the arrays. Returns how many.
   */
  take(names: ReadonlySet<number> | undefined, limit: number, numbers: Float64Array, lanes: Uint32Array): number {
    const order = this.#order
    let taken = 0
    for (let from = 0; from < order.length && taken < limit; ) {
      const priority = lanePriority(order[from]!.lane)
      let to = from + 1
      while (to < order.length && lanePriority(order[to]!.lane) === priority) to++
      taken = this.#takeLevel(from, to, names, limit, taken, numbers, lanes)
      from = to
    }
    return taken
  }

  waiting(names: ReadonlySet<number> | undefined): number {
    let count = 0
    for (const { lane, list } of this.#order) if (names === undefined || names.has(laneName(lane))) count += list.size
    return count
  }

  /** The smallest number that waits, over all priorities; Infinity where none does. */
  oldest(names: ReadonlySet<number> | undefined): number {
    let number = Infinity
    for (const { lane, list } of this.#order) if (names === undefined || names.has(laneName(lane))) number = Math.min(number, list.next)
    return number
  }

  /** The lane in which the job waits, or -1. */
  laneOf(number: number): number {
    for (const { lane, list } of this.#order) if (list.has(number)) return lane
    return -1
  }

  each(visit: (lane: number, list: ReadyList) => void): void {
    for (const { lane, list } of this.#order) visit(lane, list)
  }

  freeze(): Frozen {
    const used = this.#order.filter(({ list }) => list.size > 0).map(({ lane, list }) => ({ lane, list: list.freeze() }))
    return function* (out): Walk {
      writePacked(out.writer, used.length)
      out.endItem()
      for (const { lane, list } of used) {
        writePacked(out.writer, lane)
        out.endItem()
        yield* list(out)
      }
    }
  }

  static *read(input: ImageReader, freezer: Freezer): Walk<Lanes> {
    const lanes = new Lanes(freezer)
    const count = input.count(3)
    for (let i = 0; i < count; i++) {
      const lane = readPacked(input.item())
      lanes.#insert(lane, yield* ReadyList.read(input, freezer))
    }
    return lanes
  }

  /** Merges the lanes of one priority: each time the list with the smallest number gives all it has below the next list's. */
  #takeLevel(from: number, to: number, names: ReadonlySet<number> | undefined, limit: number, taken: number, numbers: Float64Array, lanes: Uint32Array): number {
    while (taken < limit) {
      let best = -1
      let least = Infinity
      let second = Infinity
      for (let i = from; i < to; i++) {
        const { lane, list } = this.#order[i]!
        const next = list.next
        if (next >= second || (names !== undefined && !names.has(laneName(lane)))) continue
        if (next < least) {
          second = least
          least = next
          best = i
        } else second = next
      }
      if (best < 0) break
      const { lane, list } = this.#order[best]!
      const count = list.take(limit - taken, second, numbers, taken)
      lanes.fill(lane, taken, taken + count)
      taken += count
    }
    return taken
  }

  #insert(lane: number, list: ReadyList): void {
    this.#byLane.set(lane, list)
    let at = this.#order.length
    while (at > 0 && before(lane, this.#order[at - 1]!.lane)) at--
    this.#order.splice(at, 0, { lane, list })
  }

  /** Lanes that have run dry are kept for their next job, until there are many. */
  #sweep(): void {
    for (const { lane, list } of this.#order) if (list.size === 0) this.#byLane.delete(lane)
    this.#order = this.#order.filter(({ list }) => list.size > 0)
    this.#sweepAt = Math.max(SWEEP_MIN, this.#order.length * 2)
  }
}

const SWEEP_MIN = 256

function before(lane: number, other: number): boolean {
  const higher = lanePriority(lane) - lanePriority(other)
  return higher > 0 || (higher === 0 && lane < other)
}
