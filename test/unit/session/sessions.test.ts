import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Code } from '@horus/core/message/command'
import { Session, SESSION_ANSWER_BYTES_MAX, SESSION_IDLE_MS, SESSION_WINDOW, Sessions } from '@horus/core/session/sessions'
import { Shard } from '@horus/core/shard'
import { logWithSession, P, SHARD, TestLog } from '../job/log.ts'
import { readBack } from '../image.ts'

const answer = (size = 1) => ({ code: Code.ok, body: new Uint8Array(size).fill(7) })

test('a repeat gets the first answer, until the session has it', () => {
  const session = new Session(1, 0)
  assert.equal(session.admit(5, 5).kind, 'new')
  session.keep(5, answer())
  assert.deepEqual(session.admit(5, 5), { kind: 'repeat', answer: answer() })
  assert.equal(session.admit(6, 6).kind, 'new')
  assert.equal(session.admit(5, 5).kind, 'stale')
})

test('commands of a window may come in any order', () => {
  const session = new Session(1, 0)
  for (const sequence of [9, 7, 8]) {
    assert.equal(session.admit(sequence, 7).kind, 'new')
    session.keep(sequence, answer(sequence))
  }
  assert.equal(session.admit(9, 8).kind, 'repeat')
  assert.equal(session.admit(7, 7).kind, 'stale')
})

test('a session never runs more than its window ahead', () => {
  const session = new Session(1, 0)
  assert.equal(session.admit(10 + SESSION_WINDOW - 1, 10).kind, 'new')
  assert.equal(session.admit(10 + SESSION_WINDOW, 10).kind, 'malformed')
  assert.equal(session.lowest, 10)
  assert.equal(session.admit(11, 12).kind, 'malformed')
})

test('a lowest of any height costs no more than what is kept', () => {
  const session = new Session(1, 0)
  for (let i = 0; i < 100; i++) session.keep(i, answer())
  assert.equal(session.admit(2 ** 53 - 2, 2 ** 53 - 2).kind, 'new')
  assert.equal(session.admit(50, 50).kind, 'stale')
})

test('answers that nobody acknowledges are bounded', () => {
  const session = new Session(1, 0)
  session.keep(1, answer(SESSION_ANSWER_BYTES_MAX + 1))
  assert.equal(session.admit(2, 1).kind, 'full')
  assert.equal(session.admit(2, 2).kind, 'new')
})

test('a session is forgotten a day after its last command, unless it holds something', () => {
  const sessions = new Sessions()
  sessions.open(1, 0)
  sessions.open(2, 0)
  sessions.open(3, 0).activeAt = 500
  sessions.expire(SESSION_IDLE_MS - 1, () => false)
  assert.equal(sessions.size, 3)
  sessions.expire(SESSION_IDLE_MS, (session) => session === 2)
  assert.deepEqual([1, 2, 3].map((number) => sessions.has(number)), [false, true, true])
  sessions.expire(SESSION_IDLE_MS + 500, () => false)
  assert.deepEqual([1, 2, 3].map((number) => sessions.has(number)), [false, true, false])
  sessions.expire(2 * SESSION_IDLE_MS, () => false)
  assert.equal(sessions.size, 0)
})

test('a restored session answers as before', () => {
  const sessions = new Sessions()
  const session = sessions.open(4, 10)
  session.admit(8, 3)
  session.keep(8, answer(20))
  const copy = readBack(sessions.freeze(), (input) => Sessions.read(input)).own(4)!
  assert.deepEqual([copy.lowest, copy.activeAt, copy.admit(8, 3)], [3, 10, { kind: 'repeat', answer: answer(20) }])
})

test('a repeated complete gets its first answer over a snapshot, though the lease is gone', () => {
  const { log, session } = logWithSession()
  log.addMany(session, 2)
  const { jobs } = log.acquire(session, 2)
  const first = log.complete(session, jobs)
  const entry = log.entries.at(-1)!
  log.shard = Shard.restore(SHARD, log.shard.snapshot())
  const again = log.append(entry)
  assert.deepEqual([again.answers[0]!.code, again.answers[0]!.body], [first.code, first.body])
  assert.equal(log.shard.counts(P)!.completed, 2)
})

test('a repeated add adds nothing, and frees the payloads it brought again', () => {
  const { log, session } = logWithSession()
  const first = log.addMany(session, 3)
  const again = log.append(log.entries.at(-1)!)
  assert.deepEqual(again.answers[0]!.body, first.body)
  assert.deepEqual(again.free, [log.index])
  assert.equal(log.shard.counts(P)!.waiting, 3)
})

test('two sessions of one client are two', () => {
  const log = new TestLog()
  const [one, two] = [log.open(), log.open()]
  assert.ok(one !== two && log.shard.hasSession(one as never) && log.shard.hasSession(two as never))
})
