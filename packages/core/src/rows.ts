//! Rows of numbers in the order of their keys, in pages: found by binary search, inserted and deleted anywhere, and frozen for
//! a snapshot by copying nothing but the list of pages. A full page is split, two that have become small are joined, so a row
//! costs little more than its columns, and no step is ever longer for there being ten million of them.
//!
//!   page   doubles  key ... | key ... | key ...      words  ... | ... | ...
//!
//! A row is named by where it lies: the name holds until the next insertion or deletion.

import { assert } from './assert.ts'
import { Freezer } from './freeze.ts'

/** Small enough to be copied in a microsecond, large enough that what a page costs by itself does not count. */
export const PAGE_ROWS = 256
const PAGE_SHIFT = 8
const FIRST_ROWS = 4
/** A page with fewer rows looks for a neighbour to join, and joins one when there is room for growing behind. */
const SMALL_ROWS = PAGE_ROWS / 4
const JOINED_ROWS_MAX = (PAGE_ROWS * 3) / 4

/** Not to be changed by whoever reads it. Its rows are the slots from `from` up to `to`. */
export interface Page {
  readonly doubles: Float64Array
  readonly words: Uint32Array
  readonly from: number
  readonly to: number
}

class OwnPage implements Page {
  readonly born: number
  doubles: Float64Array<ArrayBuffer>
  words: Uint32Array<ArrayBuffer>
  from: number
  to: number

  /** Both kinds of columns lie in one buffer: a page is one allocation. */
  constructor(born: number, buffer: ArrayBuffer, doubles: number, from: number, to: number) {
    this.born = born
    this.doubles = new Float64Array(buffer, 0, doubles)
    this.words = new Uint32Array(buffer, doubles * 8)
    this.from = from
    this.to = to
  }
}

export class Rows {
  readonly #doubles: number
  readonly #words: number
  readonly #freezer: Freezer
  #pages: OwnPage[] = []
  /** The first key of each page. */
  #lows: number[] = []
  #size = 0
  /** The page found last: neighbours are asked for in a row. */
  #recent = 0

  /** `doubles` columns of any numbers, the key being the first of them, and `words` columns of whole numbers below 2^32. */
  constructor(doubles: number, words: number, freezer = new Freezer()) {
    this.#doubles = doubles
    this.#words = words
    this.#freezer = freezer
  }

  get size(): number {
    return this.#size
  }

  // ---- finding -----------------------------------------------------------------------------------------------------

  /** The row of this key, or -1. */
  find(key: number): number {
    const row = this.floor(key)
    return row >= 0 && this.key(row) === key ? row : -1
  }

  /** The last row whose key is `key` or less, or -1. */
  floor(key: number): number {
    const at = this.#pageOf(key)
    return at < 0 ? -1 : rowAt(at, this.#slotAfter(this.#pages[at]!, key) - 1)
  }

  /** The first row whose value in a column of doubles, which must never fall from row to row, is `least` or more; or -1. */
  firstWhere(column: number, least: number): number {
    const stride = this.#doubles
    let low = 0
    let high = this.#pages.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const page = this.#pages[middle]!
      if (page.doubles[(page.to - 1) * stride + column]! < least) low = middle + 1
      else high = middle
    }
    const page = this.#pages[low]
    if (page === undefined) return -1
    let slot = page.from
    while (page.doubles[slot * stride + column]! < least) slot++
    return rowAt(low, slot)
  }

  /** The first row, or -1. */
  get first(): number {
    return this.#size === 0 ? -1 : rowAt(0, this.#pages[0]!.from)
  }

