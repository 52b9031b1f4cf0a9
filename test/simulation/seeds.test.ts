//! Forty seeds as tests: each a run of a minute that must keep every promise. Together they must have seen every fault of the
//! catalogue, and none that does not stand there.

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { tableOfFaults } from './catalogue.ts'
import { PARTS } from './parts.ts'
import { runSeed } from './run.ts'
import type { SeedReport } from './seeds-main.ts'

const SEEDS = Array.from({ length: 40 }, (_, i) => i + 1)
const THREADS = 2
const TWICE = 7

interface Awaited {
  readonly promise: Promise<SeedReport>
  resolve(report: SeedReport): void
  reject(error: Error): void
}

function awaited(): Awaited {
  const made = {} as { -readonly [K in keyof Awaited]: Awaited[K] }
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }))
  return made
}

const reports = new Map(SEEDS.map((seed) => [seed, awaited()]))
const workers = Array.from({ length: THREADS }, (_, thread) => {
  const seeds = SEEDS.filter((seed) => seed % THREADS === thread)
  const worker = new Worker(new URL('seeds-main.js', import.meta.url), { workerData: seeds })
  worker.on('message', (report: SeedReport) => reports.get(report.seed)!.resolve(report))
  worker.on('error', (error) => {
    for (const seed of seeds) reports.get(seed)!.reject(error)
  })
  return worker
})
after(() => Promise.all(workers.map((worker) => worker.terminate())))

for (const seed of SEEDS) {
  test(`seed ${seed} keeps every promise`, async () => {
    const { failure } = await reports.get(seed)!.promise
    assert.equal(failure, undefined, failure)
  })
}

test(`seed ${TWICE} leaves the same trace twice`, async () => {
  assert.equal(runSeed(TWICE, PARTS).trace, (await reports.get(TWICE)!.promise).trace)
})

test('every fault of the catalogue has fired, and none that does not stand there', async () => {
  const fired = new Set<string>()
  for (const { promise } of reports.values()) {
    for (const what of (await promise).coverage.keys()) if (what.startsWith('fault ') && what.includes('/')) fired.add(what.slice('fault '.length).split('/')[0]!)
  }
  assert.deepEqual([...fired].sort(), tableOfFaults().flatMap((row) => row.faults).sort())
})
