//! The course of the demo.

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rank } from '@horus/core/node/placement'
import { shardId } from '@horus/core/units'
import { Horus } from '@horus/sdk'
import { Progress } from '../cli/output.ts'
import { checkHistory, type Verdict } from '../history/check.ts'
import type { HistoryEvent } from '../history/event.ts'
import { readHistory } from '../history/recorder.ts'
import { subnetOf } from '../local/addresses.ts'
import { Child } from '../local/children.ts'
import { LocalCluster, type LocalNode } from '../local/cluster.ts'
import { until } from '../local/until.ts'
import { allMastersLive, shardOfTopic, type ShardView, type StatusView } from '../local/watch.ts'
import { filesBelow, sha256 } from './files.ts'
import type { FromPublisher, PublisherSettings, ToPublisher } from './publisher.ts'
import type { DemoOutcome, MasterRow } from './report.ts'
import type { FromWorker, WorkerSettings } from './worker.ts'

const NODES = 5
const WORKERS = 4
const TOPIC = 'checksums'
/** Time to see the cluster at work before, between and behind its losses. */
const CALM_MS = 3000
const RUN_MS_MIN = 15_000
const FOUND_MS_MAX = 20_000
const REPLACE_MS_MAX = 25_000
const DRAIN_MS_MAX = 30_000

const PUBLISHER_SCRIPT = fileURLToPath(new URL('./publisher.js', import.meta.url))
const WORKER_SCRIPT = fileURLToPath(new URL('./worker.js', import.meta.url))

export class Demo {
  readonly #folder: string
  readonly #files: readonly string[]
  readonly #progress: Progress
  readonly #completedBy: number[] = Array.from({ length: WORKERS }, () => 0)
  #published: FromPublisher = { kind: 'added', total: 0, rounds: 0, finished: false }
  #publisher: Child | undefined
  #headline = ''

  constructor(folder: string, quiet: boolean) {
    this.#folder = folder
    this.#files = filesBelow(folder)
    this.#progress = new Progress(quiet ? { write: () => {} } : process.stdout)
  }

  async run(): Promise<DemoOutcome> {
    const cluster = new LocalCluster({ cluster: `demo-${process.pid}`, subnet: await subnetOf('127.0.0', NODES), expect: NODES, replaceAfter: '1s' })
    try {
      return await this.#play(cluster)
    } finally {
      this.#progress.clear()
      await cluster.close()
    }
  }

  async #play(cluster: LocalCluster): Promise<DemoOutcome> {
    this.#say(`${NODES} nodes search each other on ${cluster.addresses[0]} to ${cluster.addresses.at(-1)}`)
    await cluster.start()
    const watcher = await Horus.connect({ cluster: cluster.name, seeds: cluster.addresses })
    const history = join(cluster.folder, 'history')
    mkdirSync(history)
    await until('the cluster is founded and every shard has three masters', async () => allMastersLive(cluster, await watcher.status()), FOUND_MS_MAX)
    const startedAt = performance.now()
    const children = this.#startClients(cluster, history)
    const before = await until('the jobs have a shard with three live masters', async () => {
      const status = await watcher.status()
      return this.#completed > 0 && allMastersLive(cluster, status) && shardOfTopic(status, TOPIC)
    }, FOUND_MS_MAX)
    const mastersBefore = mastersOf(cluster, before)
    this.#say(`the masters are ${mastersBefore.map((row) => row.address).join(', ')}; ${WORKERS} workers compute ${this.#files.length} checksums a round`)

    await this.#calm(CALM_MS)
    const first = present(cluster.nodeOf(before.leader ?? ''))
    await this.#kill(first, 'the leader of the jobs')
    const between = await this.#replaced(cluster, watcher)
    await this.#calm(CALM_MS)
    const second = present(between.masters.filter((id) => id !== between.leader).map((id) => cluster.nodeOf(id))[0])
    await this.#kill(second, 'a second master')
    const after = await this.#replaced(cluster, watcher)
    await this.#calm(Math.max(CALM_MS, RUN_MS_MIN - (performance.now() - startedAt)))

    this.#publisher?.send({ kind: 'finish' } satisfies ToPublisher)
    await until('the last round is added', () => this.#alive(children) && this.#published.finished, DRAIN_MS_MAX)
    this.#headline = 'the last jobs'
    // An add of unknown outcome may have put in more than was acknowledged: the topic itself says when nothing is left.
    await until('all jobs are completed', async () => {
      const { waiting, scheduled, active, retrying } = await watcher.counts(TOPIC)
      return this.#alive(children) && this.#completed >= this.#published.total && waiting + scheduled + active + retrying === 0
    }, DRAIN_MS_MAX).catch(() => {})
    await watcher.close()
    for (const child of children) await child.stop(1000)
    const events = readHistory(history)
    const verdict = checkHistory(events)
    const checksums = await this.#compare(events)
    const killedNodes = [first.id, second.id]
    return this.#outcome(verdict, checksums, { mastersBefore, mastersAfter: mastersOf(cluster, after), killedNodes, all: rowsOf(cluster, after, cluster.nodes.map((node) => node.id)) })
  }

