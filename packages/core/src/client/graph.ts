//! A client's state is records, lists and maps that point at each other. These two walk the whole graph: one copies it,
//! one hashes it; so neither can forget a field that is added later.

import { Hash } from '../hash.ts'
import { Heap } from '../heap.ts'
import { Random } from '../random.ts'

/** An independent copy in which everything that was shared or circular is so again. */
export function copyGraph<T>(value: T, seen = new Map<object, object>()): T {
  if (typeof value !== 'object' || value === null) return value
  const known = seen.get(value)
  if (known !== undefined) return known as T
  if (value instanceof Heap || value instanceof Random) return remember(seen, value, value.clone()) as T
  if (value instanceof Uint8Array || value instanceof Float64Array || value instanceof Uint32Array) return remember(seen, value, value.slice()) as T
  if (Array.isArray(value)) {
    const copy = remember(seen, value, [] as unknown[]) as unknown[]
    for (const item of value) copy.push(copyGraph(item, seen))
    return copy as T
  }
  if (value instanceof Map) {
    const copy = remember(seen, value, new Map<unknown, unknown>()) as Map<unknown, unknown>
    for (const [key, item] of value) copy.set(copyGraph(key, seen), copyGraph(item, seen))
    return copy as T
  }
  if (value instanceof Set) {
    const copy = remember(seen, value, new Set<unknown>()) as Set<unknown>
    for (const item of value) copy.add(copyGraph(item, seen))
    return copy as T
  }
  const copy = remember(seen, value, {}) as Record<string, unknown>
  for (const key of Object.keys(value)) copy[key] = copyGraph((value as Record<string, unknown>)[key], seen)
  return copy as T
}

export function digestGraph(value: unknown): string {
  const hash = new Hash()
  mixGraph(hash, value, new Map())
  return hash.digest()
}

function mixGraph(hash: Hash, value: unknown, seen: Map<object, number>): void {
  if (typeof value === 'number') hash.number(value)
  else if (typeof value === 'string') hash.text(value)
  else if (typeof value !== 'object' || value === null) hash.text(String(value))
  else if (seen.has(value)) hash.word(seen.get(value)!)
  else {
    seen.set(value, seen.size)
    mixObject(hash, value, seen)
  }
}

function mixObject(hash: Hash, value: object, seen: Map<object, number>): void {
  if (value instanceof Uint8Array) hash.bytes(value)
  else if (value instanceof Heap) hash.number(value.size).number(value.peekKey)
  else if (value instanceof Random) hash.word(value.clone().u32())
  else if (value instanceof Float64Array || value instanceof Uint32Array || Array.isArray(value) || value instanceof Set) {
    for (const item of value) mixGraph(hash, item, seen)
  } else if (value instanceof Map) {
    for (const [key, item] of value) {
      mixGraph(hash, key, seen)
      mixGraph(hash, item, seen)
    }
  } else {
    for (const key of Object.keys(value)) mixGraph(hash, (value as Record<string, unknown>)[key], seen)
  }
}

function remember(seen: Map<object, object>, value: object, copy: object): object {
  seen.set(value, copy)
  return copy
}