  /** The last row, or -1. */
  get last(): number {
    const at = this.#pages.length - 1
    return at < 0 ? -1 : rowAt(at, this.#pages[at]!.to - 1)
  }

  /** The row behind this one, or -1. */
  next(row: number): number {
    const at = row >> PAGE_SHIFT
    if (slotOf(row) + 1 < this.#pages[at]!.to) return row + 1
    return at + 1 < this.#pages.length ? rowAt(at + 1, this.#pages[at + 1]!.from) : -1
  }

  /** The row before this one, or -1. */
  previous(row: number): number {
    const at = row >> PAGE_SHIFT
    if (slotOf(row) > this.#pages[at]!.from) return row - 1
    return at > 0 ? rowAt(at - 1, this.#pages[at - 1]!.to - 1) : -1
  }

  /** Whether something is there that has this name: of one from before an insertion or deletion, it may be another row. */
  isRow(row: number): boolean {
    const page = this.#pages[row >> PAGE_SHIFT]
    return page !== undefined && slotOf(row) >= page.from && slotOf(row) < page.to
  }

  // ---- columns -----------------------------------------------------------------------------------------------------

  key(row: number): number {
    return this.#pages[row >> PAGE_SHIFT]!.doubles[slotOf(row) * this.#doubles]!
  }

  double(row: number, column: number): number {
    return this.#pages[row >> PAGE_SHIFT]!.doubles[slotOf(row) * this.#doubles + column]!
  }

  word(row: number, column: number): number {
    return this.#pages[row >> PAGE_SHIFT]!.words[slotOf(row) * this.#words + column]!
  }

  /** Column 0 is the key: it may be moved as long as the order stays. */
  setDouble(row: number, column: number, value: number): void {
    const at = row >> PAGE_SHIFT
    const slot = slotOf(row)
    const page = this.#own(at)
    page.doubles[slot * this.#doubles + column] = value
    if (column === 0 && slot === page.from) this.#lows[at] = value
  }

  setWord(row: number, column: number, value: number): void {
    this.#own(row >> PAGE_SHIFT).words[slotOf(row) * this.#words + column] = value
  }

  // ---- inserting and deleting --------------------------------------------------------------------------------------

  /** A new row, all zeros but for its key, which no row has yet. */
  insert(key: number): number {
    let at = Math.max(0, this.#pageOf(key))
    const full = this.#pages[at]
    if (full === undefined) this.#addPage(0, key)
    else if (full.to - full.from === PAGE_ROWS) {
      // Behind the last page a new one is begun, so that rows which come in order fill their pages.
      if (at === this.#pages.length - 1 && key > this.#keyAt(full, full.to - 1)) this.#addPage(++at, key)
      else {
        this.#split(at)
        if (key > this.#lows[at + 1]!) at++
      }
    }
    const page = this.#own(at)
    if (page.to * this.#doubles === page.doubles.length) this.#makeRoom(page)
    const slot = this.#slotAfter(page, key)
    assert(slot === page.from || this.#keyAt(page, slot - 1) !== key, 'a key has one row')
    const { doubles, words, to } = page
    if (slot < to) {
      doubles.copyWithin((slot + 1) * this.#doubles, slot * this.#doubles, to * this.#doubles)
      words.copyWithin((slot + 1) * this.#words, slot * this.#words, to * this.#words)
    }
    // A loop beats the call of `fill` for so few.
    for (let column = 0; column < this.#doubles; column++) doubles[slot * this.#doubles + column] = 0
    for (let column = 0; column < this.#words; column++) words[slot * this.#words + column] = 0
    doubles[slot * this.#doubles] = key
    page.to++
    this.#size++
    if (slot === page.from) this.#lows[at] = key
    return rowAt(at, slot)
  }

  delete(row: number): void {
    const at = row >> PAGE_SHIFT
    const slot = slotOf(row)
    const page = this.#own(at)
    this.#size--
    if (slot === page.from) page.from++
    else {
      page.doubles.copyWithin(slot * this.#doubles, (slot + 1) * this.#doubles, page.to * this.#doubles)
      page.words.copyWithin(slot * this.#words, (slot + 1) * this.#words, page.to * this.#words)
      page.to--
    }
    const left = page.to - page.from
    if (left === 0) return this.#removePage(at)
    this.#lows[at] = this.#keyAt(page, page.from)
    if (left < SMALL_ROWS && !this.#join(at)) this.#join(at - 1)
  }

  // ---- freezing ----------------------------------------------------------------------------------------------------

  /** The pages as they are now: they stay so, as long as whoever holds the freezer does. */
  freeze(): readonly Page[] {
    return this.#pages.slice()
  }

  /** A copy of its own. */
  clone(): Rows {
    const copy = new Rows(this.#doubles, this.#words)
    copy.#pages = this.#pages.map((page) => copyOf(page, copy.#freezer.born))
    copy.#lows = this.#lows.slice()
    copy.#size = this.#size
    return copy
  }

  /** For writing. */
  #own(at: number): OwnPage {
    const page = this.#pages[at]!
    if (!this.#freezer.isShared(page.born)) return page
    return (this.#pages[at] = copyOf(page, this.#freezer.born))
  }

  /** The last page whose first key is `key` or less, or -1. */
  #pageOf(key: number): number {
    const lows = this.#lows
    const recent = this.#recent
    if (recent < lows.length && lows[recent]! <= key && (recent + 1 === lows.length || lows[recent + 1]! > key)) return recent
    let low = 0
    let high = lows.length
    // Mostly what is newest is asked for, or inserted behind it.
    if (high > 0 && lows[high - 1]! <= key) low = high
    while (low < high) {
      const middle = (low + high) >>> 1
      if (lows[middle]! <= key) low = middle + 1
      else high = middle
    }
    if (low > 0) this.#recent = low - 1
    return low - 1
  }

  /** The first slot of a page whose key is above `key`. */
  #slotAfter(page: Page, key: number): number {
    const { doubles } = page
    const stride = this.#doubles
    let low = page.from
    let high = page.to
    if (high > low && doubles[(high - 1) * stride]! <= key) return high
    while (low < high) {
      const middle = (low + high) >>> 1
      if (doubles[middle * stride]! <= key) low = middle + 1
      else high = middle
    }
    return low
  }

  #keyAt(page: Page, slot: number): number {
    return page.doubles[slot * this.#doubles]!
  }

  #addPage(at: number, low: number): void {
    // Where one page is full the next will be too.
    const rows = this.#pages.length === 0 ? FIRST_ROWS : PAGE_ROWS
    const page = this.#newPage(rows)
    this.#pages.splice(at, 0, page)
    this.#lows.splice(at, 0, low)
  }

  #newPage(rows: number): OwnPage {
    return new OwnPage(this.#freezer.born, new ArrayBuffer(rows * (this.#doubles * 8 + this.#words * 4)), rows * this.#doubles, 0, 0)
  }

  #removePage(at: number): void {
    this.#pages.splice(at, 1)
    this.#lows.splice(at, 1)
  }

  /** There is room in a page that is not full: before its first row, or by making it larger. */
  #makeRoom(page: OwnPage): void {
    const { from, to } = page
    if (from === 0) {
      const rows = Math.min(PAGE_ROWS, to * 2)
      const larger = this.#newPage(rows)
      this.#append(larger, page, 0)
      page.doubles = larger.doubles
      page.words = larger.words
      return
    }
    page.doubles.copyWithin(0, from * this.#doubles, to * this.#doubles)
    page.words.copyWithin(0, from * this.#words, to * this.#words)
    page.from = 0
    page.to = to - from
  }

  #split(at: number): void {
    const page = this.#own(at)
    const middle = (page.from + page.to) >>> 1
    this.#addPage(at + 1, this.#keyAt(page, middle))
    this.#append(this.#pages[at + 1]!, page, middle)
    page.to = middle
  }

  /** Joins the page with the one behind it where both together are small. */
  #join(at: number): boolean {
    const page = this.#pages[at]
    const next = this.#pages[at + 1]
    if (page === undefined || next === undefined || page.to - page.from + next.to - next.from > JOINED_ROWS_MAX) return false
    const joined = this.#own(at)
    while ((joined.to + next.to - next.from) * this.#doubles > joined.doubles.length) this.#makeRoom(joined)
    this.#append(joined, next, next.from)
    this.#removePage(at + 1)
    return true
  }

  /** Copies the rows of another page from `slot` on behind those of this one. */
  #append(page: OwnPage, other: Page, slot: number): void {
    page.doubles.set(other.doubles.subarray(slot * this.#doubles, other.to * this.#doubles), page.to * this.#doubles)
    page.words.set(other.words.subarray(slot * this.#words, other.to * this.#words), page.to * this.#words)
    page.to += other.to - slot
  }
}

const rowAt = (page: number, slot: number): number => (page << PAGE_SHIFT) + slot
const slotOf = (row: number): number => row & (PAGE_ROWS - 1)

function copyOf(page: OwnPage, born: number): OwnPage {
  return new OwnPage(born, page.doubles.buffer.slice(0), page.doubles.length, page.from, page.to)
}
