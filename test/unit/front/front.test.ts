import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Now } from '@horus/core/actor'
import { type Directory, Front, type FrontOutbox, type ShardService } from '@horus/core/front/front'
import { connectionTable } from '@horus/core/message/messages'
import type { ConnectionId, NodeId, SessionNumber, ShardId } from '@horus/core/units'
import { nodeOf } from '../master/cluster.ts'

const shard = 7 as ShardId
const client = 1 as ConnectionId
const [self, leader, heir] = [nodeOf(0), nodeOf(1), nodeOf(2)]
const at = (monotonic: number): Now => ({ monotonic, wall: 1_700_000_000_000 }) as unknown as Now
const beat = connectionTable.encode({ kind: 'beat', shard, session: 3 as SessionNumber, stamp: 1 })

/** A node with one client that neither leads the shard nor was told to. */
class Stand implements FrontOutbox {
  leads: NodeId = leader
  readonly sent: NodeId[] = []
  readonly closed: ConnectionId[] = []
  readonly front = new Front(() => self, { leaderOf: () => this.leads, addressOf: () => undefined } as unknown as Directory, { led: () => undefined, all: (): ShardService[] => [] })

  constructor() {
    this.front.up(client)
  }

  client(): void {}

  closeClient(connection: ConnectionId): void {
    this.closed.push(connection)
  }

  send(to: NodeId): void {
    this.sent.push(to)
  }
}

test('what is for another is relayed to whoever leads, or is about to', () => {
  const stand = new Stand()
  stand.front.receive(at(0), client, beat, stand)
  stand.leads = heir
  stand.front.receive(at(10), client, beat, stand)
  assert.deepEqual(stand.sent, [leader, heir])
})

test('a client is cut off only where what it said may have gone with the leader: of what is older it asks by itself', () => {
  for (const [goneAt, closed] of [[2000, [client]], [3000, []]] as const) {
    const stand = new Stand()
    stand.front.receive(at(0), client, beat, stand)
    stand.front.linkDown(at(goneAt), leader, stand)
    assert.deepEqual(stand.closed, closed)
  }
})
