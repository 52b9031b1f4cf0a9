import assert from 'node:assert/strict'
import { test } from 'node:test'
import { JobState, LostReason } from '@horus/core/message/client'
import { addAnswer, Code, FailMode, logTable, Operation } from '@horus/core/message/command'
import { decode } from '@horus/core/message/layout'
import { Random } from '@horus/core/random'
import { Shard } from '@horus/core/shard'
import type { FencingToken, JobNumber, LeaseTime, LogIndex, PartitionId, SessionNumber, WallTime } from '@horus/core/units'
import { ALL_KNOWN, bytesOf, logWithSession, P, Seen, SHARD, TestLog } from './job/log.ts'

test('a job goes from add over acquire to complete', () => {
  const { log, session } = logWithSession()
  const added = log.addMany(session, 3)
  assert.equal(added.code, Code.ok)
  assert.deepEqual([added.first, added.added], [1, 3])
  const leased = log.acquire(session, 2)
  assert.deepEqual(leased.jobs, [{ number: 1, token: log.index }, { number: 2, token: log.index }])
  assert.equal(leased.leased[0]!.deadline, log.leaseNow + 30_000)
  const done = log.complete(session, leased.jobs, bytesOf('ok'))
  assert.deepEqual([done.code, done.lost], [Code.ok, []])
  assert.equal(log.job(1)!.state, JobState.completed)
  assert.deepEqual(log.job(1)!.result, bytesOf('ok'))
  assert.deepEqual({ ...log.shard.counts(P) }, { scheduled: 0, blocked: 0, waiting: 1, active: 0, retrying: 0, completed: 2, cancelled: 0, dead: 0, posting: 0 })
})

test('where a job waits its age is never 0, whatever the clock says', () => {
  const { log, session } = logWithSession()
  assert.equal(log.shard.oldestWaitingMs(P, log.wallNow), 0)
  log.addMany(session, 1)
  assert.equal(log.shard.oldestWaitingMs(P, log.wallNow + 5000), 5000)
  assert.equal(log.shard.oldestWaitingMs(P, log.wallNow - 1_000_000), 1)
})

test('a stale token never completes a job', () => {
  const { log, session } = logWithSession()
  log.addMany(session, 1)
  const first = log.acquire(session, 1, { leaseMs: 100 })
  log.pass(100)
  const expiry = log.tick()
  assert.deepEqual(expiry.lost, [{ partition: P, session, reason: LostReason.expired, jobs: first.jobs }])
  const second = log.acquire(session, 1)
  assert.ok(second.jobs[0]!.token > first.jobs[0]!.token)
  assert.deepEqual(log.complete(session, first.jobs).lost, first.jobs)
  assert.equal(log.job(1)!.state, JobState.active)
  assert.deepEqual(log.complete(session, second.jobs).lost, [])
})

test('a lease of another session is not completed, failed, extended or released', () => {
  const { log, session } = logWithSession()
  const other = log.open()
  log.addMany(session, 1)
  const { jobs } = log.acquire(session, 1)
  for (const outcome of [log.complete(other, jobs), log.fail(other, jobs), log.extend(other, jobs), log.release(other, jobs)]) assert.deepEqual(outcome.lost, jobs)
  assert.equal(log.job(1)!.state, JobState.active)
})

test('after a recovery no number of a job, a session or a lease is one that lost masters may have given out, and what is there goes on', () => {
  const { log, session } = logWithSession()
  log.addMany(session, 3)
  const held = log.acquire(session, 1)
  // The log of the test numbers on: what the same bytes do at the place that they have after a recovery is looked at here.
  const { shard } = log
  log.shard = shard.clone()
  const lengthBefore = log.index
  log.addMany(session, 1)
  const added = log.entries.slice(lengthBefore)
  log.shard = shard
  log.shard.recover(1)
  const base = 2 ** 44
  assert.equal(log.shard.appliedIndex, base)
  const apply = (index: number, bytes: Uint8Array): Seen => {
    const seen = new Seen()
    log.shard.apply(index as LogIndex, bytes, seen.effects)
    return seen
  }
  const twice = Shard.restore(SHARD, log.shard.snapshot())
  assert.equal(twice.digest(), log.shard.digest())
  log.shard = twice
  const [answer] = apply(base + 1, added[0]!).answers
  assert.equal(decode(addAnswer, answer!.body).first, base + 1)
  const opened = apply(base + 2, logTable.encode({ kind: 'partitionOpen', ...log.times, partition: (P + 1) as PartitionId, topic: 'other', settings: new Uint8Array(0) }))
  assert.deepEqual(opened.answers, [])
  const leased = apply(base + 3, logTable.encode({ kind: 'acquire', ...log.times, partition: P, session: session as SessionNumber, count: 5, grant: 10, leaseMs: 1000, names: [] })).leased
  assert.deepEqual(leased.map(({ token, jobs }) => [token, [...jobs]]), [[base + 3, [2, 3, base + 1]]])
  assert.equal(log.shard.leaseOf(P, 1 as JobNumber, held.jobs[0]!.token as FencingToken)?.session, session)
  assert.throws(() => log.shard.recover(1), /behind everything/)
})

