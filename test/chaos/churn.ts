//! Nodes that come and go while jobs flow: one joins with an empty directory, then one leaves for good, and so on. Nothing is
//! broken meanwhile, so nothing may be lost, and nobody may wait longer than he would for a failover.
//!
//!   join   an empty data directory ── started ──▶ admitted
//!   leave  a node, mostly one that leads or is a master ── drained ──▶ master of nothing ── forgotten ──▶ ends by itself

import { rmSync } from 'node:fs'
import type { Random } from '@horus/core/random'
import { clock, type HistoryEvent } from '@horus/node/history/event'
import type { LocalCluster, LocalNode } from '@horus/node/local/cluster'
import { delay, until } from '@horus/node/local/until'
import { shardOfTopic } from '@horus/node/local/watch'
import type { Horus } from '@horus/sdk'
import type { Counts } from './counts.ts'
import { TOPIC } from './settings.ts'

export interface ChurnOptions {
  readonly cluster: LocalCluster
  readonly watcher: Horus
  readonly random: Random
  readonly counts: Counts
  /** Joins, and as many leaves, over this time; slower where the cluster takes longer. */
  readonly times: number
  readonly ms: number
  readonly say: (text: string) => void
  readonly show: (fraction: number, text: string) => void
}

const STEP_MS_MAX = 60_000
/** What a failover costs at the most: an election after a time-out. */
export const CHURN_GAP_MS_MAX = 1000

export class Churn {
  readonly #options: ChurnOptions
  #from = 0
  #to = 0
  /** Nodes that ended when nobody had asked them to. */
  died = 0

  constructor(options: ChurnOptions) {
    this.#options = options
  }

  async run(): Promise<void> {
    const { times, ms, counts, show } = this.#options
    const startedAt = performance.now()
    this.#from = clock()
    try {
      for (let step = 0; step < 2 * times; step++) {
        show(step / (2 * times), `${counts.joins} joins, ${counts.leaves} leaves`)
        await delay(Math.max(0, startedAt + (step * ms) / (2 * times) - performance.now()))
        if (step % 2 === 0) await this.#join()
        else await this.#leave()
      }
    } finally {
      this.#to = clock()
    }
  }

  /** The longest time without a completed job while nodes came and went. */
  longestGapMs(events: readonly HistoryEvent[]): number {
    let last = this.#from
    let longest = 0
    for (const { kind, at } of events) {
      if (kind !== 'completed' || at < this.#from || at > this.#to) continue
      longest = Math.max(longest, at - last)
      last = at
    }
    return Math.max(longest, this.#to - last)
  }

  async #join(): Promise<void> {
    const { cluster, watcher, counts, random, say } = this.#options
    const node = random.pick(cluster.nodes.filter((one) => !one.running))
    rmSync(node.dataDir, { recursive: true, force: true })
    await node.start()
    say(`node ${node.number} joins as ${node.id.slice(0, 8)}`)
    await until(`node ${node.number} is admitted`, async () => (await watcher.status()).nodes.some(({ id, admitted, state }) => id === node.id && admitted && state === 'alive'), STEP_MS_MAX)
    counts.joins++
  }

  async #leave(): Promise<void> {
    const { cluster, watcher, counts, say } = this.#options
    const running = new Set(cluster.nodes.filter((node) => node.running))
    const node = await until('there is somebody to leave', () => this.#victim(), STEP_MS_MAX)
    say(`node ${node.number} leaves`)
    await watcher.drain(node.id)
    await until(`node ${node.number} is a master of nothing`, async () => (await watcher.status()).shards.every(({ leader, masters }) => leader !== node.id && masters.every((master) => master !== node.id)), STEP_MS_MAX)
    // The registry's leader may know less of the other shards than whoever was asked.
    await until(`node ${node.number} is forgotten`, () => watcher.forget(node.id).then(() => true), STEP_MS_MAX)
    await until(`node ${node.number} ends by itself`, () => !node.running, STEP_MS_MAX)
    counts.leaves++
    for (const other of running) if (other !== node && !other.running) this.died++
  }

  /** Mostly the leader of the jobs, often another of its masters, sometimes whoever. */
  async #victim(): Promise<LocalNode | undefined> {
    const { cluster, watcher, random } = this.#options
    const draw = random.fraction()
    if (draw < 0.2) return random.pick(cluster.nodes.filter((node) => node.running))
    const shard = shardOfTopic(await watcher.status(), TOPIC)
    const id = draw < 0.7 ? shard?.leader : shard && random.pick(shard.masters)
    const node = id === undefined ? undefined : cluster.nodeOf(id)
    return node?.running ? node : undefined
  }
}