  #startClients(cluster: LocalCluster, history: string): readonly Child[] {
    const common = { cluster: cluster.name, seeds: cluster.addresses, folder: this.#folder, history, topic: TOPIC }
    const workers = this.#completedBy.map((_, i) => new Child(WORKER_SCRIPT, {
      args: [JSON.stringify({ ...common, name: `worker-${i + 1}` } satisfies WorkerSettings)],
      onMessage: (message) => {
        this.#completedBy[i] = (message as FromWorker).total
        this.#publisher?.send({ kind: 'completed', total: this.#completed } satisfies ToPublisher)
        this.#show()
      },
    }))
    this.#publisher = new Child(PUBLISHER_SCRIPT, {
      args: [JSON.stringify(common satisfies PublisherSettings)],
      onMessage: (message) => {
        this.#published = message as FromPublisher
        this.#show()
      },
    })
    return [this.#publisher, ...workers]
  }

  async #kill(node: LocalNode, what: string): Promise<void> {
    await node.kill()
    this.#say(`killed ${what}, ${node.address} (kill -9)`)
  }

  #replaced(cluster: LocalCluster, watcher: Horus): Promise<ShardView> {
    return until('every shard has three live masters again', async () => {
      const status: StatusView = await watcher.status()
      const shard = shardOfTopic(status, TOPIC)
      if (!shard || !allMastersLive(cluster, status)) return false
      this.#say(`replaced: the masters are ${mastersOf(cluster, shard).map((row) => row.address).join(', ')}`)
      return shard
    }, REPLACE_MS_MAX)
  }

  /** Lets the cluster work for a while that a spectator can follow. */
  async #calm(ms: number): Promise<void> {
    const endAt = performance.now() + ms
    await until('some time has passed', () => performance.now() >= endAt, ms + 1000)
  }

  /** A publisher or worker that ends by itself would leave the demo waiting for nothing. */
  #alive(children: readonly Child[]): true {
    const fallen = children.find((child) => !child.running && child.process.exitCode !== 0)
    if (fallen) throw new Error(`a client ended: ${fallen.errors.trim()}`)
    return true
  }

  async #compare(events: readonly HistoryEvent[]): Promise<{ readonly compared: number; readonly problems: readonly string[] }> {
    const resultOfLease = new Map<string, string>()
    const fileOfKey = (key: string): string => present(this.#files[Number(key.split('#', 1)[0]!.split('/')[1])])
    const keyOf = new Map<string, string>()
    const direct = new Map<string, string>()
    const problems: string[] = []
    let compared = 0
    for (const event of events) {
      if (event.kind === 'delivered') keyOf.set(event.id, event.key)
      else if (event.kind === 'completing') resultOfLease.set(`${event.id} ${event.token}`, event.result ?? '')
      else if (event.kind === 'completed') {
        const file = fileOfKey(present(keyOf.get(event.id)))
        let wanted = direct.get(file)
        if (wanted === undefined) direct.set(file, (wanted = await sha256(join(this.#folder, file))))
        compared++
        const result = resultOfLease.get(`${event.id} ${event.token}`)
        if (result !== wanted) problems.push(`the checksum of ${file} is ${wanted}, but job ${event.id} gave ${result}`)
      }
    }
    if (direct.size < this.#files.length) problems.push(`only ${direct.size} of ${this.#files.length} files got a checksum`)
    return { compared, problems }
  }

  #outcome(verdict: Verdict, checksums: { readonly compared: number; readonly problems: readonly string[] }, masters: { readonly mastersBefore: readonly MasterRow[]; readonly mastersAfter: readonly MasterRow[]; readonly killedNodes: readonly string[]; readonly all: readonly MasterRow[] }): DemoOutcome {
    return {
      nodes: NODES,
      killed: masters.killedNodes.length,
      ...masters,
      files: this.#files.length,
      rounds: this.#published.rounds,
      added: verdict.acknowledged,
      completed: verdict.completed,
      // No worker is harmed here: nothing has a reason to end in the dead-letter queue.
      lost: verdict.lost + verdict.deadLettered,
      doublyLeased: verdict.doublyLeased + verdict.rerunAfterComplete + verdict.duplicates + verdict.phantoms,
      redelivered: verdict.redelivered,
      checksumsAgree: checksums.problems.length === 0,
      checksumsCompared: checksums.compared,
      longestGapMs: verdict.longestGapMs,
      jobsPerSecond: verdict.elapsedMs > 0 ? Math.round((verdict.completed / verdict.elapsedMs) * 1000) : 0,
      problems: [...verdict.findings.map(({ what, id, why }) => `${what}: job ${id} ${why}`), ...checksums.problems],
    }
  }

  get #completed(): number {
    return this.#completedBy.reduce((sum, count) => sum + count, 0)
  }

  #say(text: string): void {
    this.#headline = text
    this.#progress.say(text)
  }

  #show(): void {
    const { total, rounds } = this.#published
    this.#progress.show(total === 0 ? 0 : this.#completed / total, `${this.#completed} of ${total} jobs, round ${rounds}: ${this.#headline}`)
  }
}

function mastersOf(cluster: LocalCluster, shard: ShardView): readonly MasterRow[] {
  return rowsOf(cluster, shard, shard.masters)
}

function rowsOf(cluster: LocalCluster, { shard }: ShardView, ids: readonly string[]): readonly MasterRow[] {
  return ids.map((id) => {
    const { address, value } = present(cluster.nodeOf(id))
    return { id, address, value, rank: rank(shardId(shard), value) }
  }).sort((a, b) => b.rank - a.rank)
}

function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('the cluster does not know what it has just told')
  return value
}
