//! An old copy of a disk is known by those who have seen more of it, and nobody else is taken for one.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Now } from '@horus/core/actor'
import type { WitnessMessage } from '@horus/core/message/witness'
import { Witness, type WitnessOutbox } from '@horus/core/replica/witness'
import type { NodeId } from '@horus/core/units'
import { nodeOf } from '../master/cluster.ts'

class Party implements WitnessOutbox {
  readonly witness = new Witness()
  readonly node: NodeId
  readonly sent: { readonly to: NodeId; readonly message: WitnessMessage }[] = []
  verdict = ''
  /** Nobody has led it since who asks. */
  led = false

  constructor(number: number) {
    this.node = nodeOf(number)
  }

  start(run: number, position: number, others: readonly Party[], at = 0): this {
    this.witness.start(time(at), this.node, run, position, others.map(({ node }) => node), 1000, this)
    return this
  }

  send(to: NodeId, message: WitnessMessage): void {
    this.sent.push({ to, message })
  }

  cleared(): void {
    this.verdict = 'cleared'
  }

  forgotten(by: NodeId): void {
    this.verdict = `forgotten, says ${by}`
  }
}

const time = (ms: number): Now => ({ monotonic: ms, wall: ms }) as unknown as Now

/** Everything that was sent arrives, until nobody has anything left to say. */
function deliver(...parties: readonly Party[]): void {
  for (let busy = true; busy; ) {
    busy = false
    for (const from of parties) {
      for (const { to, message } of from.sent.splice(0)) {
        const receiver = parties.find(({ node }) => node === to)
        receiver?.witness.receive(from.node, message, receiver.led, receiver)
        busy = true
      }
    }
  }
}

test('a disk that ends where the others have seen it end is cleared, and one that ends below has forgotten', () => {
  for (const [position, verdict] of [[500, 'cleared'], [499, `forgotten, says ${nodeOf(1)}`]] as const) {
    const other = new Party(1).start(1, 0, [])
    const before = new Party(0).start(1, 0, [])
    before.witness.tell(other.node, 300, before)
    before.witness.tell(other.node, 500, before)
    deliver(before, other)
    const after = new Party(0).start(2, position, [other])
    assert.equal(after.witness.isCleared, false)
    deliver(after, other)
    assert.equal(after.verdict, verdict)
    assert.equal(after.witness.isCleared, verdict === 'cleared')
  }
})

test('what a run writes after its start is no reason to doubt it, however late it is asked about', () => {
  const other = new Party(1).start(1, 0, [])
  const after = new Party(0).start(2, 500, [other])
  after.sent.length = 0
  after.witness.tell(other.node, 90_000, after)
  deliver(after, other)
  after.witness.wake(time(60), after)
  deliver(after, other)
  assert.equal(after.verdict, 'cleared')
})

test('everybody that may have seen more is heard, but nobody that is away is waited for', () => {
  const [first, second] = [new Party(1).start(1, 0, []), new Party(2).start(1, 0, [])]
  const after = new Party(0).start(2, 500, [first, second])
  deliver(after, first)
  assert.equal(after.verdict, '')
  after.witness.wake(time(999), after)
  deliver(after, first)
  assert.equal(after.verdict, '')
  after.witness.wake(time(1000), after)
  assert.equal(after.verdict, 'cleared')
})

test('a position is told again over a new link, and otherwise once', () => {
  const party = new Party(0).start(1, 0, [])
  party.witness.tell(nodeOf(1), 10, party)
  party.witness.tell(nodeOf(1), 10, party)
  assert.equal(party.sent.length, 1)
  party.witness.linkDown(nodeOf(1))
  party.witness.tell(nodeOf(1), 10, party)
  assert.equal(party.sent.length, 2)
})

test('whoever is first on a disk, with nobody beside it, votes at once', () => {
  assert.equal(new Party(0).start(1, 0, []).witness.isCleared, true)
})

test('a disk that is older than all it knows is found out by the first whom it meets, and nothing here votes before', () => {
  const other = new Party(1).start(1, 0, [])
  const before = new Party(0).start(1, 0, [])
  before.witness.tell(other.node, 500, before)
  deliver(before, other)
  const after = new Party(0).start(2, 20, [])
  assert.equal(after.witness.isCleared, true)
  after.witness.meet(time(10), [after.node, other.node], after)
  assert.equal(after.witness.isCleared, false)
  deliver(after, other)
  assert.equal(after.verdict, `forgotten, says ${other.node}`)
})

test('each is asked once a run, and waited for on its own', () => {
  const [one, two] = [new Party(1).start(1, 0, []), new Party(2).start(1, 0, [])]
  const after = new Party(0).start(2, 0, [one])
  deliver(after, one)
  assert.equal(after.verdict, 'cleared')
  after.witness.meet(time(500), [one.node, two.node], after)
  assert.deepEqual(after.sent.map(({ to }) => to), [two.node])
  after.witness.wake(time(1499), after)
  assert.equal(after.witness.isCleared, false)
  after.witness.wake(time(1500), after)
  assert.equal(after.witness.isCleared, true)
})

test('before its start nobody is asked', () => {
  const early = new Party(0)
  early.witness.meet(time(0), [nodeOf(1)], early)
  assert.deepEqual([early.sent, early.witness.isCleared], [[], true])
})

test('whoever led lately is cleared only when another leads; that it has forgotten, it hears at once', () => {
  const other = new Party(1).start(1, 0, [])
  const before = new Party(0).start(1, 0, [])
  before.witness.tell(other.node, 500, before)
  deliver(before, other)
  other.led = true
  const again = new Party(0).start(2, 500, [other])
  const old = new Party(0).start(3, 499, [other])
  deliver(again, other)
  deliver(old, other)
  assert.deepEqual([again.verdict, old.verdict], ['', `forgotten, says ${nodeOf(1)}`])
  other.led = false
  again.witness.wake(time(60), again)
  deliver(again, other)
  assert.equal(again.verdict, 'cleared')
})
