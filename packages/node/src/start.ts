//! `startNode`: a node inside this process, on real sockets and disk.
//!
//! It is up when its sockets are open; whether it has found or founded its cluster is what `ready` tells. In this version it
//! runs on the caller's own event loop: a handler that blocks the loop blocks the node as well, so CPU work belongs into
//! another process or a worker thread, or the node into a process of its own (`horus start`).

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Replica } from '@horus/core/replica'
import type { Identity, ReplicaEvent, ReplicaTuning } from '@horus/core/replica'
import type { Address } from '@horus/core/units'
import { type ClusterStatus, Horus } from '@horus/sdk'
import { resolveConfig, type NodeConfig, type NodeOptions } from './config.ts'
import { DataDirectory } from './device/directory.ts'
import { FileDevice } from './device/file-device.ts'
import { oneLine, StartError } from './errors.ts'
import { Host, randomFromEntropy } from './host.ts'
import { bindable, freePort } from './local/addresses.ts'
import { Network } from './network.ts'
import { VERSION } from './version.ts'

/** What a node tells whoever runs it. `ready` comes at every change, not only at the first. */
export type NodeEvent =
  | { readonly event: 'listening'; readonly nodeId: string; readonly value: number; readonly address: string; readonly cluster: string }
  | { readonly event: 'founded'; readonly clusterId: string }
  | { readonly event: 'ready'; readonly ready: boolean }
  /** It was struck from the registry, and nothing depends on it any more: it stops. */
  | { readonly event: 'left' }
  | { readonly event: 'log'; readonly level: 'info' | 'warning' | 'error'; readonly text: string }

export interface HorusNode {
  /** 32 hexadecimal digits, drawn at the first start and kept in the data directory. */
  readonly nodeId: string
  /** The drawn number that decides which nodes are masters. */
  readonly value: number
  readonly cluster: string
  /** `host:port` where this node is reached. */
  readonly address: string
  /** Whether it has its cluster and is up to date with it. */
  readonly isReady: boolean
  /** Resolves when the node is ready; rejects when it ends before, or with the signal's reason. */
  ready(options?: { readonly signal?: AbortSignal }): Promise<void>
  /** A client that speaks to this node and, by it, to the whole cluster; closed with the node. */
  client(): Horus
  /** What this node knows of the cluster. */
  status(): Promise<ClusterStatus>
  /** Closes the client, hands over what the node leads (at most 3 s), and closes everything. */
  stop(): Promise<void>
  /** Resolves when the node has ended: without a value because it was stopped, or with the reason why it had to. */
  readonly ended: Promise<string | undefined>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Starts a node and resolves when its sockets are open. Rejects with UsageError where the options are wrong and with
 * StartError where the machine is not as they need it; neither has changed anything on the disk.
 */
export async function startNode(options: NodeOptions, onEvent?: (event: NodeEvent) => void): Promise<HorusNode> {
  const node = await runNode(options, onEvent)
  try {
    await node.connect()
    return node
  } catch (error) {
    await node.stop()
    throw error
  }
}

/** A node without a client of its own, as a process that does nothing else wants it. `tuning` is for tests: small segments are soon full. */
export async function runNode(options: NodeOptions, onEvent: (event: NodeEvent) => void = () => {}, tuning: ReplicaTuning = {}): Promise<RunningNode> {
  const config = await resolveConfig(options)
  const listen = await freeAddress(config)
  const directory = await openDirectory(config)
  const node = new RunningNode(config, listen, directory, { onEvent, tuning })
  return await node.start()
}

// ---- what must be free -----------------------------------------------------------------------------------------------

/** Looked at before anything is written, so that a mistyped port leaves no traces. */
async function freeAddress(config: NodeConfig): Promise<string> {
  const host = config.listen.host === 'localhost' ? '127.0.0.1' : config.listen.host
  const port = config.listen.port === 0 ? await freePort(host) : config.listen.port
  const code = await bindable({ host, port })
  if (code === 'EADDRINUSE') throw new StartError(`${host}:${port} is in use by another program: end that, or give another port with --listen`)
  if (code === 'EADDRNOTAVAIL') throw new StartError(`${host} is no address of this machine: give one that is with --listen`)
  if (code !== undefined) throw new StartError(`${host}:${port} cannot be listened on (${code}): give another address with --listen`)
  return `${host}:${port}`
}

interface OpenDirectory {
  readonly path: string
  close(): Promise<void>
}

async function openDirectory(config: NodeConfig): Promise<OpenDirectory> {
  if (config.dataDir === undefined) {
    const path = await mkdtemp(join(tmpdir(), 'horus-ephemeral-'))
    return { path, close: () => rm(path, { recursive: true, force: true }) }
  }
  try {
    const directory = await DataDirectory.open(config.dataDir)
    return { path: directory.path, close: () => directory.release() }
  } catch (error) {
    throw new StartError(`${oneLine(error)}: give another one with --data`)
  }
}

// ---- the node ------------------------------------------------------------------------------------------------------

export class RunningNode implements HorusNode {
  readonly cluster: string
  readonly address: string
  readonly ended: Promise<string | undefined>
  nodeId = ''
  value = 0
  isReady = false
  readonly #config: NodeConfig
  readonly #listen: string
  readonly #directory: OpenDirectory
  readonly #onEvent: (event: NodeEvent) => void
  readonly #host: Host
  #client: Horus | undefined
  #setEnded: (reason: string | undefined) => void = () => {}
  #setListening: () => void = () => {}
  #waiting: (() => void)[] = []

