//! What the loss of a leader costs: the longest time without a completed job around it, once for `kill -9` and once for a
//! drain, after which another one leads. The nodes are processes; publisher and worker run here, closed loop, so that a job
//! is always under way.
//!
//!   steady ──strike the topic's leader──▶ gap ──▶ steady ──start it, or undo──▶ three live masters ──▶ next round

import { setTimeout as delay } from 'node:timers/promises'
import { helpOfFlags, readCommandLine } from '@horus/node/cli/flags'
import { facts, Progress } from '@horus/node/cli/output'
import type { LocalCluster } from '@horus/node/local/cluster'
import { until } from '@horus/node/local/until'
import { allMastersLive, isLive, shardOfTopic } from '@horus/node/local/watch'
import type { Horus } from '@horus/sdk'
import { withCluster } from './founded.ts'
import { quantile } from './quantile.ts'

const FLAGS = {
  rounds: { value: 'N', help: 'of each kind; default 20' },
  nodes: { value: 'N', help: 'node processes; default 3' },
  json: { value: '', help: 'end with one line of JSON' },
}
const TOPIC = 'failover'
/** Adds under way at once. */
const PUBLISHERS = 8
const CONCURRENCY = 64
/** Seen before a strike and behind it, so that a gap has two ends. */
const STEADY_MS = 500
const SETTLE_MS_MAX = 60_000
/** Longer than any gap should be: what has not come back by then has failed. */
const GAP_MS_MAX = 30_000

type Kind = 'kill' | 'drain'

interface Gaps {
  readonly median: number
  readonly worst: number
}

interface Figures {
  readonly rounds: number
  readonly gapMs: Gaps
  readonly drainGapMs: Gaps
  readonly lost: number
  readonly completed: number
}

export const help = (): string => helpOfFlags(FLAGS)

export async function run(args: readonly string[]): Promise<void> {
  const line = readCommandLine('bench failover', args, FLAGS, 0)
  const rounds = line.number('rounds', 20, 1, 1000)
  const nodes = line.number('nodes', 3, 3, 7)
  const json = line.has('json')
  const progress = new Progress(json ? { write: () => {} } : process.stdout)
  const figures = await withCluster('failover', nodes, (cluster) => measure(cluster, rounds, progress))
  progress.clear()
  report(figures, json)
}

async function measure(cluster: LocalCluster, rounds: number, progress: Progress): Promise<Figures> {
  const load = await Load.begin(await cluster.connect())
  const gaps: Record<Kind, number[]> = { kill: [], drain: [] }
  for (let round = 0; round < 2 * rounds; round++) {
    // In turns, so that a machine that grows slower hits both alike.
    const kind = round % 2 === 0 ? 'kill' : 'drain'
    gaps[kind].push(await strike(cluster, load, kind))
    progress.show((round + 1) / (2 * rounds), `${round + 1} of ${2 * rounds} rounds`)
  }
  return { rounds, gapMs: summary(gaps.kill), drainGapMs: summary(gaps.drain), ...(await load.end()) }
}

/** Takes the lead from the node that has that of the topic's shard, and resolves to the longest time without a completion around that. */
async function strike(cluster: LocalCluster, load: Load, kind: Kind): Promise<number> {
  const leads = async (): Promise<string | undefined> => shardOfTopic(await load.horus.status(), TOPIC)?.leader
  const leader = await until('the topic has a leader and three live masters', async () => {
    const status = await load.horus.status()
    const node = cluster.nodeOf(shardOfTopic(status, TOPIC)?.leader ?? '')
    return allMastersLive(cluster, status) && isLive(node) ? node : undefined
  }, SETTLE_MS_MAX)
  await load.steady()
  const from = performance.now()
  if (kind === 'kill') await leader.kill()
  else await load.horus.drain(leader.id)
  await until('another node leads', async () => ![undefined, leader.id].includes(await leads()), GAP_MS_MAX)
  await load.steady()
  const gap = load.longestGap(from)
  if (kind === 'kill') await leader.start()
  else await load.horus.drain(leader.id, { undo: true })
  return gap
}

/** Jobs that never cease, and when each was completed. */
class Load {
  readonly horus: Horus
  readonly #added = new Set<string>()
  readonly #done = new Set<string>()
  #completedAt: number[] = []
  #ending = false
  #publishers: readonly Promise<void>[] = []

  private constructor(horus: Horus) {
    this.horus = horus
  }

  static async begin(horus: Horus): Promise<Load> {
    const load = new Load(horus)
    const worker = horus.work(TOPIC, async () => null, { concurrency: CONCURRENCY })
    worker.on('completed', ({ id }) => load.#completed(id))
    worker.on('error', () => {})
    load.#publishers = Array.from({ length: PUBLISHERS }, () => load.#publish())
    await load.steady()
    return load
  }

  get lastAt(): number {
    return this.#completedAt.at(-1) ?? 0
  }

  /** Resolves when jobs have been completed for a while on end. */
  async steady(): Promise<void> {
    const from = performance.now()
    await until('the load is steady', () => this.lastAt > from + STEADY_MS, SETTLE_MS_MAX)
    this.#completedAt = this.#completedAt.filter((at) => at > from - GAP_MS_MAX)
  }

  longestGap(from: number): number {
    const before = this.#completedAt.filter((at) => at <= from).at(-1) ?? from
    let last = before
    let longest = 0
    for (const at of this.#completedAt) {
      if (at <= from) continue
      longest = Math.max(longest, at - last)
      last = at
    }
    return longest
  }

  /** Ends the publishers and waits for what they added. */
  async end(): Promise<{ readonly lost: number; readonly completed: number }> {
    this.#ending = true
    await Promise.all(this.#publishers)
    const missing = (): readonly string[] => [...this.#added].filter((id) => !this.#done.has(id))
    await until('all acknowledged jobs are completed', () => missing().length === 0, SETTLE_MS_MAX).catch(() => {})
    const outcome = { lost: missing().length, completed: this.#done.size }
    await this.horus.close()
    return outcome
  }

  async #publish(): Promise<void> {
    while (!this.#ending) {
      try {
        this.#added.add((await this.horus.add(TOPIC, 'job', null)).id)
      } catch {
        // Not acknowledged: nothing is promised of it. A moment later the cluster may take it again.
        await delay(1)
      }
    }
  }

  #completed(id: string): void {
    this.#done.add(id)
    this.#completedAt.push(performance.now())
  }
}

function summary(gaps: readonly number[]): Gaps {
  const sorted = [...gaps].sort((a, b) => a - b)
  return { median: quantile(sorted, 0.5), worst: quantile(sorted, 1) }
}

function report(figures: Figures, json: boolean): void {
  if (json) return void process.stdout.write(`${JSON.stringify(figures)}\n`)
  const { gapMs, drainGapMs, ...rest } = figures
  process.stdout.write(`${facts([
    ...Object.entries(rest),
    ['gap of a kill, median', `${gapMs.median} ms`], ['gap of a kill, worst', `${gapMs.worst} ms`],
    ['gap of a drain, median', `${drainGapMs.median} ms`], ['gap of a drain, worst', `${drainGapMs.worst} ms`],
  ])}\n`)
}
