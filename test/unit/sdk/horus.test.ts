import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NodeWish } from '@horus/core/message/client'
import { Operation } from '@horus/core/message/command'
import { decode } from '@horus/core/message/layout'
import { topicSettings } from '@horus/core/message/posts'
import { RegistryCode } from '@horus/core/message/registry'
import { Horus, HorusError, jobTopic, LeaseLost, PermanentError, RetryLater, type StandardSchema, type Worker } from '@horus/sdk'
import { A, B } from '../client/fake-nodes.ts'
import { FakeTransport, next, until, withHorus } from './fake-transport.ts'

const withCode = (code: string) => (error: unknown) => error instanceof HorusError && error.code === code

test('an added job runs, and its result reaches whoever added it', () => withHorus(async (horus) => {
  const orders = jobTopic<{ bill: { input: { id: number; note: Uint8Array }; output: { total: number } } }>('orders')
  horus.work(orders, { bill: async (job) => ({ total: job.data.id + job.data.note.length }) }, { concurrency: 2 })
  const job = await horus.add(orders, 'bill', { id: 40, note: new Uint8Array([1, 2]) })
  assert.equal(job.deduplicated, false)
  assert.deepEqual(await job.result(), { total: 42 })
}))

test('single adds of one turn travel as one command', () => withHorus(async (horus, nodes) => {
  const jobs = await Promise.all(Array.from({ length: 100 }, (_, i) => horus.add('orders', 'bill', i)))
  assert.equal(new Set(jobs.map((job) => job.id)).size, 100)
  assert.equal(nodes.commands(Operation.add).length, 1)
}))

test('addMany gives handles in the order of its items, over all partitions', () => withHorus(async (horus, nodes) => {
  const items = Array.from({ length: 600 }, (_, i) => ({ name: 'bill', data: i }))
  const handles = await horus.addMany('orders', items)
  assert.equal(handles.length, 600)
  assert.equal(new Set(handles.map((handle) => handle.id)).size, 600)
  assert.ok(nodes.partitions.every((partition) => partition.jobs.length > 0))
  assert.equal((await horus.job('orders', handles[599]!.id))?.data, 599)
  assert.deepEqual(await horus.addMany('orders', []), [])
}, 2))

test('a second add with the same idempotency key gets the first job', () => withHorus(async (horus) => {
  const first = await horus.add('orders', 'bill', 1, { idempotencyKey: 'k' })
  const second = await horus.add('orders', 'bill', 1, { idempotencyKey: 'k' })
  assert.equal(second.id, first.id)
  assert.equal(second.deduplicated, true)
}, 3))

test('a thrown error is stored and the job tried again; a PermanentError is the end', () => withHorus(async (horus, nodes) => {
  const failed: unknown[] = []
  const worker = horus.work('orders', async (job) => {
    if (job.attempt < 3) throw new TypeError(`attempt ${job.attempt}`)
    throw new PermanentError('enough')
  })
  worker.on('failed', (_job, error) => failed.push((error as Error).message))
  const job = await horus.add('orders', 'bill', null)
  await assert.rejects(job.result(), (error: Error) => error.message.includes('enough') && (error as HorusError).code === 'JobFailed')
  assert.deepEqual(failed, ['attempt 1', 'attempt 2', 'enough'])
  assert.equal(worker.stats.failed, 3)
  assert.equal(nodes.partitions[0]!.jobs[0]!.state, 'dead')
}))

test('a node is drained and forgotten by its id; what the cluster refuses is told', () => withHorus(async (horus, nodes) => {
  const id = 'a'.repeat(32)
  await horus.drain(id)
  await horus.drain(id, { undo: true })
  await horus.forget(id, { force: true })
  assert.deepEqual(nodes.messages('nodeWish').map(({ wish, node, force }) => [wish, node, force]), [[NodeWish.drain, id, false], [NodeWish.undrain, id, false], [NodeWish.forget, id, true]])
  nodes.wishCode = RegistryCode.lives
  await assert.rejects(horus.forget(id), withCode('Refused'))
  await assert.rejects(horus.drain('10.0.0.1:6470'), withCode('InvalidOption'))
}))

test('a topic is given a dead-letter topic, or none; what the registry refuses is told', () => withHorus(async (horus, nodes) => {
  assert.deepEqual(await horus.topic('orders').configure({ deadLetter: jobTopic('dead') }), { partitions: 2 })
  await horus.topic('orders').configure({ partitions: 2, deadLetter: null })
  await horus.topic('orders').configure({ partitions: 2 })
  const said = nodes.messages('topicWish').map(({ topic, partitions, settings }) => [topic, partitions, decode(topicSettings, settings).deadLetter])
  assert.deepEqual(said, [['orders', 2, 'dead'], ['orders', 2, undefined]])
  for (const [code, why] of [[RegistryCode.noDeadLetter, /make it first/], [RegistryCode.deadLetterChain, /has none itself/], [RegistryCode.differs, /number of partitions/]] as const) {
    nodes.wishCode = code
    await assert.rejects(horus.topic('orders').configure({ deadLetter: 'dead' }), (error: Error) => withCode('Refused')(error) && why.test(error.message))
  }
  await assert.rejects(horus.topic('orders').configure({ deadLetter: '' }), withCode('InvalidOption'))
}, 2))

