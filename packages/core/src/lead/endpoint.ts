//! A client's connection as a leader sees it: its own, or one of another node that relays. Endpoints are numbered, so that
//! whatever answers need not know which of the two it is.

import type { ConnectionId, NodeId } from '../units.ts'

declare const brand: unique symbol
/** Even numbers are connections of this node (twice their id), odd ones are relayed. */
export type Endpoint = number & { readonly [brand]: 'Endpoint' }

export interface RelayedEndpoint {
  readonly via: NodeId
  readonly connection: ConnectionId
}

export const localEndpoint = (connection: ConnectionId): Endpoint => (connection * 2) as Endpoint
export const localConnection = (endpoint: Endpoint): ConnectionId | undefined => (endpoint % 2 === 0 ? ((endpoint / 2) as ConnectionId) : undefined)

export class RelayedEndpoints {
  readonly #endpoints = new Map<Endpoint, RelayedEndpoint>()
  readonly #numbers = new Map<string, Endpoint>()
  #next = 1

  /** The endpoint of a connection of another node, made on first use. */
  of(via: NodeId, connection: ConnectionId): Endpoint {
    const key = `${via} ${connection}`
    let endpoint = this.#numbers.get(key)
    if (endpoint === undefined) {
      endpoint = this.#next as Endpoint
      this.#next += 2
      this.#numbers.set(key, endpoint)
      this.#endpoints.set(endpoint, { via, connection })
    }
    return endpoint
  }

  get(endpoint: Endpoint): RelayedEndpoint | undefined {
    return this.#endpoints.get(endpoint)
  }

  /** Forgets one, when its node says that the client has gone. */
  closed(via: NodeId, connection: ConnectionId): Endpoint | undefined {
    const key = `${via} ${connection}`
    const endpoint = this.#numbers.get(key)
    if (endpoint === undefined) return undefined
    this.#numbers.delete(key)
    this.#endpoints.delete(endpoint)
    return endpoint
  }

  /** Forgets all of a node whose link has closed. */
  lost(via: NodeId): Endpoint[] {
    const gone: Endpoint[] = []
    for (const [endpoint, relayed] of this.#endpoints) if (relayed.via === via) gone.push(endpoint)
    for (const endpoint of gone) {
      const relayed = this.#endpoints.get(endpoint)!
      this.closed(via, relayed.connection)
    }
    return gone
  }
}
