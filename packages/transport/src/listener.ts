//! The listening side: a TCP port, with few connections per address and all of them proven before a frame is read.

import { createServer, type Server, type Socket } from 'node:net'
import { assert } from '@horus/core/assert'
import type { Address } from '@horus/core/units'
import { demandLoopback, parseAddress, plainHost, toAddress } from './address.ts'
import { TransportError } from './errors.ts'
import { acceptor, type ProvenPrincipal, type ServerSecurity } from './tls.ts'

/** Of one host: its nodes, and the clients of its processes. More than that is a fault or an attack. */
export const CONNECTIONS_PER_HOST_MAX = 64
/** What was queued for a client still leaves when the node stops. */
const CLOSING_MS_MAX = 250

export interface ListenerOptions {
  readonly security: ServerSecurity | undefined
  readonly connectionsPerHostMax?: number | undefined
  readonly handshakeMs: number
  accepted(socket: Socket, principal: ProvenPrincipal): void
}

export class Listener {
  readonly #options: ListenerOptions
  readonly #perHost = new Map<string, number>()
  readonly #sockets = new Set<Socket>()
  #server: Server | undefined
  /** Connections that were closed because their host has too many. */
  turnedAway = 0

  constructor(options: ListenerOptions) {
    this.#options = options
  }

  /** Resolves to the address in use. Rejects with a TransportError: `address`, `insecure`, `listen`. */
  async open(address: string): Promise<Address> {
    assert(!this.#server, 'a node listens on one address')
    const { host, port } = parseAddress(address)
    if (!this.#options.security) demandLoopback(host, 'listening on')
    const accepts = acceptor(this.#options.security, this.#options.handshakeMs, this.#options.accepted)
    const server = createServer({ noDelay: true }, (socket) => {
      if (this.#admit(socket)) accepts.accept(socket)
    })
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => reject(new TransportError('listen', `cannot listen on ${address}: ${error.message}`)))
      // Without `exclusive` the workers of node:cluster would share the port.
      server.listen({ host, port, exclusive: true }, resolve)
    })
    this.#server = server
    return toAddress(host, (server.address() as { port: number }).port)
  }

  /** Frees the port; connections that have not ended by themselves soon are cut. */
  async close(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    if (!server) return
    const cut = setTimeout(() => this.#sockets.forEach((socket) => socket.destroy()), CLOSING_MS_MAX)
    await new Promise<void>((resolve) => server.close(() => resolve()))
    clearTimeout(cut)
  }

  #admit(socket: Socket): boolean {
    // Until somebody takes the connection over, its errors are nobody's.
    socket.on('error', () => undefined)
    const host = plainHost(socket.remoteAddress)
    const count = (this.#perHost.get(host) ?? 0) + 1
    if (count > (this.#options.connectionsPerHostMax ?? CONNECTIONS_PER_HOST_MAX)) {
      this.turnedAway++
      socket.destroy()
      return false
    }
    this.#perHost.set(host, count)
    this.#sockets.add(socket)
    socket.once('close', () => {
      this.#sockets.delete(socket)
      const left = this.#perHost.get(host)! - 1
      if (left > 0) this.#perHost.set(host, left)
      else this.#perHost.delete(host)
    })
    return true
  }
}