test('RetryLater names the delay', () => withHorus(async (horus, nodes) => {
  const worker = horus.work('orders', (job) => {
    if (job.attempt === 1) throw new RetryLater('2m')
  })
  await horus.add('orders', 'bill', 1)
  await until(() => worker.stats.completed === 1)
  assert.equal(nodes.partitions[0]!.jobs[0]!.retryAfterMs, 120_000)
}))

test('a job whose lease was lost aborts, and its completion is told as lost', () => withHorus(async (horus, nodes) => {
  let aborted: unknown
  const worker = horus.work('orders', async (job) => {
    await next((listener) => job.signal.addEventListener('abort', listener))
    aborted = job.signal.reason
    return 'late'
  })
  await horus.add('orders', 'bill', 1)
  await until(() => worker.stats.active === 1)
  const lost = next<[{ id: string }, string]>((listener) => worker.on('lost', listener))
  assert.equal(await horus.cancel('orders', '1-1'), true)
  const [job] = await lost
  assert.equal(job.id, '1-1')
  await until(() => worker.stats.active === 0)
  assert.equal((aborted as HorusError).code, 'JobCancelled')
  assert.equal(worker.stats.completed, 0)
  assert.equal(nodes.commands(Operation.complete).length, 0)
  assert.equal(await horus.cancel('orders', '1-1'), false)
}))

test('a handler that blocks its loop past the lease finds its completion refused', () => withHorus(async (horus, nodes) => {
  const worker = horus.work('orders', (job) => {
    if (job.attempt > 1) return next((listener) => job.signal.addEventListener('abort', listener))
    const end = performance.now() + 250
    while (performance.now() < end);
    return 'too late'
  }, { lease: 150 })
  const lost = next<[{ id: string }, string]>((listener) => worker.on('lost', listener))
  await horus.add('orders', 'bill', 1)
  await lost
  await worker.stop({ drain: false })
  assert.equal(worker.stats.completed, 0)
  assert.notEqual(nodes.partitions[0]!.jobs[0]!.state, 'ended')
}))

test('a time-out of weeks, longer than a timer of Node, does not end at once', () => withHorus(async (horus, nodes) => {
  await horus.add('orders', 'bill', 1)
  nodes.partitions[0]!.jobs[0]!.timeoutMs = 30 * 24 * 60 * 60 * 1000
  const worker = horus.work('orders', async (job) => {
    await new Promise((resolve) => setTimeout(resolve, 10))
    job.signal.throwIfAborted()
  })
  await until(() => worker.stats.completed + worker.stats.failed === 1)
  assert.equal(worker.stats.completed, 1)
}))

test('a worker never runs more jobs at once than its concurrency, which can be changed', () => withHorus(async (horus) => {
  let most = 0
  const worker: Worker = horus.work('orders', async () => {
    most = Math.max(most, worker.stats.active)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }, { concurrency: 3 })
  await horus.addMany('orders', Array.from({ length: 30 }, (_, i) => ({ name: 'bill', data: i })))
  await until(() => worker.stats.completed === 30)
  assert.equal(most, 3)
  worker.concurrency = 8
  assert.throws(() => void (worker.concurrency = 0), withCode('InvalidOption'))
  await horus.addMany('orders', Array.from({ length: 40 }, (_, i) => ({ name: 'bill', data: i })))
  await until(() => worker.stats.completed === 70)
  assert.ok(most > 3 && most <= 8)
}))

test('stopping with drain waits for handlers; without it their signals abort and the jobs are handed back', () => withHorus(async (horus, nodes) => {
  let finish: (() => void) | undefined
  const handler = () => new Promise<void>((resolve) => (finish = resolve))
  const first = horus.work('orders', handler)
  await horus.add('orders', 'bill', 1)
  await until(() => first.stats.active === 1)
  const stopped = first.stop()
  finish!()
  await stopped
  assert.equal(first.stats.completed, 1)

  let reason: unknown
  const second = horus.work('orders', async (job) => {
    await next((listener) => job.signal.addEventListener('abort', listener))
    reason = job.signal.reason
  })
  await horus.add('orders', 'bill', 2)
  await until(() => second.stats.active === 1)
  await second.stop({ drain: 20 })
  await until(() => second.stats.active === 0)
  assert.equal((reason as Error).name, 'AbortError')
  assert.equal(nodes.partitions[0]!.jobs[1]!.state, 'waiting')
}))

