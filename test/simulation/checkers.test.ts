import assert from 'node:assert/strict'
import { test } from 'node:test'
import { JobState } from '@horus/core/message/client'
import { addBody, Code, FailMode, type JobOptions, leasedBody, logTable, Operation, stampEntry } from '@horus/core/message/command'
import { DeliveryWriter, LeasedGroupsWriter, readAddEntry, writeAddItem } from '@horus/core/message/jobs'
import { encode, Writer } from '@horus/core/message/layout'
import { connectionTable } from '@horus/core/message/messages'
import { PARKED_BYTES_MAX } from '@horus/core/lead/parked'
import { EXPECTED_PER_SESSION_MAX } from '@horus/core/lead/receipts'
import type { ReplicaLoad, ReplicaObservation } from '@horus/core/replica'
import { type RegistryEntry, registryLogTable } from '@horus/core/message/registry'
import type { NodeId } from '@horus/core/units'
import type { NodeProcess } from '@horus/core/world/node'
import { idOf } from '../unit/names.ts'
import { Checkers } from './check/all.ts'
import { checkBounds } from './check/bounds.ts'
import { Report } from './check/checker.ts'
import { SureChecker } from './check/sure.ts'
import { type HeldLease, History, jobName, payloadOf } from './history.ts'

interface Scene {
  readonly history: History
  readonly checkers: Checkers
  readonly awake: Set<string>
  readonly live: Set<NodeId>
  at: number
}

const node = (name: string): NodeProcess => ({ name }) as NodeProcess
const one = node('one')
const two = node('two')

type Applied = Extract<ReplicaObservation, { kind: 'applied' }>

function scene(): Scene {
  const result = { at: 0, awake: new Set(['a', 'b']), live: new Set() } as { at: number; awake: Set<string>; live: Set<NodeId>; history: History; checkers: Checkers }
  result.history = new History(() => result.at)
  result.checkers = new Checkers(result.history, (client) => result.awake.has(client), 0.05, () => result.at, () => result.live)
  for (const who of [one, two]) for (const entry of beginning()) result.checkers.observed(who, entry)
  return result
}

/** Entries of every scene's log before its own: a session and a partition. Indices and tokens of the scenes count behind them. */
const BEFORE = 2

function beginning(): readonly Applied[] {
  const stamps = { leaseNow: 0 as never, wallNow: 1 as never }
  const open = logTable.encode({ kind: 'command', ...stamps, shard: 1 as never, session: 0 as never, sequence: 0, lowest: 0, stamp: 0, operation: Operation.open, body: new Uint8Array(0) })
  const partition = logTable.encode({ kind: 'partitionOpen', ...stamps, partition: 1 as never, topic: 't', settings: new Uint8Array(0) })
  return [open, partition].map((entry, i) => ({ kind: 'applied', shard: 1 as never, index: (i + 1) as never, term: 1 as never, entry }))
}

function addEntry(index: number, attempts: readonly number[], leaseNow = index, term = 1, options?: JobOptions): Applied {
  const writer = new Writer()
  for (const attempt of attempts) writeAddItem(writer, 0, payloadOf(attempt, 20), options)
  const body = encode(addBody, { partition: 1 as never, names: ['mail'], count: attempts.length, items: writer.take() })
  const entry = logTable.encode({ kind: 'command', leaseNow: leaseNow as never, wallNow: 1 as never, shard: 1 as never, session: 1 as never, sequence: index, lowest: index, stamp: 0, operation: Operation.add, body })
  return { kind: 'applied', shard: 1 as never, index: (BEFORE + index) as never, term: term as never, entry }
}

function failEntry(index: number, number: number, token: number): Applied {
  const groups = new LeasedGroupsWriter()
  groups.group((BEFORE + token) as never, number as never)
  groups.fail(number as never, FailMode.retry, 0, new Uint8Array(0))
  const body = encode(leasedBody, { partition: 1 as never, groups: groups.take() })
  const entry = logTable.encode({ kind: 'command', leaseNow: 0 as never, wallNow: 1 as never, shard: 1 as never, session: 1 as never, sequence: index, lowest: index, stamp: 0, operation: Operation.fail, body })
  return { kind: 'applied', shard: 1 as never, index: (BEFORE + index) as never, term: 1 as never, entry }
}

