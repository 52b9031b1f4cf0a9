//! How long a failed job waits before its next attempt. Whole numbers only, and jitter from a hash of job and attempt:
//! every master computes the same delay, and jobs that failed together do not come back together.

import { Hash } from '../hash.ts'
import { Backoff } from '../message/command.ts'
import type { OptionSet } from './options.ts'

/** Milliseconds after the `attempt`th attempt of a job, from 1; never more than the set's `maxMs`. */
export function backoffMs(set: OptionSet, job: number, attempt: number): number {
  if (set.backoffKind === Backoff.fixed) return Math.min(set.baseMs, set.maxMs)
  let delay = Math.min(set.baseMs, set.maxMs)
  for (let i = 1; i < attempt && delay < set.maxMs && delay > 0; i++) delay = Math.min(delay * 2, set.maxMs)
  const fifth = Math.floor(delay / JITTER_PART)
  const jitter = new Hash().number(job).word(attempt).value() % (2 * fifth + 1)
  return Math.min(delay - fifth + jitter, set.maxMs)
}

/** A fifth to either side. */
const JITTER_PART = 5
