import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as realSleep } from 'node:timers/promises'
import { type Horus, HorusError, InvalidOption, LeaseLost, type LeasedJob, RetryLater } from '@horus/sdk'
import { TestCluster, testCluster, type TestClusterOptions } from '@horus/sdk/testing'
import { next } from './fake-transport.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

async function withCluster(run: (cluster: TestCluster, horus: Horus) => Promise<void>, options?: TestClusterOptions): Promise<void> {
  const cluster = await testCluster(options)
  try {
    await run(cluster, await cluster.connect())
  } finally {
    await cluster.stop()
  }
}

/** The part of virtual time that a message, a disk and an answer take. */
function assertAt(actual: number, expected: number, what: string, late = 100): void {
  assert.ok(actual >= expected && actual <= expected + late, `${what}: expected at ${expected} to ${expected + late}, was at ${actual}`)
}

/** A promise that the test resolves when it likes. */
function newGate(): { readonly passed: Promise<void>; readonly open: () => void } {
  let open = (): void => {}
  const passed = new Promise<void>((resolve) => (open = resolve))
  return { passed, open }
}

const invalid = (text: RegExp) => (error: unknown): boolean => error instanceof InvalidOption && text.test(error.message)

// ---- time ----------------------------------------------------------------------------------------------------------

test('calls of a client take their milliseconds by themselves, and nothing else makes time pass', () => withCluster(async (cluster, horus) => {
  const before = cluster.now
  const job = await horus.add('orders', 'bill', { order: 1 })
  assert.ok(cluster.now > before && cluster.now < before + SECOND, `an add took ${cluster.now - before} ms`)
  const { now } = cluster
  await realSleep(5)
  assert.equal(cluster.now, now)
  horus.work('orders', { bill: (running) => running.data })
  assert.deepEqual(await job.result(), { order: 1 })
}))

test('a job runs when its time has come, and the books forget it an hour after its end', () => withCluster(async (cluster, horus) => {
  const ran: number[] = []
  horus.work('orders', () => void ran.push(cluster.now))
  const { id } = await horus.add('orders', 'later', null, { delay: '3h' })
  const added = (await horus.job('orders', id))!.addedAt.getTime()
  await cluster.advance('2h')
  assert.deepEqual(ran, [])
  await cluster.advance('1h')
  assert.equal(ran.length, 1)
  assertAt(ran[0]!, added + 3 * HOUR, 'the delayed job')
  assertAt(cluster.now, added + 3 * HOUR, 'the end of the advance', SECOND)
  await cluster.advance('59m')
  assert.equal((await horus.job('orders', id))?.state, 'completed')
  await cluster.advance('2m')
  assert.equal(await horus.job('orders', id), undefined)
}))

test('a job that was given a date runs on that date', () => withCluster(async (cluster, horus) => {
  const ran: number[] = []
  horus.work('orders', () => void ran.push(cluster.now))
  await horus.add('orders', 'greet', null, { runAt: new Date('2031-01-01T00:00:00Z') })
  await cluster.advance('1d')
  assert.deepEqual(ran, [])
  await cluster.advance('1d')
  assertAt(ran[0]!, Date.parse('2031-01-01T00:00:00Z'), 'the job of New Year')
}, { startAt: new Date('2030-12-30T12:00:00Z') }))

test('a handler that throws is tried again when its backoff says so', () => withCluster(async (cluster, horus) => {
  const ran: { readonly attempt: number; readonly at: number }[] = []
  horus.work('orders', (job) => {
    ran.push({ attempt: job.attempt, at: cluster.now })
    if (job.attempt < 3) throw new Error('not yet')
    if (job.attempt === 3) throw new RetryLater('1d')
  })
  const job = await horus.add('orders', 'flaky', null, { backoff: { type: 'fixed', delay: '10m' } })
  await cluster.advance('2d')
  assert.deepEqual(ran.map(({ attempt }) => attempt), [1, 2, 3, 4])
  assertAt(ran[1]!.at, ran[0]!.at + 10 * MINUTE, 'the second attempt')
  assertAt(ran[2]!.at, ran[1]!.at + 10 * MINUTE, 'the third')
  assertAt(ran[3]!.at, ran[2]!.at + DAY, 'the fourth')
  await assert.rejects(job.result(), (error: HorusError) => error.code === 'NotFound')
}))

