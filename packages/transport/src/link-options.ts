//! What a node's links are told when they are made, and whom they tell what happens.

import type { Identity } from '@horus/core/replica'
import type { NodeId } from '@horus/core/units'
import type { ClientHandlers } from './client-links.ts'
import type { TransportError } from './errors.ts'
import type { NodeHello } from './hello.ts'
import type { Keyring } from './keyring.ts'
import type { Credentials } from './tls.ts'

export interface LinkHandlers extends ClientHandlers {
  linkUp(node: NodeId, hello: NodeHello): void
  /** Also where no link was up: an attempt failed, or messages were dropped. */
  linkDown(node: NodeId, reason: TransportError): void
  /** `bytes` is a view of what the socket read: copy what is kept for long. */
  message(from: NodeId, bytes: Uint8Array): void
  /** Somebody was refused or refused us, for the log; the same of the same node is told once. */
  refused?(where: string, reason: TransportError): void
  /** A node of this cluster is of that generation, newer than the own: until `identify` says so too, the two refuse each other. */
  newer?(generation: number): void
  /** Another process runs with this node's identity: both must stop. */
  twin?(where: string): void
}

export interface LinkOptions {
  readonly identity: Identity
  /** Of the software. */
  readonly version: string
  /** Without it only loopback addresses are listened on and dialled. */
  readonly keyring?: Keyring | undefined
  /** The own secrets of clients. */
  readonly credentials?: Credentials | undefined
  /** The allow-list for nodes. */
  readonly allows?: ((host: string) => boolean) | undefined
  readonly handlers: LinkHandlers
  readonly limits?: LinkLimits
}

/** In place of the constants; for tests and unusual machines. */
export interface LinkLimits {
  readonly nodeBytes?: number
  readonly clientBytes?: number
  readonly connectionsPerHost?: number
  readonly lookMs?: number
  readonly handshakeMs?: number
}
