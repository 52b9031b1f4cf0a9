import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Leases } from '@horus/core/lease/leases'
import { Random } from '@horus/core/random'
import { readBack } from '../image.ts'

const grant = (leases: Leases, token: number, session: number, deadline: number, numbers: number[], lane = 0) =>
  leases.grant(token, session, 100, deadline, Float64Array.from(numbers), new Uint32Array(numbers.length).fill(lane))

test('a lease is found under its token alone', () => {
  const leases = new Leases()
  grant(leases, 5, 1, 100, [1, 2, 3])
  grant(leases, 6, 1, 100, [7, 9])
  assert.equal(leases.find(2, 5)!.group.session, 1)
  assert.equal(leases.find(2, 6), undefined)
  assert.equal(leases.find(8, 6), undefined)
  assert.equal(leases.find(9)!.group.token, 6)
})

test('groups of one token are one chain', () => {
  const leases = new Leases()
  grant(leases, 5, 1, 100, [1, 3])
  grant(leases, 5, 1, 900, [2])
  const { group, position } = leases.find(2, 5)!
  leases.drop(group, position)
  assert.deepEqual([leases.find(2, 5), leases.find(3, 5)!.group.token, leases.held(1)], [undefined, 5, 2])
  assert.deepEqual(leases.expire(100).map((lease) => lease.number), [1, 3])
  assert.equal(leases.of(5), undefined)
})

test('a lease is never shortened', () => {
  const leases = new Leases()
  const group = grant(leases, 5, 1, 100, [1, 2])
  assert.equal(group.extend(0, 50), 100)
  assert.equal(group.extend(0, 150), 150)
  assert.deepEqual([leases.deadlineNext, group.deadline(0), group.deadline(1)], [100, 150, 100])
})

test('leases do as a plain list does, also when restored', () => {
  const random = new Random(21)
  let leases = new Leases()
  let list: { number: number; token: number; session: number; deadline: number; lane: number }[] = []
  let now = 0
  let next = 1
  for (let token = 1; token < 3000; token++) {
    now += random.below(10)
    const draw = random.below(10)
    if (draw < 4) {
      const numbers = Array.from({ length: random.between(1, 6) }, () => (next += random.pick([1, 1, 1, 3])))
      const session = random.between(1, 3)
      const lane = random.below(3)
      grant(leases, token, session, now + 60, numbers, lane)
      list.push(...numbers.map((number) => ({ number, token, session, deadline: now + 60, lane })))
    } else if (draw < 7 && list.length > 0) {
      const some = random.pick(list)
      const { group, position } = leases.find(some.number, random.chance(0.5) ? some.token : undefined)!
      if (random.chance(0.5)) {
        some.deadline = Math.max(some.deadline, now + 90)
        assert.equal(group.extend(position, now + 90), some.deadline)
      } else {
        leases.drop(group, position)
        list = list.filter((each) => each !== some)
      }
    } else if (draw < 9) {
      const due = list.filter((each) => each.deadline <= now).sort((a, b) => a.session - b.session || a.number - b.number)
      assert.deepEqual(leases.expire(now), due.map(({ number, token, session, lane }) => ({ number, token, session, lane })))
      list = list.filter((each) => each.deadline > now)
    } else if (random.chance(0.2)) {
      const session = random.between(1, 3)
      const ended = leases.endSession(session).map((lease) => lease.number)
      assert.deepEqual(ended.sort((a, b) => a - b), list.filter((each) => each.session === session).map((each) => each.number))
      list = list.filter((each) => each.session !== session)
    } else leases = readBack(leases.freeze(), (input) => Leases.read(input))
    assert.equal(leases.deadlineNext, Math.min(Infinity, ...list.map((each) => each.deadline)))
    for (const session of [1, 2, 3]) assert.equal(leases.held(session), list.filter((each) => each.session === session).length)
  }
})

test('many leases are found as few are', () => {
  const leases = new Leases()
  for (let token = 1; token <= 20; token++) grant(leases, token, 1, 100, [token * 10, token * 10 + 1])
  const wanted = [10, 21, 30, 999, 101, 110]
  assert.deepEqual([...leases.findAll(wanted).keys()].sort((a, b) => a - b), [10, 21, 30, 101, 110])
  assert.deepEqual([...leases.findAll([21, 999]).keys()], [21])
})
