import assert from 'node:assert/strict'
import { test } from 'node:test'
import { boundReaches, latestLeaseClock, newerBound } from '@horus/core/client/lease-bound'
import type { Instant, LeaseTime } from '@horus/core/units'

const at = (value: number) => value as Instant
const clock = (value: number) => value as LeaseTime

test('the bound runs an eighth faster than the own clock, from the stamp on', () => {
  const bound = newerBound(undefined, 1000, clock(50))
  assert.equal(latestLeaseClock(bound, at(1000)), 50)
  assert.equal(latestLeaseClock(bound, at(1800)), 950)
})

test('an older echo says nothing new', () => {
  const bound = newerBound(undefined, 1000, clock(50))
  assert.equal(newerBound(bound, 900, clock(500)), bound)
  assert.equal(newerBound(bound, 1100, clock(120)).leaseClock, 120)
})

test('the time at which the bound reaches a deadline is the time at which its clock says so', () => {
  const bound = newerBound(undefined, 1000, clock(50))
  for (const deadline of [51, 500, 30_050]) assert.ok(Math.abs(latestLeaseClock(bound, boundReaches(bound, clock(deadline))) - deadline) < 1e-6)
})

test('without any echo nothing is believed', () => {
  assert.equal(boundReaches(undefined, clock(1000)), 0)
})
