//! What actors have said and nobody has heard yet: it is handed on when whoever said it has returned, so that no actor is ever entered twice.

import type { Now } from '../actor.ts'

export class Notes {
  #notes: ((now: Now) => void)[] = []
  #isSettling = false

  note(effect: (now: Now) => void): void {
    this.#notes.push(effect)
  }

  /** In the order in which it was said, until nobody has anything left to say. */
  settle(now: Now): void {
    if (this.#isSettling || this.#notes.length === 0) return
    this.#isSettling = true
    for (let at = 0; at < this.#notes.length; at++) this.#notes[at]!(now)
    this.#notes = []
    this.#isSettling = false
  }
}