function acquireEntry(index: number, leaseNow: number, leaseMs: number): Applied {
  const entry = logTable.encode({ kind: 'acquire', leaseNow: leaseNow as never, wallNow: 1 as never, partition: 1 as never, session: 1 as never, count: 1, grant: 1, leaseMs, names: [] })
  return { kind: 'applied', shard: 1 as never, index: (BEFORE + index) as never, term: 1 as never, entry }
}

const job = (number: number): string => jobName('t', 1 as never, number as never)

function lease(client: string, number: number, token: number, attempt: number): HeldLease {
  return { client, job: job(number), partition: 1 as never, number: number as never, token: (BEFORE + token) as never, attempt }
}

function broken(s: Scene): string | undefined {
  return s.checkers.report.first?.invariant
}

test('a run in which all goes well breaks nothing', () => {
  const s = scene()
  const attempt = s.history.attempt('a', 't', undefined)
  for (const who of [one, two]) s.checkers.observed(who, addEntry(1, [1]))
  s.history.acknowledged(attempt, job(1), false)
  s.history.leased(lease('a', 1, 2, 1))
  s.history.letGo(lease('a', 1, 2, 1), 'complete')
  s.history.ended(lease('a', 1, 2, 1), 'complete', 'ok')
  s.history.state(job(1), JobState.completed)
  s.checkers.audit()
  s.checkers.finish()
  assert.equal(broken(s), undefined)
})

test('I3: a job that was completed before its state was asked for is not active, one that was completed meanwhile may have been', () => {
  for (const isBefore of [true, false]) {
    const s = scene()
    for (const who of [one, two]) s.checkers.observed(who, addEntry(1, [1]))
    s.history.acknowledged(s.history.attempt('a', 't', undefined), job(1), false)
    s.history.leased(lease('a', 1, 2, 1))
    if (!isBefore) s.history.beginReading()
    s.history.ended(lease('a', 1, 2, 1), 'complete', 'ok')
    if (isBefore) s.history.beginReading()
    s.history.state(job(1), JobState.active)
    assert.equal(broken(s), isBefore ? 'I3' : undefined)
  }
})

test('I1: an add that is acknowledged before any node applied it', () => {
  const s = scene()
  s.history.acknowledged(s.history.attempt('a', 't', undefined), job(1), false)
  assert.equal(broken(s), 'I1')
})

test('I1: an acknowledged job that nobody knows at the end', () => {
  const s = scene()
  s.checkers.observed(one, addEntry(1, [1]))
  s.history.acknowledged(s.history.attempt('a', 't', undefined), job(1), false)
  s.history.state(job(2), JobState.completed)
  s.checkers.finish()
  assert.equal(broken(s), 'I1')
})

test('I1: an acknowledged add whose number is not the one that the log gives', () => {
  const s = scene()
  s.checkers.observed(one, addEntry(1, [1]))
  s.history.acknowledged(s.history.attempt('a', 't', undefined), job(2), false)
  assert.equal(broken(s), 'I1')
})

test('I2: two workers that hold a job at once, unless one of them is asleep', () => {
  const s = scene()
  s.checkers.observed(one, addEntry(1, [1]))
  s.history.attempt('a', 't', undefined)
  s.awake.delete('a')
  s.history.leased(lease('a', 1, 2, 1))
  s.history.leased(lease('b', 1, 5, 1))
  assert.equal(broken(s), undefined)
  s.awake.add('a')
  s.checkers.audit()
  assert.equal(broken(s), 'I2')
})

test('I2: a complete under an old token that is said to have been done', () => {
  const s = scene()
  s.checkers.observed(one, addEntry(1, [1]))
  s.history.attempt('a', 't', undefined)
  s.history.leased(lease('a', 1, 2, 1))
  s.history.letGo(lease('a', 1, 2, 1), 'lost')
  s.history.leased(lease('b', 1, 5, 1))
  s.history.ended(lease('a', 1, 2, 1), 'complete', 'ok')
  assert.equal(broken(s), 'I2')
})

test('I3: a completed job that is handed out again', () => {
  const s = scene()
  s.checkers.observed(one, addEntry(1, [1]))
  s.history.attempt('a', 't', undefined)
  s.history.leased(lease('a', 1, 2, 1))
  s.history.letGo(lease('a', 1, 2, 1), 'complete')
  s.history.ended(lease('a', 1, 2, 1), 'complete', 'ok')
  s.history.leased(lease('b', 1, 9, 1))
  assert.equal(broken(s), 'I3')
})

