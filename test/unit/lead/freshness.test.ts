import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Now } from '@horus/core/actor'
import { localEndpoint } from '@horus/core/lead/endpoint'
import type { Leased } from '@horus/core/lead/delivery'
import { type Led, Service } from '@horus/core/lead/service'
import type { ClientMessage } from '@horus/core/message/client'
import { addBody, Code, logTable, Operation } from '@horus/core/message/command'
import { writeAddItem } from '@horus/core/message/jobs'
import { encode, Writer } from '@horus/core/message/layout'
import type { Hosted } from '@horus/core/replica/hosted'
import { JobMachine, type JobMachineOutbox } from '@horus/core/replica/job-machine'
import type { ConnectionId, ShardId } from '@horus/core/units'

const shard = 7 as ShardId
const from = localEndpoint(1 as ConnectionId)
const now = { monotonic: 50, wall: 1_700_000_000_000 } as unknown as Now
const nothing = new Uint8Array(0)
const codeOf = (message: ClientMessage | undefined): number | undefined => (message !== undefined && 'code' in message ? message.code : undefined)

test('a leader that may have been followed by another tells no worker what its lease clock says', () => {
  const sent: ClientMessage[] = []
  const led = { shard, books: { hasSession: () => true }, proposable: 'yes', leadsSurely: () => false, leaseNow: () => 900, send: (_to: unknown, message: ClientMessage) => sent.push(message) }
  const service = new Service(led as unknown as Led)
  const beat = { kind: 'beat', shard, session: 3, stamp: 1234 } as unknown as ClientMessage & { kind: 'beat' }
  service.beat(now, from, beat)
  assert.deepEqual(sent, [])
  led.leadsSurely = () => true
  service.beat(now, from, { ...beat, stamp: 1300 })
  assert.deepEqual(sent, [{ kind: 'beatAnswer', shard, session: 3, stamp: 1300, leaseClock: 900 }])
})

test('what waited for its payload leaves only while nobody else can lead', () => {
  const sent: ClientMessage[] = []
  let isHeld = true
  const items = new Writer()
  writeAddItem(items, 0, new Uint8Array([1]), undefined)
  const body = encode(addBody, { partition: 1, names: ['bill'], count: 1, items: items.take() } as never)
  const entry = logTable.encode({ kind: 'command', leaseNow: 0, wallNow: 0, shard, session: 3, sequence: 1, lowest: 1, stamp: 0, operation: Operation.add, body } as never)
  const books = { hasSession: () => true, leaseOf: () => (isHeld ? { session: 3, token: 20, deadline: 2000, leaseMs: 100, attempt: 1, maxAttempts: 5, entryIndex: 11, ordinal: 0 } : undefined) }
  const led = { shard, books, proposable: 'yes', leadsSurely: () => false, leaseNow: () => 900, entry: () => entry, send: (_to: unknown, message: ClientMessage) => sent.push(message) }
  const service = new Service(led as unknown as Led)
  service.beat(now, from, { kind: 'beat', shard, session: 3, stamp: 1234 } as unknown as ClientMessage & { kind: 'beat' })
  const lease = { partition: 1, session: 3, token: 20, deadline: 2000, leaseMs: 100, jobs: [1] } as unknown as Leased
  service.leased(lease)
  service.turn(now)
  assert.deepEqual(sent, [])
  led.leadsSurely = () => true
  service.turn(now)
  assert.deepEqual(sent.map(({ kind }) => kind), ['deliver'])
  led.leadsSurely = () => false
  service.leased(lease)
  service.turn(now)
  // The books have caught up with the leader that acknowledged the end of the lease.
  isHeld = false
  led.leadsSurely = () => true
  service.turn(now)
  assert.equal(sent.length, 1)
})

test('I11: a peer that makes up sessions leaves nothing behind at the leader', () => {
  const sent: ClientMessage[] = []
  const books = { hasSession: (session: number) => session === 3 }
  const led = { shard, books, proposable: 'yes', leadsSurely: () => false, leaseNow: () => 900, redirect: () => nothing, send: (_to: unknown, message: ClientMessage) => sent.push(message) }
  const service = new Service(led as unknown as Led)
  const beat = { kind: 'beat', shard, session: 3, stamp: 1234 } as unknown as ClientMessage & { kind: 'beat' }
  for (let session = 4; session < 100; session++) service.beat(now, localEndpoint(session as ConnectionId), { ...beat, session: session as never })
  service.beat(now, from, beat)
  // Whoever is remembered is told when the lead is lost.
  service.lostLead()
  assert.equal(sent.length, 1)
})

test('a session goes on at a leader only when a quorum has confirmed it since', () => {
  const sent: ClientMessage[] = []
  const reads: ((ok: boolean) => void)[] = []
  const machine = new JobMachine(shard, { send: (_to: unknown, message: ClientMessage) => sent.push(message), redirect: () => nothing } as unknown as JobMachineOutbox)
  machine.attach({ stir: () => {}, applied: 0, master: { lastIndex: 0, proposable: 'yes' }, read: (_now: Now, done: (ok: boolean) => void) => reads.push(done) } as unknown as Hosted)
  machine.lead(true)
  const resume = { kind: 'resume', shard, session: 3, stamp: 1, leases: [] } as unknown as ClientMessage & { kind: 'resume' }
  machine.receive(now, from, nothing, resume)
  machine.receive(now, from, nothing, resume)
  assert.deepEqual(sent, [])
  reads[0]!(false)
  assert.equal(codeOf(sent[0]), Code.notLeader)
  // The books of a leader that was confirmed know no such session.
  reads[1]!(true)
  assert.equal(codeOf(sent[1]), Code.sessionExpired)
})
