//! The clients that are connected to a node. A client that asks and does not read is first no longer read itself, so that
//! its answers stop growing, and closed when even what others send it grows too large.

import type { ConnectionId } from '@horus/core/units'
import type { Connection } from './connection.ts'
import { TransportError } from './errors.ts'
import type { ClientHello } from './hello.ts'

/** Queued for one client and not yet taken by the system: room for a worker's largest deliveries. */
export const CLIENT_BYTES_MAX = 64 * 1024 * 1024
/** From here on nothing more is read from a client until it has read what waits for it. */
const CLIENT_BYTES_PAUSE = 4 * 1024 * 1024
/** In looks. A client's handlers may hold its loop for long; this is a minute. */
const CLIENT_SILENT_LOOKS_MAX = 12
const CLIENT_STALLED_LOOKS_MAX = 6

export interface ClientHandlers {
  /** The principal is authenticated where the client has a secret of its own; else it is what the client says. */
  clientUp(connection: ConnectionId, principal: string, hello: ClientHello): void
  clientDown(connection: ConnectionId, reason: TransportError): void
  /** `bytes` is a view of what the socket read: copy what is kept for long. */
  clientMessage(connection: ConnectionId, bytes: Uint8Array): void
}

export class ClientLinks {
  readonly #handlers: ClientHandlers
  readonly #bytesMax: number
  readonly #clients = new Map<ConnectionId, Connection>()
  #last = 0

  constructor(handlers: ClientHandlers, bytesMax = CLIENT_BYTES_MAX) {
    this.#handlers = handlers
    this.#bytesMax = bytesMax
  }

  add(connection: Connection, hello: ClientHello): ConnectionId {
    connection.opened()
    const id = ++this.#last as ConnectionId
    this.#clients.set(id, connection)
    this.#handlers.clientUp(id, hello.principal, hello)
    return id
  }

  message(id: ConnectionId, payload: Uint8Array): void {
    this.#handlers.clientMessage(id, payload)
  }

  send(id: ConnectionId, payload: Uint8Array): void {
    const connection = this.#clients.get(id)
    if (!connection) return
    const outstanding = connection.outstanding + payload.length
    if (outstanding > this.#bytesMax) return connection.close(new TransportError('timeout', 'the client reads too slowly'))
    if (outstanding > Math.min(CLIENT_BYTES_PAUSE, this.#bytesMax / 2)) connection.pause()
    connection.send(payload)
  }

  outstanding(id: ConnectionId): number {
    return this.#clients.get(id)?.outstanding ?? 0
  }

  close(id: ConnectionId, reason: string): void {
    this.#clients.get(id)?.end(new TransportError('closed', reason))
  }

  closeAll(reason: TransportError): void {
    for (const connection of this.#clients.values()) connection.end(reason)
  }

  ended(id: ConnectionId, reason: TransportError, quiet: boolean): void {
    if (this.#clients.delete(id) && !quiet) this.#handlers.clientDown(id, reason)
  }

  look(): void {
    for (const connection of this.#clients.values()) {
      const { silent, stalled } = connection.look()
      if (stalled >= CLIENT_STALLED_LOOKS_MAX) connection.close(new TransportError('timeout', 'the client does not read'))
      else if (silent >= CLIENT_SILENT_LOOKS_MAX && !connection.paused) connection.close(new TransportError('timeout', 'the client is silent'))
    }
  }
}
