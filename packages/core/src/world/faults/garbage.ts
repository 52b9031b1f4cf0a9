//! Bytes that are no message: random ones, and real ones that were damaged so that no reader may take them for what they were.

import { joined } from '../../bytes.ts'
import type { Random } from '../../random.ts'

/** Bytes of a datagram's head: format, and the hash of the cluster's name (message/gossip.ts). */
const HEAD_BYTES = 9
/** A first byte that no table of messages knows. */
const NO_TAG = 0xff

export function noise(random: Random, length: number, first = NO_TAG): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let i = 0; i < length; i++) bytes[i] = random.below(256)
  bytes[0] = first
  return bytes
}

/**
 * A damaged copy: shorter, longer, or of another head. What a checksum lets through is not made here: a sealed datagram
 * arrives as it was sent or not at all, and one that is not sealed never leaves its machine.
 */
export function spoilt(original: Uint8Array | undefined, random: Random): Uint8Array {
  if (original === undefined || original.length <= HEAD_BYTES || random.chance(0.4)) return noise(random, random.below(300) + 1, random.below(256))
  switch (random.below(3)) {
    case 0:
      return original.slice(0, random.below(original.length))
    case 1:
      return joined([original, new Uint8Array(1 + random.below(64))])
    default: {
      const other = original.slice()
      const at = random.below(HEAD_BYTES)
      other[at] = other[at]! ^ (1 + random.below(255))
      return other
    }
  }
}