test('I4: two nodes that apply different entries under one index, or leave one out', () => {
  const s = scene()
  s.checkers.observed(one, addEntry(1, [1]))
  s.checkers.observed(two, addEntry(1, [2]))
  assert.equal(broken(s), 'I4')
  const t = scene()
  t.checkers.observed(one, addEntry(1, [1]))
  t.checkers.observed(one, addEntry(3, [2]))
  assert.equal(broken(t), 'I4')
})

test('I5: two leaders of one term', () => {
  const s = scene()
  s.checkers.observed(one, { kind: 'leader', shard: 1 as never, term: 4 as never, replica: 1 as never })
  s.checkers.observed(two, { kind: 'leader', shard: 1 as never, term: 4 as never, replica: 2 as never })
  assert.equal(broken(s), 'I5')
})

test('I7: one key that became two jobs', () => {
  const s = scene()
  s.checkers.observed(one, addEntry(1, [1, 2]))
  s.history.acknowledged(s.history.attempt('a', 't', 'k'), job(1), false)
  s.history.acknowledged(s.history.attempt('b', 't', 'k'), job(2), false)
  assert.equal(broken(s), 'I7')
})

test('I8: a lease that is given to another before its time', () => {
  const s = scene()
  s.history.attempt('a', 't', undefined)
  s.checkers.observed(one, addEntry(1, [1], 0))
  s.checkers.observed(one, acquireEntry(2, 10, 1000))
  s.checkers.observed(one, acquireEntry(3, 900, 1000))
  s.history.leased(lease('a', 1, 2, 1))
  s.history.letGo(lease('a', 1, 2, 1), 'lost')
  s.history.leased(lease('b', 1, 3, 1))
  assert.equal(broken(s), 'I8')
})

test('I8: a lease clock that runs ahead of its leader', () => {
  const s = scene()
  for (const [index, at, leaseNow] of [[1, 0, 0], [2, 100, 104], [3, 200, 400]] as const) {
    s.at = at
    s.checkers.observed(one, { kind: 'proposed', shard: 1 as never, index: (BEFORE + index) as never, term: 1 as never, entry: new Uint8Array(0) })
    s.checkers.observed(one, acquireEntry(index, leaseNow, 1000))
    assert.equal(broken(s), index === 3 ? 'I8' : undefined)
  }
})

test('buried: a job that is dead for lost leases and was with workers less than three times', () => {
  const bytes = (token: number): Uint8Array => {
    const writer = new DeliveryWriter().begin(1 as never)
    const entry = readAddEntry(addEntry(1, [1]).entry)
    entry.items.next()
    writer.add(1 as never, 1, 5, entry)
    return connectionTable.encode({ kind: 'deliver', shard: 1 as never, partition: 1 as never, session: 1 as never, token: token as never, deadline: 9 as never, leaseMs: 9, stamp: 0, leaseClock: 0 as never, names: ['mail'], base: 1 as never, count: 1, items: writer.take() })
  }
  for (const [tokens, invariant] of [[[4, 5, 6], undefined], [[4, 5, 5], 'buried']] as const) {
    const s = scene()
    for (const token of tokens) s.history.delivered(bytes(token))
    s.history.state(job(1), JobState.dead)
    assert.equal(broken(s), invariant)
  }
})

test('I9: a delayed job, and one that waits for its next attempt, that are leased before their time', () => {
  const wallAt = (entry: Applied, wall: number): Applied => {
    stampEntry(entry.entry, 0 as never, wall as never)
    return entry
  }
  for (const [at, invariant] of [[1499, 'I9'], [1500, undefined]] as const) {
    const s = scene()
    s.history.attempt('a', 't', undefined)
    s.checkers.observed(one, wallAt(addEntry(1, [1], 0, 1, { delay: 500 }), 1000))
    s.checkers.observed(one, wallAt(acquireEntry(2, 0, 1000), at))
    s.history.leased(lease('a', 1, 2, 1))
    assert.equal(broken(s), invariant)
  }
  for (const [at, invariant] of [[2799, 'I9'], [2800, undefined]] as const) {
    const s = scene()
    s.history.attempt('a', 't', undefined)
    s.checkers.observed(one, wallAt(addEntry(1, [1], 0), 1000))
    s.checkers.observed(one, wallAt(acquireEntry(2, 0, 1000), 1000))
    s.history.leased(lease('a', 1, 2, 1))
    s.history.letGo(lease('a', 1, 2, 1), 'fail')
    s.checkers.observed(one, wallAt(failEntry(3, 1, 2), 2000))
    s.checkers.observed(one, wallAt(acquireEntry(4, 0, 1000), at))
    // The second worker has it before the first one hears that its fail is done.
    s.history.leased(lease('b', 1, 4, 1))
    s.history.ended(lease('a', 1, 2, 1), 'fail', 'ok')
    assert.equal(broken(s), invariant)
  }
})

