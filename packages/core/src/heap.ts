//! A 4-ary min-heap of (key, value) in two typed arrays: deadlines of leases, times of scheduled jobs. Ties go by value,
//! so that the order never depends on how the heap came to be. Entries are deleted lazily by whoever pops them.

export class Heap {
  #keys = new Float64Array(16)
  #values = new Float64Array(16)
  #size = 0

  get size(): number {
    return this.#size
  }

  /** The smallest key, or Infinity when empty. */
  get peekKey(): number {
    return this.#size === 0 ? Infinity : this.#keys[0]!
  }

  get peekValue(): number {
    return this.#values[0]!
  }

  push(key: number, value: number): void {
    if (this.#size === this.#keys.length) this.#grow()
    let at = this.#size++
    while (at > 0) {
      const parent = (at - 1) >> 2
      if (!before(key, value, this.#keys[parent]!, this.#values[parent]!)) break
      this.#keys[at] = this.#keys[parent]!
      this.#values[at] = this.#values[parent]!
      at = parent
    }
    this.#keys[at] = key
    this.#values[at] = value
  }

  /** Removes the smallest entry and returns its value; the heap must not be empty. */
  pop(): number {
    if (this.#size === 0) throw new RangeError('pop from an empty heap')
    const result = this.#values[0]!
    const key = this.#keys[--this.#size]!
    const value = this.#values[this.#size]!
    let at = 0
    for (;;) {
      const first = at * 4 + 1
      if (first >= this.#size) break
      let least = first
      const end = Math.min(first + 4, this.#size)
      for (let child = first + 1; child < end; child++) {
        if (before(this.#keys[child]!, this.#values[child]!, this.#keys[least]!, this.#values[least]!)) least = child
      }
      if (!before(this.#keys[least]!, this.#values[least]!, key, value)) break
      this.#keys[at] = this.#keys[least]!
      this.#values[at] = this.#values[least]!
      at = least
    }
    this.#keys[at] = key
    this.#values[at] = value
    return result
  }

  clear(): void {
    this.#size = 0
  }

  clone(): Heap {
    const copy = new Heap()
    copy.#keys = this.#keys.slice()
    copy.#values = this.#values.slice()
    copy.#size = this.#size
    return copy
  }

  #grow(): void {
    const keys = new Float64Array(this.#keys.length * 2)
    keys.set(this.#keys)
    this.#keys = keys
    const values = new Float64Array(this.#values.length * 2)
    values.set(this.#values)
    this.#values = values
  }
}

function before(key: number, value: number, otherKey: number, otherValue: number): boolean {
  return key < otherKey || (key === otherKey && value < otherValue)
}
