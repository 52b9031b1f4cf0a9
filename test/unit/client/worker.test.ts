import assert from 'node:assert/strict'
import { test } from 'node:test'
import { received } from '@horus/core/message/client'
import { Operation } from '@horus/core/message/command'
import { A, B, FakeCluster, WORKER } from './fake-cluster.ts'

const waitingJob = (number: number) => ({ number, payload: new Uint8Array(1), state: 'waiting' as const, session: 0, token: 0, attempt: 0 })

/** Leases a waiting job in the books as if its delivery had been lost. */
function leaseUnseen(cluster: FakeCluster, number: number): void {
  const [first] = cluster.partitions[0]!.jobs
  Object.assign(cluster.partitions[0]!.jobs[number - 1]!, { state: 'active', session: first!.session, token: ++cluster.index, attempt: 1 })
}

test('a worker with one partition gets all of its concurrency there and says no more', () => {
  const cluster = new FakeCluster()
  cluster.work(10)
  cluster.add(1, 30)
  cluster.pass(50)
  assert.equal(cluster.leasedJobs.length, 10)
  const said = cluster.messages('demand').length
  for (let round = 0; round < 3; round++) {
    for (const job of cluster.leasedJobs.splice(0)) cluster.complete(0, job)
    cluster.pass(10)
    assert.ok(cluster.heldInAll <= 10)
  }
  assert.equal(cluster.messages('demand').length, said)
  assert.equal(cluster.partitions[0]!.jobs.filter((job) => job.state === 'ended').length, 30)
})

test('completes of one turn become one command', () => {
  const cluster = new FakeCluster()
  cluster.work(10)
  cluster.add(1, 10)
  cluster.pass(50)
  for (const job of cluster.leasedJobs) cluster.complete(job.number + 100, job)
  cluster.pass(10)
  assert.equal(cluster.commands(Operation.complete).length, 1)
  for (const job of cluster.leasedJobs) assert.equal(cluster.outcome(job.number + 100), 'ok')
})

test('a worker that waits for its topic gets its jobs once the topic is made', () => {
  const cluster = new FakeCluster()
  cluster.known = false
  cluster.work(10)
  cluster.pass(3000)
  assert.equal(cluster.known, false)
  cluster.add(1, 3)
  cluster.pass(1500)
  assert.equal(cluster.leasedJobs.length, 3)
})

test('a worker that has nothing else to do says its demand again when a node without a leader has turned it away', () => {
  const cluster = new FakeCluster()
  cluster.work(10)
  cluster.pass(50)
  cluster.mode = 'notLeader'
  const said = cluster.messages('demand').length
  cluster.pass(5000)
  assert.ok(cluster.messages('demand').length - said > 5, 'nobody speaks to it first')
})

test('a lease that the bound reaches is lost for the worker, and its complete is refused', () => {
  const cluster = new FakeCluster()
  cluster.work(1, 3000)
  cluster.add(1)
  cluster.pass(20)
  const [job] = cluster.leasedJobs
  cluster.silent.add(A)
  cluster.silent.add(B)
  const start = cluster.now
  while (cluster.losses.length === 0) cluster.pass(1)
  const elapsed = cluster.now - start
  assert.ok(elapsed > 2500 && elapsed <= (3000 * 8) / 9 + 5, `${elapsed} ms`)
  assert.equal(cluster.losses[0]!.reason, 'expired')
  cluster.complete(9, job!)
  assert.equal(cluster.outcome(9), 'LeaseLost')
})

test('a lease is extended while its job runs, and beats keep its bound fresh', () => {
  const cluster = new FakeCluster()
  cluster.work(1, 3000)
  cluster.add(1)
  cluster.pass(20_000)
  assert.equal(cluster.losses.length, 0)
  const stamps = cluster.seen.flatMap((message) => ('stamp' in message ? [message.stamp] : []))
  for (let i = 1; i < stamps.length; i++) assert.ok(stamps[i]! - stamps[i - 1]! <= 1000)
  assert.ok(cluster.commands(Operation.extend).length > 1)
})