test('a session of which nothing is known changes nothing', () => {
  const { log } = logWithSession()
  const before = log.shard.counts(P)
  const answer = log.addMany(99, 5)
  assert.equal(answer.code, Code.sessionExpired)
  assert.deepEqual(answer.seen.free, [log.index])
  assert.deepEqual(log.shard.counts(P), before)
  assert.deepEqual(log.acquire(99, 5).leased, [])
})

test('a grant bounds what a session holds on a partition', () => {
  const { log, session } = logWithSession()
  log.addMany(session, 10)
  assert.equal(log.acquire(session, 10, { grant: 4 }).jobs.length, 4)
  assert.equal(log.acquire(session, 10, { grant: 4 }).jobs.length, 0)
  assert.equal(log.acquire(session, 10, { grant: 3 }).jobs.length, 0)
  assert.equal(log.acquire(session, 10, { grant: 6 }).jobs.length, 2)
  assert.equal(log.shard.held(P, session as never), 6)
})

test('the highest priority goes first, then the smallest number over the names asked for', () => {
  const { log, session } = logWithSession()
  log.add(session, [{ name: 'a' }, { name: 'b', options: { priority: 5 } }, { name: 'b' }, { name: 'c' }, { name: 'a', options: { priority: 5 } }, { name: 'a' }])
  assert.equal(log.shard.waiting(P, ['a', 'b']), 5)
  assert.deepEqual(log.acquire(session, 9, { names: ['a', 'b'] }).jobs.map((job) => job.number), [2, 5, 1, 3, 6])
  assert.deepEqual(log.acquire(session, 9, { names: ['nobody'] }).jobs, [])
  assert.deepEqual(log.acquire(session, 9).jobs.map((job) => job.number), [4])
})

test('a delayed job never starts before the wall clock of the log has reached it', () => {
  const { log, session } = logWithSession()
  log.add(session, [{ options: { delay: 500 } }, { options: { runAt: log.wallNow + 800 } }])
  assert.equal(log.shard.dueNext, log.wallNow + 500)
  log.pass(499)
  log.tick()
  assert.equal(log.acquire(session, 9).jobs.length, 0)
  log.pass(1)
  log.tick()
  assert.deepEqual(log.acquire(session, 9).jobs.map((job) => job.number), [1])
  assert.equal(log.job(2)!.state, JobState.scheduled)
})

test('a failed job is retried with backoff until its attempts are used up, then it is dead', () => {
  const { log, session } = logWithSession()
  log.add(session, [{ options: { maxAttempts: 2 } }])
  log.fail(session, log.acquire(session, 1).jobs, { error: bytesOf('first') })
  const retrying = log.job(1)!
  assert.equal(retrying.state, JobState.retrying)
  assert.ok(retrying.dueAt - log.wallNow >= 800 && retrying.dueAt - log.wallNow <= 1200)
  log.pass(1200)
  log.tick()
  const again = log.acquire(session, 1)
  assert.equal(log.shard.leaseOf(P, 1 as never)?.attempt, 2)
  const failed = log.fail(session, again.jobs, { error: bytesOf('second') })
  assert.deepEqual(failed.seen.free, [])
  const dead = log.job(1)!
  assert.deepEqual([dead.state, dead.attempt, dead.maxAttempts, dead.error], [JobState.dead, 2, 2, bytesOf('second')])
})