test('a call that waits for a job lets time pass up to its end', () => withCluster(async (cluster, horus) => {
  horus.work('orders', () => cluster.now)
  const job = await horus.add('orders', 'later', null, { delay: '30d' })
  const added = (await horus.job('orders', job.id))!.addedAt.getTime()
  assertAt((await job.result()) as number, added + 30 * DAY, 'the delayed job')
}))

// ---- handlers ------------------------------------------------------------------------------------------------------

test('a handler sleeps in virtual time, and keeps its lease for as long as it runs', () => withCluster(async (cluster, horus) => {
  let began = 0
  const worker = horus.work('orders', async () => {
    began = cluster.now
    await cluster.sleep('5h')
    return cluster.now
  }, { lease: '10s' })
  const job = await horus.add('orders', 'long', null)
  await cluster.advance('4h')
  assert.deepEqual(worker.stats, { active: 1, completed: 0, failed: 0, lost: 0 })
  await cluster.advance('1h')
  assert.deepEqual(worker.stats, { active: 0, completed: 1, failed: 0, lost: 0 })
  assertAt((await job.result()) as number, began + 5 * HOUR, 'the end of its sleep')
}))

test('a time-out of a job ends an attempt in virtual time', () => withCluster(async (cluster, horus) => {
  const aborted: number[] = []
  let began = 0
  horus.work('orders', async (job) => {
    began = cluster.now
    try {
      await cluster.sleep('5h', { signal: job.signal })
    } catch (error) {
      aborted.push(cluster.now)
      throw error
    }
  })
  const job = await horus.add('orders', 'long', null, { timeout: '30m', maxAttempts: 1 })
  await cluster.advance('1h')
  assert.equal(aborted.length, 1)
  assertAt(aborted[0]!, began + 30 * MINUTE, 'the time-out')
  assert.equal((await horus.job('orders', job.id))?.state, 'dead')
}))

test('virtual time stands still while a handler is on something real', () => withCluster(async (cluster, horus) => {
  horus.work('orders', async () => {
    const before = cluster.now
    await realSleep(20)
    return cluster.now - before
  })
  const job = await horus.add('orders', 'real', null, { timeout: '1s' })
  await cluster.advance('1m')
  assert.equal(await job.result(), 0)
}, { patience: '1m' }))

test('a handler that takes longer than the patience is not waited for', () => withCluster(async (cluster, horus) => {
  const gate = newGate()
  const worker = horus.work('orders', () => gate.passed)
  await horus.add('orders', 'gated', null)
  await cluster.advance('1h')
  assert.equal(worker.stats.active, 1)
  gate.open()
  await cluster.advance('1s')
  assert.equal(worker.stats.completed, 1)
}, { patience: 5 }))

test('a handler calls the cluster while others run', () => withCluster(async (cluster, horus) => {
  horus.work('orders', {
    parent: async (job) => (await Promise.all([1, 2, 3].map((i) => horus.add('orders', 'child', (job.data as number) + i)))).length,
    child: async (job) => {
      await cluster.sleep('1m')
      return job.data
    },
  })
  const parent = await horus.add('orders', 'parent', 10)
  assert.equal(await parent.result(), 3)
  await cluster.advance('2m')
  assert.equal((await horus.counts('orders')).completed, 4)
}))

