import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NodeId } from '@horus/core/units'
import { holdings, nodeNamed } from '@horus/node/cli/nodes'
import { UsageError } from '@horus/node/errors'
import type { ClusterStatus } from '@horus/sdk'

const idOf = (name: string): NodeId => name.padEnd(32, '0') as NodeId

function node(name: string, changes: Partial<ClusterStatus['nodes'][number]> = {}): ClusterStatus['nodes'][number] {
  return { id: idOf(name), address: `10.0.0.${name.length}:6470` as never, state: 'alive', value: 1, zone: '', version: '1', eligible: true, draining: false, admitted: true, ...changes }
}

function status(nodes: ClusterStatus['nodes'], shards: readonly (readonly [leader: string, ...masters: string[]])[]): ClusterStatus {
  return {
    cluster: 'c', clusterId: 'c', quorum: true, self: nodes[0]!.id, nodes, topics: [],
    shards: shards.map(([leader, ...masters], shard) => ({ shard: shard as never, leader: idOf(leader), masters: masters.map(idOf), term: 1 as never, epoch: 1 as never, commitIndex: 1 as never })),
  }
}

test('a node holds what it is a master of, and another can take that where it lives, may, and has none of it', () => {
  const three = [node('aaaa'), node('bbbb'), node('cccc')]
  const shards = [['aaaa', 'aaaa', 'bbbb', 'cccc'], ['bbbb', 'aaaa', 'bbbb', 'cccc']] as const
  assert.deepEqual(holdings(status(three, shards), idOf('aaaa')), { draining: false, shardsLeft: 2, leadsLeft: 1, shardsMovable: 0, leadsMovable: 1 })
  const movable = (fourth: ClusterStatus['nodes'][number]): number => holdings(status([...three, fourth], shards), idOf('aaaa')).shardsMovable
  assert.equal(movable(node('dddd')), 2)
  for (const changes of [{ state: 'dead' }, { eligible: false }, { draining: true }, { admitted: false }]) assert.equal(movable(node('dddd', changes)), 0)
  const others = [node('aaaa', { draining: true }), node('bbbb', { draining: true }), node('cccc', { state: 'suspect' })]
  assert.deepEqual(holdings(status(others, shards), idOf('aaaa')), { draining: true, shardsLeft: 2, leadsLeft: 1, shardsMovable: 0, leadsMovable: 0 })
})

test('a node is named by its id, the beginning of that, or its address, and by nothing that may mean two', () => {
  const known = status([node('aaaa1'), node('aaaa2', { address: '10.0.0.9:6470' as never }), node('bbbb'), node('cccc', { admitted: false })], [])
  for (const name of ['aaaa2', idOf('aaaa2'), '10.0.0.9:6470', 'AAAA2']) assert.equal(nodeNamed(known, name).id, idOf('aaaa2'))
  for (const name of ['aaaa', 'bbb', 'cccc', '10.0.0.8:6470', '']) assert.throws(() => nodeNamed(known, name), (error: unknown) => error instanceof UsageError && !error.message.includes('\n'))
})
