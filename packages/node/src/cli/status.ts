//! `horus status` and `horus members`: the cluster as one node knows it.

import type { Horus } from '@horus/sdk'
import { CLIENT_FLAGS, JSON_FLAG, printJson, withClient } from './client.ts'
import { helpOfFlags, readCommandLine } from './flags.ts'
import { table } from './output.ts'

const FLAGS = { ...CLIENT_FLAGS, ...JSON_FLAG }

export const status = {
  help: (): string => helpOfFlags(FLAGS),
  async run(args: readonly string[]): Promise<void> {
    const line = readCommandLine('status', args, FLAGS, 0)
    const found = await withClient(line, readStatus)
    if (line.has('json')) return printJson(found)
    const short = shorten(found.nodes.map((node) => node.id))
    process.stdout.write(`cluster '${found.cluster}' ${found.clusterId}, ${found.quorum ? 'with' : 'WITHOUT'} a quorum\n\n`)
    process.stdout.write(`${nodesTable(found, short)}\n\n`)
    const shards = found.shards.map((shard) => [shard.shard, shard.leader === undefined ? '(none)' : short(shard.leader), shard.masters.map(short).join(' '), shard.term, shard.epoch, shard.commitIndex])
    process.stdout.write(`${table(['shard', 'leader', 'masters', 'term', 'epoch', 'commit'], shards)}\n`)
    const topics = found.topics.map((topic) => [topic.topic, ...[topic.waiting, topic.scheduled, topic.active, topic.retrying, topic.dead].map((count) => count ?? '?')])
    if (topics.length > 0) process.stdout.write(`\n${table(['topic', 'waiting', 'scheduled', 'active', 'retrying', 'dead'], topics)}\n`)
  },
}

export const members = {
  help: (): string => helpOfFlags(FLAGS),
  async run(args: readonly string[]): Promise<void> {
    const line = readCommandLine('members', args, FLAGS, 0)
    const found = await withClient(line, (horus) => horus.status())
    if (line.has('json')) printJson(found.nodes)
    else process.stdout.write(`${nodesTable(found, shorten(found.nodes.map((node) => node.id)))}\n`)
  },
}

export type Status = Awaited<ReturnType<typeof readStatus>>

/** The cluster's status and the counts of its topics; null where a topic's shard does not answer. */
export async function readStatus(horus: Horus) {
  const found = await horus.status()
  const topics = await Promise.all(found.topics.map(async (topic) => {
    const counts = await horus.counts(topic.topic).catch(() => undefined)
    const { waiting = null, scheduled = null, active = null, retrying = null, dead = null } = counts ?? {}
    return { ...topic, waiting, scheduled, active, retrying, dead }
  }))
  return { ...found, topics }
}

interface NodeView {
  readonly id: string
  readonly address: string
  readonly state: string
  readonly draining: boolean
  readonly value: number
  readonly zone: string
  readonly version: string
}

function nodesTable(found: { readonly nodes: readonly NodeView[] }, short: (id: string) => string): string {
  const rows = [...found.nodes].sort((a, b) => b.value - a.value).map((node) => [short(node.id), node.address, node.draining ? `${node.state}, draining` : node.state, node.value, node.zone === '' ? '-' : node.zone, node.version])
  return table(['node', 'address', 'state', 'value', 'zone', 'version'], rows)
}

/** As few leading digits as tell the ids apart, at least eight. */
function shorten(ids: readonly string[]): (id: string) => string {
  let length = 8
  while (length < 32 && new Set(ids.map((id) => id.slice(0, length))).size < ids.length) length += 4
  return (id) => id.slice(0, length)
}
