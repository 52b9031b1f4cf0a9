//! Bytes that are nearly right: real ones with a few things done to them that break parsers.

import { joined } from '@horus/core/bytes'
import type { Random } from '@horus/core/random'

/** Values at the edges of lengths and counts. */
const EDGES = [0, 1, 0x7f, 0x80, 0xff, 0xfe]

/** A changed copy; now and then the bytes as they are. `corpus` is where pieces of other messages come from. */
export function mutated(random: Random, bytes: Uint8Array, corpus: readonly Uint8Array[]): Uint8Array {
  let result = Uint8Array.from(bytes)
  for (let times = random.below(4); times > 0; times--) result = changed(random, result, corpus)
  return result
}

function changed(random: Random, bytes: Uint8Array<ArrayBuffer>, corpus: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  if (bytes.length === 0) return Uint8Array.of(random.below(256))
  const at = random.below(bytes.length)
  const count = Math.min(1 + random.below(8), bytes.length - at)
  switch (random.below(7)) {
    case 0:
      bytes[at]! ^= 1 << random.below(8)
      return bytes
    case 1:
      bytes[at] = random.pick(EDGES)
      return bytes
    case 2:
      bytes.fill(random.pick([0, 0xff]), at, at + count)
      return bytes
    case 3:
      return bytes.slice(0, at)
    case 4:
      return joined([bytes.subarray(0, at), bytes.subarray(at + count)])
    case 5:
      return joined([bytes.subarray(0, at + count), bytes.subarray(at)])
    default: {
      const other = random.pick(corpus)
      const from = random.below(other.length + 1)
      return joined([bytes.subarray(0, at), other.subarray(from, from + 1 + random.below(64)), bytes.subarray(at)])
    }
  }
}
