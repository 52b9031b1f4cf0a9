//! Every state that was reached, as a row of whole numbers, each once. Beside it stand the state it was first reached from and
//! the action that led there, so that the way to a state can be told. Exact: rows are compared, not only their hashes.

/** Rows in the beginning; room doubles whenever it is used up. */
const ROWS_START = 1 << 12

export class States {
  readonly #words: number
  #rows: Int32Array<ArrayBuffer>
  #parents = new Int32Array(ROWS_START)
  #actions = new Int32Array(ROWS_START)
  /** Open addressing: row number + 1, 0 where nothing is. Twice as many slots as rows at least. */
  #slots = new Int32Array(2 * ROWS_START)
  #count = 0

  constructor(words: number) {
    this.#words = words
    this.#rows = new Int32Array(ROWS_START * words)
  }

  get count(): number {
    return this.#count
  }

  /** Whether the state was not there before. */
  add(state: Int32Array, parent: number, action: number): boolean {
    let slot = this.#find(state, 0)
    if (this.#slots[slot] !== 0) return false
    if (this.#count === this.#parents.length) {
      this.#grow()
      slot = this.#find(state, 0)
    }
    const row = this.#count++
    this.#rows.set(state, row * this.#words)
    this.#parents[row] = parent
    this.#actions[row] = action
    this.#slots[slot] = row + 1
    return true
  }

  read(row: number, into: Int32Array): void {
    const from = row * this.#words
    for (let i = 0; i < this.#words; i++) into[i] = this.#rows[from + i]!
  }

  /** The actions from the first state to this one. */
  wayTo(row: number): number[] {
    const way: number[] = []
    for (let at = row; at > 0; at = this.#parents[at]!) way.push(this.#actions[at]!)
    return way.reverse()
  }

  /** The slot that holds the row at `from` of `source`, or the free one where it belongs. */
  #find(source: Int32Array, from: number): number {
    const mask = this.#slots.length - 1
    let hash = 0x9e3779b9 | 0
    for (let i = 0; i < this.#words; i++) hash = mix(hash ^ source[from + i]!)
    let slot = hash & mask
    for (let held = this.#slots[slot]!; held !== 0 && !this.#isAt(held - 1, source, from); held = this.#slots[slot]!) slot = (slot + 1) & mask
    return slot
  }

  #isAt(row: number, source: Int32Array, from: number): boolean {
    const at = row * this.#words
    for (let i = 0; i < this.#words; i++) if (this.#rows[at + i] !== source[from + i]) return false
    return true
  }

  #grow(): void {
    this.#rows = longer(this.#rows)
    this.#parents = longer(this.#parents)
    this.#actions = longer(this.#actions)
    this.#slots = new Int32Array(2 * this.#slots.length)
    for (let row = 0; row < this.#count; row++) this.#slots[this.#find(this.#rows, row * this.#words)] = row + 1
  }
}

function longer(array: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const copy = new Int32Array(2 * array.length)
  copy.set(array)
  return copy
}

/** The finaliser of MurmurHash3. */
function mix(value: number): number {
  let v = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
  v = Math.imul(v ^ (v >>> 13), 0xc2b2ae35)
  return v ^ (v >>> 16)
}
