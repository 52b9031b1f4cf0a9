import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Cluster } from '@horus/core/replica/cluster'
import { NodeDirectory } from '@horus/core/replica/directory'
import type { Hosted } from '@horus/core/replica/hosted'
import type { ShardId } from '@horus/core/units'
import { nodeOf } from '../master/cluster.ts'

const shard = 9 as ShardId
const self = nodeOf(3)
const masters = [nodeOf(0), nodeOf(1), nodeOf(2)]

function directoryOf(copy: { term: number; leader?: { node: string } }, hint: { term: number; masters: readonly string[] } | undefined): NodeDirectory {
  const cluster = { self, hint: () => hint && { shard, epoch: 4, leader: nodeOf(0), ...hint }, member: () => ({ state: 'alive' }) } as unknown as Cluster
  return new NodeDirectory('test', cluster, new Map([[shard, { shard, master: { leader: undefined, ...copy } } as unknown as Hosted]]))
}

test('a copy that a lost change left over hides no leader that all others know', () => {
  const directory = directoryOf({ term: 30 }, { term: 30, masters })
  assert.equal(directory.leaderOf(shard), nodeOf(0))
  assert.ok(directory.isLeftOver(shard))
})

test('a master that has lost the leader of the hinted term knows better than the hint', () => {
  const directory = directoryOf({ term: 30 }, { term: 30, masters: [nodeOf(0), nodeOf(1), self] })
  assert.equal(directory.leaderOf(shard), undefined)
  assert.ok(!directory.isLeftOver(shard))
})

test('a copy in a later term than the hint, or with a leader, is not left over', () => {
  assert.ok(!directoryOf({ term: 31 }, { term: 30, masters }).isLeftOver(shard))
  const following = directoryOf({ term: 30, leader: { node: nodeOf(1) } }, { term: 30, masters })
  assert.ok(!following.isLeftOver(shard))
  assert.equal(following.leaderOf(shard), nodeOf(1))
})
