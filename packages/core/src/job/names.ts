//! The job names of one partition, numbered in the order in which they were first used. A *lane* is what jobs queue in:
//! one for each priority and name. Its number orders lanes by priority first.

import type { Frozen, ImageReader, Walk } from '../message/image.ts'
import { writePacked } from '../message/packed.ts'
import { NAMES_MAX, readName, writeName } from './limits.ts'

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

  /** Names are only ever added: how many there are now says which. */
  freeze(): Frozen {
    const texts = this.#texts
    const size = texts.length
    return function* (out): Walk {
      writePacked(out.writer, size)
      out.endItem()
      for (let at = 0; at < size; at++) {
        writeName(out.writer, texts[at]!)
        out.endItem()
        if (at % 128 === 127) yield 128
      }
      yield 1
    }
  }

  static *read(input: ImageReader): Walk<Names> {
    const names = new Names()
    const count = input.count(2)
    for (let i = 0; i < count; i++) {
      names.intern(readName(input.item()))
      if (i % 128 === 127) yield 128
    }
    return names
  }
}

export const laneOf = (priority: number, nameId: number): number => priority * LANES_PER_PRIORITY + nameId
export const laneName = (lane: number): number => lane % LANES_PER_PRIORITY
export const lanePriority = (lane: number): number => Math.floor(lane / LANES_PER_PRIORITY)

const LANES_PER_PRIORITY = NAMES_MAX + 1
