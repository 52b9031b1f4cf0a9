import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Deliveries, type DeliverySource, type Leased } from '@horus/core/lead/delivery'
import type { Presence } from '@horus/core/lead/sessions'
import type { ClientMessage } from '@horus/core/message/client'
import { addBody, logTable, Operation } from '@horus/core/message/command'
import { DeliveryReader, writeAddItem } from '@horus/core/message/jobs'
import { encode, Writer } from '@horus/core/message/layout'
import type { LogIndex } from '@horus/core/units'

function add(text: string): Uint8Array {
  const items = new Writer()
  writeAddItem(items, 0, new TextEncoder().encode(text), undefined)
  const body = encode(addBody, { partition: 1, names: ['bill'], count: 1, items: items.take() } as never)
  return logTable.encode({ kind: 'command', leaseNow: 0, wallNow: 0, shard: 7, session: 3, sequence: 1, lowest: 1, stamp: 0, operation: Operation.add, body } as never)
}

test('nobody waits behind a payload that cannot be read', () => {
  const sent: (ClientMessage & { kind: 'deliver' })[] = []
  const fetched: number[] = []
  const readable = new Map<number, Uint8Array>([[12, add('second')]])
  const source = {
    shard: 7,
    // Job n was added by entry 10 + n.
    books: { leaseOf: (_partition: number, number: number) => ({ session: 3, token: 20, deadline: 100, leaseMs: 100, attempt: 1, maxAttempts: 5, entryIndex: 10 + number, ordinal: 0 }) },
    entry: (index: number) => readable.get(index),
    fetch: (index: number) => fetched.push(index),
    send: (_to: unknown, message: ClientMessage & { kind: 'deliver' }) => sent.push(message),
  } as unknown as DeliverySource
  const deliveries = new Deliveries(source)
  const presence = { endpoint: 2, stamp: 0, leaseClock: 0 } as unknown as Presence
  for (const number of [1, 2]) deliveries.add({ partition: 1, session: 3, token: 20, deadline: 100, leaseMs: 100, jobs: [number] } as unknown as Leased)
  deliveries.send(() => presence)
  assert.deepEqual([fetched, sent.length], [[11], 0])
  deliveries.unreadable(11 as LogIndex)
  deliveries.send(() => presence)
  assert.deepEqual(sent.map((message) => message.base), [2])
})

test('jobs are named rightly where the first of a batch, which has the highest number, has ended meanwhile', () => {
  const sent: (ClientMessage & { kind: 'deliver' })[] = []
  const source = {
    shard: 7,
    books: { leaseOf: (_partition: number, number: number) => (number === 9 ? undefined : { session: 3, token: 20, deadline: 100, leaseMs: 100, attempt: 1, maxAttempts: 5, entryIndex: 12, ordinal: 0 }) },
    entry: () => add('all'),
    send: (_to: unknown, message: ClientMessage & { kind: 'deliver' }) => sent.push(message),
  } as unknown as DeliverySource
  const deliveries = new Deliveries(source)
  deliveries.add({ partition: 1, session: 3, token: 20, deadline: 100, leaseMs: 100, jobs: [9, 2, 4] } as unknown as Leased)
  deliveries.send(() => ({ endpoint: 2, stamp: 0, leaseClock: 0 }) as unknown as Presence)
  const numbers = sent.flatMap((message) => {
    const reader = new DeliveryReader(message.items, message.base, message.count, message.names.length)
    return Array.from({ length: message.count }, () => reader.next() && reader.number)
  })
  assert.deepEqual(numbers, [2, 4])
})
