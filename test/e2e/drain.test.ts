import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LocalNode } from '@horus/node/local/cluster'
import { until } from '@horus/node/local/until'
import { shardOfTopic } from '@horus/node/local/watch'
import { clusterOf, horus, type TestCluster } from './harness.ts'

const TOPIC = 'orders'

/** Adds without a pause until it is told to end; resolves with the ids that were acknowledged. */
function publish({ client }: TestCluster): { readonly ids: readonly string[]; end(): Promise<void> } {
  const ids: string[] = []
  let ended = false
  const loop = (async () => {
    while (!ended) for (const handle of await client.addMany(TOPIC, Array.from({ length: 5 }, (_, n) => ({ name: 'bill', data: n })))) ids.push(handle.id)
  })()
  return { ids, end: () => ((ended = true), loop) }
}

test('the leader of a shard is drained under load, stopped and forgotten, and nothing is lost', { timeout: 120_000 }, async (t) => {
  const scene = await clusterOf(t, 4)
  const { cluster, client } = scene
  const at = ['--node', cluster.addresses.join(','), '--cluster', cluster.name]
  const done = new Set<string>()
  const worker = client.work(TOPIC, async (job) => void done.add(job.id), { concurrency: 20 })
  const publisher = publish(scene)
  await until('jobs flow', () => done.size > 20)
  const { leader } = shardOfTopic(await client.status(), TOPIC)!
  const node = cluster.nodeOf(leader!)!

  const unsure = await horus('drain', node.id, ...at)
  assert.deepEqual([unsure.code, unsure.output], [2, ''])
  assert.match(unsure.errors, /--yes/)
  const dry = JSON.parse((await horus('drain', node.id, '--dry-run', '--json', ...at)).output) as Record<string, unknown>
  assert.deepEqual([dry['node'], dry['draining'], Number(dry['shardsMovable']) > 0], [node.id, false, true])
  const refused = await horus('forget', node.address, '--yes', ...at)
  assert.equal(refused.code, 1)
  assert.match(refused.errors, /master/)

  const before = publisher.ids.length
  const drained = await horus('drain', node.address, '--yes', '--json', ...at)
  assert.deepEqual([drained.code, drained.errors], [0, ''])
  assert.deepEqual(JSON.parse(drained.output), { node: node.id, draining: true, shardsLeft: 0, leadsLeft: 0, shardsMovable: 0, leadsMovable: 0 })
  // Another node than the command asked may hear of it a moment later.
  await until('the client\'s own node knows it', async () => {
    const { nodes, shards } = await client.status()
    const isElsewhere = shards.every(({ leader, masters }) => leader !== node.id && masters.every((master) => master !== node.id) && masters.length === 3)
    return isElsewhere && nodes.find((one) => one.id === node.id)?.draining === true
  })
  await until('adds went on', () => publisher.ids.length > before)

  await node.stop()
  const forgotten = await until('it is forgotten', async () => {
    const ended = await horus('forget', node.id, '--yes', '--json', ...at)
    return ended.code === 0 && ended
  })
  assert.deepEqual(JSON.parse(forgotten.output), { node: node.id, forgotten: true })
  await until('the client\'s own node has forgotten it', async () => (await client.status()).nodes.every((one) => one.id !== node.id))
  await publisher.end()
  await until('every acknowledged job is done', () => publisher.ids.every((id) => done.has(id)))
  await worker.stop()
})

const hasEnded = (node: LocalNode): Promise<boolean> => until('the node has ended', () => !node.running)

test('a node leaves: it ends by itself, and when it is started again it is not let in', { timeout: 120_000 }, async (t) => {
  const { cluster, client } = await clusterOf(t, 4)
  const node = cluster.nodes[1]!
  const left = await horus('leave', '--yes', '--json', '--node', node.address, '--cluster', cluster.name)
  assert.deepEqual([left.code, left.errors], [0, ''])
  assert.equal((JSON.parse(left.output) as { node: string }).node, node.id)
  await hasEnded(node)
  const ids = async (): Promise<readonly string[]> => (await client.status()).nodes.filter((one) => one.admitted).map((one) => one.id)
  await until('it is gone', async () => !(await ids()).includes(node.id))
  await node.start()
  await hasEnded(node)
  await until('it is still gone', async () => !(await ids()).includes(node.id))
})

test('with nobody to take its place a node gives up its leads only, and says so; undone it is as before', { timeout: 120_000 }, async (t) => {
  const { cluster, client } = await clusterOf(t, 3)
  const at = ['--node', cluster.addresses.join(','), '--cluster', cluster.name]
  await client.add(TOPIC, 'bill', 1)
  const { leader } = (await client.status()).shards[0]!
  const drained = await horus('drain', leader!, '--yes', '--json', ...at)
  assert.equal(drained.code, 1)
  assert.match(drained.errors, /stays a master of 2 shards/)
  const { shardsLeft, leadsLeft } = JSON.parse(drained.output) as { shardsLeft: number; leadsLeft: number }
  assert.deepEqual([shardsLeft, leadsLeft], [2, 0])
  const left = await horus('leave', leader!, '--yes', ...at)
  assert.equal(left.code, 1)
  const undone = await horus('drain', leader!, '--undo', '--json', ...at)
  assert.deepEqual([undone.code, JSON.parse(undone.output)], [0, { node: leader, draining: false }])
  await until('it is seen', async () => (await client.status()).nodes.every((node) => !node.draining))
})
