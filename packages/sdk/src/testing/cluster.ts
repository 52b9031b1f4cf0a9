//! The cluster of a test: real nodes on simulated disks and a simulated network, real clients, one virtual time, and a seed that decides all of it.
//!
//!   await using cluster = await testCluster({ nodes: 3 })
//!   const horus = await cluster.connect()
//!   await horus.add('orders', 'bill', { id: 7 }, { delay: '11h' })
//!   await cluster.advance('12h')                         // handlers run as their jobs come due
//!   cluster.crash(1)

import { PAYLOAD_BYTES_DEFAULT } from '@horus/core/client/client'
import { Random } from '@horus/core/random'
import { Replica } from '@horus/core/replica'
import type { Address } from '@horus/core/units'
import { WORLD_EPOCH } from '@horus/core/world/clock'
import { SimulatedDevice } from '@horus/core/world/device'
import { NodeProcess } from '@horus/core/world/node'
import type { Process } from '@horus/core/world/process'
import { World } from '@horus/core/world/world'
import type { ClientOptions } from '../connect.ts'
import { HorusError, InvalidOption } from '../errors.ts'
import { Horus } from '../horus.ts'
import { type AnyTopic, topicName } from '../topic.ts'
import { abortSignal, check, type Duration, ms, wallTime, whole } from '../options.ts'
import { VirtualClient } from './client.ts'
import { Handlers } from './handlers.ts'
import { Rest } from './rest.ts'
import { VirtualTime } from './time.ts'

export interface TestClusterOptions {
  /** 1 to 20; default 3. They are numbered from 0. */
  readonly nodes?: number
  /** Decides everything that chance decides, a whole number from 0: the same seed and the same calls give the same run. Default 1. */
  readonly seed?: number
  /** What the clocks show at the beginning: a Date, or milliseconds since 1970. Default 2025-06-15T15:06:40Z. */
  readonly startAt?: Date | number
  /** How long a master is dead before another node takes its place, where there is one; at least 1 ms. Default 30 s, as in a node. */
  readonly replaceAfter?: Duration
  /** How much real time a handler gets for what the kit cannot see (files, sockets, timers of its own) before virtual time goes on without it. Default 100 ms. */
  readonly patience?: Duration
}

/** A node by its number, or a client that `connect` gave. */
export type PauseTarget = number | Horus

const NODES_DEFAULT = 3
const NODES_MAX = 20
const FOUNDERS_MAX = 3
const REPLACE_AFTER_MS = 30_000
const PATIENCE_MS = 100
/** Founding takes a second or two; without an end to it nobody would learn that it failed. */
const START_MS_MAX = 120_000
/** Small, so that a node takes little memory and is soon up again; an entry takes half a segment at most, and a payload may be of 1 MiB. */
const SEGMENT_BYTES = 4 * 1024 * 1024
const WALL_MAX = 8_640_000_000_000_000

const checks = { nodes: whole(1, NODES_MAX), seed: whole(0, Number.MAX_SAFE_INTEGER), startAt: wallTime, replaceAfter: ms(1), patience: ms() }

