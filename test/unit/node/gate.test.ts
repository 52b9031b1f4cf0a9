import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DATAGRAM_BYTES_MAX, type GossipMessage } from '@horus/core/message/gossip'
import { Gate } from '@horus/core/node/gate'
import { Random } from '@horus/core/random'
import type { Address, ClusterId } from '@horus/core/units'
import { idOf } from '../names.ts'

const A = 'a'.repeat(32) as ClusterId
const B = 'b'.repeat(32) as ClusterId
const FROM = '10.0.0.9:6470' as Address
const GOSSIP: GossipMessage = { kind: 'gossip', updates: [], hints: [] }

const gate = (i: number, clusterId?: ClusterId, cluster = 'test'): Gate => {
  const made = new Gate({ cluster, node: idOf(i), run: i })
  if (clusterId) made.adopt(clusterId)
  return made
}

test('a datagram of the same cluster is opened, and says who sent it', () => {
  const opened = gate(0, A).open(FROM, gate(1, A).seal(GOSSIP), { foreign: assert.fail })
  assert.deepEqual(opened, { sender: { node: idOf(1), address: FROM, run: 1, clusterId: A }, message: GOSSIP })
})

test('an echo of oneself is dropped; the same identity in another run is not', () => {
  const own = gate(0, A)
  assert.equal(own.open(FROM, own.seal(GOSSIP), { foreign: assert.fail }), undefined)
  const twin = new Gate({ cluster: 'test', node: idOf(0), run: 77 })
  assert.equal(own.open(FROM, twin.seal(GOSSIP), { foreign: assert.fail })?.sender.run, 77)
})

test('strangers are refused, each said once, and never more than a few', () => {
  const own = gate(0, A)
  const said: string[] = []
  const outbox = { foreign: (text: string): void => void said.push(text) }
  for (let k = 0; k < 3; k++) {
    assert.equal(own.open(FROM, gate(1, B).seal(GOSSIP), outbox), undefined)
    assert.equal(own.open(FROM, gate(2, A, 'other').seal(GOSSIP), outbox), undefined)
  }
  assert.equal(said.length, 2)
  for (let k = 0; k < 100; k++) own.open(FROM, gate(2, A, `other ${k}`).seal(GOSSIP), outbox)
  assert.equal(said.length, 16)
})

test('a fresh node leans to the first cluster that it meets and refuses the next', () => {
  const fresh = gate(0)
  const said: string[] = []
  assert.ok(fresh.open(FROM, gate(1).seal(GOSSIP), { foreign: assert.fail }))
  assert.ok(fresh.open(FROM, gate(2, A).seal(GOSSIP), { foreign: assert.fail }))
  assert.equal(fresh.clusterId, A)
  assert.equal(fresh.open(FROM, gate(3, B).seal(GOSSIP), { foreign: (text) => said.push(text) }), undefined)
  assert.match(said[0]!, /nothing is merged/)
})

test('a fresh node over the disk of a member leans to the cluster of before, whomever it meets first', () => {
  const renewed = new Gate({ cluster: 'test', node: idOf(0), run: 0, leaning: A })
  assert.equal(renewed.open(FROM, gate(1, B).seal(GOSSIP), { foreign: () => {} }), undefined)
  assert.ok(renewed.open(FROM, gate(2, A).seal(GOSSIP), { foreign: assert.fail }))
})

test('a node never takes another cluster', () => {
  assert.throws(() => gate(0, A).adopt(B), /never takes another/)
})

test('broken bytes are dropped without a word, whatever they are', () => {
  const random = new Random(1)
  const own = gate(0, A)
  const member = { node: idOf(1), address: FROM, incarnation: 1, boot: 1, state: 'alive' as const, value: 1, zone: 'z', version: '1', eligible: true, expect: 0, clusterId: A }
  const whole = gate(1, A).seal({ kind: 'ping', sequence: 1, to: idOf(0), updates: [{ member, by: idOf(2) }], hints: [] })
  assert.ok(whole.length <= DATAGRAM_BYTES_MAX)
  for (let length = 0; length < whole.length; length++) assert.equal(own.open(FROM, whole.subarray(0, length), { foreign: assert.fail }), undefined)
  for (let k = 0; k < 20_000; k++) {
    const bytes = whole.slice()
    for (let n = random.between(1, 4); n > 0; n--) bytes[random.below(bytes.length)] = random.below(256)
    own.open(FROM, bytes, { foreign: () => {} })
  }
})
