//! The UDP socket of discovery and membership. Datagrams get lost anyway, so nothing here throws or answers: what could not
//! be sent, was too long, or was not sealed as it should be is counted, and the counts are shown to whoever runs the node.

import { createSocket, type Socket } from 'node:dgram'
import type { Address } from '@horus/core/units'
import { demandLoopback, isIpv4, isLoopback, parseAddress, toAddress } from './address.ts'
import { TransportError } from './errors.ts'
import type { Keyring } from './keyring.ts'
import { PlainSealer, SEAL_BYTES, SecretSealer, type Sealer } from './seal.ts'

/** Payload of a datagram. With the seal and the headers of UDP and IP it stays under the 1,500 bytes of an Ethernet. */
export const DATAGRAM_BYTES_MAX = 1400
/** A full sweep of the largest range in one burst is below this; more is lost rather than held. */
const SENDING_BYTES_MAX = 4 * 1024 * 1024

export interface GossipOptions {
  /** Seals every datagram. Without it only loopback addresses are used. */
  readonly keyring?: Keyring | undefined
  /** The allow-list: datagrams of other hosts are dropped. */
  readonly allows?: ((host: string) => boolean) | undefined
  /** Called synchronously for each datagram; `bytes` is the receiver's own. */
  readonly onDatagram: (from: Address, bytes: Uint8Array) => void
}

export interface GossipCounts {
  sent: number
  received: number
  /** Longer than DATAGRAM_BYTES_MAX, or more at once than the socket takes. */
  tooMuch: number
  /** Of a host that is not allowed. */
  strangers: number
  /** No key of ours, not authentic, or not sealed as it should be. */
  foreign: number
  replayed: number
  /** Refused by the system, such as a network that is unreachable. */
  errors: number
}

export class GossipSocket {
  readonly #options: GossipOptions
  readonly #sealer: Sealer
  #socket: Socket | undefined
  readonly counts: GossipCounts = { sent: 0, received: 0, tooMuch: 0, strangers: 0, foreign: 0, replayed: 0, errors: 0 }

  constructor(options: GossipOptions) {
    this.#options = options
    this.#sealer = options.keyring ? new SecretSealer(options.keyring) : new PlainSealer()
  }

  /** Resolves to the address in use, which matters where port 0 was asked for. Rejects with a TransportError: `address`, `insecure`, `listen`. */
  async bind(address: string): Promise<Address> {
    const { host, port } = parseAddress(address)
    if (!this.#options.keyring) demandLoopback(host, 'listening on')
    const socket = createSocket({ type: 'udp4', lookup: noLookup })
    await new Promise<void>((resolve, reject) => {
      socket.once('error', (error) => {
        socket.close()
        reject(new TransportError('listen', `cannot listen for datagrams on ${address}: ${error.message}`))
      })
      // A shared handle, which node:cluster would make, would hand datagrams to any of the processes.
      socket.bind({ address: host, port, exclusive: true }, resolve)
    })
    socket.removeAllListeners('error')
    socket.on('error', () => void this.counts.errors++)
    socket.on('message', (bytes, remote) => this.#received(bytes, remote.address, remote.port))
    this.#socket = socket
    return toAddress(host, socket.address().port)
  }

  /** Sends, or counts why not. `payload` may be reused afterwards. */
  send(to: Address, payload: Uint8Array): void {
    const socket = this.#socket
    if (!socket) return
    const colon = to.lastIndexOf(':')
    const host = to.slice(0, colon)
    const port = Number(to.slice(colon + 1))
    if (payload.length > DATAGRAM_BYTES_MAX || socket.getSendQueueSize() > SENDING_BYTES_MAX) this.counts.tooMuch++
    else if (!isIpv4(host) || !(port > 0 && port < 65_536) || (!this.#options.keyring && !isLoopback(host))) this.counts.errors++
    else {
      socket.send(this.#sealer.seal(payload), port, host, (error) => {
        if (error) this.counts.errors++
        else this.counts.sent++
      })
    }
  }

  close(): Promise<void> {
    const socket = this.#socket
    this.#socket = undefined
    if (!socket) return Promise.resolve()
    return new Promise((resolve) => socket.close(() => resolve()))
  }

  #received(bytes: Uint8Array, host: string, port: number): void {
    if (!this.#socket) return
    if (this.#options.allows && !this.#options.allows(host)) {
      this.counts.strangers++
      return
    }
    if (bytes.length > DATAGRAM_BYTES_MAX + SEAL_BYTES) {
      this.counts.tooMuch++
      return
    }
    const opened = this.#sealer.open(bytes)
    if (opened.kind === 'dropped') {
      this.counts[opened.reason]++
      return
    }
    this.counts.received++
    this.#options.onDatagram(toAddress(host, port), opened.payload)
  }
}

/** Only IPv4 addresses come here: no question to the resolver, no trip through the thread pool. */
function noLookup(host: string, _options: unknown, answer: (error: null, address: string, family: number) => void): void {
  answer(null, host, 4)
}
