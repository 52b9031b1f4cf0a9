//! What a turn of the event loop has gathered is dealt with once, right behind it: many small messages become one write.

export class AfterTurn {
  readonly #call: () => void
  #expected = false

  constructor(call: () => void) {
    this.#call = call
  }

  /** However often it is asked for before it comes, the call comes once. */
  expect(): void {
    if (this.#expected) return
    this.#expected = true
    setImmediate(this.#run)
  }

  readonly #run = (): void => {
    this.#expected = false
    this.#call()
  }
}
