import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FailMode, type JobOptions, logTable, Operation } from '@horus/core/message/command'
import { AddItemReader, DeliveryReader, DeliveryWriter, LeasedGroupsWriter, readAddEntry, readGroups, writeAddItem } from '@horus/core/message/jobs'
import { Writer } from '@horus/core/message/layout'
import { addOf, bytesOf } from '../job/log.ts'

const OPTIONS: JobOptions = { priority: 3, timeoutMs: 1234, headers: [['trace', 'a-b'], ['x', '']], idempotencyKey: 'k' }

test('the items of an add come back in any order', () => {
  const writer = new Writer()
  writeAddItem(writer, 1, bytesOf('first'))
  writeAddItem(writer, 0, bytesOf('second'), OPTIONS)
  writeAddItem(writer, 0, bytesOf(''))
  const items = new AddItemReader(writer.take(), 3, 2)
  const seen = [2, 0, 1, 1].map((ordinal) => {
    assert.ok(items.seek(ordinal))
    return [items.nameOrdinal, Buffer.from(items.payload).toString(), items.options]
  })
  assert.deepEqual(seen, [[0, '', {}], [1, 'first', {}], [0, 'second', OPTIONS], [0, 'second', OPTIONS]])
  assert.equal(items.seek(3), false)
})

test('an add that is cut, too long or names what is not there is malformed', () => {
  const writer = new Writer()
  writeAddItem(writer, 0, bytesOf('payload'))
  const bytes = writer.take()
  const readAll = (items: Uint8Array, count: number, names: number) => () => {
    const reader = new AddItemReader(items, count, names)
    while (reader.next());
  }
  readAll(bytes, 1, 1)()
  for (const broken of [readAll(bytes.subarray(0, -1), 1, 1), readAll(Uint8Array.from([...bytes, 0]), 1, 1), readAll(bytes, 2, 1), readAll(bytes, 1, 0), readAll(bytes, 70_000, 1)]) {
    assert.throws(broken, { name: 'MalformedMessage' })
  }
})

test('leased groups come back as they were written', () => {
  const writer = new LeasedGroupsWriter()
  writer.group(9 as never, 100 as never)
  writer.fail(103 as never, FailMode.retryAfter, 50, bytesOf('no'))
  writer.fail(100 as never, FailMode.permanent, 0, bytesOf(''))
  writer.group(2 ** 40 as never, 2 ** 41 as never)
  writer.fail((2 ** 41 + 7) as never, FailMode.retry, 0, bytesOf('why'))
  const groups = readGroups(writer.take(), Operation.fail)
  const seen: unknown[] = []
  while (groups.nextGroup()) {
    while (groups.nextItem()) seen.push([groups.token, groups.number, groups.mode, groups.retryAfterMs, Buffer.from(groups.bytes.subarray(groups.dataAt, groups.dataAt + groups.dataLength)).toString()])
  }
  assert.deepEqual(seen, [[9, 103, 2, 50, 'no'], [9, 100, 1, 0, ''], [2 ** 40, 2 ** 41 + 7, 0, 0, 'why']])
})

test('a job below the base of its group is refused by the writer', () => {
  const writer = new LeasedGroupsWriter()
  assert.throws(() => writer.leased(1 as never), RangeError)
  writer.group(9 as never, 100 as never)
  assert.throws(() => writer.leased(99 as never), RangeError)
})

test('a delivery carries payload, name, time-out and headers from the add entry to the worker', () => {
  const body = addOf([{ name: 'a', payload: bytesOf('1') }, { name: 'b', payload: bytesOf('2'), options: OPTIONS }], 5 as never)
  const entry = logTable.encode({ kind: 'command', leaseNow: 1 as never, wallNow: 1 as never, shard: 1 as never, session: 1 as never, sequence: 1, lowest: 1, stamp: 0, operation: Operation.add, body })
  const add = readAddEntry(entry)
  const writer = new DeliveryWriter().begin(40 as never)
  add.items.seek(1)
  writer.add(41 as never, 2, 5, add)
  add.items.seek(0)
  writer.add(40 as never, 1, 5, add)
  assert.deepEqual([add.partition, writer.names, writer.count], [5, ['b', 'a'], 2])
  const reader = new DeliveryReader(writer.take(), 40 as never, 2, 2)
  const seen: unknown[] = []
  while (reader.next()) seen.push([reader.number, reader.attempt, reader.maxAttempts, reader.timeoutMs, reader.nameOrdinal, reader.headers, Buffer.from(reader.payload).toString()])
  assert.deepEqual(seen, [[41, 2, 5, 1234, 0, OPTIONS.headers, '2'], [40, 1, 5, 0, 1, [], '1']])
})
