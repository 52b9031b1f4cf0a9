import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Now } from '@horus/core/actor'
import { localEndpoint } from '@horus/core/lead/endpoint'
import { PARKED_BYTES_MAX } from '@horus/core/lead/parked'
import type { ClientMessage } from '@horus/core/message/client'
import { Code, openBody, Operation } from '@horus/core/message/command'
import { encode } from '@horus/core/message/layout'
import { type ConnectionMessage, connectionTable } from '@horus/core/message/messages'
import type { Hosted } from '@horus/core/replica/hosted'
import { JobMachine, type JobMachineOutbox } from '@horus/core/replica/job-machine'
import type { ShardMessage } from '@horus/core/front/front'
import type { ConnectionId, ShardId } from '@horus/core/units'

const shard = 7 as ShardId
const from = localEndpoint(1 as ConnectionId)
const now = { monotonic: 50, wall: 1_700_000_000_000 } as unknown as Now

const open = (sequence: number, padding = 0) => ({ kind: 'command', leaseNow: 0, wallNow: 0, shard, session: 0, sequence, lowest: sequence, stamp: 0, operation: Operation.open, body: padding === 0 ? encode(openBody, { client: 'c'.repeat(32) }) : new Uint8Array(padding) }) as unknown as ShardMessage
const demand = { kind: 'demand', shard, partition: 1, session: 3, number: 1, grant: 5, leaseMs: 1000, stamp: 1, names: [] } as unknown as ShardMessage

/** A machine whose master was told to stand; what it proposes and sends is kept. */
class Stand {
  readonly sent: ClientMessage[] = []
  readonly proposed: Uint8Array[] = []
  readonly host = { stir: () => {}, applied: 0, master: { lastIndex: 1, proposable: 'yes', isSucceeding: true, hasRoom: true, lacksRoom: false, configuration: { voters: [1, 2, 3] }, leaseNow: () => 0, wallNow: () => 0, leadsSurely: () => true }, propose: (_now: Now, entry: Uint8Array) => this.proposed.push(entry) }
  readonly machine: JobMachine

  constructor() {
    this.machine = new JobMachine(shard, { send: (_to: unknown, message: ClientMessage) => this.sent.push(message), redirect: () => new Uint8Array(0), placed: () => [], minMasters: () => 1 } as unknown as JobMachineOutbox)
    this.machine.attach(this.host as unknown as Hosted)
  }

  say(message: ShardMessage): void {
    this.machine.receive(now, from, connectionTable.encode(message as ConnectionMessage), message)
  }

  lead(): void {
    this.host.master.isSucceeding = false
    this.machine.lead(true)
    this.machine.turn(now)
  }

  get codes(): readonly unknown[] {
    return this.sent.map((message) => ('code' in message ? message.code : message.kind))
  }
}

test('what is said to a copy that was told to lead waits, and commands are appended as soon as it leads', () => {
  const stand = new Stand()
  stand.say(demand)
  stand.say(open(1))
  stand.machine.turn(now)
  assert.deepEqual([stand.sent, stand.proposed], [[], []])
  stand.lead()
  // It leads, and does not know all that is committed: of sessions it can say nothing yet.
  assert.deepEqual([stand.sent.length, stand.proposed.length], [0, 1])
  stand.host.applied = 1
  stand.machine.turn(now)
  assert.deepEqual(stand.codes, [Code.unknownPartition])
})

test('the order of commands is kept when it leads', () => {
  const stand = new Stand()
  stand.say(open(1))
  stand.machine.lead(true)
  stand.say(open(2))
  stand.machine.turn(now)
  const sequences = stand.proposed.map((bytes) => connectionTable.decode(bytes)).map((message) => message.kind === 'command' && message.sequence)
  assert.deepEqual(sequences, [1, 2])
})

test('who waited for a lead that was not won is turned away', () => {
  const stand = new Stand()
  stand.say(open(1))
  stand.host.master.isSucceeding = false
  stand.machine.turn(now)
  assert.deepEqual(stand.codes, [Code.notLeader])
  stand.say(open(2))
  assert.deepEqual(stand.codes, [Code.notLeader, Code.notLeader])
  assert.equal(stand.machine.load.parkedBytes, 0)
})

test('I11: what waits for a lead has a bound, and goes with its connection', () => {
  const stand = new Stand()
  for (let sequence = 1; sequence <= 40; sequence++) stand.say(open(sequence, 512 * 1024))
  assert.ok(stand.machine.load.parkedBytes <= PARKED_BYTES_MAX)
  assert.ok(stand.sent.length > 0)
  stand.machine.gone(from)
  assert.equal(stand.machine.load.parkedBytes, 0)
})
