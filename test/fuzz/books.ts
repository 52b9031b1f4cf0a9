//! The books: a committed entry is applied whatever its bytes are, since every master would fall over one that is not. What a
//! client may send as a command comes into the log as it is.

import { MalformedMessage } from '@horus/core/message/layout'
import { Shard, type ShardEffects } from '@horus/core/shard'
import type { LogIndex, ShardId } from '@horus/core/units'
import type { Corpus } from './corpus.ts'
import { mutated } from './mutate.ts'
import { BrokenPromise, type Target, type Verdict } from './target.ts'

const SHARD = 1 as ShardId
const ENTRIES_MAX = 120
const SILENT: ShardEffects = { answer() {}, leased() {}, lostLease() {}, payloadFree() {} }

/** A log of real entries with changed ones among them; books that were written and read again on the way end the same. */
function applyTarget({ entries }: Corpus): Target {
  return {
    name: 'books',
    round(random): Verdict {
      const books = new Shard(SHARD)
      const length = 1 + random.below(Math.min(ENTRIES_MAX, entries.length))
      const copyAt = 1 + random.below(length)
      let copy: Shard | undefined
      for (let index = 1; index <= length; index++) {
        const entry = random.chance(0.3) ? mutated(random, random.pick(entries), entries) : entries[index - 1]!
        books.apply(index as LogIndex, entry, SILENT)
        copy?.apply(index as LogIndex, entry, SILENT)
        if (index === copyAt) copy = Shard.restore(SHARD, books.snapshot())
      }
      if (copy?.digest() !== books.digest()) throw new BrokenPromise(`books that were restored after ${copyAt} of ${length} entries differ`)
      return 'taken'
    },
  }
}

/** A snapshot has a checksum of its own; behind it, what cannot be read is refused as malformed and costs no more than its length. */
function snapshotTarget({ entries }: Corpus): Target {
  const images = [20, 60, 120, entries.length].map((length) => imageOf(entries.slice(0, length)))
  return {
    name: 'snapshots',
    round(random): Verdict {
      try {
        Shard.restore(SHARD, mutated(random, random.pick(images), images))
        return 'taken'
      } catch (error) {
        if (error instanceof MalformedMessage) return 'refused'
        throw error
      }
    },
  }
}

function imageOf(entries: readonly Uint8Array[]): Uint8Array {
  const books = new Shard(SHARD)
  entries.forEach((entry, at) => books.apply((at + 1) as LogIndex, entry, SILENT))
  return books.snapshot()
}

export function bookTargets(corpus: Corpus): readonly Target[] {
  return [applyTarget(corpus), snapshotTarget(corpus)]
}

