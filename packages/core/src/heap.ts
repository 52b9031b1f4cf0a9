//! A 4-ary min-heap of (key, value) in typed arrays: deadlines of leases, times of scheduled jobs. Ties go by value,
//! so that the order never depends on how the heap came to be. Entries are deleted lazily by whoever pops them.
//!
//! It lies in pages, so that growing copies nothing, and what is left of millions takes no more than it needs.

const PAGE_SHIFT = 9
const PAGE_ENTRIES = 1 << PAGE_SHIFT
/** Pages behind the last that is used are kept up to so many, so that a heap that breathes makes none. */
const SPARE_PAGES = 1
const FIRST_ENTRIES = 16

export class Heap {
  /** Key and value in turn. The first page is small while it is alone. */
  #pages = [new Float64Array(2 * FIRST_ENTRIES)]
  #size = 0

  get size(): number {
    return this.#size
  }

  /** The smallest key, or Infinity when empty. */
  get peekKey(): number {
    return this.#size === 0 ? Infinity : this.#pages[0]![0]!
  }

  get peekValue(): number {
    return this.#pages[0]![1]!
  }

  push(key: number, value: number): void {
    let at = this.#size++
    this.#makeRoom(at)
    while (at > 0) {
      const parent = (at - 1) >> 2
      const page = this.#pages[parent >> PAGE_SHIFT]!
      const place = placeOf(parent)
      if (!before(key, value, page[place]!, page[place + 1]!)) break
      this.#put(at, page[place]!, page[place + 1]!)
      at = parent
    }
    this.#put(at, key, value)
  }

  /** Removes the smallest entry and returns its value; the heap must not be empty. */
  pop(): number {
    if (this.#size === 0) throw new RangeError('pop from an empty heap')
    const result = this.peekValue
    const last = --this.#size
    const key = this.#key(last)
    const value = this.#value(last)
    let at = 0
    for (;;) {
      const first = at * 4 + 1
      if (first >= last) break
      let least = first
      let leastKey = this.#key(first)
      let leastValue = this.#value(first)
      const end = Math.min(first + 4, last)
      for (let child = first + 1; child < end; child++) {
        const childKey = this.#key(child)
        const childValue = this.#value(child)
        if (!before(childKey, childValue, leastKey, leastValue)) continue
        least = child
        leastKey = childKey
        leastValue = childValue
      }
      if (!before(leastKey, leastValue, key, value)) break
      this.#put(at, leastKey, leastValue)
      at = least
    }
    this.#put(at, key, value)
    if (this.#pages.length > (last >> PAGE_SHIFT) + 1 + SPARE_PAGES) this.#pages.pop()
    return result
  }

  clear(): void {
    this.#size = 0
    this.#pages.length = 1
  }

  clone(): Heap {
    const copy = new Heap()
    copy.#pages = this.#pages.map((page) => page.slice())
    copy.#size = this.#size
    return copy
  }

  #key(at: number): number {
    return this.#pages[at >> PAGE_SHIFT]![placeOf(at)]!
  }

  #value(at: number): number {
    return this.#pages[at >> PAGE_SHIFT]![placeOf(at) + 1]!
  }

  #put(at: number, key: number, value: number): void {
    const page = this.#pages[at >> PAGE_SHIFT]!
    const place = placeOf(at)
    page[place] = key
    page[place + 1] = value
  }

  #makeRoom(at: number): void {
    const page = this.#pages[at >> PAGE_SHIFT]
    if (page === undefined) this.#pages.push(new Float64Array(2 * PAGE_ENTRIES))
    else if (placeOf(at) === page.length) {
      const larger = new Float64Array(Math.min(2 * PAGE_ENTRIES, page.length * 2))
      larger.set(page)
      this.#pages[at >> PAGE_SHIFT] = larger
    }
  }
}

const placeOf = (at: number): number => (at & (PAGE_ENTRIES - 1)) * 2

function before(key: number, value: number, otherKey: number, otherValue: number): boolean {
  return key < otherKey || (key === otherKey && value < otherValue)
}
