//! What is fuzzed: one piece of code that takes bytes from outside, and what it promises whatever the bytes are.

import type { Random } from '@horus/core/random'

/** `refused`: the bytes were found to be broken, as they should be. */
export type Verdict = 'taken' | 'refused'

export interface Target {
  readonly name: string
  /** One input, drawn from `random`. Throws where a promise is broken. */
  round(random: Random): Verdict
}

/** Thrown by a target: a promise is broken. */
export class BrokenPromise extends Error {
  override readonly name = 'BrokenPromise'
}
