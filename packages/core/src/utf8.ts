//! UTF-8 for short texts (names, keys, addresses): core has no TextEncoder, since that is the host's.

export function utf8Length(text: string): number {
  let length = 0
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit < 0x80) length += 1
    else if (unit < 0x800) length += 2
    else if (unit >= 0xd800 && unit < 0xdc00 && isLow(text.charCodeAt(i + 1))) {
      length += 4
      i++
    } else length += 3
  }
  return length
}

/** Writes `text` at `at` and returns the position after it; a lone surrogate becomes U+FFFD. */
export function utf8Write(text: string, into: Uint8Array, at: number): number {
  for (let i = 0; i < text.length; i++) {
    let unit = text.charCodeAt(i)
    if (unit < 0x80) into[at++] = unit
    else if (unit < 0x800) {
      into[at++] = 0xc0 | (unit >> 6)
      into[at++] = 0x80 | (unit & 0x3f)
    } else if (unit >= 0xd800 && unit < 0xdc00 && isLow(text.charCodeAt(i + 1))) {
      const point = 0x10000 + ((unit - 0xd800) << 10) + (text.charCodeAt(++i) - 0xdc00)
      into[at++] = 0xf0 | (point >> 18)
      into[at++] = 0x80 | ((point >> 12) & 0x3f)
      into[at++] = 0x80 | ((point >> 6) & 0x3f)
      into[at++] = 0x80 | (point & 0x3f)
    } else {
      if (unit >= 0xd800 && unit < 0xe000) unit = 0xfffd
      into[at++] = 0xe0 | (unit >> 12)
      into[at++] = 0x80 | ((unit >> 6) & 0x3f)
      into[at++] = 0x80 | (unit & 0x3f)
    }
  }
  return at
}

/** The text at `from` up to `to`, or undefined where the bytes are no UTF-8. */
export function utf8Read(bytes: Uint8Array, from: number, to: number): string | undefined {
  let text = ''
  let i = from
  while (i < to) {
    const first = bytes[i]!
    const extra = continuationBytes(first)
    if (extra === undefined || i + extra >= to) return undefined
    let point = extra === 0 ? first : first & (0x3f >> extra)
    for (let k = 1; k <= extra; k++) {
      const next = bytes[i + k]!
      if ((next & 0xc0) !== 0x80) return undefined
      point = (point << 6) | (next & 0x3f)
    }
    if (point < LEAST_POINT[extra] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) return undefined
    text += String.fromCodePoint(point)
    i += 1 + extra
  }
  return text
}

function continuationBytes(first: number): 0 | 1 | 2 | 3 | undefined {
  if (first < 0x80) return 0
  if (first >= 0xc2 && first < 0xe0) return 1
  if (first >= 0xe0 && first < 0xf0) return 2
  return first >= 0xf0 && first < 0xf5 ? 3 : undefined
}

const LEAST_POINT = [0, 0x80, 0x800, 0x10000] as const

function isLow(unit: number): boolean {
  return unit >= 0xdc00 && unit < 0xe000
}
