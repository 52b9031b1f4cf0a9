//! Which copies on this node have something to do, and when. A node may hold copies of hundreds of shards: one that nobody speaks
//! to and whose time has not come is not even looked at.
//!
//!   stirred ──a turn──▶ each once                  moved ──asked when──▶ heap of (time, shard) ──woken──▶ those that are due
//!
//! A time that has moved on stays in the heap until it comes up, and is looked at anew then: followers put their election off
//! with every message, and would else fill the heap.

import type { Now } from '../actor.ts'
import { Heap } from '../heap.ts'
import type { ShardId } from '../units.ts'

export interface Timed {
  readonly shard: ShardId
  wakeAt(now: Now): number
}

interface Planned<T> {
  readonly copy: T
  /** The time that stands in the heap; Infinity when none does. */
  at: number
}

export class Agenda<T extends Timed> {
  #stirred: T[] = []
  readonly #moved: T[] = []
  readonly #planned = new Map<ShardId, Planned<T>>()
  readonly #times = new Heap()

  /** A new copy has everything to do. */
  add(copy: T): void {
    this.#planned.set(copy.shard, { copy, at: Infinity })
    this.#stirred.push(copy)
    this.#moved.push(copy)
  }

  drop(copy: T): void {
    if (this.#has(copy)) this.#planned.delete(copy.shard)
  }

  /** It has something to do in the next turn; said once for each turn. */
  stir(copy: T): void {
    this.#stirred.push(copy)
  }

  /** It may want to be woken at another time than before. */
  move(copy: T): void {
    this.#moved.push(copy)
  }

  /** Those that have something to do in this turn; whoever is stirred meanwhile waits for the next. */
  takeStirred(): readonly T[] {
    const stirred = this.#stirred
    if (stirred.length === 0) return stirred
    this.#stirred = []
    return stirred.filter((copy) => this.#has(copy))
  }

  /** Those whose time has come; each is looked at anew afterwards. */
  takeDue(now: Now): readonly T[] {
    const due: T[] = []
    while (this.wakeAt(now) <= now.monotonic) {
      const planned = this.#planned.get(this.#times.pop() as ShardId)!
      planned.at = Infinity
      due.push(planned.copy)
    }
    for (const copy of due) this.#moved.push(copy)
    return due
  }

  wakeAt(now: Now): number {
    for (const copy of this.#moved) if (this.#has(copy)) this.#plan(this.#planned.get(copy.shard)!, copy.wakeAt(now))
    this.#moved.length = 0
    while (this.#times.size > 0) {
      const at = this.#times.peekKey
      const planned = this.#planned.get(this.#times.peekValue as ShardId)
      const wakeAt = planned?.at === at ? planned.copy.wakeAt(now) : undefined
      if (wakeAt !== undefined && wakeAt <= at) return at
      this.#times.pop()
      if (planned === undefined || wakeAt === undefined) continue
      planned.at = Infinity
      this.#plan(planned, wakeAt)
    }
    return Infinity
  }

  #plan(planned: Planned<T>, at: number): void {
    if (at >= planned.at) return
    planned.at = at
    this.#times.push(at, planned.copy.shard)
  }

  #has(copy: T): boolean {
    return this.#planned.get(copy.shard)?.copy === copy
  }
}