test('jobs with leases of their own are kept like all others, beside longer and shorter ones', () => {
  const cluster = new FakeCluster()
  cluster.work(0)
  cluster.add(1, 3)
  cluster.pass(20)
  const [first, second] = cluster.partitions[0]!.jobs
  first!.leaseMs = 2000
  second!.leaseMs = 8000
  cluster.input({ kind: 'setConcurrency', worker: WORKER, concurrency: 3 })
  cluster.pass(60_000)
  assert.equal(cluster.leasedJobs.length, 3)
  assert.deepEqual(cluster.losses, [])
})

test('after a new leader the leases are listed, the missing ones come again, and no job runs twice', () => {
  const cluster = new FakeCluster()
  cluster.work(4)
  cluster.add(1, 2)
  cluster.pass(20)
  assert.equal(cluster.leasedJobs.length, 2)
  cluster.leasing = false
  cluster.add(2)
  cluster.pass(20)
  leaseUnseen(cluster, 3)
  cluster.leader = B
  cluster.cut(A)
  cluster.pass(1000)
  assert.deepEqual(cluster.messages('resume').at(-1)!.leases.map((lease) => lease.number), [1, 2])
  assert.deepEqual(cluster.leasedJobs.map((job) => job.number), [1, 2, 3])
})

test('a worker says what it got before it hands it out', () => {
  const cluster = new FakeCluster()
  cluster.work(4)
  cluster.add(1, 3)
  let heldBefore = -1
  const send = cluster.send.bind(cluster)
  cluster.send = (link, bytes) => {
    if (bytes[0] === received.tag) heldBefore = cluster.leasedJobs.length
    send(link, bytes)
  }
  cluster.pass(20)
  assert.equal(heldBefore, 0)
  const [first] = cluster.leasedJobs
  assert.deepEqual(cluster.messages('received').map(({ token, number }) => ({ token, number })), [{ token: first!.token, number: 3 }])
})

test('what a former leader sends late about a lease that has ended since starts nothing', () => {
  const cluster = new FakeCluster()
  cluster.work(1)
  cluster.add(1)
  cluster.pass(20)
  const [job] = cluster.partitions[0]!.jobs
  const stale = cluster.deliveries.at(-1)!
  cluster.leader = B
  cluster.cut(A)
  cluster.pass(1000)
  cluster.complete(9, cluster.leasedJobs[0]!)
  cluster.pass(20)
  assert.equal(cluster.outcome(9), 'ok')
  assert.equal(job!.state, 'ended')
  cluster.again(stale)
  cluster.pass(20)
  assert.equal(cluster.leasedJobs.length, 1)
})

test('a resume also lists the job whose complete is unanswered', () => {
  const cluster = new FakeCluster()
  cluster.work(4)
  cluster.add(1, 2)
  cluster.pass(20)
  cluster.mode = 'swallow'
  cluster.complete(9, cluster.leasedJobs[0]!)
  cluster.pass(20)
  cluster.mode = 'serve'
  cluster.leader = B
  cluster.cut(A)
  cluster.pass(1000)
  assert.deepEqual(cluster.messages('resume').at(-1)!.leases.map((lease) => lease.number), [1, 2])
  assert.equal(cluster.outcome(9), 'ok')
})

test('a leader that counts leases it never delivered is asked to deliver them again', () => {
  const cluster = new FakeCluster()
  cluster.work(4)
  cluster.add(1)
  cluster.pass(20)
  cluster.leasing = false
  cluster.add(2)
  cluster.pass(20)
  leaseUnseen(cluster, 2)
  cluster.pass(6000)
  assert.deepEqual(cluster.leasedJobs.map((job) => job.number), [1, 2])
})

test('a lease given up by the bound and delivered again is handed back, not run again', () => {
  const cluster = new FakeCluster()
  cluster.work(1, 2000)
  cluster.add(1)
  cluster.pass(20)
  cluster.leasing = false
  cluster.silent.add(A)
  cluster.silent.add(B)
  cluster.pass(3000)
  assert.equal(cluster.losses.length, 1)
  cluster.silent.clear()
  cluster.pass(8000)
  assert.equal(cluster.leasedJobs.length, 1)
  assert.equal(cluster.partitions[0]!.jobs[0]!.state, 'waiting')
})

