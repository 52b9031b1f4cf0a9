//! The counter of a node: every client's connection ends here. What is for a shard that this node leads goes to its service;
//! what is for another leader is relayed; what asks where things are is answered from the node's copy of the registry.
//!
//!   client ──▶ Front ──▶ Service of a led shard ──▶ (answers)
//!                │  └──▶ relay ──▶ leader's Front ──▶ its Service ──▶ relayed ──▶ client
//!                └──▶ Directory: located, status, wishes

import type { Now } from '../actor.ts'
import { type ClientMessage, shardLeader } from '../message/client.ts'
import { Code } from '../message/command.ts'
import { encode, MalformedMessage } from '../message/layout.ts'
import { type ConnectionMessage, connectionTable } from '../message/messages.ts'
import type { Address, ConnectionId, LeaseTime, NodeId, PartitionId, SessionNumber, ShardId } from '../units.ts'
import { type Endpoint, localConnection, localEndpoint, RelayedEndpoints } from '../lead/endpoint.ts'
import { Locates } from './locates.ts'
import { Wishes, type WishTaker } from './wishes.ts'

/** What of the cluster this node knows; hints may be old. */
export interface Directory extends WishTaker {
  partitionsOf(topic: string): readonly { readonly partition: PartitionId; readonly shard: ShardId }[] | undefined
  leaderOf(shard: ShardId): NodeId | undefined
  addressOf(node: NodeId): Address | undefined
  /** When `partitionsOf` was last sure to know every topic; a node that has just started knows none. */
  currentAt(now: Now): number
  /** Brings it up to date; `Front.wake` is called then. */
  refresh(now: Now): void
  /** Asks the registry for the topic; it shows up in `partitionsOf` when it is there. */
  createTopic(now: Now, topic: string, partitions: number): void
  status(): ClientMessage & { kind: 'queryAnswer' }
}

/** The services of the shards that this node hosts. */
export interface Services {
  /** Undefined where this node neither leads the shard nor was told to, or where another was told to by now. */
  led(shard: ShardId): ShardService | undefined
  /** Every shard that this node leads. */
  all(): Iterable<ShardService>
}

export interface ShardService {
  receive(now: Now, from: Endpoint, bytes: Uint8Array, message: ShardMessage): void
  gone(endpoint: Endpoint): void
}

export type ShardMessage = Extract<ConnectionMessage, { kind: 'command' | 'demand' | 'resume' | 'received' | 'beat' | 'query' }>

export interface FrontOutbox {
  client(connection: ConnectionId, bytes: Uint8Array): void
  closeClient(connection: ConnectionId, reason: string): void
  send(to: NodeId, bytes: Uint8Array): void
}

/** A client asks again by itself for what is not answered for so long. */
const RELAY_DOUBT_MS = 2500

export class Front {
  readonly #self: () => NodeId
  readonly #directory: Directory
  readonly #services: Services
  readonly #locates = new Locates()
  readonly #wishes = new Wishes()
  readonly #relayed = new RelayedEndpoints()
  /** Which leaders have heard of a connection through this node, and when last, so that they can be told when it goes. */
  readonly #relays = new Map<ConnectionId, Map<NodeId, number>>()

  constructor(self: () => NodeId, directory: Directory, services: Services) {
    this.#self = self
    this.#directory = directory
    this.#services = services
  }

  get wakeAt(): number {
    return this.#locates.wakeAt
  }

  get connections(): number {
    return this.#relays.size
  }

  // ---- connections of this node ----------------------------------------------------------------------------------

  up(connection: ConnectionId): void {
    this.#relays.set(connection, new Map())
  }

