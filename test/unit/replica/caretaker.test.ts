import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Now } from '@horus/core/actor'
import type { MasterInput } from '@horus/core/master/boundary'
import { Caretaker, type Surroundings } from '@horus/core/replica/caretaker'
import type { Hosted } from '@horus/core/replica/hosted'
import type { NodeId } from '@horus/core/units'
import { nodeOf } from '../master/cluster.ts'

const now = { monotonic: 1000, wall: 1_700_000_000_000 } as unknown as Now
const [self, second, third] = [nodeOf(0), nodeOf(1), nodeOf(2)]
const places = [self, second, third].map((node, i) => ({ replica: i + 1, node }))

test('a node that goes hands over all its leads at once, and not all to one', () => {
  const given: [number, number | undefined][] = []
  const led = [1, 2, 3, 4].map((shard) => {
    const configuration = { epoch: 1, voters: places, outgoing: undefined, learners: [] }
    const peers = places.slice(1).map((place) => ({ ...place, match: 5, activeAgoMs: 0, learner: false, caughtUp: true, suspect: false, hasRoom: true }))
    const input = (_now: Now, asked: MasterInput): void => void (asked.kind === 'transfer' && given.push([shard, asked.to]))
    return { shard, input, master: { configuration, configurationCommitted: configuration, isSettled: true, hasRoom: true, peers: () => peers } } as unknown as Hosted
  })
  const around = {
    self, candidates: [second, third].map((node) => ({ node, value: 1, zone: '' })), reserve: [], hints: [{ shard: 9, leader: second }], state: () => 'alive', zone: () => '', isLeaving: (node: NodeId) => node === self,
  } as unknown as Surroundings
  new Caretaker({}).wake(now, led, around)
  assert.deepEqual(given, [[1, 3], [2, 2], [3, 3], [4, 2]])
})
