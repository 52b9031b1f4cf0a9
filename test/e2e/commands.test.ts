import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Child } from '@horus/node/local/children'
import { until } from '@horus/node/local/until'
import { Horus } from '@horus/sdk'
import { horus, MAIN, makeFolder, node } from './harness.ts'

const EXAMPLE = fileURLToPath(new URL('./examples/worker.js', import.meta.resolve('@horus/sdk')))

interface JobView {
  readonly state: string
  readonly result: unknown
  readonly attempt: number
  readonly error?: { readonly message: string }
}

async function jobOnce(topic: string, id: string, at: readonly string[], wanted: (job: JobView) => boolean): Promise<JobView> {
  return until(`job ${id} is as wanted`, async () => {
    const job = JSON.parse((await horus('job', topic, id, '--json', ...at)).output) as JobView
    return wanted(job) && job
  })
}

test('the example worker does a job that the command line added', { timeout: 60_000 }, async (t) => {
  const { address } = await node(t, '--data', join(makeFolder(), 'data'), '--cluster', 'shop')
  const at = ['--node', address, '--cluster', 'shop']
  const lines: string[] = []
  const worker = new Child(EXAMPLE, { args: at, onLine: (line) => lines.push(line) })
  t.after(() => worker.kill())
  const id = (await horus('add', 'orders', 'bill', '{"a":1}', ...at)).output.trim()
  assert.match(id, /^\d+-\d+$/)
  const job = await jobOnce('orders', id, at, (known) => known.state === 'completed')
  assert.equal(job.attempt, 1)
  assert.ok(lines.some((line) => line.includes(id)), lines.join('\n'))
  worker.process.kill('SIGINT')
})

test('a command is a worker: data on its input, exit code decides, output is the result', { timeout: 60_000 }, async (t) => {
  const { address } = await node(t, '--data', join(makeFolder(), 'data'))
  const at = ['--node', address]
  const command = 'read -r data; test "$HORUS_JOB_NAME" = good && echo "$data" && exit 0; echo broken >&2; exit 3'
  const worker = new Child(MAIN, { args: ['work', 'orders', '--exec', command, '--concurrency', '4', ...at] })
  t.after(() => worker.kill())
  const add = async (name: string): Promise<string> => (await horus('add', 'orders', name, '{"a":1}', '--options', '{"maxAttempts":1}', ...at)).output.trim()
  const [good, bad] = await Promise.all([add('good'), add('bad')])
  assert.deepEqual((await jobOnce('orders', good, at, (job) => job.state === 'completed')).result, { a: 1 })
  const dead = await jobOnce('orders', bad, at, (job) => job.state === 'dead')
  assert.equal(dead.error?.message, 'exit code 3: broken')
  worker.process.kill('SIGTERM')
  assert.equal((await worker.ended).code, 0)
})

test('a job that dies is added to the dead-letter topic, and tells there what it was', { timeout: 60_000 }, async (t) => {
  const { address } = await node(t, '--data', join(makeFolder(), 'data'), '--cluster', 'shop')
  const at = ['--node', address, '--cluster', 'shop']
  assert.match((await horus('topic', 'orders', '--dead-letter', 'buried', ...at)).errors, /does not exist: make it first/)
  for (const words of [['buried', '--partitions', '2'], ['orders', '--dead-letter', 'buried']]) assert.equal((await horus('topic', ...words, ...at)).code, 0)
  const worker = new Child(MAIN, { args: ['work', 'orders', '--exec', 'exit 3', ...at] })
  t.after(() => worker.kill())
  const id = (await horus('add', 'orders', 'bill', '{"a":1}', '--options', '{"maxAttempts":1}', ...at)).output.trim()
  await jobOnce('orders', id, at, (job) => job.state === 'dead')
  const client = await Horus.connect({ cluster: 'shop', seeds: [address] })
  t.after(() => client.close())
  const [job] = await client.acquire('buried', { max: 1, wait: '30s' })
  assert.deepEqual([job!.name, job!.data, job!.deadLetter!.topic, job!.deadLetter!.id, job!.deadLetter!.reason.message], ['bill', { a: 1 }, 'orders', id, 'exit code 3'])
  await job!.complete()
  worker.process.kill('SIGTERM')
})

test('the same idempotency key gets the same job', { timeout: 60_000 }, async (t) => {
  const { address } = await node(t, '--data', join(makeFolder(), 'data'))
  const add = async (): Promise<unknown> => JSON.parse((await horus('add', 'orders', 'bill', '--key', 'k', '--json', '--node', address)).output)
  const first = await add() as { id: string }
  assert.deepEqual([first, await add()], [{ id: first.id, deduplicated: false }, { id: first.id, deduplicated: true }])
})

test('status has the keys that programs read', { timeout: 60_000 }, async (t) => {
  const started = await node(t, '--data', join(makeFolder(), 'data'), '--zone', 'north')
  const at = ['--node', started.address]
  await horus('add', 'orders', 'bill', ...at)
  const status = JSON.parse((await horus('status', '--json', ...at)).output) as Record<string, never>
  assert.deepEqual(Object.keys(status).sort(), ['cluster', 'clusterId', 'nodes', 'quorum', 'self', 'shards', 'topics'])
  const { nodes, shards, topics } = status as unknown as { nodes: { id: string; zone: string; value: number }[]; shards: { shard: number; leader: string; masters: string[] }[]; topics: { topic: string; waiting: number; dead: number }[] }
  assert.deepEqual([nodes[0]!.id, nodes[0]!.zone, nodes[0]!.value], [started.id, 'north', started.value])
  assert.deepEqual(shards.map((shard) => [shard.leader, ...shard.masters]), shards.map(() => [started.id, started.id]))
  assert.deepEqual([topics[0]!.topic, topics[0]!.waiting, topics[0]!.dead], ['orders', 1, 0])
})
