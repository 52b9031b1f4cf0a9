//! The whole of Horus at full speed: three node processes, a publisher and a worker, every entry flushed on a majority.
//!
//!   publisher ──addMany 256, 16 in flight──▶ three nodes ──▶ worker, concurrency 2,000 ──▶ complete
//!
//! First as many jobs as asked, as fast as they go: jobs and publishes a second, and the processor time of all five processes
//! for one job. Then, idle, one job at a time: how long from the call of add to the first line of the handler (pickup).
//! The same figures of a bare pipeline are the floor that this is held against.

import { fileURLToPath } from 'node:url'
import { helpOfFlags, readCommandLine } from '@horus/node/cli/flags'
import { facts, Progress } from '@horus/node/cli/output'
import { Child } from '@horus/node/local/children'
import type { LocalCluster } from '@horus/node/local/cluster'
import { until } from '@horus/node/local/until'
import type { BenchSettings, FromPublisher, FromWorker, ToPublisher } from './cluster-settings.ts'
import { cpuMicros } from './cpu.ts'
import { withCluster } from './founded.ts'
import { quantile } from './quantile.ts'

const FLAGS = {
  jobs: { value: 'N', help: 'how many at full speed; default 400000' },
  payload: { value: 'BYTES', help: 'of a job; default 100' },
  batch: { value: 'N', help: 'jobs of one addMany; default 256' },
  inflight: { value: 'N', help: 'unanswered addMany at once; default 16' },
  concurrency: { value: 'N', help: 'of the worker; default 2000' },
  pickups: { value: 'N', help: 'single jobs for the pickup latency; default 500' },
  nodes: { value: 'N', help: 'node processes; default 3' },
  json: { value: '', help: 'end with one line of JSON' },
}
const PUBLISHER_SCRIPT = fileURLToPath(new URL('./cluster-publisher.js', import.meta.url))
const WORKER_SCRIPT = fileURLToPath(new URL('./cluster-worker.js', import.meta.url))
const TOPIC = 'bench'
const RUN_MS_MAX = 600_000

export const help = (): string => helpOfFlags(FLAGS)

export async function run(args: readonly string[]): Promise<void> {
  const line = readCommandLine('bench cluster', args, FLAGS, 0)
  const nodes = line.number('nodes', 3, 1, 7)
  const wanted = {
    jobs: line.number('jobs', 400_000, 1, 100_000_000),
    payloadBytes: line.number('payload', 100, 16, 1_000_000),
    batch: line.number('batch', 256, 1, 4096),
    inFlight: line.number('inflight', 16, 1, 256),
    concurrency: line.number('concurrency', 2000, 1, 65_535),
    pickups: line.number('pickups', 500, 1, 100_000),
  }
  const json = line.has('json')
  const figures = await withCluster('bench', nodes, (cluster) =>
    measure(cluster, { ...wanted, cluster: cluster.name, seeds: cluster.addresses, topic: TOPIC }, new Progress(json ? { write: () => {} } : process.stdout)))
  if (json) process.stdout.write(`${JSON.stringify(figures)}\n`)
  else {
    const { pickupMs, ...rest } = figures
    process.stdout.write(`${facts([...Object.entries(rest), ['pickup p50', `${pickupMs.p50} ms`], ['pickup p99', `${pickupMs.p99} ms`]])}\n`)
  }
}

async function measure(cluster: LocalCluster, settings: BenchSettings, progress: Progress) {
  const role = (script: string, onMessage: (message: unknown) => void): Child => new Child(script, { args: [JSON.stringify(settings)], onMessage })
  let published: FromPublisher | undefined
  let worked: FromWorker | undefined
  const worker = role(WORKER_SCRIPT, (message) => (worked = message as FromWorker))
  const publisher = role(PUBLISHER_SCRIPT, (message) => (published = message as FromPublisher))
  const roles = { nodes: cluster.nodes.map((node) => node.pid), publisher: [publisher.process.pid], worker: [worker.process.pid] }
  const cpuNow = () => Object.fromEntries(Object.entries(roles).map(([name, pids]) => [name, cpuMicros(pids.filter((pid) => pid !== undefined))]))
  const reached = (what: string, done: () => boolean): Promise<true> =>
    until(what, () => {
      const fallen = [worker, publisher].find((child) => !child.running && child.process.exitCode !== 0)
      if (fallen) throw new Error(fallen.errors.trim())
      progress.show((worked?.completed ?? 0) / settings.jobs, `${worked?.completed ?? 0} of ${settings.jobs} jobs`)
      return done()
    }, RUN_MS_MAX)

  await reached('both clients are connected', () => published?.stage === 'ready' && worked !== undefined)
  const cpuBefore = cpuNow()
  const startedAt = performance.now()
  publisher.send({ kind: 'go' } satisfies ToPublisher)
  await reached('all jobs are completed', () => (worked?.completed ?? 0) >= settings.jobs)
  const cpuAfter = cpuNow()
  const perJob = (names: readonly string[]): number => hundredths(names.reduce((sum, name) => sum + cpuAfter[name]! - cpuBefore[name]!, 0) / settings.jobs)
  const elapsedMs = (worked?.lastCompletedAt ?? 0) - (published?.startedAt ?? 0)
  const measured = { wallMs: Math.round(performance.now() - startedAt) }
  publisher.send({ kind: 'pickups' } satisfies ToPublisher)
  await reached('the single jobs are picked up', () => published?.stage === 'done' && (worked?.pickupsMs.length ?? 0) >= settings.pickups)
  await Promise.all([publisher.kill(), worker.kill()])
  progress.clear()
  const pickups = [...(worked?.pickupsMs ?? [])].sort((a, b) => a - b)
  return {
    jobs: settings.jobs,
    jobsPerSecond: Math.round((settings.jobs / elapsedMs) * 1000),
    publishPerSecond: Math.round((settings.jobs / (published?.publishMs ?? Infinity)) * 1000),
    cpuMicrosPerJob: perJob(Object.keys(roles)),
    cpuMicrosOfNodes: perJob(['nodes']),
    cpuMicrosOfPublisher: perJob(['publisher']),
    cpuMicrosOfWorker: perJob(['worker']),
    pickupMs: { p50: quantile(pickups, 0.5), p99: quantile(pickups, 0.99) },
    ...measured,
  }
}

const hundredths = (value: number): number => Math.round(value * 100) / 100