/** A cluster whose nodes are up and ready. Throws InvalidOption. */
export async function testCluster(options?: TestClusterOptions): Promise<TestCluster> {
  const { nodes = NODES_DEFAULT, seed = 1, startAt = WORLD_EPOCH, replaceAfter = REPLACE_AFTER_MS, patience = PATIENCE_MS } = check('testCluster', options, checks)
  if (startAt < 0 || startAt > WALL_MAX) throw new InvalidOption(`testCluster: option startAt: ${startAt} is not between 1970 and the year 275760`)
  const rest = new Rest(nodes > FOUNDERS_MAX ? replaceAfter : 0)
  const world = new World(new Random(seed, 0x7e57), rest)
  world.leap(Math.floor(startAt) - WORLD_EPOCH)
  const time = new VirtualTime(world, new Handlers(patience), rest)
  rest.attach(time)
  const addresses = Array.from({ length: nodes }, (_, i) => `10.0.0.${i + 1}:6470` as Address)
  const expect = Math.min(FOUNDERS_MAX, nodes)
  for (const [i, home] of addresses.entries()) {
    rest.nodes.push(world.add((index) => new NodeProcess(world, index, `node ${i}`, home, {
      device: new SimulatedDevice(),
      make: (process, random) => new Replica({
        cluster: 'test', address: process.home, zone: '', version: '', eligible: true, range: [], seeds: nodes === 1 ? [] : addresses,
        expect: i < expect ? expect : undefined, join: i >= expect, random,
        tuning: { segmentBytes: SEGMENT_BYTES, replaceAfterMs: replaceAfter, wallJumpMs: Infinity },
      }),
    })))
  }
  for (const node of rest.nodes) node.start()
  world.runUntil(START_MS_MAX, () => rest.areReady)
  time.throwIfEnded()
  if (!rest.areReady) throw new Error(`the cluster of ${nodes} nodes was not ready within ${START_MS_MAX} virtual ms`)
  return new TestCluster(time, rest)
}

export class TestCluster implements AsyncDisposable {
  readonly #time: VirtualTime
  readonly #rest: Rest
  readonly #clients = new Map<Horus, VirtualClient>()
  #stopping: Promise<void> | undefined

  /** For `testCluster`, which makes them. */
  constructor(time: VirtualTime, rest: Rest) {
    this.#time = time
    this.#rest = rest
  }

