//! What jobs cost that wait: memory and disk of three node processes under a growing backlog, how long a node takes to come back
//! with it, and what is left when it has been worked off. Publisher and worker run here.
//!
//!   add a tenth ──▶ measure ──▶ add the rest ──▶ measure ──▶ restart a follower ──▶ drain ──▶ measure
//!
//! Rates of adding and draining, and how late the nodes' event loops were, are told for the small backlog too (the first and the last
//! jobs), so that the large one can be held against it in one run.

import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { helpOfFlags, readCommandLine } from '@horus/node/cli/flags'
import { facts, Progress } from '@horus/node/cli/output'
import type { LocalCluster, LocalNode } from '@horus/node/local/cluster'
import { until } from '@horus/node/local/until'
import { allMastersLive, shardOfTopic } from '@horus/node/local/watch'
import type { AddOptions, Horus } from '@horus/sdk'
import { withCluster } from './founded.ts'
import { loopDelayOf, NO_SNAPSHOTS, WATCHED_NODE } from './loop-delay.ts'
import { residentBytes } from './memory.ts'

const FLAGS = {
  jobs: { value: 'N', help: 'how many wait; default 1000000' },
  payload: { value: 'BYTES', help: 'of a job; default 100' },
  batch: { value: 'N', help: 'jobs of one addMany; default 256' },
  inflight: { value: 'N', help: 'unanswered addMany at once; default 16' },
  concurrency: { value: 'N', help: 'of the worker that drains; default 2000' },
  options: { value: '', help: 'every job has a priority and a delay of its own' },
  'no-snapshots': { value: '', help: 'the nodes take none: how late their loops are without' },
  json: { value: '', help: 'end with one line of JSON' },
}
const TOPIC = 'backlog'
const WARM_JOBS_MAX = 5000
const RESTART_MS_MAX = 600_000
const DRAIN_MS_MAX = 3_600_000
/** After the last job is done, segments are let go at the node's leisure. */
const TIDY_MS_MAX = 120_000
const DISK_AFTER_BYTES_MAX = 1024 ** 3

interface Wanted {
  readonly jobs: number
  readonly payloadBytes: number
  readonly batch: number
  readonly inFlight: number
  readonly concurrency: number
  readonly withOptions: boolean
}

export const help = (): string => helpOfFlags(FLAGS)

export async function run(args: readonly string[]): Promise<void> {
  const line = readCommandLine('bench backlog', args, FLAGS, 0)
  const wanted: Wanted = {
    jobs: line.number('jobs', 1_000_000, 10_000, 100_000_000),
    payloadBytes: line.number('payload', 100, 16, 1_000_000),
    batch: line.number('batch', 256, 1, 10_000),
    inFlight: line.number('inflight', 16, 1, 256),
    concurrency: line.number('concurrency', 2000, 1, 65_535),
    withOptions: line.has('options'),
  }
  const json = line.has('json')
  if (line.has('no-snapshots')) process.env[NO_SNAPSHOTS] = 'true'
  const figures = await withCluster('backlog', 3, (cluster) => measure(cluster, wanted, new Progress(json ? { write: () => {} } : process.stdout)), { script: WATCHED_NODE })
  if (json) process.stdout.write(`${JSON.stringify(figures)}\n`)
  else process.stdout.write(`${facts(Object.entries(figures).map(([name, value]) => [name, Array.isArray(value) ? value.join(' ') : typeof value === 'object' ? Object.entries(value).map((pair) => pair.join(' ')).join(', ') : value]))}\n`)
}

async function measure(cluster: LocalCluster, wanted: Wanted, progress: Progress) {
  const horus = await cluster.connect()
  const filler = new Filler(horus, wanted)
  const tenth = Math.floor(wanted.jobs / 10)
  const show = (what: string) => (count: number, of: number): void => progress.show(count / of, `${count} of ${of} jobs ${what}`)
  // The first thousands warm the nodes up; what is measured comes behind them.
  await filler.upTo(Math.min(WARM_JOBS_MAX, tenth >> 1), () => {})
  await loopDelayOf(cluster)
  const addAtSmall = await filler.upTo(tenth, show('added'))
  const delayAtSmall = await loopDelayOf(cluster)
  const small = memoryOf(cluster)
  const addAtLarge = await filler.upTo(wanted.jobs, show('added'))
  const delayAtLarge = await loopDelayOf(cluster)
  const rssBytes = memoryOf(cluster)
  const diskBytes = cluster.nodes.map(({ dataDir }) => bytesBelow(dataDir))
  const restartSeconds = await restart(cluster, horus, progress)
  await loopDelayOf(cluster)
  const drained = await drain(horus, wanted, show('done'))
  const delayAtDrain = await loopDelayOf(cluster)
  const diskBytesAfterDrain = await diskAtRest(cluster)
  await horus.close()
  progress.clear()
  return {
    jobs: wanted.jobs,
    rssBytes,
    bytesPerJob: round(Math.max(...rssBytes.map((bytes, i) => bytes - small[i]!)) / (wanted.jobs - tenth)),
    diskBytesPerJob: round(Math.max(...diskBytes) / wanted.jobs),
    restartSeconds: round(restartSeconds),
    addJobsPerSecond: addAtLarge,
    addJobsPerSecondSmall: addAtSmall,
    ...drained,
    loopDelayMsSmall: delayAtSmall,
    loopDelayMsLarge: delayAtLarge,
    loopDelayMsDrain: delayAtDrain,
    diskBytesAfterDrain,
  }
}

