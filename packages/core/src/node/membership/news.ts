//! What is still to be told: of every subject (a member, a shard) the newest word, a bounded number of times, the least
//! told first. It rides on datagrams that leave anyway, as much as fits.

export interface Item<T> {
  readonly value: T
  readonly bytes: number
  told: number
}

export class News<Key, T> {
  readonly #items = new Map<Key, Item<T>>()
  readonly #sizeOf: (value: T) => number

  constructor(sizeOf: (value: T) => number) {
    this.#sizeOf = sizeOf
  }

  get size(): number {
    return this.#items.size
  }

  /** A newer word on the same subject replaces the older one. */
  put(key: Key, value: T): void {
    this.#items.delete(key)
    this.#items.set(key, { value, bytes: this.#sizeOf(value), told: 0 })
  }

  drop(key: Key): void {
    this.#items.delete(key)
  }

  /** Takes what fits into `bytesMax`, at most `count`; what was told `times` times is done with. */
  take(bytesMax: number, count: number, times: number): { readonly values: T[]; readonly bytes: number } {
    const values: T[] = []
    let bytes = 0
    const order = [...this.#items].sort(([, a], [, b]) => a.told - b.told)
    for (const [key, item] of order) {
      if (values.length === count) break
      if (bytes + item.bytes > bytesMax) continue
      values.push(item.value)
      bytes += item.bytes
      if (++item.told >= times) this.#items.delete(key)
    }
    return { values, bytes }
  }

  clone(): News<Key, T> {
    const copy = new News<Key, T>(this.#sizeOf)
    for (const [key, item] of this.#items) copy.#items.set(key, { ...item })
    return copy
  }
}
