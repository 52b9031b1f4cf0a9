//! The sockets of a node as its host wants them: nothing is open before the identity is durable.

import type { Identity, ReplicaInput } from '@horus/core/replica'
import type { Address, ConnectionId, NodeId } from '@horus/core/units'
import { GossipSocket, Keyring, NodeLinks, type TransportError } from '@horus/transport'
import type { HostNetwork } from './host.ts'

export interface NetworkOptions {
  /** `host:port` to bind, UDP and TCP. */
  readonly listen: string
  readonly secret: string | undefined
  readonly version: string
  /** Hosts that may be nodes; undefined: any. */
  readonly allows: ((host: string) => boolean) | undefined
  readonly input: (input: ReplicaInput) => void
  readonly log: (level: 'info' | 'warning', text: string) => void
  /** Another process runs with this node's identity. */
  readonly twin: (where: string) => void
}

export class Network implements HostNetwork {
  readonly #options: NetworkOptions
  readonly #gossip: GossipSocket
  readonly #keyring: Keyring | undefined
  #links: NodeLinks | undefined
  #opened: Promise<void> | undefined

  constructor(options: NetworkOptions) {
    this.#options = options
    this.#keyring = options.secret === undefined ? undefined : new Keyring(options.secret)
    this.#gossip = new GossipSocket({
      keyring: this.#keyring,
      allows: options.allows,
      onDatagram: (from, bytes) => options.input({ kind: 'datagram', from, bytes }),
    })
  }

  identify(identity: Identity): Promise<void> {
    if (this.#links) this.#links.identify(identity)
    else this.#links = this.#makeLinks(identity)
    this.#opened ??= this.#open(this.#links)
    return this.#opened
  }

  datagram(to: Address, bytes: Uint8Array): void {
    this.#gossip.send(to, bytes)
  }

  send(to: NodeId, bytes: Uint8Array): void {
    this.#links?.send(to, bytes)
  }

  address(node: NodeId, at: Address): void {
    this.#links?.address(node, at)
  }

  client(connection: ConnectionId, bytes: Uint8Array): void {
    this.#links?.client(connection, bytes)
  }

  closeClient(connection: ConnectionId, reason: string): void {
    this.#links?.closeClient(connection, reason)
  }

  closeLink(node: NodeId, reason: string): void {
    this.#links?.closeLink(node, reason)
  }

  flush(): void {
    this.#links?.flush()
  }

  async close(): Promise<void> {
    // What is being opened is opened first: a socket that opens after it was closed would stay.
    await this.#opened?.catch(() => {})
    await this.#links?.close()
    await this.#gossip.close()
  }

  async #open(links: NodeLinks): Promise<void> {
    const { listen } = this.#options
    await links.listen(listen)
    await this.#gossip.bind(listen)
    if (this.#keyring?.weak === true) this.#options.log('warning', 'the secret is short: whoever records a handshake can guess it; make one with `openssl rand -hex 32`')
  }

  #makeLinks(identity: Identity): NodeLinks {
    const { input, log, version, allows, twin } = this.#options
    return new NodeLinks({
      identity,
      version,
      keyring: this.#keyring,
      allows,
      handlers: {
        linkUp: (node) => input({ kind: 'linkUp', node }),
        linkDown: (node) => input({ kind: 'linkDown', node }),
        message: (from, bytes) => input({ kind: 'message', from, bytes }),
        clientUp: (connection, principal) => input({ kind: 'clientUp', connection, principal }),
        clientDown: (connection) => input({ kind: 'clientDown', connection }),
        clientMessage: (connection, bytes) => input({ kind: 'clientMessage', connection, bytes }),
        newer: (generation) => input({ kind: 'generation', generation }),
        refused: (_where: string, reason: TransportError) => log('warning', reason.message),
        twin,
      },
    })
  }
}
