//! From options to a client that has met its cluster: where the nodes are, how they are spoken to, when waiting makes no sense.

import { ADDRESSES_MAX } from '@horus/core/client/limits'
import { PAYLOAD_BYTES_MAX } from '@horus/core/message/client'
import { PORT_DEFAULT, Range, resolveSeeds, TransportError } from '@horus/transport'
import type { ChannelClosed, ClientTransport } from './connection.ts'
import { HorusError, InvalidOption, NotAuthorized, VersionSkew } from './errors.ts'
import type { Machine } from './machine.ts'
import { abortSignal, check, type Checked, type Duration, listOf, ms, text, whole } from './options.ts'
import { TcpTransport } from './tcp.ts'

export interface ClientOptions {
  /** Bytes of an encoded payload or result at the most, 1 to 16 MiB; above it a call throws PayloadTooLarge. Default 1 MiB. */
  readonly payloadBytesMax?: number
  /** After this a call that has no answer ends as NoQuorum or Unknown; at least 1 ms. Default 30 s. */
  readonly requestTimeout?: Duration
  /** How long the first node may take to answer; at least 1 ms. Default 15 s. */
  readonly connectTimeout?: Duration
  /** Gives up connecting: `connect` throws the signal's reason. An open client is not closed by it. */
  readonly signal?: AbortSignal
}

export interface ConnectOptions extends ClientOptions {
  /** The cluster's name, 1 to 255 bytes; a node of another cluster refuses the client with NotAuthorized. */
  readonly cluster: string
  /** The cluster's secret, at most 4,096 bytes; without one only loopback addresses are spoken to. */
  readonly secret?: string | undefined
  /** Who the client is, at most 255 bytes, with `credential` as the secret of its own. */
  readonly principal?: string
  /** At most 4,096 bytes; the nodes must know it. */
  readonly credential?: string
  /** Addresses of nodes, `host:port`; one that answers is enough. One of `nodes`, `range` and `seeds` is mandatory. */
  readonly nodes?: string | readonly string[]
  /** CIDR ranges in which nodes are looked for, such as `10.0.0.0/24`; with all else at most 4,096 addresses. */
  readonly range?: string | readonly string[]
  /** `host:port` or DNS names; a name may have many addresses. */
  readonly seeds?: string | readonly string[]
  /** Of `range`, and wherever an address has none: a port, a span such as '6470-6474', or a list. Default 6470. */
  readonly port?: number | string
}

const port = (value: unknown): number | string => (typeof value === 'number' ? whole(1, 65_535)(value) : text(255)(value))

const clientChecks = { payloadBytesMax: whole(1, PAYLOAD_BYTES_MAX), requestTimeout: ms(1), connectTimeout: ms(1), signal: abortSignal }
const connectChecks = {
  ...clientChecks, cluster: text(255), secret: text(4096), principal: text(255), credential: text(4096),
  nodes: listOf(text(255)), range: listOf(text(255)), seeds: listOf(text(255)), port,
}

export type CheckedClientOptions = Checked<typeof clientChecks>

export function checkClientOptions(call: string, options: ClientOptions | undefined): CheckedClientOptions {
  return check(call, options, clientChecks)
}

/** Throws InvalidOption; the addresses are in an order of their own. */
export async function planConnection(options: ConnectOptions): Promise<{ readonly transport: ClientTransport; readonly addresses: string[]; readonly client: CheckedClientOptions }> {
  const { cluster, secret, principal, credential, nodes, range, seeds, port: ports = PORT_DEFAULT, ...client } = check('connect', options, connectChecks)
  if (cluster === undefined) throw new InvalidOption('connect: option cluster is missing: the name of the cluster')
  if (nodes === undefined && range === undefined && seeds === undefined) throw new InvalidOption('connect: one of nodes, range or seeds is wanted: where the nodes are')
  const addresses = new Set<string>()
  try {
    const plain = typeof ports === 'number' ? ports : Number(/^\d+/.exec(ports)?.[0] ?? PORT_DEFAULT)
    for (const address of await resolveSeeds([...(nodes ?? []), ...(seeds ?? [])], plain)) addresses.add(address)
    if (range !== undefined) for (const address of new Range(range, ports).addresses()) addresses.add(address)
  } catch (error) {
    if (error instanceof TransportError) throw new InvalidOption(`connect: ${error.message}`)
    throw error
  }
  if (addresses.size === 0) throw new HorusError('Unreachable', 'none of the given names has an address at the moment', { retryable: true })
  if (addresses.size > ADDRESSES_MAX) throw new InvalidOption(`connect: ${addresses.size} addresses are more than ${ADDRESSES_MAX}: name some nodes or seeds instead, or a smaller range`)
  return { transport: new TcpTransport({ cluster, secret, principal, credential }), addresses: [...addresses], client }
}

/** Watches the first connections of a client, until one is up or waiting makes no sense any more. */
export class FirstContact {
  readonly #addresses: number
  readonly #machine: Machine
  readonly #refusals = new Map<string, ChannelClosed>()
  #last: ChannelClosed | undefined
  #settle: ((error: Error | undefined) => void) | undefined
  #isUp = false

  constructor(addresses: number, machine: Machine) {
    this.#addresses = addresses
    this.#machine = machine
  }

  changed(address: string, gone: ChannelClosed | undefined): void {
    if (gone === undefined) {
      this.#isUp = true
      this.#settle?.(undefined)
      return
    }
    this.#last = gone
    if (HOPELESS[gone.code] !== undefined) this.#refusals.set(address, gone)
    else this.#refusals.delete(address)
    if (this.#refusals.size >= this.#addresses) this.#settle?.(errorFor(gone))
  }

  wait(timeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
    return this.#machine.waiting(new Promise((resolve, reject) => {
      const settle = (error: Error | undefined): void => {
        timer.stop()
        signal?.removeEventListener('abort', abort)
        this.#settle = undefined
        if (error === undefined) resolve()
        else reject(error)
      }
      const abort = (): void => settle(signal!.reason as Error)
      const timer = this.#machine.timer(() => settle(this.#last === undefined || HOPELESS[this.#last.code] === undefined ? this.#unreachable(timeoutMs) : errorFor(this.#last)), timeoutMs)
      this.#settle = settle
      if (signal?.aborted) abort()
      else if (this.#isUp) settle(undefined)
      else signal?.addEventListener('abort', abort, { once: true })
    }))
  }

  #unreachable(timeoutMs: number): HorusError {
    const why = this.#last === undefined ? '' : `; the last one: ${this.#last.message}`
    return new HorusError('Unreachable', `none of ${this.#addresses} addresses answered within ${timeoutMs} ms${why}`, { retryable: true })
  }
}

/** Reasons that another try does not change. */
const HOPELESS: Readonly<Record<string, typeof NotAuthorized>> = { secret: NotAuthorized, cluster: NotAuthorized, insecure: NotAuthorized, version: VersionSkew, stranger: NotAuthorized }

function errorFor(gone: ChannelClosed): HorusError {
  const code = gone.code === 'version' ? 'VersionSkew' : 'NotAuthorized'
  return new (HOPELESS[gone.code] ?? HorusError)(code, gone.message)
}
