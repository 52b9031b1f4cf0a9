import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { type TestContext, test } from 'node:test'
import type { LocalCluster } from '@horus/node/local/cluster'
import { until } from '@horus/node/local/until'
import { allMastersLive } from '@horus/node/local/watch'
import { clusterOf, horus } from './harness.ts'

const TOPIC = 'orders'

/** Every node, asked for itself, knows the same entries of every shard to be committed. */
async function allHaveTheSame(t: TestContext, cluster: LocalCluster): Promise<void> {
  const clients = await Promise.all(cluster.nodes.map((node) => cluster.connect({ nodes: [node.address] })))
  t.after(() => Promise.all(clients.map((client) => client.close())))
  await until('all masters have the same entries', async () => {
    const seen = await Promise.all(clients.map(async (client) => JSON.stringify((await client.status()).shards.map(({ shard, commitIndex, masters }) => [shard, commitIndex, masters.length]))))
    return seen[0]!.includes(',3]') && seen.every((one) => one === seen[0])
  })
}

test('two of three nodes are lost with their disks: the third is recovered, fresh nodes join, and its jobs are done', { timeout: 120_000 }, async (t) => {
  const { cluster, client } = await clusterOf(t, 3)
  const { clusterId } = await client.status()
  const before = (await client.addMany(TOPIC, Array.from({ length: 50 }, (_, n) => ({ name: 'bill', data: n })))).map(({ id }) => id)
  const [last, ...lost] = cluster.nodes
  const ids = lost.map(({ id }) => id)
  await allHaveTheSame(t, cluster)
  const busy = await horus('recover', '--data', last!.dataDir, '--destroyed', ids.join(','), '--dry-run')
  assert.equal(busy.code, 1)
  assert.match(busy.errors, /in use/)
  await last!.stop()
  await Promise.all(lost.map((node) => node.kill()))
  for (const node of lost) rmSync(node.dataDir, { recursive: true, force: true })

  const data = ['--data', last!.dataDir]
  const half = await horus('recover', ...data, '--destroyed', ids[0]!, '--yes')
  assert.equal(half.code, 1)
  assert.match(half.errors, new RegExp(`other masters remain: ${ids[1]!}`))
  const unsure = await horus('recover', ...data, '--destroyed', ids.join(','))
  assert.equal(unsure.code, 2)
  assert.match(unsure.errors, /--yes/)
  interface Report { decided: boolean; generation: number; destroyed: string[]; shards: { shard: number; recovered: boolean; recoveryEpoch: number; masters: string[] }[] }
  const dry = JSON.parse((await horus('recover', ...data, '--destroyed', ids.join(','), '--dry-run', '--json')).output) as Report
  assert.deepEqual([dry.decided, dry.generation, dry.destroyed, dry.shards.map(({ recovered }) => recovered)], [false, 2, ids, [true, true]])
  const decided = await horus('recover', ...data, '--destroyed', ids.join(','), '--yes', '--json')
  assert.deepEqual([decided.code, decided.errors], [0, ''])
  assert.equal((JSON.parse(decided.output) as Report).decided, true)
  const again = await horus('recover', ...data, '--destroyed', ids.join(','), '--yes')
  assert.equal(again.code, 1)
  assert.match(again.errors, /decided before/)

  await last!.start()
  const done = new Set<string>()
  const worker = client.work(TOPIC, async (job) => void done.add(job.id), { concurrency: 10 })
  worker.on('error', () => {})
  await until('every job of before is done by the last node alone', () => before.every((id) => done.has(id)), 60_000)
  await Promise.all(lost.map((node) => node.start()))
  assert.ok(lost.every((node) => !ids.includes(node.id)))
  const status = await until('all shards have three masters again', async () => {
    const found = await client.status()
    return allMastersLive(cluster, found, 3) && found
  }, 60_000)
  assert.equal(status.clusterId, clusterId)
  assert.deepEqual(status.nodes.filter(({ admitted }) => admitted).map(({ id }) => id).sort(), cluster.nodes.map(({ id }) => id).sort())
  const after = (await until('adds are taken again', () => client.addMany(TOPIC, [{ name: 'bill', data: 0 }]), 60_000)).map(({ id }) => id)
  assert.ok(!before.includes(after[0]!))
  await until('and done', () => done.has(after[0]!), 60_000)
  await worker.stop()
  const rest = await horus('recover', ...data, '--destroyed', ids[0]!, '--yes')
  assert.equal(rest.code, 1)
})
