//! Draws what is broken next: nodes and workers are killed or stopped, one node at a time, so that every shard keeps two of
//! its masters; but once in a run all nodes are killed at once.
//!
//! A node is down from its kill or stop until every shard shows three live masters again; before that no other node is touched.

import type { Random } from '@horus/core/random'
import type { LocalCluster, LocalNode } from '@horus/node/local/cluster'
import { delay, until } from '@horus/node/local/until'
import { allMastersLive, shardOfTopic } from '@horus/node/local/watch'
import type { Horus } from '@horus/sdk'
import type { Client } from './clients.ts'
import type { Inquiry } from './inquiry.ts'
import { LEASE_MS, TOPIC } from './settings.ts'

export interface FaultsOptions {
  readonly cluster: LocalCluster
  readonly watcher: Horus
  readonly random: Random
  readonly workers: readonly Client[]
  readonly inquiry: Inquiry
  readonly say: (text: string) => void
  readonly show: (fraction: number, text: string) => void
}

const HEAL_MS_MAX = 60_000
const STEP_MS_MAX = 1000

export class Faults {
  readonly #options: FaultsOptions
  readonly counts = { kills: 0, pauses: 0, restarts: 0 }
  #endAt = 0
  #startedAt = 0

  constructor(options: FaultsOptions) {
    this.#options = options
  }

  async runFor(ms: number): Promise<void> {
    this.#startedAt = performance.now()
    this.#endAt = this.#startedAt + ms
    await Promise.all([this.#breakNodes(ms), this.#breakWorkers()])
  }

  // ---- nodes ---------------------------------------------------------------------------------------------------------

  async #breakNodes(ms: number): Promise<void> {
    const { random } = this.#options
    const allAtOnceAt = this.#startedAt + ms * (0.4 + 0.3 * random.fraction())
    let allAtOnceDone = false
    // However slow the machine is, all nodes are killed once.
    while (!this.#over() || !allAtOnceDone) {
      await this.#healed()
      await this.#rest(STEP_MS_MAX)
      if (!allAtOnceDone && (performance.now() >= allAtOnceAt || this.#over())) {
        allAtOnceDone = true
        await this.#killAll()
        continue
      }
      if (this.#over()) break
      const node = await this.#victim()
      if (!node) continue
      if (random.chance(0.4)) await this.#pauseNode(node)
      else await this.#killNode(node)
    }
  }

  /** Mostly the leader of the jobs, often another of its masters, sometimes whoever. */
  async #victim(): Promise<LocalNode | undefined> {
    const { cluster, watcher, random } = this.#options
    const draw = random.fraction()
    if (draw < 0.2) return random.pick(cluster.nodes)
    const shard = shardOfTopic(await watcher.status().catch(() => ({ clusterId: '', shards: [], topics: [] })), TOPIC)
    if (!shard) return undefined
    const id = draw < 0.7 ? shard.leader : random.pick(shard.masters)
    return id === undefined ? undefined : cluster.nodeOf(id)
  }

  async #killNode(node: LocalNode): Promise<void> {
    this.#options.say(`kill -9 node ${node.address}`)
    this.counts.kills++
    await node.kill()
    // Sometimes back before anyone has missed it, sometimes after it was replaced.
    await this.#rest(this.#options.random.chance(0.5) ? 300 : 4000)
    await this.#startNode(node)
  }

  async #pauseNode(node: LocalNode): Promise<void> {
    this.#options.say(`stop node ${node.address}`)
    this.counts.pauses++
    node.pause()
    await delay(LEASE_MS * (0.2 + 1.5 * this.#options.random.fraction()))
    node.resume()
  }

  async #killAll(): Promise<void> {
    const { cluster } = this.#options
    this.#options.say('kill -9 all nodes at once')
    this.counts.kills += cluster.nodes.length
    await Promise.all(cluster.nodes.map((node) => node.kill()))
    await Promise.all(cluster.nodes.map((node) => this.#startNode(node)))
  }

  async #startNode(node: LocalNode): Promise<void> {
    this.counts.restarts++
    await node.start()
  }

  async #healed(): Promise<void> {
    const { cluster, watcher } = this.#options
    await until('every shard has three live masters', async () => allMastersLive(cluster, await watcher.status()), HEAL_MS_MAX)
  }

  // ---- workers -------------------------------------------------------------------------------------------------------

  async #breakWorkers(): Promise<void> {
    const { random, workers, inquiry } = this.#options
    while (!this.#over()) {
      await this.#rest(2 * STEP_MS_MAX)
      const worker = random.pick(workers)
      if (random.chance(0.5)) {
        this.#options.say(`stop ${worker.name}`)
        this.counts.pauses++
        worker.child.pause()
        await delay(LEASE_MS * (1.2 + random.fraction()))
        worker.child.resume()
      } else {
        this.#options.say(`kill -9 ${worker.name}`)
        this.counts.kills++
        const { name } = worker
        await worker.child.kill()
        inquiry.follow(name)
        await this.#rest(STEP_MS_MAX)
        this.counts.restarts++
        worker.start()
      }
    }
  }

  // ---- time ----------------------------------------------------------------------------------------------------------

  #over(): boolean {
    return performance.now() >= this.#endAt
  }

  async #rest(msMax: number): Promise<void> {
    const { show, random } = this.#options
    show((performance.now() - this.#startedAt) / (this.#endAt - this.#startedAt), `${this.counts.kills} kills, ${this.counts.pauses} stops, ${this.counts.restarts} restarts`)
    await delay(random.below(msMax))
  }
}