test('a permanent failure is dead at once, a retryAfter comes back just then', () => {
  const { log, session } = logWithSession()
  log.addMany(session, 2)
  const [first, second] = log.acquire(session, 2).jobs
  log.fail(session, [first!], { mode: FailMode.permanent })
  log.fail(session, [second!], { mode: FailMode.retryAfter, retryAfterMs: 77 })
  assert.equal(log.job(1)!.state, JobState.dead)
  assert.equal(log.job(2)!.dueAt, log.wallNow + 77)
})

test('a job whose lease is lost three times is dead', () => {
  const { log, session } = logWithSession()
  log.addMany(session, 1)
  for (let i = 1; i <= 3; i++) {
    assert.equal(log.job(1)!.state, JobState.waiting)
    assert.equal(log.acquire(session, 1, { leaseMs: 10 }).jobs.length, 1)
    assert.equal(log.job(1)!.attempt, i)
    log.pass(10)
    log.tick()
  }
  const dead = log.job(1)!
  assert.deepEqual([dead.state, dead.lostLeases, Buffer.from(dead.error!).toString()], [JobState.dead, 3, 'lease lost 3 times'])
})

test('a lease that no worker is known to have had does not count against its job', () => {
  const { log, session } = logWithSession()
  log.addMany(session, 1)
  for (let i = 0; i < 3; i++) {
    for (const how of ['unreceived', 'inherited', 'under way'] as const) {
      const { jobs } = log.acquire(session, 1, { leaseMs: 10 })
      const [{ token }] = jobs as [{ token: FencingToken; number: JobNumber }]
      assert.equal(log.job(1)!.attempt, 1)
      log.pass(10)
      const seen = log.tick(log.leaseNow, how === 'unreceived' ? { unreceived: jobs as never } : how === 'inherited' ? { knownFrom: (token + 1) as FencingToken } : { knownThrough: (token - 1) as FencingToken })
      assert.deepEqual(seen.lost, [{ partition: P, session, reason: LostReason.expired, jobs }])
      assert.deepEqual([log.job(1)!.state, log.job(1)!.lostLeases], [JobState.waiting, 0])
    }
  }
})

test('an extended lease does not expire at its first deadline', () => {
  const { log, session } = logWithSession()
  log.addMany(session, 3)
  const { jobs } = log.acquire(session, 3, { leaseMs: 100 })
  log.pass(60)
  const extended = log.extend(session, jobs.slice(0, 2))
  assert.deepEqual([extended.deadline, extended.lost], [log.leaseNow + 100, []])
  log.pass(40)
  assert.deepEqual(log.tick().lost[0]!.jobs, jobs.slice(2))
  assert.equal(log.shard.leaseDeadlineNext, extended.deadline)
  log.pass(59)
  assert.deepEqual(log.tick().lost, [])
  log.pass(1)
  assert.deepEqual(log.tick().lost[0]!.jobs, jobs.slice(0, 2))
})

test('a tick expires no lease beyond what it says', () => {
  const { log, session } = logWithSession()
  log.addMany(session, 1)
  const { jobs } = log.acquire(session, 1, { leaseMs: 100 })
  log.pass(5000)
  assert.deepEqual(log.tick(log.leaseNow - 4901).lost, [])
  assert.deepEqual(log.complete(session, jobs).lost, [])
})

test('a job that is handed back does not lose an attempt', () => {
  const { log, session } = logWithSession()
  log.addMany(session, 2)
  const { jobs } = log.acquire(session, 1)
  log.release(session, jobs)
  assert.deepEqual([log.job(1)!.state, log.job(1)!.attempt], [JobState.waiting, 0])
  assert.deepEqual(log.acquire(session, 2).jobs.map((job) => job.number), [1, 2])
  assert.equal(log.shard.leaseOf(P, 1 as never)?.attempt, 1)
})

test('a second add under the same idempotency key gets the first number, inside its window', () => {
  const { log, session } = logWithSession()
  const item = { options: { idempotencyKey: 'k' } }
  log.add(session, [{}, item])
  const again = log.add(session, [item, {}, item])
  assert.deepEqual([again.first, again.added], [3, 1])
  assert.deepEqual(again.duplicates, [{ ordinal: 0, number: 2 }, { ordinal: 2, number: 2 }])
  assert.deepEqual(log.shard.payloadOf(P, 3 as never), { entryIndex: log.index, ordinal: 1 })
  log.pass(24 * 3_600_000)
  assert.deepEqual(log.add(session, [item]).added, 1)
})