function registryEntry(index: number, entry: RegistryEntry): Applied {
  return { kind: 'applied', shard: 0 as never, index: index as never, term: 1 as never, entry: registryLogTable.encode(entry) }
}

test('drain: a node that was drained or forgotten, and holds or leads what another could', () => {
  const stamps = { leaseNow: 0 as never, wallNow: 0 as never, origin: idOf(9), request: 1 }
  const admit = (i: number): RegistryEntry => ({ kind: 'admit', ...stamps, record: { node: idOf(i), address: '10.0.0.1:1' as never, value: i, zone: '', version: '1', eligible: true } })
  const after = (ms: number, last: RegistryEntry, live: readonly number[], leader: number): string | undefined => {
    const s = scene()
    for (const i of [0, 1, 2, 3]) s.checkers.observed(one, registryEntry(i + 1, admit(i)))
    s.checkers.observed(one, registryEntry(5, last))
    const voters = [0, 1, 2].map((i) => ({ replica: i + 1, node: idOf(i) }) as never)
    s.checkers.observed(one, { kind: 'configured', shard: 1 as never, epoch: 1 as never, committed: true, voters, outgoing: undefined, learners: [] })
    s.checkers.observed({ name: 'leader', nodeId: idOf(leader) } as NodeProcess, { kind: 'leader', shard: 1 as never, term: 1 as never, replica: 1 as never })
    for (const i of live) s.live.add(idOf(i))
    s.at = ms
    s.checkers.finish()
    return broken(s)
  }
  const drain: RegistryEntry = { kind: 'drain', ...stamps, node: idOf(0), draining: true, wish: 1 }
  assert.equal(after(20_000, drain, [0, 1, 2, 3], 1), 'drain')
  assert.equal(after(20_000, { kind: 'forget', ...stamps, node: idOf(0), force: true }, [0, 1, 2, 3], 1), 'drain')
  assert.equal(after(20_000, drain, [0, 1, 2], 0), 'drain')
  assert.equal(after(20_000, drain, [0, 1, 2], 1), undefined)
  assert.equal(after(1000, drain, [0, 1, 2, 3], 0), undefined)
  assert.equal(after(20_000, { ...drain, draining: false }, [0, 1, 2, 3], 0), undefined)
})

test('a drain that lands once more when it was taken back is reported, one that says what was done already is not', () => {
  const stamps = { leaseNow: 0 as never, wallNow: 0 as never, origin: idOf(0), request: 1 }
  const last = (wish: number): string | undefined => {
    const s = scene()
    const said: RegistryEntry[] = [
      { kind: 'admit', ...stamps, record: { node: idOf(0), address: '10.0.0.1:6470' as never, value: 1, zone: '', version: '1', eligible: true } },
      { kind: 'drain', ...stamps, node: idOf(0), draining: true, wish: 1 }, { kind: 'drain', ...stamps, node: idOf(0), draining: false, wish: 2 }, { kind: 'drain', ...stamps, node: idOf(0), draining: true, wish },
    ]
    said.forEach((entry, at) => s.checkers.observed(one, registryEntry(at + 1, entry)))
    s.history.draining.set(idOf(0), false)
    s.checkers.finish()
    return broken(s)
  }
  assert.deepEqual([last(1), last(3)], [undefined, 'drain'])
})

test('I10: an add that was refused and yet stands in the log', () => {
  const s = scene()
  s.checkers.observed(one, addEntry(1, [1]))
  s.history.failed(s.history.attempt('a', 't', undefined), 'NoQuorum')
  assert.equal(broken(s), 'I10')
  assert.equal(Code.noQuorum, 2)
})

