//! What a node says to others, counted by kind: what a cluster costs its network, and which message it is that costs it.

import { envelope, gossipTable } from '@horus/core/message/gossip'
import { Reader } from '@horus/core/message/layout'
import { linkTable } from '@horus/core/message/messages'
import type { ReplicaObservation } from '@horus/core/replica'
import type { DeviceRequest } from '@horus/core/device'
import type { Address, NodeId } from '@horus/core/units'
import { NodeProcess } from '@horus/core/world/node'

/** What the seal and the headers of IP and UDP add to a datagram. */
const DATAGRAM_HEAD_BYTES = 40 + 28
/** What the frame's length and the record of TLS add to a message; one that shares its record with others costs less. */
const MESSAGE_HEAD_BYTES = 4 + 22

/** What stands first in a datagram or a message; of both no two are alike. */
const KINDS: ReadonlyMap<number, string> = new Map([...gossipTable.rows, ...linkTable.rows].map(({ tag, kind }) => [tag, kind]))

export interface Count {
  messages: number
  bytes: number
}

export class Traffic {
  readonly udp: Count = { messages: 0, bytes: 0 }
  readonly tcp: Count = { messages: 0, bytes: 0 }
  /** Durable writes and flushes that disks were asked for. */
  flushes = 0
  readonly #kinds = new Map<string, Count>()

  /** By kind, the most bytes first. */
  get kinds(): readonly (readonly [string, Count])[] {
    return [...this.#kinds].sort(([, a], [, b]) => b.bytes - a.bytes)
  }

  datagram(bytes: Uint8Array): void {
    const reader = new Reader(bytes)
    envelope.read(reader)
    this.#add(this.udp, KINDS.get(bytes[reader.at]!)!, bytes.length + DATAGRAM_HEAD_BYTES)
  }

  message(bytes: Uint8Array): void {
    this.#add(this.tcp, KINDS.get(bytes[0]!)!, bytes.length + MESSAGE_HEAD_BYTES)
  }

  clear(): void {
    for (const count of [this.udp, this.tcp]) count.messages = count.bytes = 0
    this.flushes = 0
    this.#kinds.clear()
  }

  #add(sum: Count, kind: string, bytes: number): void {
    let own = this.#kinds.get(kind)
    if (own === undefined) this.#kinds.set(kind, (own = { messages: 0, bytes: 0 }))
    for (const count of [sum, own]) {
      count.messages++
      count.bytes += bytes
    }
  }
}

/** A node whose words are counted; nothing else about it is different. */
export class CountedNode extends NodeProcess {
  traffic: Traffic | undefined

  override datagram(to: Address, bytes: Uint8Array): void {
    this.traffic?.datagram(bytes)
    super.datagram(to, bytes)
  }

  override send(to: NodeId, bytes: Uint8Array): void {
    this.traffic?.message(bytes)
    super.send(to, bytes)
  }

  override device(request: DeviceRequest): void {
    if (this.traffic !== undefined && (request.kind === 'flush' || (request.kind === 'write' && request.durable))) this.traffic.flushes++
    super.device(request)
  }

  /** Nobody checks entries here, so nothing is made for it but what tells where shards are. */
  override observe(observation: ReplicaObservation): void {
    if (observation.kind === 'leader' || observation.kind === 'configured') super.observe(observation)
  }
}