test('an add of nothing but duplicates keeps no payload', () => {
  const { log, session } = logWithSession()
  const item = { options: { idempotencyKey: 'k' } }
  log.add(session, [item])
  assert.deepEqual(log.add(session, [item]).seen.free, [log.index])
})

test('a payload is free once, with the last job of its add', () => {
  const { log, session } = logWithSession()
  log.addMany(session, 3)
  const entry = log.index
  const { jobs } = log.acquire(session, 2)
  assert.deepEqual(log.complete(session, jobs).seen.free, [])
  assert.deepEqual(log.shard.liveEntries(), [entry])
  assert.deepEqual(log.cancel(session, [3]).seen.free, [entry])
  assert.deepEqual(log.shard.liveEntries(), [])
  assert.equal(log.shard.payloadOf(P, 3 as never), undefined)
})

test('waiting, scheduled, retrying, dead and active jobs are cancelled, ended and unknown ones missed', () => {
  const { log, session } = logWithSession()
  log.add(session, [{}, {}, {}, {}, { options: { delay: 1000 } }, {}])
  const { jobs } = log.acquire(session, 4)
  log.fail(session, [jobs[0]!])
  log.fail(session, [jobs[1]!], { mode: FailMode.permanent })
  log.complete(session, [jobs[2]!])
  const cancelled = log.cancel(session, [1, 2, 3, 4, 5, 6, 7, 6])
  assert.deepEqual(cancelled.missed, [3, 6, 7])
  assert.deepEqual(cancelled.seen.lost, [{ partition: P, session, reason: LostReason.cancelled, jobs: [jobs[3]!] }])
  assert.deepEqual([log.shard.counts(P)!.cancelled, log.shard.counts(P)!.completed], [5, 1])
  log.pass(10_000)
  log.tick()
  assert.equal(log.acquire(session, 9).jobs.length, 0)
  assert.deepEqual(log.complete(session, [jobs[3]!]).lost, [jobs[3]!])
})

test("a job's own lease wins over what the worker asks", () => {
  const { log, session } = logWithSession()
  log.add(session, [{ options: { leaseMs: 500 } }, {}, { options: { leaseMs: 500 } }])
  const { leased } = log.acquire(session, 3, { leaseMs: 100 })
  assert.deepEqual(leased.map((batch) => [batch.leaseMs, batch.deadline - log.leaseNow, [...batch.jobs]]), [[500, 500, [1, 3]], [100, 100, [2]]])
  assert.deepEqual(log.complete(session, [{ number: 3, token: log.index }, { number: 2, token: log.index }]).lost, [])
})

test('a closed session hands back what it holds', () => {
  const { log, session } = logWithSession()
  log.addMany(session, 2)
  log.acquire(session, 2)
  assert.equal(log.close(session).code, Code.ok)
  assert.equal(log.shard.counts(P)!.waiting, 2)
  assert.equal(log.addMany(session, 1).code, Code.sessionExpired)
})

test('an add to a partition that is not here is refused', () => {
  const { log, session } = logWithSession()
  assert.equal(log.addMany(session, 1, {}, 8 as never).code, Code.unknownPartition)
})

test('a malformed body changes nothing', () => {
  const { log, session } = logWithSession()
  log.addMany(session, 2)
  const { jobs } = log.acquire(session, 1)
  const counts = log.shard.counts(P)
  for (const operation of [...Object.values(Operation).filter((each) => each !== Operation.open && each !== Operation.close), 99]) {
    assert.equal(log.command(session, operation, bytesOf('what is this?')).code, Code.malformed)
  }
  const wellBegun = log.complete(session, jobs)
  assert.equal(wellBegun.code, Code.ok)
  assert.deepEqual({ ...log.shard.counts(P)! }, { ...counts, active: 0, completed: 1 })
})

test('bytes that are no entry are passed over', () => {
  const log = new TestLog()
  const seen = log.append(bytesOf('?'))
  assert.deepEqual([seen.answers, seen.free], [[], []])
  assert.equal(log.shard.appliedIndex, 1)
})

