//! Which handlers run, and which of them wait for something that only virtual time brings.
//!
//!   called ──▶ busy ──sleep, call of the client──▶ parked ──answered──▶ busy ──▶ returned
//!               └── for longer than the patience: nobody waits for it, as if it were parked
//!
//! A handler that is busy works on something that the kit cannot see: a file, a socket, a timer of its own. Virtual time stands still for it, up to
//! the patience. What a handler asks for is told apart from what the test asks for by the async context that it was asked in.

import { AsyncLocalStorage } from 'node:async_hooks'
import { isThenable } from '../wait.ts'

class Visit {
  /** What it waits for of the kit's. */
  waits = 0
  /** Real time at which it was first found busy since it last waited; undefined before. */
  busySince: number | undefined
  givenUp = false

  get isBusy(): boolean {
    return this.waits === 0 && !this.givenUp
  }
}

export class Handlers {
  readonly #patienceMs: number
  readonly #context = new AsyncLocalStorage<Visit | undefined>()
  readonly #running = new Set<Visit>()

  constructor(patienceMs: number) {
    this.#patienceMs = patienceMs
  }

  /** Whoever asks is a handler, or was called by one. */
  get isInside(): boolean {
    return this.#context.getStore() !== undefined
  }

  run<Value, Returned>(handler: (value: Value) => Returned, value: Value): Returned {
    const visit = new Visit()
    const returned = this.#context.run(visit, () => handler(value))
    if (isThenable(returned)) {
      const ended = (): void => void this.#running.delete(visit)
      this.#running.add(visit)
      returned.then(ended, ended)
    }
    return returned
  }

  /** Calls of code that no handler has called, such as the test's own. */
  outside<Returned>(call: () => Returned): Returned {
    return this.#context.run(undefined, call)
  }

  /** Whoever asks waits until `ended` is called; undefined where it is no handler. */
  parks(): (() => void) | undefined {
    const visit = this.#context.getStore()
    if (visit === undefined) return undefined
    visit.waits++
    visit.busySince = undefined
    visit.givenUp = false
    return () => void visit.waits--
  }

  /** Whether one is worth waiting for at this real time; those that took too long are given up. */
  areBusy(now: number): boolean {
    let busy = false
    for (const visit of this.#running) {
      if (!visit.isBusy) continue
      visit.busySince ??= now
      if (now - visit.busySince >= this.#patienceMs) visit.givenUp = true
      else busy = true
    }
    return busy
  }
}
