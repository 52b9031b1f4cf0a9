import assert from 'node:assert/strict'
import { test } from 'node:test'
import { answer, NodeWish, shardLeader } from '@horus/core/message/client'
import { Code, Operation } from '@horus/core/message/command'
import { RegistryCode } from '@horus/core/message/registry'
import { encode } from '@horus/core/message/layout'
import type { Address, LeaseTime, NodeId, SessionNumber, ShardId } from '@horus/core/units'
import { HANDOVER_ECHO_MS } from '@horus/core/client/limits'
import { encodeRow } from '@horus/core/client/wire'
import { A, B, FakeCluster, type FakeJob } from './fake-cluster.ts'

test('adds of one turn become one command', () => {
  const cluster = new FakeCluster()
  for (let request = 1; request <= 5; request++) cluster.add(request)
  cluster.pass(10)
  assert.deepEqual([1, 2, 3, 4, 5].map((request) => cluster.outcome(request)), Array(5).fill('added'))
  assert.equal(cluster.commands(Operation.add).length, 1)
  assert.equal(cluster.partitions[0]!.jobs.length, 5)
})

test('an add that lost its link is repeated under the same sequence and applied once', () => {
  const cluster = new FakeCluster()
  cluster.mode = 'serve'
  cluster.add(1)
  cluster.pass(10)
  cluster.mode = 'swallow'
  cluster.add(2)
  cluster.pass(10)
  cluster.mode = 'serve'
  cluster.leader = B
  cluster.cut(A)
  cluster.pass(2000)
  assert.equal(cluster.outcome(2), 'added')
  const adds = cluster.commands(Operation.add).filter((command) => command.sequence === 2)
  assert.ok(adds.length >= 2)
  assert.equal(cluster.partitions[0]!.jobs.length, 2)
})

test('an add that only met refusals ends as NoQuorum', () => {
  const cluster = new FakeCluster()
  cluster.add(1)
  cluster.pass(10)
  cluster.mode = 'noQuorum'
  cluster.add(2, 1, 3000)
  cluster.pass(4000)
  assert.equal(cluster.outcome(2), 'NoQuorum')
  assert.ok(cluster.commands(Operation.add).filter((command) => command.sequence === 2).length > 2)
})

test('an add whose answer never came ends as Unknown', () => {
  const cluster = new FakeCluster()
  cluster.add(1)
  cluster.pass(10)
  for (const mode of ['swallow', 'ignore', 'unknown'] as const) {
    cluster.mode = mode
    const request = { swallow: 2, ignore: 3, unknown: 4 }[mode]
    cluster.add(request, 1, 3000)
    cluster.pass(4000)
    assert.equal(cluster.outcome(request), 'Unknown', mode)
  }
})

test('once an add may have been appended, later refusals do not make it NoQuorum', () => {
  const cluster = new FakeCluster()
  cluster.add(1)
  cluster.pass(10)
  cluster.mode = 'swallow'
  cluster.add(2, 1, 3000)
  cluster.pass(10)
  cluster.mode = 'noQuorum'
  cluster.leader = B
  cluster.cut(A)
  cluster.pass(4000)
  assert.equal(cluster.outcome(2), 'Unknown')
})

test('an add before any node is reached ends as NoQuorum', () => {
  const cluster = new FakeCluster()
  cluster.cut(A)
  cluster.cut(B)
  cluster.add(1, 1, 2000)
  cluster.pass(3000)
  assert.equal(cluster.outcome(1), 'NoQuorum')
})

test('when the leader cannot be reached directly any node relays', () => {
  const cluster = new FakeCluster({ addresses: [B] })
  cluster.leader = '10.0.0.1:1' as never
  cluster.silent.add(cluster.leader)
  cluster.add(1)
  cluster.pass(100)
  assert.equal(cluster.outcome(1), undefined)
  cluster.silent.delete(cluster.leader)
  cluster.pass(5000)
  assert.equal(cluster.outcome(1), 'added')
})

test('a node is found among many addresses that are silent', () => {
  const silent = Array.from({ length: 100 }, (_, i) => `10.0.0.${i}:1` as never)
  const cluster = new FakeCluster({ addresses: [...silent, A] })
  for (const address of silent) cluster.silent.add(address)
  cluster.add(1, 1, 10_000)
  // The first attempt was made before the nodes fell silent, and is given up when its answer is overdue.
  cluster.pass(2500 + 100 * 50 + 100)
  assert.equal(cluster.outcome(1), 'added')
  assert.equal([...cluster.links.values()].filter((link) => !link.up).length, 0)
})

test('a leader that is paused is left within seconds', () => {
  const cluster = new FakeCluster()
  cluster.add(1)
  cluster.pass(10)
  cluster.silent.add(A)
  cluster.add(2, 1, 10_000)
  cluster.pass(1500)
  assert.equal(cluster.outcome(2), undefined)
  cluster.leader = B
  cluster.pass(3000)
  assert.equal(cluster.outcome(2), 'added')
  assert.equal(cluster.partitions[0]!.jobs.length, 2)
})