  down(connection: ConnectionId, outbox: FrontOutbox): void {
    for (const node of this.#relays.get(connection)?.keys() ?? []) outbox.send(node, connectionTable.encode({ kind: 'relayClosed', connection }))
    this.#relays.delete(connection)
    this.#locates.forget(connection)
    this.#wishes.forget(connection)
    this.#gone(localEndpoint(connection))
  }

  receive(now: Now, connection: ConnectionId, bytes: Uint8Array, outbox: FrontOutbox): void {
    const message = parse(bytes)
    if (message === undefined) {
      outbox.closeClient(connection, 'malformed message')
      return
    }
    switch (message.kind) {
      case 'locate':
        this.#locate(now, connection, message, outbox)
        return
      case 'status': {
        const status = this.#directory.status()
        outbox.client(connection, connectionTable.encode({ ...status, request: message.request }))
        return
      }
      case 'nodeWish':
      case 'topicWish': {
        const refusal = this.#wishes.ask(now, connection, message, this.#directory)
        if (refusal !== undefined) outbox.client(connection, connectionTable.encode(refusal))
        return
      }
      case 'command':
      case 'demand':
      case 'resume':
      case 'received':
      case 'beat':
      case 'query':
        this.#toShard(now, connection, bytes, message, outbox)
        return
      default:
        outbox.closeClient(connection, `a client never says ${message.kind}`)
    }
  }

  /** What came of something that an operator wanted. */
  wishAnswered(ticket: number, code: number, outbox: FrontOutbox): void {
    const answer = this.#wishes.answered(ticket, code)
    if (answer !== undefined) outbox.client(answer.connection, connectionTable.encode(answer.message))
  }

  // ---- relays ----------------------------------------------------------------------------------------------------

  /** What another node says about a client: of its own, on the way here, or of mine, on the way back. */
  fromNode(now: Now, from: NodeId, message: ConnectionMessage & { kind: 'relay' | 'relayed' | 'relayClosed' }, outbox: FrontOutbox): void {
    const connection = message.connection as ConnectionId
    if (message.kind === 'relayed') {
      if (this.#relays.has(connection)) outbox.client(connection, message.message)
      return
    }
    if (message.kind === 'relayClosed') {
      const endpoint = this.#relayed.closed(from, connection)
      if (endpoint !== undefined) this.#gone(endpoint)
      return
    }
    const inner = parseForShard(message.message)
    if (inner === undefined) return
    const endpoint = this.#relayed.of(from, connection)
    const service = this.#services.led(inner.shard)
    // Never a second hop: two nodes that each take the other for the leader would pass the message for ever.
    if (service === undefined) this.send(endpoint, refusal(inner, this.redirect(inner.shard)), outbox)
    else service.receive(now, endpoint, message.message, inner)
  }

  linkDown(now: Now, node: NodeId, outbox: FrontOutbox): void {
    for (const endpoint of this.#relayed.lost(node)) this.#gone(endpoint)
    for (const [connection, nodes] of this.#relays) {
      const relayedAt = nodes.get(node)
      nodes.delete(node)
      // The leader behind the link may have heard what was relayed just now: only a closed connection makes the client ask again at once.
      if (relayedAt !== undefined && now.monotonic < relayedAt + RELAY_DOUBT_MS) outbox.closeClient(connection, 'the leader that this connection was relayed to has gone')
    }
  }

  send(to: Endpoint, message: ClientMessage, outbox: FrontOutbox): void {
    const bytes = connectionTable.encode(message)
    const connection = localConnection(to)
    if (connection !== undefined) {
      outbox.client(connection, bytes)
      return
    }
    const relayed = this.#relayed.get(to)
    if (relayed !== undefined) outbox.send(relayed.via, connectionTable.encode({ kind: 'relayed', connection: relayed.connection, message: bytes }))
  }

  /** The body that tells a client who leads a shard. */
  redirect(shard: ShardId): Uint8Array {
    const leader = this.#directory.leaderOf(shard)
    return encode(shardLeader, { shard, leader, address: leader === undefined ? undefined : this.#directory.addressOf(leader) })
  }

  // ---- where topics are ------------------------------------------------------------------------------------------

  /** The registry has changed, or time has passed: answers what can be answered now. */
  wake(now: Now, outbox: FrontOutbox): void {
    this.#locates.settle(now, this.#directory, (waiting, partitions) => {
      const message = this.#located(waiting.request, partitions)
      outbox.client(waiting.connection, connectionTable.encode(message))
    })
  }

  #locate(now: Now, connection: ConnectionId, message: ConnectionMessage & { kind: 'locate' }, outbox: FrontOutbox): void {
    const partitions = this.#directory.partitionsOf(message.topic)
    if (partitions !== undefined || (!message.create && this.#directory.currentAt(now) >= now.monotonic)) {
      outbox.client(connection, connectionTable.encode(this.#located(message.request, partitions)))
      return
    }
    const { request, topic, create } = message
    const waits = this.#locates.wait(now, { connection, request, topic, create })
    if (waits && create) this.#directory.createTopic(now, topic, message.partitions)
    else if (waits) this.#directory.refresh(now)
    else outbox.client(connection, connectionTable.encode({ kind: 'located', request: message.request, code: Code.backpressure, partitions: [], leaders: [] }))
  }

  #located(request: number, partitions: readonly { readonly partition: PartitionId; readonly shard: ShardId }[] | undefined): ClientMessage {
    if (partitions === undefined) return { kind: 'located', request, code: Code.notFound, partitions: [], leaders: [] }
    const shards = [...new Set(partitions.map((place) => place.shard))]
    const leaders = shards.map((shard) => {
      const leader = this.#directory.leaderOf(shard)
      return { shard, leader, address: leader === undefined ? undefined : this.#directory.addressOf(leader) }
    })
    return { kind: 'located', request, code: Code.ok, partitions, leaders }
  }

  // ---- shards ----------------------------------------------------------------------------------------------------

  #toShard(now: Now, connection: ConnectionId, bytes: Uint8Array, message: ShardMessage, outbox: FrontOutbox): void {
    const service = this.#services.led(message.shard)
    if (service !== undefined) {
      service.receive(now, localEndpoint(connection), bytes, message)
      return
    }
    const leader = this.#directory.leaderOf(message.shard)
    if (leader === undefined || leader === this.#self()) {
      outbox.client(connection, connectionTable.encode(refusal(message, this.redirect(message.shard))))
      return
    }
    this.#relays.get(connection)?.set(leader, now.monotonic)
    outbox.send(leader, connectionTable.encode({ kind: 'relay', connection, message: bytes }))
  }

  #gone(endpoint: Endpoint): void {
    for (const service of this.#services.all()) service.gone(endpoint)
  }
}

function parse(bytes: Uint8Array): ConnectionMessage | undefined {
  try {
    return connectionTable.decode(bytes)
  } catch (error) {
    if (error instanceof MalformedMessage) return undefined
    throw error
  }
}

/** What a client has said to a shard. */
export function parseForShard(bytes: Uint8Array): ShardMessage | undefined {
  const message = parse(bytes)
  return message !== undefined && isForShard(message) ? message : undefined
}

function isForShard(message: ConnectionMessage): message is ShardMessage {
  return message.kind === 'command' || message.kind === 'demand' || message.kind === 'resume' || message.kind === 'received' || message.kind === 'beat' || message.kind === 'query'
}

/** What a client hears from a node that does not lead the shard. */
export function refusal(message: ShardMessage, redirect: Uint8Array): ClientMessage {
  if (message.kind === 'query') return { kind: 'queryAnswer', request: message.request, code: Code.notLeader, body: redirect }
  if (message.kind === 'demand') {
    const { shard, partition, session, number } = message
    return { kind: 'demandAnswer', shard, partition, session, number, code: Code.notLeader, held: 0, oldestWaitingMs: 0, body: redirect }
  }
  const sequence = message.kind === 'command' ? message.sequence : 0
  const session = message.kind === 'command' ? message.session : (0 as SessionNumber)
  return { kind: 'answer', shard: message.shard, session, sequence, code: Code.notLeader, stamp: 0, leaseClock: 0 as LeaseTime, body: redirect }
}
