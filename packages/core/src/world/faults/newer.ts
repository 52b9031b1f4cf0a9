//! What a node of the next version may say that this one does not know. On links it never does (it has read in the HELLO whom it
//! speaks to), but datagrams come unasked: a row under a new tag, or a whole new format.

import { envelope, GOSSIP_FORMAT } from '../../message/gossip.ts'
import { Reader } from '../../message/layout.ts'
import type { Random } from '../../random.ts'

/** No row of this version has it; the next one may. */
const NEW_TAG = 0x7f

/** A datagram like `original`, by the same sender, with something new in it. */
export function newerDatagram(original: Uint8Array, random: Random): Uint8Array {
  const reader = new Reader(original)
  envelope.read(reader)
  const bytes = new Uint8Array(reader.at + 1 + random.below(200))
  bytes.set(original.subarray(0, reader.at))
  if (random.chance(0.5)) bytes[0] = GOSSIP_FORMAT + 1
  bytes[reader.at] = NEW_TAG
  for (let at = reader.at + 1; at < bytes.length; at++) bytes[at] = random.below(256)
  return bytes
}