test('what was never appended under an expired session is sent in a new one', () => {
  const cluster = new FakeCluster()
  cluster.add(1)
  cluster.pass(10)
  cluster.forgetSessions()
  cluster.add(2)
  cluster.pass(100)
  assert.equal(cluster.outcome(2), 'added')
  assert.equal(cluster.commands(Operation.open).length, 2)
})

test('what may have been applied under an expired session ends as Unknown', () => {
  const cluster = new FakeCluster()
  cluster.add(1)
  cluster.pass(10)
  cluster.mode = 'swallow'
  cluster.add(2, 1, 20_000)
  cluster.pass(10)
  cluster.mode = 'serve'
  cluster.leader = B
  cluster.forgetSessions()
  cluster.cut(A)
  cluster.pass(2000)
  assert.equal(cluster.outcome(2), 'Unknown')
})

test('a session never runs more than 1,024 ahead of its lowest unanswered sequence', () => {
  const cluster = new FakeCluster()
  cluster.add(1)
  cluster.pass(10)
  cluster.mode = 'ignore'
  for (let request = 2; request < 1300; request++) {
    cluster.add(request, 1, 60_000)
    cluster.turn()
  }
  const highest = Math.max(...cluster.commands(Operation.add).map((command) => command.sequence))
  assert.equal(highest, 2 + 1023)
  cluster.mode = 'serve'
  cluster.pass(10_000)
  assert.equal(cluster.partitions[0]!.jobs.length, 1299)
})

test('adds beyond the queue are refused with Backpressure', () => {
  const cluster = new FakeCluster()
  cluster.mode = 'noQuorum'
  const payload = new Uint8Array(1024 * 1024)
  for (let request = 1; request <= 65; request++) cluster.input({ kind: 'add', request, topic: 'orders', items: [{ name: 'n', payload }], timeoutMs: 1000 })
  assert.equal(cluster.outcome(64), 'Backpressure')
  cluster.pass(2000)
  assert.equal(cluster.outcome(1), 'NoQuorum')
  cluster.mode = 'serve'
  cluster.add(100)
  cluster.pass(2000)
  assert.equal(cluster.outcome(100), 'added')
})

test('backpressure of the shard is told at once', () => {
  const cluster = new FakeCluster()
  cluster.add(1)
  cluster.pass(10)
  cluster.mode = 'backpressure'
  cluster.add(2)
  cluster.pass(10)
  assert.equal(cluster.outcome(2), 'Backpressure')
})

test('a batch is split by key, and the same key goes to the same partition', () => {
  const cluster = new FakeCluster({ partitions: 4 })
  for (let round = 0; round < 2; round++) {
    const items = Array.from({ length: 100 }, (_, i) => ({ name: 'n', payload: new Uint8Array([i]), options: { idempotencyKey: `key ${i}` } }))
    cluster.input({ kind: 'add', request: round + 1, topic: 'orders', items, timeoutMs: 1000 })
    cluster.pass(100)
  }
  const [first, second] = [1, 2].map((request) => cluster.outcomes.get(request))
  assert.ok(first?.kind === 'added' && second?.kind === 'added')
  assert.deepEqual([...first.added.partitions], [...second.added.partitions])
  assert.equal(new Set(first.added.partitions).size, 4)
  for (let i = 0; i < 100; i++) {
    const job: FakeJob = cluster.partitions[first.added.partitions[i]! - 1]!.jobs[first.added.numbers[i]! - 1]!
    assert.equal(job.payload[0], i)
  }
})

test('items without a key go round the partitions', () => {
  const cluster = new FakeCluster({ partitions: 3 })
  cluster.add(1, 256 * 6)
  cluster.pass(100)
  assert.deepEqual(cluster.partitions.map((partition) => partition.jobs.length), [512, 512, 512])
})

test('queries go to every partition, status to any node', () => {
  const cluster = new FakeCluster({ partitions: 3 })
  cluster.input({ kind: 'query', request: 1, topic: 'orders', operation: 3, body: new Uint8Array(0), timeoutMs: 1000 })
  cluster.input({ kind: 'status', request: 2, timeoutMs: 1000 })
  cluster.pass(100)
  const outcome = cluster.outcomes.get(1)!
  assert.ok(outcome.kind === 'answered')
  assert.deepEqual(outcome.answers.map(({ partition, body }) => [partition, body.length]), [[1, 72], [2, 72], [3, 72]])
  assert.equal(cluster.outcome(2), 'status')
})

