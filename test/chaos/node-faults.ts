//! Draws what happens to nodes: killed, stopped, their links broken, their disk full. One node at a time, so that every shard
//! keeps two of its masters; but every now and then all are killed at once.
//!
//! A node is out from its fault until every shard shows three live masters again; before that no other node is touched.

import type { Random } from '@horus/core/random'
import type { LocalCluster, LocalNode } from '@horus/node/local/cluster'
import { delay, until } from '@horus/node/local/until'
import { allMastersLive, shardOfTopic } from '@horus/node/local/watch'
import type { Horus } from '@horus/sdk'
import type { Counts } from './counts.ts'
import { type LinkFaults, weighted } from './link-faults.ts'
import type { Pace } from './pace.ts'
import { LEASE_MS, TOPIC } from './settings.ts'
import type { SmallDisk } from './small-disk.ts'

export interface NodeFaultsOptions {
  readonly cluster: LocalCluster
  readonly watcher: Horus
  readonly random: Random
  readonly pace: Pace
  readonly counts: Counts
  readonly links: LinkFaults | undefined
  /** And whose it is. */
  readonly disk: { readonly node: LocalNode; readonly small: SmallDisk } | undefined
  readonly say: (text: string) => void
}

/** An idle machine takes a second or two; one that does much else has this long before a cluster counts as stuck. */
const HEAL_MS_MAX = 120_000
const STEP_MS_MAX = 1000
const WHOLE_KILL_EVERY_MS = 100_000
const START_ATTEMPTS_MAX = 3
/** A silent node is given up by its links after 15 s; now and then a fault outlasts that. */
const LINK_FAULT_LONG_MS = 17_000

export class NodeFaults {
  readonly #options: NodeFaultsOptions
  /** Nodes that ended by themselves, which none should. */
  died = 0
  /** However slow the machine is, these are done once, and all nodes are killed once. */
  readonly #owed: ('disk' | 'links')[] = []
  #wholeKillAt: number

  constructor(options: NodeFaultsOptions) {
    this.#options = options
    const { pace, random, disk, links } = options
    if (disk !== undefined) this.#owed.push('disk')
    if (links !== undefined) this.#owed.push('links')
    this.#wholeKillAt = pace.startedAt + Math.min(WHOLE_KILL_EVERY_MS, pace.endAt - pace.startedAt) * (0.4 + 0.3 * random.fraction())
  }

  async run(): Promise<void> {
    const { random, pace, counts, links, disk } = this.#options
    while (!pace.over || this.#owed.length > 0 || counts.wholeKills === 0) {
      await this.#healed()
      await pace.rest(random, STEP_MS_MAX)
      const ending = pace.over && this.#owed.length === 0
      if (ending && counts.wholeKills > 0) break
      if (ending || performance.now() >= this.#wholeKillAt) {
        this.#wholeKillAt += WHOLE_KILL_EVERY_MS
        await this.#killAll()
        continue
      }
      const kind = this.#owed.shift() ?? weighted(random, [['kill', 4], ['pause', 2.5], ['links', links === undefined ? 0 : 3.5], ['disk', disk === undefined ? 0 : 3]] as const)
      const node = kind === 'disk' ? disk?.node : await this.#victim()
      if (!node) continue
      if (kind === 'kill') await this.#kill(node)
      else if (kind === 'pause') await this.#pause(node)
      else if (kind === 'links') await this.#breakLinks(node, links!)
      else await this.#fillDisk(node, disk!.small)
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

  // ---- kinds ---------------------------------------------------------------------------------------------------------

  async #kill(node: LocalNode): Promise<void> {
    const { say, counts, pace, random } = this.#options
    say(`kill -9 node ${node.number}`)
    counts.kills++
    await node.kill()
    // Sometimes back before anyone has missed it, sometimes after it was replaced.
    await pace.rest(random, random.chance(0.5) ? 300 : 4000)
    await this.#start(node)
  }

  async #pause(node: LocalNode): Promise<void> {
    const { say, counts, random } = this.#options
    say(`stop node ${node.number}`)
    counts.pauses++
    node.pause()
    await delay(LEASE_MS * (0.2 + 1.5 * random.fraction()))
    node.resume()
  }

  async #killAll(): Promise<void> {
    const { cluster, counts, say } = this.#options
    say('kill -9 all nodes at once')
    counts.kills += cluster.nodes.length
    counts.wholeKills++
    await Promise.all(cluster.nodes.map((node) => node.kill()))
    await Promise.all(cluster.nodes.map((node) => this.#start(node)))
  }

  async #breakLinks(node: LocalNode, links: LinkFaults): Promise<void> {
    const { say, counts, random, pace } = this.#options
    const fault = links.draw(random, node.number - 1)
    const long = random.chance(0.1) && pace.endAt - performance.now() > LINK_FAULT_LONG_MS
    say(fault.text)
    counts[fault.kind]++
    await fault.begin()
    await delay(long ? LINK_FAULT_LONG_MS : LEASE_MS * (0.3 + 2 * random.fraction()))
    await fault.end()
  }

  /** What a node does that finds no room is its own affair (one that starts waits before it listens), but it is back when there is room. */
  async #fillDisk(node: LocalNode, small: SmallDisk): Promise<void> {
    const { say, counts, random } = this.#options
    say(`the disk of node ${node.number} is full`)
    counts.diskFulls++
    small.fill()
    let starting: Promise<void> | undefined
    if (random.chance(0.4)) {
      await delay(LEASE_MS * random.fraction())
      say(`kill -9 node ${node.number}, whose disk is full`)
      counts.kills++
      await node.kill()
      counts.restarts++
      starting = node.start().catch((error: unknown) => say((error as Error).message))
    }
    await delay(LEASE_MS * (0.5 + 2.5 * random.fraction()))
    small.empty()
    say(`the disk of node ${node.number} has room again`)
    await starting
    if (node.running) return
    say(`node ${node.number} had ended: ${node.errors}`)
    await this.#start(node)
  }

  // ---- healing -------------------------------------------------------------------------------------------------------

  async #start(node: LocalNode): Promise<void> {
    const { counts, say } = this.#options
    for (let attempt = 1; ; attempt++) {
      counts.restarts++
      try {
        return await node.start()
      } catch (error) {
        this.died++
        say((error as Error).message)
        if (attempt === START_ATTEMPTS_MAX) throw error
      }
    }
  }

  async #healed(): Promise<void> {
    const { cluster, watcher, say } = this.#options
    await until('every shard has three live masters', async () => {
      for (const node of cluster.nodes) {
        if (node.running) continue
        this.died++
        say(`node ${node.number} ended by itself: ${node.errors}`)
        await this.#start(node)
      }
      return allMastersLive(cluster, await watcher.status())
    }, HEAL_MS_MAX)
  }
}
