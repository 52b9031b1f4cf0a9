//! A client's link to one node: what the SDK speaks over. Connecting is one call, its outcome one of `onUp` and `onClose`;
//! after `onUp` comes one `onClose` when the link ends. Which node to try next is the SDK's business.

import { lookup } from 'node:dns'
import type { ClusterId } from '@horus/core/units'
import { AfterTurn } from './after-turn.ts'
import { demandLoopback, isIpv4, splitHost, toAddress } from './address.ts'
import { mistaken } from './acquaintance.ts'
import type { Connection } from './connection.ts'
import { dial } from './dial.ts'
import { TransportError } from './errors.ts'
import { common, disagreement, type NodeHello } from './hello.ts'
import { Keyring } from './keyring.ts'
import type { ClientSecurity } from './tls.ts'

/** Queued and not yet taken by the system; what is more is refused, so that the caller waits. */
export const CLIENT_LINK_BYTES_MAX = 32 * 1024 * 1024
const LOOK_MS = 5000
/** A node keeps an idle link alive, so silence for this many looks means that it has gone. */
const SILENT_LOOKS_MAX = 3
const PRINCIPAL_DEFAULT = 'default'

export interface ClientLinkOptions {
  /** `host:port`; the host may be a DNS name, of which the first address is used. */
  readonly address: string
  /** The cluster's name. */
  readonly cluster: string
  /** Where it is known already, so that another cluster of the same name is refused. */
  readonly clusterId?: ClusterId | undefined
  /** Must match the node's where the clusterId is given. */
  readonly generation?: number | undefined
  /** The cluster's secret. Without it, and without a credential, only loopback addresses are dialled. */
  readonly secret?: string | undefined
  /** Who the client is; 'default' unless told. */
  readonly principal?: string | undefined
  /** A secret of this principal alone, in place of the cluster's. */
  readonly credential?: string | undefined
  /** Of the software. */
  readonly version?: string | undefined
  /** `node` tells the node's id, its cluster's id and generation. */
  onUp(node: NodeHello): void
  /** `bytes` is a view of what the socket read: copy what is kept for long. */
  onMessage(bytes: Uint8Array): void
  /** Once, also when connecting failed; `code` says why: `unreachable refused secret cluster version generation insecure address timeout malformed closed`. */
  onClose(reason: TransportError): void
  /** Everything that was queued has left, after `send` was refused or much was queued. */
  onDrain?(): void
}

export interface ClientLink {
  readonly address: string
  readonly up: boolean
  readonly outstanding: number
  /** False when the link is not up or too much is queued, and then nothing was sent. `bytes` must not change afterwards. */
  send(bytes: Uint8Array): boolean
  /** Writes what was sent; else it happens by itself in this turn of the loop. */
  flush(): void
  /** Sends what is queued and ends; `onClose` comes with the code `closed`. */
  close(): void
}

/** Nothing is called back before this returns. */
export function connectClient(options: ClientLinkOptions): ClientLink {
  return new DialledLink(options)
}

class DialledLink implements ClientLink {
  readonly address: string
  readonly #options: ClientLinkOptions
  #connection: Connection | undefined
  #abandon: (() => void) | undefined
  #looking: NodeJS.Timeout | undefined
  #ended = false
  readonly #afterTurn = new AfterTurn(() => this.flush())

  constructor(options: ClientLinkOptions) {
    this.address = options.address
    this.#options = options
    try {
      this.#resolve()
    } catch (error) {
      setImmediate(() => this.#end(error as TransportError))
    }
  }

  get up(): boolean {
    return this.#connection !== undefined && !this.#ended
  }

  get outstanding(): number {
    return this.#connection?.outstanding ?? 0
  }

  send(bytes: Uint8Array): boolean {
    const connection = this.#connection
    if (!connection || this.#ended || connection.outstanding + bytes.length > CLIENT_LINK_BYTES_MAX) return false
    connection.send(bytes)
    return true
  }

  flush(): void {
    this.#connection?.flush()
  }

  close(): void {
    const reason = new TransportError('closed', 'closed by this side')
    if (this.#connection) this.#connection.end(reason)
    else {
      this.#abandon?.()
      setImmediate(() => this.#end(reason))
    }
  }

  #resolve(): void {
    const { host, port } = splitHost(this.#options.address)
    const security = securityOf(this.#options)
    const dialAt = (resolved: string): void => {
      if (this.#ended) return
      if (!security) demandLoopback(resolved, 'dialling')
      this.#dial(toAddress(resolved, port), security)
    }
    if (isIpv4(host)) return dialAt(host)
    lookup(host, { family: 4 }, (error, resolved) => {
      try {
        if (error) this.#end(new TransportError('unreachable', `${this.address} cannot be reached: ${error.message}`))
        else dialAt(resolved)
      } catch (refused) {
        this.#end(refused as TransportError)
      }
    })
  }

  #dial(address: string, security: ClientSecurity | undefined): void {
    const { cluster, clusterId, generation = 0, version = '0', principal = PRINCIPAL_DEFAULT } = this.#options
    const own = common(cluster, clusterId, generation, version)
    this.#abandon = dial({
      address, security,
      hello: { ...own, role: 'client', principal },
      check: (theirs) => disagreement(own, theirs) ?? mistaken(theirs, undefined),
      up: (connection, theirs) => this.#up(connection, theirs as NodeHello),
      failed: (error) => this.#end(error),
      message: (payload) => this.#options.onMessage(payload),
      closed: (reason) => this.#end(reason.code === 'closed' ? reason : new TransportError(reason.code, `${this.address}: ${reason.message}`)),
      queued: () => this.#afterTurn.expect(),
      drained: () => this.#options.onDrain?.(),
    })
  }

  #up(connection: Connection, node: NodeHello): void {
    this.#connection = connection
    this.#looking = setInterval(() => {
      if (connection.look().silent >= SILENT_LOOKS_MAX) connection.close(new TransportError('timeout', 'the node is silent'))
    }, LOOK_MS).unref()
    this.#options.onUp(node)
  }

  #end(reason: TransportError): void {
    if (this.#ended) return
    this.#ended = true
    this.#abandon?.()
    clearInterval(this.#looking)
    this.#options.onClose(reason)
  }
}

function securityOf(options: ClientLinkOptions): ClientSecurity | undefined {
  if (options.credential !== undefined) return { principal: options.principal ?? PRINCIPAL_DEFAULT, credential: options.credential }
  return options.secret === undefined ? undefined : { keyring: new Keyring(options.secret) }
}