/** Adds jobs until so many are there. */
class Filler {
  readonly #horus: Horus
  readonly #wanted: Wanted
  readonly #data: string
  #added = 0

  constructor(horus: Horus, wanted: Wanted) {
    this.#horus = horus
    this.#wanted = wanted
    this.#data = 'x'.repeat(wanted.payloadBytes)
  }

  /** Resolves to jobs a second. */
  async upTo(count: number, show: (count: number, of: number) => void): Promise<number> {
    const { batch, inFlight } = this.#wanted
    const from = this.#added
    const startedAt = performance.now()
    let asked = from
    const publisher = async (): Promise<void> => {
      while (asked < count) {
        const size = Math.min(batch, count - asked)
        asked += size
        await this.#horus.addMany(TOPIC, Array.from({ length: size }, () => this.#job()))
        this.#added += size
        show(this.#added, count)
      }
    }
    await Promise.all(Array.from({ length: inFlight }, publisher))
    return Math.round(((count - from) / (performance.now() - startedAt)) * 1000)
  }

  #job(): { readonly name: string; readonly data: string; readonly options?: AddOptions } {
    const job = { name: 'job', data: this.#data }
    // A delay that is over when the draining begins, and no two priorities in a row alike.
    return this.#wanted.withOptions ? { ...job, options: { priority: this.#added % 100, delay: '1s' } } : job
  }
}

/** Ends a follower in an orderly way and starts it again: until all masters live and none lags. */
async function restart(cluster: LocalCluster, horus: Horus, progress: Progress): Promise<number> {
  const shard = shardOfTopic(await horus.status(), TOPIC)!
  const follower = shard.masters.filter((id) => id !== shard.leader).map((id) => cluster.nodeOf(id))[0]!
  progress.say(`node ${follower.number} is restarted`)
  await follower.stop()
  const startedAt = performance.now()
  await follower.start()
  await until('the node is ready again', () => isReady(cluster, follower), RESTART_MS_MAX)
  return (performance.now() - startedAt) / 1000
}

/** It answers, and knows the leader of every shard from its own copies. */
async function isReady(cluster: LocalCluster, node: LocalNode): Promise<boolean> {
  const own = await cluster.connect({ nodes: node.address, connectTimeout: 1000, requestTimeout: 1000 })
  try {
    return allMastersLive(cluster, await own.status())
  } finally {
    await own.close()
  }
}

interface Drained {
  readonly drainJobsPerSecond: number
  /** Of the last jobs, when hardly any wait. */
  readonly drainJobsPerSecondSmall: number
}

async function drain(horus: Horus, wanted: Wanted, show: (count: number, of: number) => void): Promise<Drained> {
  const last = Math.floor(wanted.jobs / 10)
  let completed = 0
  let lastFrom = 0
  const startedAt = performance.now()
  const worker = horus.work(TOPIC, async () => null, { concurrency: wanted.concurrency })
  worker.on('completed', () => {
    completed++
    if (completed === wanted.jobs - last) lastFrom = performance.now()
  })
  worker.on('error', () => {})
  await until('all jobs are completed', () => {
    show(completed, wanted.jobs)
    return completed >= wanted.jobs
  }, DRAIN_MS_MAX)
  const endedAt = performance.now()
  await worker.stop()
  const rate = (jobs: number, ms: number): number => Math.round((jobs / ms) * 1000)
  return { drainJobsPerSecond: rate(wanted.jobs - last, lastFrom - startedAt), drainJobsPerSecondSmall: rate(last, endedAt - lastFrom) }
}

/** What the largest data directory holds once the segments of ended jobs are gone, or after a time. */
async function diskAtRest(cluster: LocalCluster): Promise<number> {
  const largest = (): number => Math.max(...cluster.nodes.map(({ dataDir }) => bytesBelow(dataDir)))
  await until('the disk is tidied', () => largest() < DISK_AFTER_BYTES_MAX / 2, TIDY_MS_MAX).catch(() => {})
  return largest()
}

function bytesBelow(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).reduce((sum, entry) => {
    if (!entry.isFile()) return sum
    // Blocks, not length: a file that was never written to its end takes less. A segment may be renamed while this looks.
    const { blocks } = statSync(join(entry.parentPath, entry.name), { throwIfNoEntry: false }) ?? { blocks: 0 }
    return sum + blocks * 512
  }, 0)
}

function memoryOf(cluster: LocalCluster): readonly number[] {
  return cluster.nodes.map(({ pid }) => residentBytes(pid))
}

const round = (value: number): number => Math.round(value * 100) / 100
