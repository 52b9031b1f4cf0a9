import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Horus, HorusError, InvalidOption, NoQuorum } from '@horus/sdk'
import { FakeTransport, withHorus } from './fake-transport.ts'

const saying = (...parts: string[]) => (error: unknown) => {
  assert.ok(error instanceof InvalidOption, String(error))
  for (const part of parts) assert.ok(error.message.includes(part), `${error.message} names ${part}`)
  return true
}

test('an unknown option is named, with the ones that are allowed', () => withHorus(async (horus) => {
  await assert.rejects(horus.add('orders', 'bill', 1, { prio: 3 } as never), saying('add', '"prio"', 'priority', 'runAt', 'delay'))
  assert.throws(() => horus.work('orders', () => {}, { parallel: 3 } as never), saying('work', '"parallel"', 'concurrency'))
  await assert.rejects(horus.acquire('orders', { constructor: 3 } as never), saying('acquire', '"constructor"', 'max'))
}))

test('a value that makes no sense is told with what is wanted', () => withHorus(async (horus) => {
  await assert.rejects(horus.add('orders', 'bill', 1, { priority: 256 }), saying('priority', '256', '0 to 255'))
  await assert.rejects(horus.add('orders', 'bill', 1, { delay: 'soon' }), saying('delay', '"soon"', '30s'))
  await assert.rejects(horus.add('orders', 'bill', 1, { delay: -1 }), saying('delay'))
  await assert.rejects(horus.add('orders', 'bill', 1, { runAt: new Date(NaN) }), saying('runAt'))
  await assert.rejects(horus.add('orders', 'bill', 1, { backoff: { type: 'linear' as never, delay: 1 } }), saying('backoff', 'exponential'))
  await assert.rejects(horus.add('orders', 'bill', 1, { headers: { a: 1 as never } }), saying('headers', '"a"'))
  await assert.rejects(horus.add('orders', 'bill', 1, { idempotencyKey: 'x'.repeat(256) }), saying('idempotencyKey', '255'))
  await assert.rejects(horus.add('', 'bill', 1), saying('topic'))
  await assert.rejects(horus.add('orders', '', 1), saying('name'))
  assert.throws(() => horus.work('orders', {}), saying('handler'))
}))

test('an option that is undefined counts as not given', () => withHorus(async (horus) => {
  const job = await horus.add('orders', 'bill', 1, { priority: undefined, delay: undefined } as never)
  assert.equal(job.id, '1-1')
}))

test('connecting demands a cluster and a way to find it', async () => {
  await assert.rejects(Horus.connect({ nodes: '127.0.0.1:1' } as never), saying('cluster'))
  await assert.rejects(Horus.connect({ cluster: 'c' }), saying('nodes', 'range', 'seeds'))
  await assert.rejects(Horus.connect({ cluster: 'c', range: '10.0.0.0/99' }), saying('10.0.0.0/99'))
  await assert.rejects(Horus.connect({ cluster: 'c', range: '10.0.0.0/16' }), saying('4096'))
  await assert.rejects(Horus.over(new FakeTransport(), ['127.0.0.1:1'], { requestTimeout: 'never' }), saying('requestTimeout'))
})

test('an error has a code, a name, and says whether to try again', () => {
  const error = new NoQuorum('NoQuorum', 'why', { retryable: true })
  assert.ok(error instanceof HorusError && error instanceof Error)
  assert.deepEqual([error.name, error.code, error.retryable, error.message], ['NoQuorum', 'NoQuorum', true, 'why'])
})
