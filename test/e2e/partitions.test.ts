import assert from 'node:assert/strict'
import { test } from 'node:test'
import { randomSubnet } from '@horus/node/local/addresses'
import { LocalCluster, type LocalNode } from '@horus/node/local/cluster'
import { until } from '@horus/node/local/until'
import { allMastersLive, type StatusView } from '@horus/node/local/watch'
import { Horus } from '@horus/sdk'
import { horus } from './harness.ts'
import { giveValues } from './identities.ts'

const TOPIC = 'orders'
const PARTITIONS = 8
/** With these, each of the six ranks first for one of the eight shards that the topic gets, or for two. */
const VALUES = [1, 2, 3, 4, 5, 6]
const REPLACE_AFTER_MS = 1000
/** What a master costs whose node is gone for good, behind `replaceAfter`. */
const REPAIR_MS_MAX = 15_000

interface Scene {
  readonly cluster: LocalCluster
  readonly client: Horus
  readonly acknowledged: string[]
  readonly done: Set<string>
}

/** Publishes one batch after the other until told to end; what is not acknowledged is promised nothing. */
function publish({ client, acknowledged }: Scene): { end(): Promise<void> } {
  let ended = false
  const loop = (async () => {
    while (!ended) {
      const handles = await client.addMany(TOPIC, Array.from({ length: 16 }, (_, n) => ({ name: 'bill', data: n, options: { idempotencyKey: `${acknowledged.length}-${n}-${Math.random()}` } }))).catch(() => [])
      for (const handle of handles) acknowledged.push(handle.id)
    }
  })()
  return { end: () => ((ended = true), loop) }
}

const statusOf = async ({ cluster }: Scene): Promise<StatusView> => {
  const { code, output, errors } = await horus('status', '--json', '--node', cluster.nodes.filter((node) => node.running).map((node) => node.address).join(','), '--cluster', cluster.name)
  assert.equal(code, 0, errors)
  return JSON.parse(output) as StatusView
}

async function killed(scene: Scene, node: LocalNode): Promise<void> {
  const { cluster, client, done } = scene
  await node.kill()
  const before = done.size
  await until(`after the end of node ${node.number} every shard has three live masters`, async () => allMastersLive(cluster, await statusOf(scene)), REPLACE_AFTER_MS + REPAIR_MS_MAX, 200)
  await until('jobs flow on', () => done.size > before)
  await node.start()
  await until('the node is back', async () => (await client.status()).nodes.find(({ id }) => id === node.id)?.state === 'alive')
}

test('eight partitions are led by at least five of six nodes, and the end of any one of the six loses nothing', { timeout: 300_000 }, async (t) => {
  const cluster = new LocalCluster({ cluster: `e2e-partitions-${process.pid}`, subnet: await randomSubnet(VALUES.length), expect: VALUES.length, replaceAfter: `${REPLACE_AFTER_MS}ms` })
  let client: Horus | undefined
  t.after(async () => {
    await client?.close()
    await cluster.close()
  })
  await giveValues(cluster, VALUES)
  await cluster.start()
  assert.deepEqual(cluster.nodes.map((node) => node.value), VALUES)
  client = await Horus.connect({ cluster: cluster.name, seeds: cluster.addresses, requestTimeout: '30s' })
  const scene: Scene = { cluster, client, acknowledged: [], done: new Set() }
  await until('all are in the cluster', async () => {
    const status = await client!.status()
    return allMastersLive(cluster, status) && status.nodes.filter(({ admitted, state }) => admitted && state === 'alive').length === VALUES.length
  })
  await client.topic(TOPIC).configure({ partitions: PARTITIONS })
  await until('the topic has its leaders on at least five nodes', async () => {
    const { shards, topics } = await statusOf(scene)
    const placed = topics.find(({ topic }) => topic === TOPIC)?.partitions.map(({ shard }) => shards.find((known) => known.shard === shard)?.leader) ?? []
    return new Set(placed).size >= 5 && placed.length === PARTITIONS && !placed.includes(undefined)
  }, 60_000, 200)

  const worker = client.work(TOPIC, async (job) => void scene.done.add(job.id), { concurrency: 64 })
  worker.on('error', () => {})
  const publisher = publish(scene)
  await until('jobs flow', () => scene.done.size > 100)
  for (const node of cluster.nodes) await killed(scene, node)
  await publisher.end()
  await until('every acknowledged job is done', () => scene.acknowledged.every((id) => scene.done.has(id)), 60_000)
  assert.ok(scene.acknowledged.length > 1000)
  await worker.stop()
})