test('a wish for a node is put to any node, again while that cannot be known, and its refusal says why', () => {
  const node = 'b'.repeat(32) as NodeId
  const ask = (code: number | undefined): FakeCluster => {
    const cluster = new FakeCluster()
    cluster.wishCode = code
    cluster.input({ kind: 'wish', request: 1, wish: NodeWish.forget, node, force: true, timeoutMs: 5000 })
    cluster.pass(100)
    return cluster
  }
  assert.equal(ask(Code.ok).outcome(1), 'ok')
  assert.deepEqual(ask(Code.ok).messages('nodeWish').map(({ wish, node: of, force }) => [wish, of, force]), [[NodeWish.forget, node, true]])
  assert.deepEqual([RegistryCode.lives, RegistryCode.master, Code.notFound].map((code) => ask(code).outcome(1)), ['Refused', 'Refused', 'NotFound'])
  const later = ask(Code.noQuorum)
  assert.equal(later.outcome(1), undefined)
  later.wishCode = Code.ok
  later.pass(2000)
  assert.equal(later.outcome(1), 'ok')
  const never = ask(undefined)
  never.pass(10_000)
  assert.equal(never.outcome(1), 'Unknown')
  assert.ok(never.messages('nodeWish').length > 1)
})

test('a query of an unknown topic is not found, and does not make it', () => {
  const cluster = new FakeCluster()
  cluster.known = false
  cluster.input({ kind: 'query', request: 1, topic: 'orders', operation: 3, body: new Uint8Array(0), timeoutMs: 1000 })
  cluster.pass(100)
  assert.equal(cluster.outcome(1), 'NotFound')
  assert.equal(cluster.known, false)
})

test('a copy goes its own way and has the same digest before it does', () => {
  const cluster = new FakeCluster()
  cluster.add(1)
  cluster.work(5)
  cluster.pass(100)
  const copy = cluster.client.clone()
  assert.equal(copy.digest(), cluster.client.digest())
  cluster.add(2)
  cluster.pass(10)
  assert.notEqual(copy.digest(), cluster.client.digest())
})

test('closing ends everything and says so once', () => {
  const cluster = new FakeCluster()
  cluster.work(2)
  cluster.add(1, 5)
  cluster.pass(10)
  assert.equal(cluster.leasedJobs.length, 2)
  cluster.input({ kind: 'close', request: 9, timeoutMs: 1000 })
  cluster.pass(2000)
  assert.equal(cluster.outcome(9), 'ok')
  assert.equal(cluster.heldInAll, 0)
  assert.equal(cluster.links.size, 0)
  cluster.add(10)
  assert.equal(cluster.outcome(10), 'Closed')
  assert.equal(cluster.client.wakeAt, Infinity)
})


const moved = (to: Address): Uint8Array => {
  const body = encode(shardLeader, { shard: 1 as ShardId, leader: 'b'.repeat(32) as NodeId, address: to })
  return encodeRow(answer, { shard: 1 as ShardId, session: 0 as SessionNumber, sequence: 0, code: Code.notLeader, stamp: 0, leaseClock: 0 as LeaseTime, body })
}

test('a redirect is followed at once: whoever gave it relays until the link to the new leader is up', () => {
  const cluster = new FakeCluster({ addresses: [A] })
  cluster.work(1)
  cluster.add(1)
  cluster.pass(10)
  assert.equal(cluster.leasedJobs.length, 1)
  cluster.dialMs = 200
  cluster.leader = B
  const resumes = cluster.messages('resume').length
  cluster.say(A, moved(B))
  // It comes for each session, and says the same each time.
  cluster.say(A, moved(B))
  cluster.add(2)
  cluster.pass(5)
  assert.equal(cluster.outcome(2), 'added')
  assert.equal(cluster.messages('resume').length, resumes + 1)
  cluster.pass(300)
  const [direct] = [...cluster.links].filter(([, link]) => link.address === B && link.up)
  assert.ok(direct)
  // The new leader hears of the leases over the link that they will end on.
  assert.equal(cluster.messages('resume').length, resumes + 2)
})

test('a node that is named by the leader behind it is asked again at once, twice in a row at most', () => {
  const cluster = new FakeCluster({ addresses: [A] })
  cluster.work(1)
  cluster.add(1)
  cluster.pass(10)
  cluster.leader = B
  cluster.down.add(B)
  const asked: number[] = []
  for (let time = 1; time <= 3; time++) {
    // One for what was sent to add, one for the worker's leases.
    cluster.say(A, moved(A))
    cluster.say(A, moved(A))
    const before = cluster.messages('resume').length
    cluster.pass(HANDOVER_ECHO_MS)
    asked.push(cluster.messages('resume').length - before)
  }
  assert.deepEqual(asked, [1, 1, 0])
  cluster.leader = A
  cluster.add(2)
  cluster.pass(50)
  assert.equal(cluster.outcome(2), 'added')
})

test('a redirect that is said again and again is an answer at first, and then a reason to wait', () => {
  const cluster = new FakeCluster({ addresses: [A] })
  cluster.add(1)
  cluster.pass(10)
  cluster.dialMs = 5000
  cluster.leader = B
  cluster.say(A, moved(B))
  cluster.pass(150)
  cluster.say(A, moved(B))
  cluster.pass(0)
  cluster.add(2)
  cluster.pass(1)
  assert.equal(cluster.outcome(2), undefined)
  cluster.pass(50)
  assert.equal(cluster.outcome(2), 'added')
})
