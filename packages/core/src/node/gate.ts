//! The gate through which datagrams leave and enter: it puts the envelope on and takes it off. Nodes of another cluster
//! name, or of another cluster under the same name, end here: what they say never reaches the actors behind, so two
//! clusters that meet never mix. Each stranger is reported once.
//!
//! A node without a cluster leans to the one that its data directory belonged to, else to the first founded one that it meets, and from then on refuses others like a member.

import { hashOf } from '../hash.ts'
import { DATAGRAM_BYTES_MAX, envelope, GOSSIP_FORMAT, type GossipMessage, gossipTable, type Sender } from '../message/gossip.ts'
import { MalformedMessage, Reader, Writer } from '../message/layout.ts'
import { assert } from '../assert.ts'
import type { Address, ClusterId, NodeId } from '../units.ts'

export interface GateOptions {
  readonly cluster: string
  readonly node: NodeId
  /** Drawn at every start. */
  readonly run: number
  /** Founded nodes of another one than this are refused from the start. */
  readonly leaning?: ClusterId | undefined
}

export interface GateOutbox {
  /** Somebody who is not of this cluster is in reach; said once for each. */
  foreign(reason: string): void
}

export interface Opened {
  readonly sender: Sender
  readonly message: GossipMessage
}

/** Enough to name what went wrong; a network full of strangers does not fill the memory. */
const REPORTS_MAX = 16

export class Gate {
  readonly #network: number
  readonly #options: GateOptions
  readonly #writer = new Writer(DATAGRAM_BYTES_MAX)
  #reported: string[] = []
  #own: ClusterId | undefined
  #leaning: ClusterId | undefined

  constructor(options: GateOptions) {
    this.#options = options
    this.#leaning = options.leaning
    this.#network = networkOf(options.cluster)
  }

  /** The cluster whose nodes are let in, when one is known. */
  get clusterId(): ClusterId | undefined {
    return this.#own ?? this.#leaning
  }

  /** This node now belongs to a cluster, for ever. */
  adopt(clusterId: ClusterId): void {
    assert(this.#own === undefined || this.#own === clusterId, 'a node never takes another cluster')
    this.#own = clusterId
  }

  seal(message: GossipMessage): Uint8Array {
    const writer = this.#writer.reset()
    envelope.write(writer, { format: GOSSIP_FORMAT, network: this.#network, clusterId: this.#own, node: this.#options.node, run: this.#options.run })
    gossipTable.write(writer, message)
    assert(writer.at <= DATAGRAM_BYTES_MAX, `a datagram ${message.kind} of ${writer.at} bytes`)
    return writer.take()
  }

  /** What a datagram says; undefined where it is broken, foreign, or an echo of this very process. */
  open(from: Address, bytes: Uint8Array, outbox: GateOutbox): Opened | undefined {
    if (bytes.length === 0) return undefined
    if (bytes[0] !== GOSSIP_FORMAT) return this.#report('format', `${from} speaks gossip format ${bytes[0]}, this node ${GOSSIP_FORMAT}: run versions that are next to each other`, outbox)
    try {
      const reader = new Reader(bytes)
      const head = envelope.read(reader)
      if (head.network !== this.#network) return this.#report(`name ${head.network}`, `a node of another cluster name answers at ${from}: it is ignored`, outbox)
      if (head.node === this.#options.node && head.run === this.#options.run) return undefined
      if (head.clusterId !== undefined && this.#stranger(head.clusterId)) {
        return this.#report(`id ${head.clusterId}`, `${from} belongs to cluster ${head.clusterId}, this node to ${this.clusterId}: same name, different clusters; they refuse each other, nothing is merged`, outbox)
      }
      return { sender: { node: head.node, address: from, run: head.run, clusterId: head.clusterId }, message: gossipTable.decode(bytes, reader.at) }
    } catch (error) {
      if (error instanceof MalformedMessage) return undefined
      throw error
    }
  }

  #stranger(clusterId: ClusterId): boolean {
    if (this.clusterId === undefined) this.#leaning = clusterId
    return clusterId !== this.clusterId
  }

  #report(who: string, text: string, outbox: GateOutbox): undefined {
    if (this.#reported.length >= REPORTS_MAX || this.#reported.includes(who)) return
    this.#reported.push(who)
    outbox.foreign(text)
  }

  clone(): Gate {
    const copy = new Gate(this.#options)
    copy.#reported = [...this.#reported]
    copy.#own = this.#own
    copy.#leaning = this.#leaning
    return copy
  }
}

/** How a cluster's name goes over the wire: always the same length, and not the name itself. */
export function networkOf(cluster: string): number {
  return hashOf('horus', cluster)
}
