//! What operators want of nodes and topics, on its way to the registry: whoever asked is told what came of it.

import type { Now } from '../actor.ts'
import { type ClientMessage, NodeWish, type nodeWish, type topicWish } from '../message/client.ts'
import { Code } from '../message/command.ts'
import type { MessageOf } from '../message/layout.ts'
import type { RegistryWish } from '../message/registry.ts'
import type { ConnectionId } from '../units.ts'

type WishMessage = MessageOf<typeof nodeWish | typeof topicWish>

/** Who puts a wish to the registry; the ticket comes back with its outcome, later than this returns. */
export interface WishTaker {
  wish(now: Now, wish: RegistryWish): number
}

export class Wishes {
  /** As many as the registry's caller takes at a time. */
  readonly #asked = new Map<number, { readonly connection: ConnectionId; readonly request: number }>()

  /** An answer where there is nothing to ask: a newer client may want what this version does not know. */
  ask(now: Now, connection: ConnectionId, message: WishMessage, taker: WishTaker): ClientMessage | undefined {
    const wish = registryWish(message)
    if (wish === undefined) return outcome(message.request, Code.malformed)
    this.#asked.set(taker.wish(now, wish), { connection, request: message.request })
    return undefined
  }

  answered(ticket: number, code: number): { readonly connection: ConnectionId; readonly message: ClientMessage } | undefined {
    const asked = this.#asked.get(ticket)
    this.#asked.delete(ticket)
    return asked && { connection: asked.connection, message: outcome(asked.request, code) }
  }

  forget(connection: ConnectionId): void {
    for (const [ticket, asked] of this.#asked) if (asked.connection === connection) this.#asked.delete(ticket)
  }
}

function registryWish(message: WishMessage): RegistryWish | undefined {
  if (message.kind === 'topicWish') return { kind: 'createTopic', topic: message.topic, partitions: message.partitions, settings: message.settings, births: [] }
  const { id, wish, node, force } = message
  switch (wish) {
    case NodeWish.drain:
    case NodeWish.undrain:
      return { kind: 'drain', node, draining: wish === NodeWish.drain, wish: id }
    case NodeWish.forget:
      return { kind: 'forget', node, force }
    default:
      return undefined
  }
}

function outcome(request: number, code: number): ClientMessage {
  return { kind: 'queryAnswer', request, code, body: NOTHING }
}

const NOTHING: Uint8Array = new Uint8Array(0)