test('an entry with a time that no clock shows is passed over: beyond it sessions would expire for ever', () => {
  const { log, session } = logWithSession()
  for (const time of [1e300, -1, Infinity, 2 ** 53]) {
    log.append(logTable.encode({ kind: 'tick', leaseNow: time as LeaseTime, wallNow: 0 as WallTime, expireThrough: time as LeaseTime, ...ALL_KNOWN }))
    log.append(logTable.encode({ kind: 'tick', leaseNow: 0 as LeaseTime, wallNow: time as WallTime, expireThrough: 0 as LeaseTime, ...ALL_KNOWN }))
  }
  log.tick()
  assert.equal(log.addMany(session, 1).code, Code.ok, 'no time has passed for the session')
})

test('ended jobs leave after an hour', () => {
  const { log, session } = logWithSession()
  log.addMany(session, 2)
  log.complete(session, log.acquire(session, 2).jobs)
  assert.equal(log.shard.retentionNext, log.wallNow + 3_600_000)
  log.pass(3_600_000)
  log.tick()
  assert.equal(log.job(1), undefined)
  assert.equal(log.shard.counts(P)!.completed, 0)
})

test('jobs are listed by number, state and name, page by page', () => {
  const { log, session } = logWithSession()
  log.add(session, [{ name: 'a' }, { name: 'b' }, { name: 'a' }, { name: 'a', options: { delay: 9 } }, { name: 'a' }, { name: 'a' }])
  log.complete(session, log.acquire(session, 1).jobs)
  log.acquire(session, 1)
  const list = (states: number[], name: string | undefined, from: number, limit: number) => {
    const { jobs, next } = log.shard.jobs(P, { states, name, from }, limit)
    return [jobs.map((job) => job.number), next]
  }
  assert.deepEqual(list([], undefined, 0, 4), [[1, 2, 3, 4], 5])
  assert.deepEqual(list([], undefined, 5, 4), [[5, 6], 0])
  assert.deepEqual(list([JobState.waiting], 'a', 0, 9), [[3, 5, 6], 0])
  assert.deepEqual(list([JobState.active, JobState.completed], undefined, 0, 9), [[1, 2], 0])
  assert.deepEqual(list([], 'nobody', 0, 9), [[], 0])
})

test('a million waiting jobs make a snapshot of a few kilobytes', () => {
  const { log, session } = logWithSession()
  const entry = log.addMany(session, 10_000).seen
  assert.deepEqual(entry.free, [])
  for (let i = 0; i < 99; i++) log.addMany(session, 10_000)
  assert.equal(log.shard.counts(P)!.waiting, 1_000_000)
  assert.ok(log.shard.snapshot().length < 4096)
})

test('a broken snapshot is malformed or other books, nothing worse', () => {
  const { log, session } = logWithSession()
  log.add(session, Array.from({ length: 20 }, (_, i) => ({ name: `n${i % 3}`, options: i % 2 ? { maxAttempts: 2, priority: i % 3, idempotencyKey: `k${i}`, delay: i % 5 ? 0 : 100 } : {} })))
  const { jobs } = log.acquire(session, 12)
  log.complete(session, jobs.slice(0, 3), bytesOf('result'))
  log.fail(session, jobs.slice(3, 6), { error: bytesOf('error') })
  log.extend(session, jobs.slice(6, 8), 99_999)
  log.cancel(session, [17, 19])
  const snapshot = log.shard.snapshot()
  const random = new Random(1)
  let intact = 0
  for (let i = 0; i < 3000; i++) {
    const broken = snapshot.slice(0, random.chance(0.2) ? random.below(snapshot.length) : snapshot.length)
    for (let k = random.between(1, 3); k > 0 && broken.length > 0; k--) broken[random.below(broken.length)] = random.below(256)
    try {
      Shard.restore(SHARD, broken).snapshot()
      intact++
    } catch (error) {
      assert.equal((error as Error).name, 'MalformedMessage', (error as Error).stack)
    }
  }
  assert.ok(intact < 3000)
})

test('a snapshot of an unknown version is refused', () => {
  const { log } = logWithSession()
  const snapshot = log.shard.snapshot()
  // Behind the length of the first frame.
  snapshot[4] = 200
  assert.throws(() => Shard.restore(SHARD, snapshot), /version 200/)
})
