//! The job names of one partition, numbered in the order in which they were first used. A *lane* is what jobs queue in:
//! one for each priority and name. Its number orders lanes by priority first.

import { NAMES_MAX, readName, writeName } from './limits.ts'
import type { Reader, Writer } from '../message/layout.ts'
import { readCount, writePacked } from '../message/packed.ts'

export class Names {
  readonly #texts: string[] = []
  readonly #ids = new Map<string, number>()

  get size(): number {
    return this.#texts.length
  }

  idOf(name: string): number | undefined {
    return this.#ids.get(name)
  }

  text(id: number): string {
    return this.#texts[id] ?? ''
  }

  /** The number of a name, which it gets here where it is new. */
  intern(name: string): number {
    const known = this.#ids.get(name)
    if (known !== undefined) return known
    const id = this.#texts.length
    this.#ids.set(name, id)
    this.#texts.push(name)
    return id
  }

  /** Whether all of these can be numbered. */
  fits(names: readonly string[]): boolean {
    if (this.#texts.length + names.length <= NAMES_MAX) return true
    const unknown = new Set(names.filter((name) => !this.#ids.has(name)))
    return this.#texts.length + unknown.size <= NAMES_MAX
  }

  write(writer: Writer): void {
    writePacked(writer, this.#texts.length)
    for (const text of this.#texts) writeName(writer, text)
  }

  static read(reader: Reader): Names {
    const names = new Names()
    const count = readCount(reader, 2)
    for (let i = 0; i < count; i++) names.intern(readName(reader))
    return names
  }
}

export const laneOf = (priority: number, nameId: number): number => priority * LANES_PER_PRIORITY + nameId
export const laneName = (lane: number): number => lane % LANES_PER_PRIORITY
export const lanePriority = (lane: number): number => Math.floor(lane / LANES_PER_PRIORITY)

const LANES_PER_PRIORITY = NAMES_MAX + 1
