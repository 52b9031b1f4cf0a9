//! Stands in front of every node, so that links can be broken between processes that live: each node listens at one loopback
//! address and advertises another, and at that one the proxy takes connections and datagrams for it.
//!
//!   node j 127.a.b.j ──▶ 127.a.b.(8+i) proxy, from 127.a.b.(8+j) ──▶ 127.a.b.i node i
//!   client 127.0.0.1 ──▶ 127.a.b.(8+i) proxy ──────────────────────▶ 127.a.b.i
//!
//! Nodes dial from their own address, so the proxy knows who speaks; it dials on from the address that the speaker advertises,
//! so nodes see each other where they are said to be.

import { createSocket, type Socket as Datagrams } from 'node:dgram'
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import type { HostPort } from '@horus/transport'
import { Gate } from './gate.ts'
import { Pipe } from './pipe.ts'

/** Everybody who is no node. */
export const CLIENTS = -1

export interface ProxyOptions {
  /** Where the nodes listen. */
  readonly listening: readonly HostPort[]
  /** Where they are said to listen: the proxy's own addresses, in the same order. */
  readonly advertised: readonly HostPort[]
}

export class Proxy {
  readonly #options: ProxyOptions
  readonly #gates = new Map<string, Gate>()
  readonly #pipes = new Set<Pipe>()
  readonly #sockets = new Set<Socket>()
  readonly #servers: Server[] = []
  readonly #datagrams: Datagrams[] = []
  /** Datagrams that came to a shut gate. */
  datagramsLost = 0

  constructor(options: ProxyOptions) {
    this.#options = options
  }

  async open(): Promise<void> {
    for (const [target, { host, port }] of this.#options.advertised.entries()) {
      const server = createServer({ noDelay: true, allowHalfOpen: true }, (near) => this.#accepted(near, target))
      server.listen({ host, port, exclusive: true })
      await once(server, 'listening')
      this.#servers.push(server)
      const socket = createSocket('udp4')
      socket.on('error', () => {})
      socket.on('message', (bytes, remote) => this.#relay(bytes, this.#nodeAt(remote.address), target))
      socket.bind({ address: host, port, exclusive: true })
      await once(socket, 'listening')
      this.#datagrams.push(socket)
    }
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await Promise.all([
      ...this.#servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))),
      ...this.#datagrams.map((socket) => new Promise<void>((resolve) => socket.close(() => resolve()))),
    ])
  }

  /** For what goes from one to the other; nodes by their place in the list, or CLIENTS. */
  gate(from: number, to: number): Gate {
    const key = `${from} ${to}`
    let gate = this.#gates.get(key)
    if (!gate) {
      gate = new Gate()
      this.#gates.set(key, gate)
    }
    return gate
  }

  /** The connections that are there now, those of clients under CLIENTS. */
  pipes(): readonly Pipe[] {
    return [...this.#pipes]
  }

  // ---- connections ---------------------------------------------------------------------------------------------------

  #accepted(near: Socket, target: number): void {
    const source = this.#nodeAt(near.remoteAddress)
    const { host, port } = this.#options.listening[target]!
    const from = source === CLIENTS ? undefined : this.#options.advertised[source]!.host
    const far = connect({ host, port, noDelay: true, allowHalfOpen: true, ...(from === undefined ? {} : { localAddress: from }) })
    for (const socket of [near, far]) {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
    }
    const pipe = new Pipe(source, target, { near, far }, { there: this.gate(source, target), back: this.gate(target, source) })
    this.#pipes.add(pipe)
    pipe.onGone(() => this.#pipes.delete(pipe))
  }

  #nodeAt(host: string | undefined): number {
    return this.#options.listening.findIndex((node) => node.host === host)
  }

  // ---- datagrams -----------------------------------------------------------------------------------------------------

  #relay(bytes: Buffer, source: number, target: number): void {
    if (source === CLIENTS) return
    const gate = this.gate(source, target)
    if (gate.isShut('udp')) {
      this.datagramsLost++
      return
    }
    if (gate.delayMs === 0) this.#send(bytes, source, target)
    else setTimeout(() => this.#send(bytes, source, target), gate.delayMs).unref()
  }

  #send(bytes: Buffer, source: number, target: number): void {
    const { host, port } = this.#options.listening[target]!
    try {
      this.#datagrams[source]?.send(bytes, port, host, () => {})
    } catch {
      // The proxy is closing: a datagram more is lost.
    }
  }
}
