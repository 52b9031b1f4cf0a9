//! A cluster of node processes on loopback addresses, to be watched and broken: for the demo, chaos, tests and benchmarks.

import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type ClientOptions, Horus } from '@horus/sdk'
import type { HostPort } from '@horus/transport'
import type { Subnet } from './addresses.ts'
import { Child, type ChildOptions, removeAtExit, removeNow } from './children.ts'

const MAIN = fileURLToPath(new URL('../main.js', import.meta.url))
const START_MS_MAX = 60_000

export interface LocalClusterOptions {
  readonly cluster: string
  readonly subnet: Subnet
  readonly expect: number
  readonly replaceAfter?: string
  /** Where others reach the nodes, if something stands between: addresses in the order of `subnet`. */
  readonly advertised?: Subnet
  /** The script of a node's process, which takes the arguments of `horus start`. Default: that one. */
  readonly script?: string
  /** What nodes and clients share; mandatory beyond loopback. */
  readonly secret?: string
  /** A command that starts the node's process in place of this one, such as `ip netns exec NAME`; by the node's number. */
  readonly through?: (number: number) => readonly string[]
}

const textOf = ({ host, port }: HostPort): string => `${host}:${port}`

/** How a node's process is made. */
export interface NodeProcess extends Pick<ChildOptions, 'through' | 'env'> {
  readonly script?: string
}

/** A node process; killed and started again it stays the same node, since its directory stays. */
export class LocalNode {
  readonly number: number
  readonly address: string
  readonly dataDir: string
  readonly #args: readonly string[]
  readonly #options: NodeProcess
  #child: Child | undefined
  /** Known once it has started. */
  id = ''
  value = 0
  /** Called for each line of its log. */
  onLog: (text: string) => void = () => {}

  constructor(number: number, address: string, dataDir: string, args: readonly string[], options: NodeProcess = {}) {
    this.number = number
    this.address = address
    this.dataDir = dataDir
    this.#args = args
    this.#options = options
  }

  get running(): boolean {
    return this.#child?.running === true
  }

  get paused(): boolean {
    return this.running && this.#child!.paused
  }

  get pid(): number | undefined {
    return this.#child?.process.pid
  }

  /** Resolves when its sockets are open; rejects with its own words when it ends before. */
  async start(): Promise<void> {
    let listening = () => {}
    const opened = new Promise<void>((resolve) => (listening = resolve))
    const { script = MAIN, ...process } = this.#options
    const child = new Child(script, {
      args: ['start', '--json', ...this.#args],
      ...process,
      onLine: (line) => {
        const event = JSON.parse(line) as { readonly event: string; readonly nodeId?: string; readonly value?: number; readonly text?: string }
        if (event.event === 'log') this.onLog(event.text ?? '')
        if (event.event !== 'listening') return
        this.id = event.nodeId ?? ''
        this.value = event.value ?? 0
        listening()
      },
    })
    this.#child = child
    const timer = setTimeout(() => void child.kill(), START_MS_MAX)
    const end = await Promise.race([opened, child.ended])
    clearTimeout(timer)
    if (end) throw new Error(`node ${this.address} ended at its start (${end.signal ?? end.code}): ${child.errors.trim() || 'it did not listen in time'}`)
  }

  async kill(): Promise<void> {
    if (this.running) await this.#child!.kill()
  }

  pause(): void {
    this.#child?.pause()
  }

  resume(): void {
    this.#child?.resume()
  }

  async stop(): Promise<void> {
    await this.#child?.stop()
  }

  /** What it said on its standard error, for a report of what went wrong. */
  get errors(): string {
    return this.#child?.errors.trim() ?? ''
  }
}

export class LocalCluster {
  readonly name: string
  readonly folder: string
  readonly nodes: readonly LocalNode[]
  readonly #secret: string | undefined

  constructor(options: LocalClusterOptions) {
    this.name = options.cluster
    this.folder = mkdtempSync(join(tmpdir(), 'horus-local-'))
    removeAtExit(this.folder)
    this.#secret = options.secret
    const { subnet, advertised = subnet } = options
    this.nodes = subnet.addresses.map((listen, i) => {
      const number = i + 1
      const dataDir = join(this.folder, `node-${number}`)
      const address = textOf(advertised.addresses[i]!)
      const args = ['--cluster', options.cluster, '--data', dataDir, '--listen', textOf(listen), '--advertise', address, '--range', advertised.range, '--expect', String(options.expect)]
      if (options.replaceAfter !== undefined) args.push('--replace-after', options.replaceAfter)
      // By a variable: `ps` shows the arguments.
      const env: Record<string, string> = options.secret === undefined ? {} : { HORUS_SECRET: options.secret }
      return new LocalNode(number, address, dataDir, args, { through: options.through?.(number) ?? [], env, ...(options.script === undefined ? {} : { script: options.script }) })
    })
  }

  /** A client of this cluster; of all its nodes, unless `nodes` are named. */
  connect(options: ClientOptions & { readonly nodes?: string | readonly string[] } = {}): Promise<Horus> {
    return Horus.connect({ cluster: this.name, nodes: this.addresses, ...(this.#secret === undefined ? {} : { secret: this.#secret }), ...options })
  }

  get addresses(): readonly string[] {
    return this.nodes.map((node) => node.address)
  }

  async start(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.start()))
  }

  nodeOf(id: string): LocalNode | undefined {
    return this.nodes.find((node) => node.id === id)
  }

  /** Ends all at once and removes what they kept. */
  async close(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.kill()))
    removeNow(this.folder)
  }
}
