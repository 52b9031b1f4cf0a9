//! The books of a partition as an image, and back. What can be computed is not written: heaps follow from rows, indexes from
//! numbers. Everything is written in the order of numbers, so equal books give equal bytes.
//!
//! To change the layout: raise the version in shard/books.ts, and let it read the version before.

import type { Freezer } from '../freeze.ts'
import type { Frozen, ImageReader, Walk } from '../message/image.ts'
import { name } from '../message/fields.ts'
import { bytes } from '../message/layout.ts'
import { readPacked, writePacked } from '../message/packed.ts'
import { Batches } from './batches.ts'
import { Keys } from './keys.ts'
import { Lanes } from './lanes.ts'
import { Names } from './names.ts'
import { PartitionBooks } from './partition.ts'

/** The books as they are now, for as long as their freezer is held. */
export function freezeBooks(books: PartitionBooks): Frozen {
  const { partition, topic, next } = books
  // Settings are only ever replaced.
  const own = books.settings
  const counts = books.counts.slice()
  const parts = [books.names.freeze(), books.lanes.freeze(), books.batches.freeze(), books.keys.freeze(), books.ended.freeze(), books.table.freeze(books.sets)]
  return function* (out): Walk {
    const { writer } = out
    writePacked(writer, partition)
    name.write(writer, topic)
    settings.write(writer, own)
    writePacked(writer, next)
    for (const count of counts) writePacked(writer, count)
    out.endItem()
    for (const part of parts) {
      yield* part(out)
      yield 1
    }
  }
}

/** Throws MalformedMessage. */
export function* readBooks(input: ImageReader, freezer: Freezer): Walk<PartitionBooks> {
  const reader = input.item()
  const books = new PartitionBooks(readPacked(reader), name.read(reader), settings.read(reader).slice(), freezer)
  books.next = readPacked(reader)
  const counts = Array.from(books.counts, () => readPacked(reader))
  books.names = yield* Names.read(input)
  books.lanes = yield* Lanes.read(input, freezer)
  books.batches = yield* Batches.read(input, freezer)
  books.keys = yield* Keys.read(input)
  yield* books.ended.read(input)
  yield* books.table.read(input, books.sets, (row) => books.restored(row))
  books.counts.set(counts)
  return books
}

/** As many as a partition's opening entry may carry. */
const settings = bytes(65_536)
