//! What the driver of a cluster asks of it: which shards there are, who leads them, whether all their masters live.

import { oneLine } from '../errors.ts'
import type { LocalCluster, LocalNode } from './cluster.ts'

export interface ShardView {
  readonly shard: number
  readonly leader: string | undefined
  readonly masters: readonly string[]
}

/** The part of a status that is looked at here; `Horus.status()` gives more. */
export interface StatusView {
  readonly clusterId: string
  readonly shards: readonly ShardView[]
  readonly topics: readonly { readonly topic: string; readonly partitions: readonly { readonly shard: number }[] }[]
}

/** The shard of a topic's first partition; undefined before the topic is known. */
export function shardOfTopic(status: StatusView, topic: string): ShardView | undefined {
  const number = status.topics.find((entry) => entry.topic === topic)?.partitions[0]?.shard
  return status.shards.find((shard) => shard.shard === number)
}

/** Whether every shard has `count` masters whose processes run, and one of them leads. */
export function allMastersLive(cluster: LocalCluster, status: StatusView, count = 3): boolean {
  return status.shards.length > 0 && status.shards.every((shard) => {
    const masters = shard.masters.map((id) => cluster.nodeOf(id))
    return masters.length === count && masters.every(isLive) && shard.leader !== undefined && isLive(cluster.nodeOf(shard.leader))
  })
}

export function isLive(node: LocalNode | undefined): boolean {
  return node !== undefined && node.running && !node.paused
}

const VIEW_MS_MAX = 2000

/** What each node knows, a line a node: for a report of what went wrong. */
export function viewsOf(cluster: LocalCluster): Promise<readonly string[]> {
  return Promise.all(cluster.nodes.map(async (node) => {
    if (!isLive(node)) return `node ${node.number}: not running; ${node.errors}`
    try {
      const client = await cluster.connect({ nodes: node.address, connectTimeout: VIEW_MS_MAX, requestTimeout: VIEW_MS_MAX })
      const { nodes, shards } = await client.status().finally(() => void client.close())
      const name = (id: string | undefined): string => (id === undefined ? '-' : `${cluster.nodeOf(id)?.number ?? '?'}`)
      return `node ${node.number}: ${nodes.map((other) => `${name(other.id)} ${other.state}${other.admitted ? '' : ' (not admitted)'}`).join(', ')}; ${
        shards.map(({ shard, leader, masters, term, epoch, commitIndex }) => `shard ${shard}: leader ${name(leader)} of ${masters.map(name).join(' ')}, term ${term}, epoch ${epoch}, commit ${commitIndex}`).join('; ')}`
    } catch (error) {
      return `node ${node.number}: ${oneLine(error)}; ${node.errors}`
    }
  }))
}
