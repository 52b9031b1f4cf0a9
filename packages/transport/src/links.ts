//! The TCP links of a node: to other nodes, dialled on demand or accepted, and of clients, accepted.
//!
//!   send(node, …) ──▶ link up? ──yes──▶ its queue ──flush──▶ one write per turn
//!                        │no
//!                        ├─ may dial: waits for the link (bounded)     linkUp, or linkDown and the messages are dropped
//!                        └─ failed a moment ago: dropped
//!
//! Links lose messages when they end; whoever sends repeats. `linkDown` is told for a link that ended, for an attempt that
//! failed and for messages that found no room: always later, never from within a call.

import type { Socket } from 'node:net'
import type { Identity } from '@horus/core/replica'
import type { Address, ConnectionId, NodeId } from '@horus/core/units'
import { AfterTurn } from './after-turn.ts'
import { demandLoopback, isLoopback, parseAddress, plainHost } from './address.ts'
import { ClientLinks } from './client-links.ts'
import { mistaken, objection } from './acquaintance.ts'
import { Connection } from './connection.ts'
import { dial } from './dial.ts'
import { TransportError } from './errors.ts'
import { type ClientHello, common, decodeGreeting, disagreement, encodeHello, type Hello, type HelloCommon, type NodeHello, type Refusal } from './hello.ts'
import type { LinkHandlers, LinkOptions } from './link-options.ts'
import { Listener } from './listener.ts'
import { DUPLICATE, judge, Peer, REPLACED } from './peer.ts'
import { HANDSHAKE_MS_MAX, type ProvenPrincipal } from './tls.ts'

/** Queued for one node and not yet taken by the system; a node so far behind is served better by starting over. */
export const NODE_BYTES_MAX = 64 * 1024 * 1024
/** How often links are looked at, and an idle one is kept alive. */
const LOOK_MS = 5000
/** A node that said nothing for this many looks is gone, whatever its machine says. */
const NODE_SILENT_LOOKS_MAX = 3
/** A peer that took nothing of what waits for it for this many looks reads too slowly. */
export const STALLED_LOOKS_MAX = 6

/** Who gets what an accepted connection brings, once it has greeted. */
interface Role {
  frame(payload: Uint8Array): void
  ended(reason: TransportError): void
}

const ADDRESS_UNKNOWN = "the node's address is not known"

export class NodeLinks {
  readonly #options: LinkOptions
  readonly #handlers: LinkHandlers
  readonly #instance = crypto.randomUUID()
  readonly #peers = new Map<NodeId, Peer>()
  readonly #clients: ClientLinks
  readonly #listener: Listener
  readonly #handshakeMs: number
  #identity: Identity
  /** The host part of the own address, to dial from. */
  #from: string | undefined
  #dirty: Connection[] = []
  /** Asked for after a message was handed over, it comes right behind the turn that the host asked for while it took the message. */
  readonly #afterTurn = new AfterTurn(() => this.flush())
  #looking: NodeJS.Timeout | undefined
  #closing = false