test('a job whose last attempt fails after a day is worked on as a dead letter in the same advance', () => withCluster(async (cluster, horus) => {
  await horus.topic('lost').configure({ partitions: 1 })
  await horus.topic('orders').configure({ deadLetter: 'lost' })
  const buried: { readonly id: string | undefined; readonly reason: string | undefined; readonly at: number }[] = []
  horus.work('lost', (letter) => void buried.push({ id: letter.deadLetter?.id, reason: letter.deadLetter?.reason.message, at: cluster.now }))
  horus.work('orders', () => {
    throw new Error('the bank is closed')
  })
  const { id } = await horus.add('orders', 'bill', null, { delay: '23h', maxAttempts: 2, backoff: { type: 'fixed', delay: '1h' } })
  const added = (await horus.job('orders', id))!.addedAt.getTime()
  await cluster.advance('1d')
  assert.deepEqual(buried.map(({ at: _, ...letter }) => letter), [{ id, reason: 'the bank is closed' }])
  assertAt(buried[0]!.at, added + DAY, 'the dead letter', SECOND)
}))

// ---- leases --------------------------------------------------------------------------------------------------------

test('a lease that was acquired by hand runs out when its time is over', () => withCluster(async (cluster, horus) => {
  await horus.add('orders', 'bill', null)
  const [job] = (await horus.acquire('orders', { lease: '10m' })) as [LeasedJob]
  await cluster.advance('9m')
  assert.equal((await horus.counts('orders')).active, 1)
  // The lease clock may be behind, and is never ahead.
  await cluster.advance('1m')
  await cluster.advance('5s')
  assert.equal((await horus.counts('orders')).waiting, 1)
  await assert.rejects(job.complete(), LeaseLost)
}))

test('a worker that is paused loses its lease, and another one gets the job', () => withCluster(async (cluster, horus) => {
  const other = await cluster.connect()
  const tokens: number[] = []
  const reasons: unknown[] = []
  const worker = horus.work('orders', async (job) => {
    tokens.push(job.fencingToken)
    job.signal.addEventListener('abort', () => reasons.push(job.signal.reason))
    await cluster.sleep('1h')
  }, { lease: '30s' })
  const job = await horus.add('orders', 'bill', null)
  await cluster.advance('10s')
  cluster.pause(horus)
  other.work('orders', (again) => {
    tokens.push(again.fencingToken)
    return 'done by another'
  })
  await cluster.advance('1m')
  assert.equal(tokens.length, 2)
  assert.ok(tokens[1]! > tokens[0]!)
  assert.equal(reasons.length, 0, 'who stands still hears nothing')
  const lost = next((listener) => worker.once('lost', listener))
  cluster.resume(horus)
  await cluster.advance('1s')
  await lost
  assert.ok(reasons[0] instanceof LeaseLost)
  assert.equal(await job.result(), 'done by another')
}))

// ---- faults --------------------------------------------------------------------------------------------------------

test('the leader crashes while a handler runs: the handler goes on, and its job ends once', () => withCluster(async (cluster, horus) => {
  const attempts: number[] = []
  const started = newGate()
  const worker = horus.work('orders', async (job) => {
    attempts.push(job.attempt)
    started.open()
    await cluster.sleep('20s')
    return 'billed'
  })
  const job = await horus.add('orders', 'bill', null)
  const advanced = cluster.advance('5s')
  await started.passed
  await advanced
  const leader = cluster.leaderOf('orders')!
  cluster.crash(leader)
  assert.equal(cluster.state(leader), 'down')
  await cluster.advance('5s')
  assert.notEqual(cluster.leaderOf('orders'), undefined)
  assert.notEqual(cluster.leaderOf('orders'), leader)
  assert.equal(await job.result(), 'billed')
  assert.deepEqual(attempts, [1])
  assert.deepEqual(worker.stats, { active: 0, completed: 1, failed: 0, lost: 0 })
  cluster.restart(leader)
  await cluster.advance('5s')
  assert.equal(cluster.state(leader), 'up')
}))

