//! The agenda of a node's copies: nobody is looked at who was not stirred and whose time has not come.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Now } from '@horus/core/actor'
import { Agenda } from '@horus/core/replica/agenda'
import type { ShardId } from '@horus/core/units'

class Copy {
  readonly shard: ShardId
  at = Infinity
  looks = 0

  constructor(shard: number) {
    this.shard = shard as ShardId
  }

  wakeAt(): number {
    this.looks++
    return this.at
  }
}

const at = (monotonic: number): Now => ({ monotonic, wall: 0 }) as unknown as Now

function withCopies(count: number): { readonly agenda: Agenda<Copy>; readonly copies: readonly Copy[] } {
  const agenda = new Agenda<Copy>()
  const copies = Array.from({ length: count }, (_, i) => new Copy(i + 1))
  for (const copy of copies) agenda.add(copy)
  agenda.takeStirred()
  agenda.wakeAt(at(0))
  for (const copy of copies) copy.looks = 0
  return { agenda, copies }
}

test('a turn takes those that were stirred, each once, and new copies first of all', () => {
  const agenda = new Agenda<Copy>()
  const copy = new Copy(1)
  agenda.add(copy)
  assert.deepEqual(agenda.takeStirred(), [copy])
  assert.deepEqual(agenda.takeStirred(), [])
  agenda.stir(copy)
  assert.deepEqual(agenda.takeStirred(), [copy])
})

test('an idle copy is looked at by no turn and no wake', () => {
  const { agenda, copies } = withCopies(100)
  const busy = copies[7]!
  for (let now = 1; now < 50; now++) {
    busy.at = now
    agenda.move(busy)
    assert.deepEqual(agenda.takeDue(at(now)), [busy])
  }
  assert.equal(copies.reduce((sum, copy) => sum + (copy === busy ? 0 : copy.looks), 0), 0)
})

test('a time that is put off again and again is planned once, and comes when it is due', () => {
  const { agenda, copies } = withCopies(2)
  const [copy, other] = [copies[0]!, copies[1]!]
  for (let now = 0; now < 100; now++) {
    copy.at = now + 10
    agenda.move(copy)
    assert.equal(agenda.wakeAt(at(now)), copy.at)
    assert.deepEqual(agenda.takeDue(at(now)), [])
  }
  assert.deepEqual(agenda.takeDue(at(109)), [copy])
  assert.equal(other.looks, 0)
})

test('a time that comes nearer counts at once', () => {
  const { agenda, copies } = withCopies(1)
  const copy = copies[0]!
  copy.at = 1000
  agenda.move(copy)
  assert.equal(agenda.wakeAt(at(0)), 1000)
  copy.at = 5
  agenda.move(copy)
  assert.equal(agenda.wakeAt(at(0)), 5)
  assert.deepEqual(agenda.takeDue(at(5)), [copy])
  copy.at = 1000
  assert.equal(agenda.wakeAt(at(6)), 1000)
})

test('a copy that was dropped is never taken, and its shard may come back as another', () => {
  const { agenda, copies } = withCopies(1)
  const copy = copies[0]!
  copy.at = 5
  agenda.move(copy)
  agenda.stir(copy)
  agenda.wakeAt(at(0))
  agenda.drop(copy)
  const next = new Copy(1)
  agenda.add(next)
  assert.deepEqual(agenda.takeStirred(), [next])
  assert.deepEqual(agenda.takeDue(at(10)), [])
  next.at = 20
  agenda.move(next)
  assert.deepEqual(agenda.takeDue(at(20)), [next])
})
