//! The composer of a node: the one place that routes inputs to journal, masters, books, membership and registry.

import type { DeviceAnswer, DeviceOutbox } from './device.ts'
import type { Random } from './random.ts'
import type { Address, ClusterId, ConnectionId, NodeId } from './units.ts'

export interface ReplicaOptions {
  /** The cluster's name; nodes of another name are not spoken to. */
  readonly cluster: string
  /** Where others reach this node. */
  readonly address: Address
  readonly zone: string
  readonly version: string
  /** May become a master. */
  readonly eligible: boolean
  /** Addresses to probe, own one included or not; from the range and the ports. */
  readonly range: readonly Address[]
  readonly seeds: readonly Address[]
  /** How many fresh nodes must agree to found a cluster; undefined with `join`, 1 where there is neither range nor seeds. */
  readonly expect: number | undefined
  readonly join: boolean
  /** Seeded by the host from real entropy, by the simulator from the seed. */
  readonly random: Random
}

export type ReplicaInput =
  | { readonly kind: 'start' }
  | { readonly kind: 'device'; readonly answer: DeviceAnswer }
  | { readonly kind: 'datagram'; readonly from: Address; readonly bytes: Uint8Array }
  | { readonly kind: 'linkUp' | 'linkDown'; readonly node: NodeId }
  | { readonly kind: 'message'; readonly from: NodeId; readonly bytes: Uint8Array }
  | { readonly kind: 'clientUp'; readonly connection: ConnectionId; readonly principal: string }
  | { readonly kind: 'clientDown'; readonly connection: ConnectionId }
  | { readonly kind: 'clientMessage'; readonly connection: ConnectionId; readonly bytes: Uint8Array }
  /** Every socket that had something to read has been read once: groups go to the disk, batches to the peers. */
  | { readonly kind: 'turn' }
  /** Hand the lead over, then say `stopped`. */
  | { readonly kind: 'stop' }

export interface Identity {
  readonly nodeId: NodeId
  readonly value: number
  readonly boot: number
  readonly cluster: string
  /** Unknown until the cluster is founded or joined. */
  readonly clusterId: ClusterId | undefined
  readonly generation: number
}

export interface ReplicaOutbox extends DeviceOutbox {
  datagram(to: Address, bytes: Uint8Array): void
  /** Over the link to that node, which the host opens on demand; dropped where it cannot, and then `linkDown` comes. */
  send(to: NodeId, bytes: Uint8Array): void
  /** Where a node's links are to be opened from now on. */
  address(node: NodeId, at: Address): void
  client(connection: ConnectionId, bytes: Uint8Array): void
  closeClient(connection: ConnectionId, reason: string): void
  closeLink(node: NodeId, reason: string): void
  /** The identity is durable (or has changed): only now may sockets open; HELLO carries it. */
  identity(identity: Identity): void
  /** What a node tells whoever runs it. */
  event(event: ReplicaEvent): void
  /** The process must end: a failed flush, corruption that cannot be mended, a twin. */
  halt(reason: string): void
  stopped(): void
}

export type ReplicaEvent =
  | { readonly kind: 'ready'; readonly ready: boolean }
  | { readonly kind: 'founded'; readonly clusterId: ClusterId }
  | { readonly kind: 'log'; readonly level: 'info' | 'warning' | 'error'; readonly text: string }