test('the grants of a worker never add up to more than its concurrency', () => {
  const cluster = new FakeCluster({ partitions: 2 })
  const grants = () => cluster.partitions.reduce((sum, partition) => sum + [...partition.demands.values()].reduce((inner, demand) => inner + demand.grant, 0), 0)
  cluster.work(10)
  cluster.pass(100)
  assert.equal(grants(), 10)
  cluster.input({ kind: 'setConcurrency', worker: WORKER, concurrency: 4 })
  cluster.pass(100)
  assert.equal(grants(), 4)
  cluster.input({ kind: 'setConcurrency', worker: WORKER, concurrency: 8 })
  cluster.pass(100)
  assert.equal(grants(), 8)
})

test('slots move to the partition whose jobs wait, and never more than the concurrency is leased', () => {
  const cluster = new FakeCluster({ partitions: 4 })
  cluster.delay = 3
  cluster.work(16)
  cluster.pass(100)
  for (let i = 0; i < 3000; i++) cluster.partitions[2]!.jobs.push(waitingJob(i + 1))
  cluster.partitions[2]!.oldestWaitingMs = 500
  let most = 0
  for (let i = 0; i < 300; i++) {
    cluster.pass(10)
    most = Math.max(most, cluster.heldInAll)
    assert.ok(cluster.heldInAll <= 16)
    for (const job of cluster.leasedJobs.splice(0)) cluster.complete(0, job)
  }
  assert.ok(most >= 12, `${most} of 16 slots were used`)
})

test('a worker with fewer slots than partitions still reaches every partition', () => {
  const cluster = new FakeCluster({ partitions: 4 })
  cluster.work(1)
  cluster.pass(100)
  for (const partition of cluster.partitions) partition.jobs.push(waitingJob(1))
  for (let i = 0; i < 500; i++) {
    cluster.pass(20)
    assert.ok(cluster.heldInAll <= 1)
    for (const job of cluster.leasedJobs.splice(0)) cluster.complete(0, job)
  }
  assert.ok(cluster.partitions.every((partition) => partition.jobs[0]!.state === 'ended'))
})

test('a stopped worker that drains waits for its jobs; one that releases hands them back', () => {
  const cluster = new FakeCluster()
  cluster.work(3)
  cluster.add(1, 3)
  cluster.pass(20)
  cluster.input({ kind: 'stopWork', request: 5, worker: WORKER, how: 'drain', timeoutMs: 5000 })
  cluster.pass(500)
  assert.equal(cluster.outcome(5), undefined)
  cluster.complete(6, cluster.leasedJobs[0]!)
  cluster.pass(100)
  cluster.input({ kind: 'stopWork', request: 7, worker: WORKER, how: 'release', timeoutMs: 5000 })
  cluster.pass(100)
  assert.deepEqual([cluster.outcome(5), cluster.outcome(6), cluster.outcome(7)], ['ok', 'ok', 'ok'])
  assert.deepEqual(cluster.partitions[0]!.jobs.map((job) => job.state), ['ended', 'waiting', 'waiting'])
})

test('when the session is forgotten the leases are lost and the worker goes on in a new one', () => {
  const cluster = new FakeCluster()
  cluster.work(2)
  cluster.add(1, 2)
  cluster.pass(20)
  cluster.forgetSessions()
  for (const job of cluster.partitions[0]!.jobs) job.state = 'waiting'
  cluster.pass(3000)
  assert.deepEqual(cluster.losses.map((loss) => loss.reason), ['session', 'session'])
  assert.equal(cluster.leasedJobs.length, 4)
})

test('an acquire gets at most what it asked for', () => {
  const cluster = new FakeCluster()
  cluster.add(1, 10)
  cluster.pass(20)
  cluster.input({ kind: 'acquire', request: 2, topic: 'orders', max: 3, leaseMs: 5000, waitMs: 0, timeoutMs: 5000 })
  cluster.pass(20)
  const outcome = cluster.outcomes.get(2)!
  assert.ok(outcome.kind === 'leased')
  assert.equal(outcome.jobs.length, 3)
  for (const job of outcome.jobs) cluster.complete(100 + job.number, job)
  cluster.pass(2000)
  assert.equal(cluster.heldInAll, 0)
  cluster.input({ kind: 'acquire', request: 3, topic: 'orders', max: 100, leaseMs: 5000, waitMs: 0, timeoutMs: 5000 })
  cluster.pass(20)
  const second = cluster.outcomes.get(3)!
  assert.ok(second.kind === 'leased')
  assert.equal(second.jobs.length, 7)
})

