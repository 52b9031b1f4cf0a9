//! A worker thread of `seeds.test.ts`: runs the seeds that it is given, one after the other, and tells what came of each.

import { parentPort, workerData } from 'node:worker_threads'
import { PARTS } from './parts.ts'
import { failureText } from './report.ts'
import { runSeed } from './run.ts'

export interface SeedReport {
  readonly seed: number
  /** What broke, as told to people. */
  readonly failure: string | undefined
  readonly trace: string
  readonly coverage: ReadonlyMap<string, number>
}

for (const seed of workerData as readonly number[]) {
  const result = runSeed(seed, PARTS)
  parentPort!.postMessage({ seed, failure: result.violation && failureText(result), trace: result.trace, coverage: result.coverage } satisfies SeedReport)
}
