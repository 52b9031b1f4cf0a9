//! A node of a story: a process of the simulated world whose mail is read before it gets it, and lost where the story says so.

import { envelope, gossipTable } from '@horus/core/message/gossip'
import { Reader } from '@horus/core/message/layout'
import { linkTable } from '@horus/core/message/messages'
import type { Address, NodeId } from '@horus/core/units'
import type { LinkEnd } from '@horus/core/world/link'
import { NodeProcess, type NodeSetup } from '@horus/core/world/node'
import type { AnyInput } from '@horus/core/world/process'
import type { World } from '@horus/core/world/world'

export type Mail = ReturnType<typeof linkTable.decode> | ReturnType<typeof gossipTable.decode>

export interface Listener {
  /** A message has come; false where it is to be lost. */
  hears(node: SceneNode, from: NodeId, mail: Mail): boolean
  /** The node has dealt with something. */
  settled(node: SceneNode): void
}

export class SceneNode extends NodeProcess {
  readonly #listener: Listener

  constructor(world: World, index: number, name: string, home: Address, setup: NodeSetup, listener: Listener) {
    super(world, index, name, home, setup)
    this.#listener = listener
  }

  override linkMessage(end: LinkEnd, bytes: Uint8Array): void {
    if (typeof end.peer === 'string' && !this.#listener.hears(this, end.peer, linkTable.decode(bytes))) return
    super.linkMessage(end, bytes)
  }

  override datagramArrived(from: Address, bytes: Uint8Array): void {
    const reader = new Reader(bytes)
    const { node } = envelope.read(reader)
    if (this.listening && !this.#listener.hears(this, node, gossipTable.decode(bytes, reader.at))) return
    super.datagramArrived(from, bytes)
  }

  override deliver(input: AnyInput): void {
    super.deliver(input)
    this.#listener.settled(this)
  }

  override wake(): void {
    super.wake()
    this.#listener.settled(this)
  }
}