test('an acquire of an empty topic answers at once without a wait, and with the first job with one', () => {
  const cluster = new FakeCluster({ partitions: 3 })
  cluster.input({ kind: 'locate', request: 1, topic: 'orders', create: true, partitions: 3, timeoutMs: 1000 })
  cluster.input({ kind: 'acquire', request: 2, topic: 'orders', max: 3, leaseMs: 5000, waitMs: 0, timeoutMs: 5000 })
  cluster.pass(50)
  assert.deepEqual(cluster.outcomes.get(2), { kind: 'leased', jobs: [] })
  cluster.input({ kind: 'acquire', request: 3, topic: 'orders', max: 3, leaseMs: 5000, waitMs: 4000, timeoutMs: 5000 })
  cluster.pass(1000)
  assert.equal(cluster.outcome(3), undefined)
  cluster.add(4)
  cluster.pass(2500)
  const outcome = cluster.outcomes.get(3)!
  assert.ok(outcome.kind === 'leased')
  assert.equal(outcome.jobs.length, 1)
})

test('an acquire from a topic that does not exist has no jobs, and waits for the topic when it waits', () => {
  const cluster = new FakeCluster()
  cluster.known = false
  cluster.input({ kind: 'acquire', request: 1, topic: 'orders', max: 3, leaseMs: 5000, waitMs: 0, timeoutMs: 5000 })
  cluster.input({ kind: 'acquire', request: 2, topic: 'orders', max: 3, leaseMs: 5000, waitMs: 600, timeoutMs: 5000 })
  cluster.input({ kind: 'acquire', request: 3, topic: 'orders', max: 3, leaseMs: 5000, waitMs: 9000, timeoutMs: 5000 })
  cluster.pass(10)
  assert.deepEqual([1, 2, 3].map((request) => cluster.outcomes.get(request)), [{ kind: 'leased', jobs: [] }, undefined, undefined])
  cluster.pass(2000)
  assert.deepEqual(cluster.outcomes.get(2), { kind: 'leased', jobs: [] })
  cluster.add(4)
  cluster.pass(3000)
  const outcome = cluster.outcomes.get(3)!
  assert.ok(outcome.kind === 'leased')
  assert.equal(outcome.jobs.length, 1)
})

test('an acquire whose wait ends without a job answers with none', () => {
  const cluster = new FakeCluster()
  cluster.input({ kind: 'acquire', request: 2, topic: 'orders', max: 3, leaseMs: 5000, waitMs: 1500, timeoutMs: 5000 })
  cluster.pass(1400)
  assert.equal(cluster.outcome(2), undefined)
  cluster.pass(200)
  assert.deepEqual(cluster.outcomes.get(2), { kind: 'leased', jobs: [] })
})

test('an acquire without a quorum fails and leases nothing', () => {
  const cluster = new FakeCluster()
  cluster.mode = 'noQuorum'
  cluster.input({ kind: 'acquire', request: 2, topic: 'orders', max: 3, leaseMs: 5000, waitMs: 2000, timeoutMs: 5000 })
  cluster.pass(3000)
  assert.equal(cluster.outcome(2), 'NoQuorum')
})

test('an abandoned acquire hands back what still comes', () => {
  const cluster = new FakeCluster()
  cluster.delay = 5
  cluster.add(1, 5)
  cluster.pass(100)
  cluster.input({ kind: 'acquire', request: 2, topic: 'orders', max: 3, leaseMs: 5000, waitMs: 2000, timeoutMs: 5000 })
  cluster.pass(12)
  cluster.input({ kind: 'abandon', request: 2 })
  cluster.pass(500)
  assert.equal(cluster.outcome(2), 'Closed')
  assert.equal(cluster.heldInAll, 0)
})

test('a hand-back that finds no quorum is repeated until the lease has run out, which is not extended', () => {
  const cluster = new FakeCluster()
  cluster.work(1, 60_000)
  cluster.add(1)
  cluster.pass(20)
  cluster.mode = 'noQuorum'
  cluster.input({ kind: 'release', request: 0, lease: cluster.leasedJobs[0]!, timeoutMs: 100 })
  cluster.pass(40_000)
  assert.equal(cluster.commands(Operation.extend).length, 0)
  cluster.leasing = false
  cluster.mode = 'serve'
  cluster.pass(2000)
  assert.equal(cluster.partitions[0]!.jobs[0]!.state, 'waiting')
})
