//! Bytes of results, oldest first: added at the end, let go from the front. Pages are only ever added to, and never used again,
//! so a snapshot that holds them needs no copy.

export interface ResultPage {
  readonly bytes: Uint8Array
  used: number
}

export class Results {
  /** The number of the first page. */
  #first = 0
  #pages: ResultPage[] = []

  /** Keeps `length` bytes of `source`; the number of the page and the place in it. */
  put(source: Uint8Array, from: number, length: number): { readonly page: number; readonly at: number } {
    let page = this.#pages.at(-1)
    if (page === undefined || page.used + length > page.bytes.length) {
      const size = Math.max(length, Math.min(PAGE_BYTES_MAX, page === undefined ? PAGE_BYTES_MIN : page.bytes.length * 2))
      this.#pages.push((page = { bytes: new Uint8Array(size), used: 0 }))
    }
    const at = page.used
    copy(source, from, page.bytes, at, length)
    page.used += length
    return { page: this.#first + this.#pages.length - 1, at }
  }

  bytes(page: number, at: number, length: number): Uint8Array {
    return this.#pages[page - this.#first]!.bytes.subarray(at, at + length)
  }

  /** Nothing below this page is wanted any more. */
  keepFrom(page: number): void {
    while (this.#first < page && this.#pages.length > 1) {
      this.#pages.shift()
      this.#first++
    }
  }

  /** For reading what was kept up to now. */
  freeze(): (page: number, at: number, length: number) => Uint8Array {
    const pages = this.#pages.slice()
    const first = this.#first
    return (page, at, length) => pages[page - first]!.bytes.subarray(at, at + length)
  }
}

const PAGE_BYTES_MIN = 1024
const PAGE_BYTES_MAX = 64 * 1024
/** Below this a loop beats the call of `set` with its view. */
const LOOP_BYTES_MAX = 64

function copy(source: Uint8Array, from: number, into: Uint8Array, to: number, length: number): void {
  if (length > LOOP_BYTES_MAX) into.set(source.subarray(from, from + length), to)
  else for (let i = 0; i < length; i++) into[to + i] = source[from + i]!
}
