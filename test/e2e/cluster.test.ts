import assert from 'node:assert/strict'
import { test } from 'node:test'
import { until } from '@horus/node/local/until'
import { HorusError } from '@horus/sdk'
import { clusterOf } from './harness.ts'

const TOPIC = 'orders'

test('a cluster whose nodes were all killed at once is the same cluster with the same jobs', { timeout: 90_000 }, async (t) => {
  const { cluster, client } = await clusterOf(t, 5)
  const { clusterId } = await client.status()
  const added: string[] = []
  const publishing = (async () => {
    for (let i = 0; i < 200; i++) {
      const handles = await client.addMany(TOPIC, Array.from({ length: 5 }, (_, n) => ({ name: 'bill', data: { n: 5 * i + n } }))).catch(() => [])
      for (const handle of handles) added.push(handle.id)
      if (added.length >= 500) return
    }
  })()
  await until('some jobs are acknowledged', () => added.length >= 50)
  await Promise.all(cluster.nodes.map((node) => node.kill()))
  await cluster.start()
  await publishing
  const done = new Set<string>()
  const worker = client.work(TOPIC, async (job) => void done.add(job.id), { concurrency: 100 })
  await until('every acknowledged job is done', () => added.every((id) => done.has(id)), 60_000)
  assert.ok(added.length >= 50)
  assert.equal((await client.status()).clusterId, clusterId)
  await worker.stop()
})

test('with one master of three left nothing is accepted, and with a second one work goes on', { timeout: 120_000 }, async (t) => {
  const { cluster, client } = await clusterOf(t, 3, '4s')
  const done: string[] = []
  const worker = client.work(TOPIC, async (job) => void done.push(job.id), { concurrency: 10 })
  worker.on('error', () => {})
  const first = await client.add(TOPIC, 'bill', 1)
  await until('the first job is done', () => done.includes(first.id))

  const inFlight = Array.from({ length: 20 }, (_, n) => client.add(TOPIC, 'bill', n).then((job) => job.id, (error: unknown) => error))
  const [one, two, three] = cluster.nodes
  await Promise.all([one!.kill(), two!.kill()])
  for (const outcome of await Promise.all(inFlight)) {
    if (typeof outcome !== 'string') assert.ok(outcome instanceof HorusError && (outcome.code === 'Unknown' || outcome.code === 'NoQuorum'), String(outcome))
  }
  const startedAt = performance.now()
  await assert.rejects(client.add(TOPIC, 'bill', 'refused'), (error: unknown) => {
    assert.ok(error instanceof HorusError)
    assert.deepEqual([error.code, error.retryable], ['NoQuorum', true], error.message)
    return true
  })
  assert.ok(performance.now() - startedAt < 6000)
  assert.ok(three!.running)

  await one!.start()
  const last = await until('an add is accepted again', () => client.add(TOPIC, 'bill', 'last'), 60_000)
  await until('the same worker does it', () => done.includes(last.id), 60_000)
  const known = (await Promise.all(inFlight)).filter((outcome) => typeof outcome === 'string')
  await until('what was acknowledged before is done as well', () => known.every((id) => done.includes(id)), 60_000)
  await until('nothing is left', async () => {
    const { waiting, active } = await client.counts(TOPIC)
    return waiting + active === 0
  })
  await worker.stop()
})
