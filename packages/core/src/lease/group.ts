//! The leases that one acquire gave: one token, one session, one length. Jobs lie in the order of their numbers, mostly an
//! unbroken run, so that a job is found by arithmetic and its lease is one byte.

/** A session with leases, shared by its groups so that ending one is a subtraction. */
export interface Holder {
  readonly session: number
  leases: number
}

/** A group as it was at some moment: what never changes is the group's, the rest is kept. */
export interface HeldGroup {
  readonly group: LeaseGroup
  readonly live: number
  readonly gone: Uint8Array
  readonly deadlines: Float64Array | undefined
}

export class LeaseGroup {
  readonly token: number
  readonly holder: Holder
  readonly leaseMs: number
  /** Of the same acquire, with another length. */
  next: LeaseGroup | undefined = undefined
  /** Jobs still leased. */
  live: number
  readonly #first: number
  readonly #last: number
  /** Undefined where the numbers are a run. */
  readonly #numbers: Float64Array | undefined
  readonly #lane: number
  /** Undefined where all jobs are of one lane. */
  readonly #lanes: Uint32Array | undefined
  #gone: Uint8Array
  readonly #deadline: number
  /** Undefined while all have the same. */
  #deadlines: Float64Array | undefined
  /** A snapshot may want them as they are: they are copied before they are changed. */
  #shared = false

  /** `numbers` rise; they and `lanes` are the group's from now on. */
  constructor(token: number, holder: Holder, leaseMs: number, deadline: number, numbers: Float64Array, lanes: Uint32Array) {
    const count = numbers.length
    this.token = token
    this.holder = holder
    this.leaseMs = leaseMs
    this.live = count
    this.#first = numbers[0]!
    this.#last = numbers[count - 1]!
    this.#numbers = this.#last - this.#first === count - 1 ? undefined : numbers
    this.#lane = lanes[0]!
    this.#lanes = isUniform(lanes) ? undefined : lanes
    this.#gone = new Uint8Array(count)
    this.#deadline = deadline
  }

  get session(): number {
    return this.holder.session
  }

  /** How many jobs were leased; positions lie below it. */
  get size(): number {
    return this.#gone.length
  }

  /** The position of a job that is leased, or -1. */
  position(number: number): number {
    if (!(number >= this.#first && number <= this.#last)) return -1
    const at = this.#numbers === undefined ? number - this.#first : search(this.#numbers, number)
    return at >= 0 && this.#gone[at] === 0 ? at : -1
  }

  /** Whether the job at a position is still leased. */
  holds(position: number): boolean {
    return this.#gone[position] === 0
  }

  number(position: number): number {
    return this.#numbers === undefined ? this.#first + position : this.#numbers[position]!
  }

  lane(position: number): number {
    return this.#lanes === undefined ? this.#lane : this.#lanes[position]!
  }

  deadline(position: number): number {
    return this.deadlineIn(this.#deadlines, position)
  }

  /** With the deadlines of another moment. */
  deadlineIn(deadlines: Float64Array | undefined, position: number): number {
    return deadlines === undefined ? this.#deadline : deadlines[position]!
  }

  hold(): HeldGroup {
    this.#shared = true
    return { group: this, live: this.live, gone: this.#gone, deadlines: this.#deadlines }
  }

  /** Extends one lease; never shortens it. Returns the deadline that holds. */
  extend(position: number, deadline: number): number {
    const held = this.deadline(position)
    if (deadline <= held) return held
    this.#own()
    this.#deadlines ??= new Float64Array(this.size).fill(this.#deadline)
    this.#deadlines[position] = deadline
    return deadline
  }

  /** The earliest deadline of what is leased. */
  get deadlineNext(): number {
    if (this.#deadlines === undefined) return this.#deadline
    let least = Infinity
    for (let at = 0; at < this.size; at++) if (this.holds(at)) least = Math.min(least, this.#deadlines[at]!)
    return least
  }

  drop(position: number): void {
    this.#own()
    this.#gone[position] = 1
    this.live--
  }

  #own(): void {
    if (!this.#shared) return
    this.#shared = false
    this.#gone = this.#gone.slice()
    this.#deadlines = this.#deadlines?.slice()
  }
}

function isUniform(lanes: Uint32Array): boolean {
  const lane = lanes[0]
  for (let i = 1; i < lanes.length; i++) if (lanes[i] !== lane) return false
  return true
}

function search(numbers: Float64Array, number: number): number {
  let low = 0
  let high = numbers.length - 1
  while (low <= high) {
    const middle = (low + high) >>> 1
    const value = numbers[middle]!
    if (value === number) return middle
    if (value < number) low = middle + 1
    else high = middle - 1
  }
  return -1
}
