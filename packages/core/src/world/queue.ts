//! The one queue of a simulated world: events in the order of (time, sequence), so that two events of one instant happen in
//! the order in which they were pushed. Nothing is ever taken out; an event that is no longer meant is ignored when it comes.

import { assert } from '../assert.ts'
import { Heap } from '../heap.ts'

/** Events under way at once; a world that goes beyond it sends without end. */
const SLOTS_MAX = 0x10_0000

export class EventQueue<Event> {
  readonly #heap = new Heap()
  readonly #slots: (Event | undefined)[] = []
  readonly #free: number[] = []
  #sequence = 0

  get size(): number {
    return this.#heap.size
  }

  /** When the next event is due; Infinity when there is none. */
  get nextTime(): number {
    return this.#heap.peekKey
  }

  push(time: number, event: Event): void {
    const slot = this.#free.pop() ?? this.#slots.length
    assert(slot < SLOTS_MAX, 'a world never has more than a million events under way')
    this.#slots[slot] = event
    this.#heap.push(time, this.#sequence++ * SLOTS_MAX + slot)
  }

  pop(): Event {
    const slot = this.#heap.pop() % SLOTS_MAX
    const event = this.#slots[slot]
    assert(event !== undefined, 'a slot in the heap holds an event')
    this.#slots[slot] = undefined
    this.#free.push(slot)
    return event
  }
}