test('acquired jobs are ended by hand', () => withHorus(async (horus, nodes) => {
  assert.deepEqual(await horus.acquire('orders'), [])
  await horus.addMany('orders', [1, 2, 3, 4].map((data) => ({ name: 'bill', data })))
  const jobs = await horus.acquire('orders', { max: 4, lease: '5s', wait: '2s' })
  assert.deepEqual(jobs.map((job) => job.data), [1, 2, 3, 4])
  await jobs[0]!.extend('10s')
  await jobs[0]!.complete({ ok: true })
  await jobs[1]!.fail(new Error('no'), { retryAfter: '1m' })
  await jobs[2]!.release()
  await assert.rejects(jobs[0]!.complete(), LeaseLost)
  assert.deepEqual(nodes.partitions[0]!.jobs.map((job) => job.state), ['ended', 'waiting', 'waiting', 'active'])
  assert.equal(nodes.partitions[0]!.jobs[1]!.retryAfterMs, 60_000)
  await horus.close()
  assert.equal(jobs[3]!.signal.aborted || nodes.partitions[0]!.jobs[3]!.state === 'waiting', true)
}))

test('an acquire that waits ends when its signal aborts', () => withHorus(async (horus) => {
  await horus.topic('orders').configure({})
  await assert.rejects(horus.acquire('orders', { wait: '20s', signal: AbortSignal.timeout(30) }), { name: 'TimeoutError' })
}))

test('jobs and counts look at all partitions', () => withHorus(async (horus) => {
  await horus.addMany('orders', Array.from({ length: 5 }, (_, i) => ({ name: 'bill', data: i, options: { idempotencyKey: `key ${i}` } })))
  const [job] = await horus.acquire('orders')
  await job!.complete('done')
  const counts = await horus.counts('orders')
  assert.deepEqual([counts.waiting, counts.completed], [4, 1])
  const jobs = await horus.jobs('orders')
  assert.equal(jobs.length, 5)
  assert.equal(jobs.find((info) => info.id === job!.id)?.result, 'done')
  assert.equal(await horus.job('orders', '1-99'), undefined)
  await assert.rejects(horus.job('orders', 'nonsense'), withCode('NotFound'))
}, 2))

test('a topic with another count of partitions is not configured anew', () => withHorus(async (horus) => {
  assert.deepEqual(await horus.topic('orders').configure({ partitions: 3 }), { partitions: 3 })
  await assert.rejects(horus.topic('orders').configure({ partitions: 4 }), withCode('InvalidOption'))
}, 3))

test('a payload over the limit is refused before it is sent', () => withHorus(async (horus, nodes) => {
  await assert.rejects(horus.add('orders', 'bill', new Uint8Array(1024 * 1024 + 1)), withCode('PayloadTooLarge'))
  assert.equal(nodes.commands(Operation.add).length, 0)
}))

test('without a quorum an add is certainly not done, and says that it can be repeated', () => withHorus(async (horus, nodes) => {
  nodes.mode = 'noQuorum'
  await assert.rejects(horus.add('orders', 'bill', 1), (error: HorusError) => error.code === 'NoQuorum' && error.retryable && error.name === 'NoQuorum')
  assert.equal(nodes.partitions[0]!.jobs.length, 0)
}))

test('a schema checks what goes in and what comes out', () => withHorus(async (horus) => {
  const numeric: StandardSchema<number> = {
    '~standard': { version: 1, vendor: 'test', validate: (value) => (typeof value === 'number' ? { value } : { issues: [{ message: 'a number is wanted' }] }) },
  }
  const sums = jobTopic('sums', { double: { input: numeric, output: numeric } })
  await assert.rejects(horus.add(sums, 'double', 'x' as never), withCode('SchemaInvalid'))
  horus.work(sums, { double: (job) => (job.data === 1 ? ('one' as never) : job.data * 2) })
  assert.equal(await (await horus.add(sums, 'double', 21)).result(), 42)
  await assert.rejects((await horus.add(sums, 'double', 1)).result(), withCode('JobFailed'))
}))

test('connecting gives up after its time-out, or with its signal, and says why', async () => {
  const nodes = new FakeTransport()
  nodes.down.add(A)
  nodes.down.add(B)
  await assert.rejects(Horus.over(nodes, [A, B], { connectTimeout: 50 }), (error: HorusError) => error.code === 'Unreachable' && error.retryable && /is down/.test(error.message))
  await assert.rejects(Horus.over(nodes, [A], { signal: AbortSignal.timeout(20) }), { name: 'TimeoutError' })
})

test('closing leaves no channel and refuses what comes later', async () => {
  const nodes = new FakeTransport()
  const horus = await Horus.over(nodes, [A])
  await horus.add('orders', 'bill', 1)
  await horus.close()
  assert.equal(nodes.openChannels, 0)
  await assert.rejects(horus.add('orders', 'bill', 2), withCode('Closed'))
  assert.throws(() => horus.work('orders', () => {}), withCode('Closed'))
  await horus.close()
})
