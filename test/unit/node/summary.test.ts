//! What two nodes that compare their knowledge send each other: only what differs.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Member, type ShardHint, SYNC_BUCKETS } from '@horus/core/message/gossip'
import { bucketOfNode, bucketOfShard, differing, summaryOf } from '@horus/core/node/membership/summary'
import type { Address, NodeId } from '@horus/core/units'

const nodeOf = (number: number): NodeId => `${number.toString(16).padStart(4, '0')}${'0'.repeat(28)}` as NodeId

function member(number: number, changes: Partial<Member> = {}): Member {
  return { node: nodeOf(number), address: '10.0.0.1:6470' as Address, incarnation: 1, boot: 1, state: 'alive', value: number, zone: '', version: '0.1.0', eligible: true, expect: 0, clusterId: undefined, ...changes }
}

const hint = (shard: number, term: number): ShardHint => ({ shard, term, epoch: 1, leader: nodeOf(1), masters: [nodeOf(1)] }) as unknown as ShardHint
const members = Array.from({ length: 300 }, (_, i) => member(i))
const hints = Array.from({ length: 256 }, (_, i) => hint(i, 1))

test('who knows the same, in whatever order, has nothing to tell', () => {
  assert.deepEqual(differing(summaryOf(members, hints), summaryOf([...members].reverse(), [...hints].reverse())), { members: [], hints: [] })
})

test('a member that one knows better, and a hint that one has newer, are in the only buckets that differ', () => {
  const others = members.map((one, i) => (i === 77 ? member(77, { incarnation: 2 }) : one))
  const newer = hints.map((one, i) => (i === 200 ? hint(200, 2) : one))
  assert.deepEqual(differing(summaryOf(members, hints), summaryOf(others, newer)), { members: [bucketOfNode(nodeOf(77))], hints: [bucketOfShard(200 as never)] })
})

test('a suspicion is told, and whoever is dead to both is no difference', () => {
  const suspected = members.map((one, i) => (i === 5 ? member(5, { state: 'suspect' }) : one))
  assert.deepEqual(differing(summaryOf(members, []), summaryOf(suspected, [])).members, [bucketOfNode(nodeOf(5))])
  assert.deepEqual(differing(summaryOf([...members, member(900, { state: 'dead' })], []), summaryOf(members, [])).members, [])
})

test('a newcomer, who knows nobody but itself, wants every bucket', () => {
  assert.equal(differing(summaryOf(members, hints), summaryOf([member(9999)], [])).members.length, SYNC_BUCKETS)
})
