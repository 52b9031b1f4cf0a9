//! Runs targets round by round. A round is drawn from (seed, target, round) alone, so that one that fails can be played again.

import { hashOf } from '@horus/core/hash'
import { Random } from '@horus/core/random'
import { bookTargets } from './books.ts'
import { recordCorpus } from './corpus.ts'
import { diskTarget } from './disks.ts'
import { messageTargets } from './messages.ts'
import { streamTargets } from './streams.ts'
import type { Target } from './target.ts'

export interface Tally {
  readonly name: string
  rounds: number
  taken: number
  refused: number
}

export interface Failure {
  readonly target: string
  readonly round: number
  readonly error: unknown
}

export function allTargets(): readonly Target[] {
  const corpus = recordCorpus()
  return [...messageTargets(corpus), ...bookTargets(corpus), ...streamTargets(corpus), diskTarget()]
}

/** Rounds from `from` on, until `enough` says so; the failure of the round that broke a promise. */
export function fuzz(target: Target, seed: number, from: number, enough: (tally: Tally) => boolean): { readonly tally: Tally; readonly failure: Failure | undefined } {
  const tally: Tally = { name: target.name, rounds: 0, taken: 0, refused: 0 }
  for (let round = from; !enough(tally); round++) {
    tally.rounds++
    try {
      tally[target.round(new Random(seed, hashOf(target.name, round)))]++
    } catch (error) {
      return { tally, failure: { target: target.name, round, error } }
    }
  }
  return { tally, failure: undefined }
}