  constructor(config: NodeConfig, listen: string, directory: OpenDirectory, { onEvent, tuning }: { readonly onEvent: (event: NodeEvent) => void; readonly tuning: ReplicaTuning }) {
    this.#config = config
    this.#listen = listen
    this.#directory = directory
    this.#onEvent = onEvent
    this.cluster = config.cluster
    this.address = config.advertise ?? listen
    this.ended = new Promise((resolve) => (this.#setEnded = resolve))
    const replica = new Replica({
      cluster: config.cluster,
      address: this.address as Address,
      zone: config.zone,
      version: VERSION,
      eligible: config.eligible,
      range: config.range,
      seeds: config.seeds,
      expect: config.expect,
      join: config.join,
      random: randomFromEntropy(),
      tuning: { ...tuning, ...(config.replaceAfter === undefined ? {} : { replaceAfterMs: config.replaceAfter }) },
    })
    this.#host = new Host(replica, {
      listening: (identity) => this.#listening(identity),
      event: (event) => this.#event(event),
      ended: (reason) => void this.#end(reason),
    })
  }

  async start(): Promise<this> {
    const host = this.#host
    const listening = new Promise<void>((resolve) => (this.#setListening = resolve))
    const network = new Network({
      listen: this.#listen,
      secret: this.#config.secret,
      version: VERSION,
      allows: this.#config.allows,
      input: (input) => host.input(input),
      log: (level, text) => this.#onEvent({ event: 'log', level, text }),
      twin: (where) => host.halt(`another process runs with the identity of this node, at ${where}: a data directory was copied; give every node its own`),
    })
    const device = new FileDevice({ directory: this.#directory.path, answer: (answer) => host.input({ kind: 'device', answer }) })
    host.start(device, network)
    await Promise.race([listening, this.ended.then((reason) => Promise.reject(new StartError(reason ?? 'the node was stopped while it started')))])
    return this
  }

  ready(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    const { signal } = options
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(signal.reason as Error)
      signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
      void this.ended.then((reason) => reject(new StartError(reason ?? 'the node was stopped')))
      if (this.isReady) resolve()
      else this.#waiting.push(resolve)
    })
  }

  async connect(): Promise<void> {
    const { secret } = this.#config
    this.#client = await Horus.connect({ cluster: this.cluster, nodes: [this.#listen], ...(secret === undefined ? {} : { secret }) })
  }

  client(): Horus {
    if (!this.#client) throw new Error('this node was started without a client')
    return this.#client
  }

  status(): Promise<ClusterStatus> {
    return this.client().status()
  }

  async stop(): Promise<void> {
    await this.#client?.close()
    await this.#host.stop()
    await this.ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  #listening(identity: Identity): void {
    this.nodeId = identity.nodeId
    this.value = identity.value
    this.#setListening()
  }

  #event(event: ReplicaEvent): void {
    switch (event.kind) {
      case 'ready':
        if (event.ready === this.isReady) return
        this.isReady = event.ready
        if (event.ready) for (const tell of this.#waiting.splice(0)) tell()
        return this.#onEvent({ event: 'ready', ready: event.ready })
      case 'founded':
        return this.#onEvent({ event: 'founded', clusterId: event.clusterId })
      case 'left':
        this.#onEvent({ event: 'left' })
        void this.stop()
        return
      case 'log':
        return this.#onEvent({ event: 'log', level: event.level, text: event.text })
      default:
        event satisfies never
    }
  }

  async #end(reason: string | undefined): Promise<void> {
    await this.#client?.close().catch(() => {})
    await this.#directory.close().catch(() => {})
    this.#setEnded(reason)
  }
}
