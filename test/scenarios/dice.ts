//! A generator that always throws the same, for election timers: in a story it is said who stands first, not drawn.

import { Random } from '@horus/core/random'

export class Dice extends Random {
  readonly #throws: number

  /** A number from 0 up to, not including, 1: a follower waits 1 + that many election time-outs. */
  constructor(throws: number) {
    super(0)
    this.#throws = throws
  }

  override fraction(): number {
    return this.#throws
  }

  override clone(): Dice {
    return new Dice(this.#throws)
  }
}
