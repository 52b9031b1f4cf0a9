import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { startNode } from '@horus/node'
import { subnetOf } from '@horus/node/local/addresses'
import { until } from '@horus/node/local/until'
import { makeFolder } from './harness.ts'

const signal = (): AbortSignal => AbortSignal.timeout(30_000)

test('a node in this process founds alone, keeps its jobs and its identity, and stops', { timeout: 60_000 }, async (t) => {
  const dataDir = join(makeFolder(), 'data')
  const first = await startNode({ dataDir, listen: '127.0.0.1:0' })
  await first.ready({ signal: signal() })
  const { clusterId } = await first.status()
  const job = await first.client().add('orders', 'bill', { a: 1 })
  await first.stop()
  assert.equal(await first.ended, undefined)
  const again = await startNode({ dataDir, listen: '127.0.0.1:0' })
  t.after(() => again.stop())
  await again.ready({ signal: signal() })
  assert.deepEqual([again.nodeId, again.value, (await again.status()).clusterId], [first.nodeId, first.value, clusterId])
  const worker = again.client().work('orders', async ({ id, data }) => ({ id, data }))
  t.after(() => worker.stop())
  const found = await again.client().job('orders', job.id)
  assert.equal(found?.name, 'bill')
  const done = await until('the job is done', async () => {
    const known = await again.client().job('orders', job.id)
    return known?.state === 'completed' && known
  })
  assert.deepEqual(done.result, { id: job.id, data: { a: 1 } })
})

test('nodes of one process find each other, and a job added by one is done by another', { timeout: 60_000 }, async (t) => {
  const { range, addresses } = await subnetOf('127.77.3', 3)
  const folder = makeFolder()
  const nodes = await Promise.all(addresses.map(({ host, port }, i) => startNode({ dataDir: join(folder, `${i}`), listen: `${host}:${port}`, range, expect: 3, secret: 'correct horse battery staple' })))
  t.after(() => Promise.all(nodes.map((node) => node.stop())))
  await Promise.all(nodes.map((node) => node.ready({ signal: signal() })))
  nodes[2]!.client().work('orders', async (job) => `done by ${job.attempt}`)
  const job = await nodes[0]!.client().add('orders', 'bill', 1)
  assert.equal(await job.result({ signal: signal() }), 'done by 1')
})

test('an ephemeral node leaves nothing behind, and a stopped one refuses to be ready', { timeout: 60_000 }, async () => {
  const node = await startNode({ ephemeral: true, listen: '127.0.0.1:0' })
  await node.ready({ signal: signal() })
  await node.stop()
  await assert.rejects((async () => {
    const refused = await startNode({ ephemeral: true, listen: node.address, range: '127.0.0.0/29', expect: 5 })
    await Promise.all([refused.ready(), refused.stop()])
  })(), /stopped/)
})
