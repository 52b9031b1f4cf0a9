import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Child } from '@horus/node/local/children'
import { until } from '@horus/node/local/until'
import { clusterOf } from './harness.ts'
import type { FromBlocker } from './blocker.ts'

const TOPIC = 'blocked'
const BLOCKER = fileURLToPath(new URL('./blocker.js', import.meta.url))
const KILLER = fileURLToPath(new URL('./killer.js', import.meta.url))

test('a handler that blocks its loop past the lease loses the job to another worker, whose result counts', { timeout: 90_000 }, async (t) => {
  const { cluster, client } = await clusterOf(t, 3)
  const told: FromBlocker[] = []
  const settings = { cluster: cluster.name, seeds: cluster.addresses, topic: TOPIC, blockMs: 6000, lease: '1s' }
  const blocker = new Child(BLOCKER, { args: [JSON.stringify(settings)], onMessage: (message) => told.push(message as FromBlocker) })
  t.after(() => blocker.kill())
  const job = await client.add(TOPIC, 'slow', { a: 1 })
  const blocked = await until('the blocking worker has it', () => told.find((message) => message.kind === 'delivered'))
  const second: { token: number; attempt: number }[] = []
  const worker = client.work(TOPIC, async (again) => {
    second.push({ token: again.fencingToken, attempt: again.attempt })
    return 'second'
  }, { concurrency: 1 })
  assert.equal(await job.result({ signal: AbortSignal.timeout(30_000) }), 'second')
  assert.equal(second.length, 1)
  assert.ok(second[0]!.token > blocked.token, 'the token rose')
  const lost = await until('the blocking worker hears of its loss', () => told.find((message) => message.kind === 'lost' || message.kind === 'completed'))
  assert.equal(lost.kind, 'lost')
  assert.equal((await client.job(TOPIC, job.id))?.result, 'second')
  await worker.stop()
})

test('a job that kills its worker at once is dead after three of them', { timeout: 90_000 }, async (t) => {
  const { cluster, client } = await clusterOf(t, 3)
  const topic = 'deadly'
  const settings = { cluster: cluster.name, seeds: cluster.addresses, topic, lease: '1s' }
  const job = await client.add(topic, 'bang', { a: 1 })
  for (let lost = 1; lost <= 3; lost++) {
    const killer = new Child(KILLER, { args: [JSON.stringify(settings)], onMessage: () => {} })
    t.after(() => killer.kill())
    await until(`lease ${lost} is lost`, async () => ((await client.job(topic, job.id))?.lostLeases ?? 0) >= lost || undefined)
  }
  assert.equal((await client.job(topic, job.id))?.state, 'dead')
})
