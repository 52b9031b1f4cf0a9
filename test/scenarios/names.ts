//! What a story calls its nodes, instead of their ids and addresses.

import type { Address, NodeId } from '@horus/core/units'
import { addressOf } from '../unit/names.ts'
import { StoryError } from './story.ts'

/** Told apart by their first four digits, as nodes do where they tell of each other. */
export const storyId = (number: number): NodeId => (number + 1).toString(16).padStart(4, '0').padEnd(32, '0') as NodeId

export class Names {
  readonly #ids = new Map<string, NodeId>()
  readonly #names = new Map<NodeId, string>()
  readonly #addresses = new Map<Address, string>()

  /** The next node: its place among all decides its address, and its id where it has none of its own. */
  add(name: string): Address {
    if (this.#ids.has(name)) throw new StoryError(`there is a node ${name} already`)
    const number = this.#ids.size
    const address = addressOf(number)
    this.#addresses.set(address, name)
    this.call(name, storyId(number))
    return address
  }

  /** The node has said which identity it bears. */
  call(name: string, id: NodeId): void {
    const before = this.#ids.get(name)
    if (before !== undefined && before !== id) this.#names.set(before, `old-${name}`)
    this.#ids.set(name, id)
    this.#names.set(id, name)
  }

  id(name: string): NodeId {
    const id = this.#ids.get(name)
    if (id === undefined) throw new StoryError(`there is no node ${name}`)
    return id
  }

  addressOf(id: NodeId): Address {
    const name = this.node(id)
    for (const [address, at] of this.#addresses) if (at === name) return address
    throw new StoryError(`no address of ${name}`)
  }

  node(id: NodeId): string {
    return this.#names.get(id) ?? `${id.slice(0, 4)}?`
  }

  /** By the first four digits of its id. */
  short(digits: string): string {
    for (const [id, name] of this.#names) if (id.startsWith(digits)) return name
    return `${digits}?`
  }

  at(address: Address): string {
    return this.#addresses.get(address) ?? address
  }

  set(ids: readonly NodeId[]): string {
    return `{${ids.map((id) => this.node(id)).sort().join(' ')}}`
  }
}
