//! CRC-32 (the polynomial of zlib), eight bytes a step. Journal records and datagrams are checked with it.

/** Continues from `seed`, the result of an earlier call, so that several pieces make one sum. */
export function crc32(bytes: Uint8Array, from = 0, to = bytes.length, seed = 0): number {
  let crc = ~seed
  let i = from
  for (; i + STEP <= to; i += STEP) {
    crc ^= bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24)
    crc = TABLE[0x700 | (crc & 255)]! ^ TABLE[0x600 | ((crc >>> 8) & 255)]! ^ TABLE[0x500 | ((crc >>> 16) & 255)]! ^ TABLE[0x400 | (crc >>> 24)]! ^
      TABLE[0x300 | bytes[i + 4]!]! ^ TABLE[0x200 | bytes[i + 5]!]! ^ TABLE[0x100 | bytes[i + 6]!]! ^ TABLE[bytes[i + 7]!]!
  }
  for (; i < to; i++) crc = (crc >>> 8) ^ TABLE[(crc ^ bytes[i]!) & 255]!
  return ~crc >>> 0
}

const STEP = 8
const TABLE = makeTable()

function makeTable(): Int32Array {
  const table = new Int32Array(256 * STEP)
  for (let n = 0; n < 256; n++) {
    let c = n
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1
    table[n] = c
  }
  for (let n = 0; n < 256; n++) {
    for (let slice = 1; slice < STEP; slice++) {
      const previous = table[(slice - 1) * 256 + n]!
      table[slice * 256 + n] = (previous >>> 8) ^ table[previous & 255]!
    }
  }
  return table
}