  /** What the clocks of the cluster show: milliseconds since 1970, a whole number. For `runAt` and the like; `Date.now()` is the real time. */
  get now(): number {
    return Math.floor(this.#time.wall)
  }

  /** A hash of everything that has happened between processes: two runs with the same one were the same. */
  get trace(): string {
    return this.#time.world.trace.digest()
  }

  // ---- time --------------------------------------------------------------------------------------------------------

  /**
   * Lets so much virtual time pass (milliseconds, or '90s', '2h', '330d'), and then the few milliseconds, a second at most, that what came due in it
   * still needs. Handlers run as their jobs come due. Not to be called by a handler, nor twice at once. Throws InvalidOption.
   */
  async advance(by: Duration): Promise<void> {
    if (this.#time.handlers.isInside) throw new InvalidOption('advance: a handler cannot let time pass: it waits with sleep, and the test advances')
    const { by: length } = check('advance', { by }, { by: ms(0, WALL_MAX) })
    await this.#time.advance(length!)
  }

  /**
   * Resolves when so much virtual time has passed: what a handler takes for its work. It does not make time pass, `advance` and calls of clients do.
   * Rejects with the signal's reason, such as that of a job whose lease is lost.
   */
  async sleep(length: Duration, options?: { readonly signal?: AbortSignal }): Promise<void> {
    const { length: wait, signal } = check('sleep', { length, ...options }, { length: ms(0, WALL_MAX), signal: abortSignal })
    await this.#time.sleep(wait!, signal)
  }

  // ---- clients -----------------------------------------------------------------------------------------------------

  /** A client of the cluster, as `Horus.connect` gives one; its time is virtual. Payloads are of 1 MiB at most. Throws what that throws. */
  async connect(options?: ClientOptions): Promise<Horus> {
    this.#time.throwIfEnded()
    if ((options?.payloadBytesMax ?? 0) > PAYLOAD_BYTES_DEFAULT) throw new InvalidOption(`connect: option payloadBytesMax: nodes of a test take ${PAYLOAD_BYTES_DEFAULT} bytes at most`)
    const number = this.#rest.clients.length
    const client = new VirtualClient(this.#time, `client ${number}`, `10.1.${number >> 8}.${number & 0xff}:1` as Address)
    this.#rest.clients.push(client)
    const horus = await Horus.over(client, this.#rest.nodes.map(({ home }) => home), options, client)
    this.#clients.set(horus, client)
    return horus
  }

  // ---- nodes -------------------------------------------------------------------------------------------------------

  get nodes(): number {
    return this.#rest.nodes.length
  }

  /** `up`, `paused`, or `down`. Throws InvalidOption for a node that is not there. */
  state(node: number): 'up' | 'paused' | 'down' {
    return this.#node('state', node).state
  }

  /** The node that leads the topic, its first partition if there are more; undefined where none does at the moment, or there is no such topic. */
  leaderOf(topic: AnyTopic): number | undefined {
    const leader = this.#rest.leaderOf(topicName(topic))
    return leader === undefined ? undefined : this.#rest.nodes.indexOf(leader)
  }

  /** Kills the node's process (`kill -9`): what it had not written is gone, its disk stays. Throws InvalidOption where it is down. */
  crash(node: number): void {
    const process = this.#node('crash', node)
    if (process.state === 'down') throw new InvalidOption(`crash: node ${node} is down already`)
    process.crash('killed')
    this.#disturb()
  }

  /** Starts it again on its disk. Throws InvalidOption where it is not down. */
  restart(node: number): void {
    const process = this.#node('restart', node)
    if (process.state !== 'down') throw new InvalidOption(`restart: node ${node} is not down`)
    process.start()
    this.#disturb()
  }

  /** Stops a node's process, or a client's, where it stands (SIGSTOP): it neither hears nor says anything, and its clock goes on. Throws InvalidOption where it does not run. */
  pause(target: PauseTarget): void {
    const process = this.#process('pause', target)
    if (process.state !== 'up') throw new InvalidOption(`pause: ${process.name} is ${process.state}`)
    this.#time.world.pause(process)
    this.#disturb()
  }

  /** Throws InvalidOption where it is not paused. */
  resume(target: PauseTarget): void {
    const process = this.#process('resume', target)
    if (process.state !== 'paused') throw new InvalidOption(`resume: ${process.name} is not paused`)
    this.#time.world.resume(process)
    this.#disturb()
  }

  /** Nothing passes any more between nodes of different groups, until `heal`; nodes in no group keep all their links, and so do clients. Throws InvalidOption. */
  partition(...groups: readonly (readonly number[])[]): void {
    const named = groups.map((group) => group.map((node) => this.#node('partition', node)))
    if (named.length < 2) throw new InvalidOption('partition: two groups of nodes are wanted at least')
    if (new Set(named.flat()).size < named.flat().length) throw new InvalidOption('partition: a node is in one group at most')
    const { network } = this.#time.world
    for (const group of named) for (const other of named) {
      if (group !== other) for (const from of group) for (const to of other) network.block(from, to, Infinity)
    }
    this.#disturb()
  }

  /** Ends every partition. */
  heal(): void {
    this.#time.throwIfEnded()
    this.#time.world.network.heal()
    this.#disturb()
  }

  #disturb(): void {
    this.#rest.disturbed()
    this.#time.kick()
  }

  #process(call: string, target: PauseTarget): Process {
    if (typeof target === 'number') return this.#node(call, target)
    const client = this.#clients.get(target)
    if (client === undefined) throw new InvalidOption(`${call}: a node's number, or a client of this cluster, is wanted`)
    this.#time.throwIfEnded()
    return client.process
  }

  #node(call: string, node: number): NodeProcess {
    this.#time.throwIfEnded()
    const process = this.#rest.nodes[node]
    if (process === undefined) throw new InvalidOption(`${call}: there is no node ${String(node)}: they are numbered from 0 to ${this.#rest.nodes.length - 1}`)
    return process
  }

  // ---- the end -----------------------------------------------------------------------------------------------------

  /** Closes the clients (jobs that run are handed back, their signals abort) and ends every wait that is left with an error of code Closed; nothing is left behind. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    const { world } = this.#time
    for (const process of world.processes) world.resume(process)
    await Promise.all([...this.#clients.keys()].map((horus) => horus.close({ drain: false }).catch(() => {})))
    this.#time.end(new HorusError('Closed', 'the cluster was stopped'))
    for (const process of world.processes) process.crash()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}
