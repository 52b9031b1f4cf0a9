//! The books of a partition as bytes, and back. What can be computed is not written: heaps follow from rows, indexes from
//! numbers. Everything is written in the order of numbers, so equal books give equal bytes.
//!
//! To change the layout: raise the version in shard.ts, and let it read the version before.

import { name } from '../message/fields.ts'
import { bytes, MalformedMessage, type Reader, type Writer } from '../message/layout.ts'
import { readCount, readPacked, readRising, writePacked } from '../message/packed.ts'
import { JobState } from '../message/client.ts'
import { Batches } from './batches.ts'
import { Keys } from './keys.ts'
import { Lanes } from './lanes.ts'
import { Names } from './names.ts'
import { readOptionSet, writeOptionSet } from './options.ts'
import { PartitionBooks } from './partition.ts'

export function writeBooks(writer: Writer, books: PartitionBooks): void {
  writePacked(writer, books.partition)
  name.write(writer, books.topic)
  settings.write(writer, books.settings)
  writePacked(writer, books.next)
  for (const count of books.counts) writePacked(writer, count)
  books.names.write(writer)
  books.lanes.write(writer)
  books.batches.write(writer)
  books.keys.write(writer)
  books.ended.write(writer)
  writeRows(writer, books)
  const failed = [...books.errors.keys()].sort((a, b) => a - b)
  writePacked(writer, failed.length)
  for (const number of failed) {
    const error = books.errors.get(number)!
    writePacked(writer, number)
    writePacked(writer, error.length)
    writer.raw(error)
  }
}

/** Throws MalformedMessage. */
export function readBooks(reader: Reader): PartitionBooks {
  const books = new PartitionBooks(readPacked(reader), name.read(reader), settings.read(reader).slice())
  books.next = readPacked(reader)
  const counts = Array.from(books.counts, () => readPacked(reader))
  books.names = Names.read(reader)
  books.lanes = Lanes.read(reader)
  books.batches = Batches.read(reader)
  books.keys = Keys.read(reader)
  books.ended.readAll(reader)
  readRows(reader, books)
  const failed = readCount(reader, 2)
  for (let i = 0; i < failed; i++) {
    const number = readPacked(reader)
    books.errors.set(number, reader.raw(readPacked(reader)).slice())
  }
  books.counts.set(counts)
  return books
}

function writeRows(writer: Writer, books: PartitionBooks): void {
  const table = books.table
  const numbers = table.sorted()
  const ordinals = new Map<number, number>()
  for (const number of numbers) {
    const options = table.options[table.find(number)]!
    if (!ordinals.has(options)) ordinals.set(options, ordinals.size)
  }
  writePacked(writer, ordinals.size)
  for (const options of ordinals.keys()) writeOptionSet(writer, books.sets.get(options))
  writePacked(writer, numbers.length)
  let before = 0
  for (const number of numbers) {
    const row = table.find(number)
    writePacked(writer, number - before)
    writer.u8(table.states[row]!)
    writePacked(writer, table.lanes[row]!)
    writePacked(writer, table.attempts[row]!)
    writer.u8(table.lostLeases[row]!)
    writePacked(writer, ordinals.get(table.options[row]!)!)
    if (hasTime(table.states[row]!)) writer.f64(table.times[row]!)
    before = number
  }
}

function readRows(reader: Reader, books: PartitionBooks): void {
  const sets = Array.from({ length: readCount(reader, 15) }, () => readOptionSet(reader))
  const size = readCount(reader, 6)
  let number = 0
  for (let i = 0; i < size; i++) {
    number = readRising(reader, number)
    const state = reader.u8()
    const lane = readPacked(reader)
    const attempts = readPacked(reader)
    const lostLeases = reader.u8()
    const set = sets[readPacked(reader)]
    if (set === undefined) throw new MalformedMessage('a job whose options are not listed')
    books.restoreRow(number, state, lane, attempts, lostLeases, books.sets.use(set), hasTime(state) ? reader.f64() : 0)
  }
}

const hasTime = (state: number): boolean => state === JobState.scheduled || state === JobState.retrying || state === JobState.dead
/** As many as a partition's opening entry may carry. */
const settings = bytes(65_536)