  constructor(options: LinkOptions) {
    this.#options = options
    this.#identity = options.identity
    this.#handlers = options.handlers
    this.#clients = new ClientLinks(options.handlers, options.limits?.clientBytes)
    this.#handshakeMs = options.limits?.handshakeMs ?? HANDSHAKE_MS_MAX
    const security = options.keyring && { keyring: options.keyring, credentials: options.credentials }
    this.#listener = new Listener({
      security,
      connectionsPerHostMax: options.limits?.connectionsPerHost,
      handshakeMs: this.#handshakeMs,
      accepted: (socket, principal) => this.#accepted(socket, principal),
    })
  }

  /** Resolves to the address in use, which matters where port 0 was asked for. Rejects with a TransportError: `address`, `insecure`, `listen`. */
  async listen(address: string): Promise<Address> {
    const used = await this.#listener.open(address)
    this.#from = parseAddress(used).host
    this.#looking = setInterval(() => this.#look(), this.#options.limits?.lookMs ?? LOOK_MS).unref()
    return used
  }

  /** What greetings carry from now on. Links to nodes of another cluster, or of another generation, end. */
  identify(identity: Identity): void {
    this.#identity = identity
    for (const { link } of this.#peers.values()) {
      const refusal = link && disagreement(this.#common(), link.hello)
      if (refusal?.code === 'cluster' || refusal?.code === 'generation') link?.connection.close(new TransportError(refusal.code, refusal.text))
    }
  }

  /** Where a node is dialled from now on. */
  address(node: NodeId, at: Address): void {
    const peer = this.#peer(node)
    if (peer.at === at) return
    peer.at = at
    peer.encourage()
  }

  /** `bytes` must not change afterwards. */
  send(node: NodeId, bytes: Uint8Array): void {
    if (this.#closing) return
    const peer = this.#peer(node)
    const connection = peer.link?.connection
    if (connection) {
      if (connection.outstanding + bytes.length <= (this.#options.limits?.nodeBytes ?? NODE_BYTES_MAX)) connection.send(bytes)
      else connection.close(new TransportError('timeout', 'the node reads too slowly'))
      return
    }
    if (peer.abandonDial === undefined && !peer.mayDial(performance.now())) return
    if (peer.wait(bytes) === 'first refused') setImmediate(() => this.#tellDown(peer, new TransportError('full', 'too much waits for the link to open')))
    if (peer.abandonDial === undefined) this.#dial(peer)
  }

  /** Whether what is sent to the node now leaves at once. */
  isUp(node: NodeId): boolean {
    return this.#peers.get(node)?.link !== undefined
  }

  closeLink(node: NodeId, reason: string): void {
    this.#peers.get(node)?.link?.connection.close(new TransportError('closed', reason))
  }

  /** `bytes` must not change afterwards. A connection that has gone is no error. */
  client(connection: ConnectionId, bytes: Uint8Array): void {
    this.#clients.send(connection, bytes)
  }

  /** Queued for a client and not yet taken by the system; for pacing what is large. */
  clientOutstanding(connection: ConnectionId): number {
    return this.#clients.outstanding(connection)
  }

  closeClient(connection: ConnectionId, reason: string): void {
    this.#clients.close(connection, reason)
  }

  /** Writes what was sent since the last time, one write a link. Called by the host at the end of its turn; else it happens in the next one. */
  flush(): void {
    const dirty = this.#dirty
    if (dirty.length === 0) return
    this.#dirty = []
    for (const connection of dirty) connection.flush()
  }

  /** Ends all links and frees the port; nothing is told afterwards. */
  async close(): Promise<void> {
    this.flush()
    this.#closing = true
    clearInterval(this.#looking)
    const reason = new TransportError('closed', 'the node stops')
    for (const peer of this.#peers.values()) {
      peer.abandonDial?.()
      peer.link?.connection.close(reason)
    }
    this.#clients.closeAll(reason)
    await this.#listener.close()
  }

  // ---- dialling ------------------------------------------------------------------------------------------------------

  #dial(peer: Peer): void {
    const address = peer.at
    const refusal = address === undefined ? new TransportError('unreachable', ADDRESS_UNKNOWN) : this.#forbidden(address)
    if (refusal || address === undefined) {
      const failing = setImmediate(() => this.#dialFailed(peer, refusal!))
      peer.abandonDial = () => clearImmediate(failing)
      return
    }
    const host = parseAddress(address).host
    const from = this.#from !== undefined && this.#from !== '0.0.0.0' && isLoopback(this.#from) === isLoopback(host) ? this.#from : undefined
    let up: Connection | undefined
    peer.abandonDial = dial({
      address, from,
      security: this.#options.keyring && { keyring: this.#options.keyring },
      hello: this.#hello(peer.node),
      check: (theirs) => this.#disagreement(theirs) ?? mistaken(theirs, peer.node),
      up: (connection, theirs) => {
        up = connection
        this.#dialled(peer, connection, theirs as NodeHello)
      },
      failed: (error) => this.#dialFailed(peer, error),
      message: (payload) => this.#message(peer, payload),
      closed: (reason) => {
        if (peer.link?.connection === up) this.#linkClosed(peer, reason)
      },
      queued: (connection) => this.#queued(connection),
    })
  }

  #forbidden(address: Address): TransportError | undefined {
    try {
      const { host } = parseAddress(address)
      if (!this.#options.keyring) demandLoopback(host, 'dialling')
      return undefined
    } catch (error) {
      return error as TransportError
    }
  }

  #dialled(peer: Peer, connection: Connection, hello: NodeHello): void {
    peer.abandonDial = undefined
    peer.held?.connection.refuse(DUPLICATE)
    peer.held = undefined
    this.#up(peer, connection, hello, true)
  }

  #dialFailed(peer: Peer, error: TransportError): void {
    peer.abandonDial = undefined
    if (this.#closing) return
    const { held } = peer
    if (held) {
      peer.held = undefined
      return this.#acceptNode(peer, held.connection, held.hello)
    }
    peer.failed(performance.now())
    if (error.code === 'twin') this.#handlers.twin?.(peer.at ?? '')
    this.#complain(peer, error)
    peer.takeWaiting()
    this.#tellDown(peer, error)
  }

  // ---- accepting -----------------------------------------------------------------------------------------------------

  #accepted(socket: Socket, principal: ProvenPrincipal): void {
    if (this.#closing) {
      socket.destroy()
      return
    }
    const host = plainHost(socket.remoteAddress)
    let role: Role | undefined
    const connection: Connection = new Connection(socket, {
      frame(payload) {
        if (role) role.frame(payload)
        else greeted(payload)
      },
      closed: (reason) => role?.ended(reason),
      queued: (queued) => this.#queued(queued),
      drained: () => connection.resume(),
    }, this.#handshakeMs)
    const greeted = (payload: Uint8Array): void => {
      const hello = this.#welcome(connection, payload, host, principal)
      if (hello?.role === 'client') role = this.#acceptClient(connection, hello)
      else if (hello) role = this.#nodeRole(connection, this.#peer(hello.nodeId))
      if (hello?.role === 'node') this.#judge(connection, hello)
    }
  }

  /** Reads the first frame of an accepted connection; undefined when it was refused. */
  #welcome(connection: Connection, payload: Uint8Array, host: string, principal: ProvenPrincipal): Hello | undefined {
    const greeting = decodeGreeting(payload)
    if (greeting.kind === 'refusal') {
      connection.close(new TransportError(greeting.refusal.code, greeting.refusal.text))
      return undefined
    }
    const { hello } = greeting
    const refusal = this.#disagreement(hello) ?? objection(this.#hello(undefined), { hello, host, principal }, this.#options.allows)
    if (!refusal) return hello
    // A greeting tells what a refusal would not: which generation is the newer one. Whoever dials ends the link by itself.
    if (refusal.code === 'generation' && hello.role === 'node') {
      connection.send(encodeHello(this.#hello(hello.nodeId)))
      connection.end(new TransportError(refusal.code, refusal.text))
    } else connection.refuse(refusal)
    if (refusal.code === 'twin') this.#handlers.twin?.(host)
    if (refusal.code !== 'self') this.#handlers.refused?.(host, new TransportError(refusal.code, `refused a ${hello.role} at ${host}: ${refusal.text}`))
    return undefined
  }

  #acceptClient(connection: Connection, hello: ClientHello): Role {
    connection.send(encodeHello(this.#hello(undefined)))
    const client = this.#clients.add(connection, hello)
    return {
      frame: (message) => {
        this.#clients.message(client, message)
        this.#afterTurn.expect()
      },
      ended: (reason) => this.#clients.ended(client, reason, this.#closing),
    }
  }

  #nodeRole(connection: Connection, peer: Peer): Role {
    return {
      frame: (message) => {
        if (peer.link?.connection === connection) this.#message(peer, message)
      },
      ended: (reason) => {
        if (peer.held?.connection === connection) peer.held = undefined
        if (peer.link?.connection === connection) this.#linkClosed(peer, reason)
        else this.#forget(peer)
      },
    }
  }

  #judge(connection: Connection, hello: NodeHello): void {
    const peer = this.#peer(hello.nodeId)
    const judgement = judge(this.#identity.nodeId, peer, hello, performance.now())
    if (judgement.kind === 'refuse') return connection.refuse(judgement.refusal)
    if (judgement.kind === 'accept') return this.#acceptNode(peer, connection, hello)
    peer.held?.connection.refuse(DUPLICATE)
    peer.held = { connection, hello }
  }

  #acceptNode(peer: Peer, connection: Connection, hello: NodeHello): void {
    peer.abandonDial?.()
    peer.abandonDial = undefined
    const old = peer.link
    if (old) {
      peer.link = undefined
      old.connection.close(REPLACED)
      this.#tellDown(peer, REPLACED)
    }
    connection.send(encodeHello(this.#hello(peer.node)))
    peer.encourage()
    this.#up(peer, connection, hello, false)
  }

  // ---- links that are up ---------------------------------------------------------------------------------------------

  #up(peer: Peer, connection: Connection, hello: NodeHello, dialled: boolean): void {
    connection.opened()
    peer.link = { connection, hello, dialled, since: performance.now() }
    peer.complaint = undefined
    for (const payload of peer.takeWaiting()) connection.send(payload)
    this.#handlers.linkUp(peer.node, hello)
  }

  #message(peer: Peer, payload: Uint8Array): void {
    this.#handlers.message(peer.node, payload)
    this.#afterTurn.expect()
  }

  #linkClosed(peer: Peer, reason: TransportError): void {
    const { link } = peer
    if (!link) return
    peer.link = undefined
    peer.linkEnded(performance.now(), link.since)
    this.#forget(peer)
    this.#tellDown(peer, reason)
  }

  #tellDown(peer: Peer, reason: TransportError): void {
    if (!this.#closing) this.#handlers.linkDown(peer.node, reason)
  }

  /** Where only the address is missing nobody was refused: gossip will tell it. */
  #complain(peer: Peer, error: TransportError): void {
    if (error.message === ADDRESS_UNKNOWN || error.code === 'duplicate' || error.code === 'self' || error.message === peer.complaint) return
    peer.complaint = error.message
    this.#handlers.refused?.(peer.at ?? peer.node, error)
  }

  #queued(connection: Connection): void {
    this.#dirty.push(connection)
    this.#afterTurn.expect()
  }

  #look(): void {
    for (const { link } of this.#peers.values()) {
      if (!link) continue
      const { silent, stalled } = link.connection.look()
      if (silent >= NODE_SILENT_LOOKS_MAX) link.connection.close(new TransportError('timeout', 'the node is silent'))
      else if (stalled >= STALLED_LOOKS_MAX) link.connection.close(new TransportError('timeout', 'the node does not read'))
    }
    this.#clients.look()
  }

  #peer(node: NodeId): Peer {
    let peer = this.#peers.get(node)
    if (!peer) {
      peer = new Peer(node)
      this.#peers.set(node, peer)
    }
    return peer
  }

  /** A node whose address was never told is remembered only while it is linked. */
  #forget(peer: Peer): void {
    if (peer.at === undefined && !peer.link && !peer.held && !peer.abandonDial) this.#peers.delete(peer.node)
  }

  /** Why the two cannot be linked. A node of a newer generation shows that the registry was recovered. */
  #disagreement(hello: Hello): Refusal | undefined {
    const refusal = disagreement(this.#common(), hello)
    if (refusal?.code === 'generation' && hello.role === 'node' && hello.generation > this.#identity.generation) this.#handlers.newer?.(hello.generation)
    return refusal
  }

  #common(): HelloCommon {
    const { cluster, clusterId, generation } = this.#identity
    return common(cluster, clusterId, generation, this.#options.version)
  }

  #hello(expects: NodeId | undefined): NodeHello {
    const { nodeId, value, boot } = this.#identity
    return { ...this.#common(), role: 'node', nodeId, value, boot, instance: this.#instance, expects }
  }
}
