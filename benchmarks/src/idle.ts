//! What a cluster costs that does nothing: processor time and memory of each node, with few shards and with many. Shards at rest
//! say nothing and count no time, so there should be little difference.

import { setTimeout as pass } from 'node:timers/promises'
import { helpOfFlags, readCommandLine } from '@horus/node/cli/flags'
import { facts } from '@horus/node/cli/output'
import type { LocalCluster } from '@horus/node/local/cluster'
import { until } from '@horus/node/local/until'
import { allMastersLive } from '@horus/node/local/watch'
import { cpuMicros } from './cpu.ts'
import { withCluster } from './founded.ts'
import { residentBytes } from './memory.ts'

const FLAGS = {
  nodes: { value: 'N', help: 'node processes; default 3' },
  shards: { value: 'N', help: 'partitions of a topic, each on a shard of its own; default 256' },
  settle: { value: 'S', help: 'seconds before measuring; default 20' },
  seconds: { value: 'S', help: 'how long is measured; default 20' },
  json: { value: '', help: 'end with one line of JSON' },
}
const BORN_MS_MAX = 60_000

export const help = (): string => helpOfFlags(FLAGS)

interface Idle {
  readonly nodes: number
  readonly shards: number
  /** Of one node, on average. */
  readonly cpuMicrosPerSecond: number
  readonly rssBytes: number
}

export async function run(args: readonly string[]): Promise<void> {
  const line = readCommandLine('bench idle', args, FLAGS, 0)
  const [nodes, shards] = [line.number('nodes', 3, 1, 16), line.number('shards', 256, 1, 4096)]
  const figures = await withCluster('idle', nodes, (cluster) => measure(cluster, shards, line.number('settle', 20, 0, 3600), line.number('seconds', 20, 1, 3600)))
  process.stdout.write(line.has('json') ? `${JSON.stringify(figures)}\n` : `${facts(Object.entries(figures))}\n`)
}

async function measure(cluster: LocalCluster, shards: number, settle: number, seconds: number): Promise<Idle> {
  const client = await cluster.connect()
  await client.topic('idle').configure({ partitions: shards })
  await until('every shard has its masters', async () => {
    const status = await client.status()
    return status.shards.length > shards && allMastersLive(cluster, status, Math.min(3, cluster.nodes.length))
  }, BORN_MS_MAX)
  await client.close()
  const pids = cluster.nodes.map((node) => node.pid!)
  await pass(settle * 1000)
  const [before, began] = [cpuMicros(pids), performance.now()]
  await pass(seconds * 1000)
  const perSecond = (cpuMicros(pids) - before) / pids.length / ((performance.now() - began) / 1000)
  return { nodes: pids.length, shards, cpuMicrosPerSecond: Math.round(perSecond), rssBytes: Math.round(pids.reduce((sum, pid) => sum + residentBytes(pid), 0) / pids.length) }
}