test('a leader that is paused, or cut off, is followed by another; without a majority nothing is taken', () => withCluster(async (cluster, horus) => {
  await horus.add('orders', 'bill', 1)
  const first = cluster.leaderOf('orders')!
  cluster.pause(first)
  assert.equal(cluster.state(first), 'paused')
  await horus.add('orders', 'bill', 2)
  const second = cluster.leaderOf('orders')!
  assert.notEqual(second, first)
  cluster.resume(first)
  await cluster.advance('10s')
  cluster.partition([second], [0, 1, 2].filter((node) => node !== second))
  await cluster.advance('10s')
  const third = cluster.leaderOf('orders')!
  assert.notEqual(third, second)
  cluster.heal()
  await cluster.advance('10s')
  for (const node of [first, second]) cluster.crash(node)
  const impatient = await cluster.connect({ requestTimeout: '5s' })
  await assert.rejects(impatient.add('orders', 'bill', 3), (error: HorusError) => error.code === 'NoQuorum' || error.code === 'Unknown')
  for (const node of [first, second]) cluster.restart(node)
  await cluster.advance('1m')
  assert.ok((await horus.counts('orders')).waiting >= 2)
}))

test('a dead master of four nodes is replaced by the one that was none', () => withCluster(async (cluster, horus) => {
  await horus.add('orders', 'bill', 1)
  const leader = cluster.leaderOf('orders')!
  cluster.crash(leader)
  await cluster.advance('3m')
  const { shards, nodes } = await horus.status()
  const dead = nodes.find(({ address }) => address.startsWith(`10.0.0.${leader + 1}:`))!.id
  for (const { shard, masters } of shards) assert.ok(masters.length === 3 && !masters.includes(dead), `shard ${shard}`)
}, { nodes: 4, replaceAfter: '20s' }))

// ---- runs ----------------------------------------------------------------------------------------------------------

/** Jobs of all kinds, a crash among them; what came of it, in order. */
async function story(seed: number): Promise<{ readonly told: readonly string[]; readonly trace: string }> {
  const told: string[] = []
  let trace = ''
  await withCluster(async (cluster, horus) => {
    const began = cluster.now
    horus.work('orders', async (job) => {
      told.push(`${job.name} ${job.attempt} at ${cluster.now - began}`)
      await cluster.sleep((job.data as number) * SECOND)
      if (job.attempt === 1 && job.name === 'flaky') throw new Error('no')
    }, { concurrency: 3 })
    await Promise.all([1, 2, 3, 4, 5].map((i) => horus.add('orders', i % 2 === 0 ? 'flaky' : 'bill', i, { delay: i * MINUTE })))
    await cluster.advance('2m')
    const leader = cluster.leaderOf('orders')!
    cluster.crash(leader)
    await cluster.advance('1h')
    cluster.restart(leader)
    await cluster.advance('1h')
    told.push(JSON.stringify(await horus.counts('orders')))
    trace = cluster.trace
  }, { seed })
  return { told, trace }
}

test('a seed decides the whole run, and two clusters in one process do not touch each other', async () => {
  const [first, again, other] = await Promise.all([story(7), story(7), story(8)])
  assert.equal(first.told.filter((line) => line.includes(' at ')).length, 7, first.told.join('\n'))
  assert.deepEqual(first, again)
  assert.notEqual(first.trace, other.trace)
})