const COPY = { shard: 1 as never, replica: 2 as never }
const resumed = (term: number, vote: number, last: number, suspect = false, isMember = true): ReplicaObservation => ({ kind: 'resumed', ...COPY, term: term as never, vote: vote as never, last: last as never, suspect, isMember })
const claimed = (term: number, vote: number | undefined, match: number): ReplicaObservation => ({ kind: 'claimed', ...COPY, term: term as never, vote: vote as never, match: match as never })

function restarted(...observations: readonly ReplicaObservation[]): string | undefined {
  const { checkers } = scene()
  for (const observation of [claimed(3, 1, 0), claimed(3, undefined, 7)]) checkers.observed(one, observation)
  for (const observation of observations) {
    if (observation.kind === 'resumed') checkers.started(one)
    checkers.observed(one, observation)
  }
  return checkers.report.first?.invariant
}

test('a copy that may vote after a start knows its term, its vote, and what it acknowledged', () => {
  assert.equal(restarted(resumed(3, 1, 7), { kind: 'cleared' }), undefined)
  assert.equal(restarted(resumed(4, 2, 5), { kind: 'cleared' }), undefined)
  assert.equal(restarted(resumed(2, 1, 7), { kind: 'cleared' }), 'memory')
  assert.equal(restarted(resumed(3, 2, 7), { kind: 'cleared' }), 'memory')
  assert.equal(restarted(resumed(3, 1, 6), { kind: 'cleared' }), 'memory')
  // Found out before it voted.
  assert.equal(restarted(resumed(3, 1, 6), resumed(3, 1, 7), { kind: 'cleared' }), undefined)
})

test('a copy that knows no other master is judged when it has met one', () => {
  assert.equal(restarted(resumed(3, 1, 6, false, false), { kind: 'cleared' }), undefined)
  assert.equal(restarted(resumed(3, 1, 6, false, false), { kind: 'cleared' }, { kind: 'cleared' }), 'memory')
})

test('a copy that was found doubtful promises nothing any more and stays doubtful', () => {
  assert.equal(restarted(resumed(3, 1, 6, true), { kind: 'cleared' }), undefined)
  assert.equal(restarted(resumed(3, 1, 6, true), claimed(3, undefined, 6)), 'doubt')
  assert.equal(restarted(resumed(3, 1, 6, true), resumed(3, 1, 7), { kind: 'cleared' }), 'doubt')
})

test('a copy votes for one in a term', () => {
  assert.equal(restarted(claimed(3, 2, 0)), 'I5')
  assert.equal(restarted(claimed(4, 2, 0)), undefined)
})

test('I11: a node that keeps more for its clients than there are connections, sessions and places is reported', () => {
  const led = (presences: number, expected: number, parkedBytes = 0) => ({ connections: 2, led: [{ shard: 1 as never, sessions: 3, presences, expected, parkedBytes }] })
  const found = (clientCount: number, load: ReplicaLoad): string | undefined => {
    const report = new Report()
    checkBounds([{ name: 'one', clientCount, actor: { load } }], report)
    return report.first?.invariant
  }
  assert.equal(found(2, led(3, EXPECTED_PER_SESSION_MAX, PARKED_BYTES_MAX)), undefined)
  assert.equal(found(1, led(3, 0)), 'I11')
  assert.equal(found(2, led(4, 0)), 'I11')
  assert.equal(found(2, led(0, EXPECTED_PER_SESSION_MAX + 1)), 'I11')
  assert.equal(found(2, led(0, 0, PARKED_BYTES_MAX + 1)), 'I11')
})

test('I8: a leader that is sure of its lead when the clock of a later one may have moved is reported', () => {
  const found = (sureAt: number, term: number): string | undefined => {
    const report = new Report()
    let now = 0
    const checker = new SureChecker(report, 0.05, () => now)
    const elected = (at: number, inTerm: number): void => {
      now = at
      checker.observed(one, { kind: 'leader', shard: 1 as never, term: inTerm as never, replica: 1 as never })
    }
    elected(0, 1)
    elected(1000, 2)
    elected(9000, 3)
    now = sureAt
    checker.claims('one', [{ shard: 1 as never, term: term as never }, { shard: 2 as never, term: 1 as never }])
    return report.first?.invariant
  }
  assert.equal(found(2900, 1), undefined)
  assert.equal(found(2910, 1), 'I8')
  assert.equal(found(10_000, 2), undefined)
  assert.equal(found(60_000, 3), undefined)
})
