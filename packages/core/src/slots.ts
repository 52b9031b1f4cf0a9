//! Things kept under small numbers that are used again. While a snapshot is under way no number is: whoever froze one still
//! finds behind it what was there.

import { Freezer } from './freeze.ts'

export class Slots<T> {
  readonly #freezer: Freezer
  readonly #things: (T | undefined)[] = []
  readonly #free: number[] = []
  /** Freed while a snapshot was under way. */
  #later: number[] = []

  constructor(freezer = new Freezer()) {
    this.#freezer = freezer
  }

  /** The number under which it is kept. */
  put(thing: T): number {
    if (this.#later.length > 0 && !this.#freezer.isHeld) this.#freeLater()
    const slot = this.#free.pop() ?? this.#things.length
    this.#things[slot] = thing
    return slot
  }

  /** What was put there, also when it was freed since, until the number is used again. */
  get(slot: number): T {
    return this.#things[slot]!
  }

  free(slot: number): void {
    if (this.#freezer.isHeld) this.#later.push(slot)
    else {
      this.#things[slot] = undefined
      this.#free.push(slot)
    }
  }

  #freeLater(): void {
    for (const slot of this.#later) this.free(slot)
    this.#later = []
  }
}