/** What happens in ten minutes to jobs that wait, sleep, fail, time out and are held by hand, when time is let pass in steps of so much. */
async function tenMinutes(stepMs: number): Promise<readonly { readonly what: string; readonly at: number }[]> {
  const told: { what: string; at: number }[] = []
  await withCluster(async (cluster, horus) => {
    const began = cluster.now
    const tell = (what: string): void => void told.push({ what, at: cluster.now - began })
    await horus.add('held', 'once', null)
    await horus.acquire('held', { lease: '100s' })
    for (const topic of ['held', 'orders']) {
      horus.work(topic, async (job) => {
        tell(`${topic} ${job.name} begins attempt ${job.attempt}`)
        await cluster.sleep(job.name === 'sleepy' ? '150s' : '1s', { signal: job.signal })
        tell(`${topic} ${job.name} ends attempt ${job.attempt}`)
        if (job.name === 'flaky' && job.attempt < 4) throw new Error('no')
      }, { lease: '5s' }).on('failed', (job, error) => tell(`${topic} ${job.name} failed: ${(error as Error).message}`))
    }
    await horus.add('orders', 'sleepy', null)
    await horus.add('orders', 'flaky', null, { backoff: { type: 'exponential', delay: '30s' } })
    await horus.add('orders', 'sleepy', null, { delay: '200s', timeout: '50s', maxAttempts: 2, backoff: { type: 'fixed', delay: '45s' } })
    for (const end = cluster.now + 10 * MINUTE; cluster.now < end; ) await cluster.advance(Math.min(stepMs, end - cluster.now))
  })
  return told
}

test('what happens is the same whether time leaps or passes second by second', async () => {
  const [leaping, plodding] = await Promise.all([tenMinutes(10 * MINUTE), tenMinutes(SECOND)])
  assert.equal(leaping.length, 19, leaping.map(({ what, at }) => `${at} ${what}`).join('\n'))
  assert.deepEqual(leaping.map(({ what }) => what), plodding.map(({ what }) => what))
  for (const [i, { what, at }] of leaping.entries()) assert.ok(Math.abs(at - plodding[i]!.at) < 500, `${what}: ${at} and ${plodding[i]!.at}`)
})

test('a year with a job that fails again and again, one delayed by eleven months, and ten failovers', async (t) => {
  const realBegan = performance.now()
  await withCluster(async (cluster, horus) => {
    const began = cluster.now
    const ran: { readonly name: string; readonly attempt: number; readonly at: number }[] = []
    const worker = horus.work('orders', (job) => {
      ran.push({ name: job.name, attempt: job.attempt, at: cluster.now - began })
      if (job.name === 'flaky' && job.attempt < 8) throw new Error('not yet')
      return `${job.name} ${job.attempt}`
    })
    const flaky = await horus.add('orders', 'flaky', null, { maxAttempts: 10, backoff: { type: 'exponential', delay: '1h', max: '10d' } })
    const flakyResult = flaky.result()
    const far = await horus.add('orders', 'far', null, { delay: '335d' })
    const farAdded = (await horus.job('orders', far.id))!.addedAt.getTime() - began
    for (let i = 0; i < 10; i++) {
      await cluster.advance('36d')
      const leader = cluster.leaderOf('orders')
      assert.notEqual(leader, undefined, `a leader before failover ${i}`)
      cluster.crash(leader!)
      await cluster.advance('10s')
      assert.notEqual(cluster.leaderOf('orders'), leader)
      cluster.restart(leader!)
    }
    await cluster.advance(began + 365 * DAY - cluster.now)
    assertAt(cluster.now - began, 365 * DAY, 'the end of the year', SECOND)
    assert.equal(await flakyResult, 'flaky 8')
    const flakies = ran.filter(({ name }) => name === 'flaky')
    assert.deepEqual(flakies.map(({ attempt }) => attempt), [1, 2, 3, 4, 5, 6, 7, 8])
    for (const [i, { at }] of flakies.slice(1).entries()) {
      const waited = at - flakies[i]!.at
      const backoff = HOUR * 2 ** i
      assert.ok(waited >= backoff * 0.8 && waited <= backoff * 1.2 + SECOND, `wait ${i} was ${waited} ms`)
    }
    const fars = ran.filter(({ name }) => name === 'far')
    assert.deepEqual(fars.map(({ attempt }) => attempt), [1])
    assertAt(fars[0]!.at, farAdded + 335 * DAY, 'the job of eleven months')
    assert.deepEqual(worker.stats, { active: 0, completed: 2, failed: 7, lost: 0 })
    assert.equal(await horus.job('orders', far.id), undefined, 'it ended a month ago')
  })
  const ms = performance.now() - realBegan
  t.diagnostic(`a virtual year took ${Math.round(ms)} ms`)
  assert.ok(ms < 120_000, `a year took ${Math.round(ms)} ms`)
})

