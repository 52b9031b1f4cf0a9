import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EXPECTED_PER_SESSION_MAX, Receipts } from '@horus/core/lead/receipts'
import type { FencingToken, JobNumber, LeaseTime, SessionNumber } from '@horus/core/units'

const session = 3 as SessionNumber
const token = (value: number): FencingToken => value as FencingToken
const job = (value: number): JobNumber => value as JobNumber
const batch = (of: number, deadline: number, jobs: readonly number[]) => ({ session, token: token(of), deadline: deadline as LeaseTime, jobs })

test('what a worker has said it got is not named, what it has not got is, once', () => {
  const receipts = new Receipts()
  receipts.expect(batch(10, 100, [5, 4, 9]))
  receipts.received(session, token(10), job(4))
  assert.deepEqual(receipts.lapse(99), [])
  assert.deepEqual(receipts.lapse(100), [{ number: 9, token: 10 }])
  assert.deepEqual(receipts.lapse(100), [])
})

test('leases of one acquire with other lengths are told apart, and a repeated receipt changes nothing', () => {
  const receipts = new Receipts()
  receipts.expect(batch(10, 100, [1, 2]))
  receipts.expect(batch(10, 300, [7, 8]))
  for (const number of [8, 1, 1]) receipts.received(session, token(10), job(number))
  receipts.received(session, token(11), job(2))
  assert.deepEqual(receipts.lapse(400), [{ number: 2, token: 10 }])
})

test('a session that lists what it has is expected to say again only what it lacks', () => {
  const receipts = new Receipts()
  receipts.expect(batch(10, 100, [1, 2, 3]))
  receipts.listed(session)
  receipts.expect(batch(10, 100, [2]))
  assert.deepEqual(receipts.lapse(100), [{ number: 2, token: 10 }])
})

test('I11: a client that never says what it got takes up no more than a bound', () => {
  const receipts = new Receipts()
  for (let i = 1; i <= EXPECTED_PER_SESSION_MAX + 5; i++) receipts.expect(batch(i, 100, [i]))
  assert.deepEqual(receipts.lapse(100).map(({ number }) => number), Array.from({ length: EXPECTED_PER_SESSION_MAX }, (_, i) => i + 6))
})