// ---- the end -------------------------------------------------------------------------------------------------------

test('stopping ends handlers, calls and sleeps, and leaves nothing behind', async () => {
  const resources = (): string[] => process.getActiveResourcesInfo().filter((kind) => kind !== 'Immediate')
  const before = resources()
  const cluster = await testCluster({ nodes: 1 })
  const horus = await cluster.connect()
  let aborted = ''
  horus.work('orders', async (job) => {
    job.signal.addEventListener('abort', () => (aborted = (job.signal.reason as Error).name))
    await cluster.sleep('1d')
  })
  await horus.add('orders', 'bill', null)
  await cluster.advance('1s')
  const closed = (error: unknown): boolean => error instanceof HorusError && error.code === 'Closed'
  const slept = assert.rejects(cluster.sleep('1d'), closed)
  await cluster.stop()
  assert.equal(aborted, 'AbortError')
  await slept
  await assert.rejects(cluster.advance('1s'), closed)
  await assert.rejects(cluster.connect(), closed)
  assert.throws(() => cluster.crash(0), closed)
  await cluster[Symbol.asyncDispose]()
  // The drive ends with the turn of the loop that it waits for.
  await realSleep(1)
  assert.deepEqual(resources(), before)
})

test('wrong options and calls say what is wrong', async () => {
  await assert.rejects(testCluster({ nodes: 0 }), invalid(/option nodes: 0 is no whole number from 1 to 20/))
  await assert.rejects(testCluster({ seed: 1.5 }), invalid(/option seed/))
  await assert.rejects(testCluster({ startAt: -1 }), invalid(/option startAt: -1 is not between/))
  await assert.rejects(testCluster({ patience: 'long' as never }), invalid(/option patience: "long" is no duration/))
  await assert.rejects(testCluster({ masters: 3 } as TestClusterOptions), invalid(/there is no option "masters"; allowed are nodes, seed, startAt, replaceAfter, patience/))
  await withCluster(async (cluster, horus) => {
    assert.equal(cluster.nodes, 1)
    await assert.rejects(cluster.connect({ payloadBytesMax: 2 * 1024 * 1024 }), invalid(/option payloadBytesMax: nodes of a test take 1048576 bytes at most/))
    assert.throws(() => cluster.crash(1), invalid(/crash: there is no node 1: they are numbered from 0 to 0/))
    assert.throws(() => cluster.restart(0), invalid(/restart: node 0 is not down/))
    assert.throws(() => cluster.resume(0), invalid(/resume: node 0 is not paused/))
    assert.throws(() => cluster.resume(horus), invalid(/resume: client 0 is not paused/))
    assert.throws(() => cluster.pause({} as Horus), invalid(/pause: a node's number, or a client of this cluster, is wanted/))
    assert.throws(() => cluster.partition([0]), invalid(/two groups/))
    assert.throws(() => cluster.partition([0], [0]), invalid(/in one group at most/))
    cluster.crash(0)
    assert.throws(() => cluster.crash(0), invalid(/crash: node 0 is down already/))
    cluster.restart(0)
    await assert.rejects(cluster.advance('soon' as never), invalid(/advance: option by: "soon" is no duration/))
    const advanced = cluster.advance('1m')
    await assert.rejects(cluster.advance('1m'), invalid(/advanced already/))
    await advanced
    assert.equal(cluster.leaderOf('orders'), undefined)
    horus.work('orders', () => cluster.advance('1s'))
    const job = await horus.add('orders', 'bill', null, { maxAttempts: 1 })
    await assert.rejects(job.result(), /a handler cannot let time pass/)
  }, { nodes: 1 })
})
