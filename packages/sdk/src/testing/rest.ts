//! Watches the world: who leads, when anything last happened, and so whether time may leap. A leap moves the wall clocks and nothing else, so it
//! is never wrong about a time-out; it may only come too early, where something waits for the other clocks: a lease that nobody extends,
//! a call without an answer, an election, a new master. As long as there may be such a thing, the world is not calm.

import { command, logTable, Operation } from '@horus/core/message/command'
import type { Identity, LedWaits, ReplicaEvent, ReplicaObservation } from '@horus/core/replica'
import type { ShardId, Term } from '@horus/core/units'
import type { NodeProcess } from '@horus/core/world/node'
import type { Process } from '@horus/core/world/process'
import type { World, WorldWatcher } from '@horus/core/world/world'
import type { VirtualClient } from './client.ts'
import type { Repose, VirtualTime } from './time.ts'

/** After what was done to a node its peers have noticed, and voted where they were to. */
const FAULT_MS = 3000
/** So long a shard may be without a leader that lives before it is held to have no majority: many elections. */
const LEADERLESS_MS = 20_000
/** A new leader, or other masters. */
const CHANGE_MS = 1000
/** After an entry: every copy has it, and whoever it was for has been told. */
const ENTRY_MS = 1000
/** So long after something was done it may still be going on: a few times the way to a node, through the disks, and back. */
const MOVING_MS = 25

export class Rest implements WorldWatcher, Repose {
  readonly nodes: NodeProcess[] = []
  readonly clients: VirtualClient[] = []
  readonly #ready = new Set<Process>()
  readonly #leaders = new Map<ShardId, { readonly term: Term; readonly node: Process }>()
  readonly #repairMs: number
  #world: World | undefined
  #time: VirtualTime | undefined
  #faultAt = -Infinity
  #changeAt = -Infinity
  #entryAt = -Infinity
  #leaptAt = -Infinity

  /** `repairMs`: how long a dead master is waited for before another takes its place; 0 where there is no other. */
  constructor(repairMs: number) {
    this.#repairMs = repairMs
  }

  attach(time: VirtualTime): void {
    this.#time = time
    this.#world = time.world
  }

  get areReady(): boolean {
    return this.nodes.every((node) => this.#ready.has(node))
  }

  /** Something was done to a process, or to the network. */
  disturbed(): void {
    this.#faultAt = this.#now
  }

  /** Who leads the topic's first partition, as far as anybody can: undefined where nobody does. */
  leaderOf(topic: string): NodeProcess | undefined {
    const shards = this.#waits().filter(({ topics }) => topics.includes(topic)).map(({ shard }) => shard)
    const leader = this.#leaders.get(Math.min(...shards) as ShardId)?.node
    return this.nodes.find((node) => node === leader && node.state === 'up')
  }

  // ---- for the driver ----------------------------------------------------------------------------------------------

  get isCalm(): boolean {
    const now = this.#now
    const isLed = [...this.#leaders.values()].every(({ node }) => node.state === 'up')
    if (now - this.#faultAt < Math.max(this.#repairMs + FAULT_MS, isLed ? 0 : LEADERLESS_MS)) return false
    if (now - this.#changeAt < CHANGE_MS || now - Math.max(this.#entryAt, this.#leaptAt) < ENTRY_MS) return false
    let leases = 0
    for (const client of this.clients) {
      const { load } = client
      if (load === undefined) continue
      if (load.asked > 0) return false
      leases -= load.kept
    }
    for (const waits of this.#waits()) {
      if (waits.isBusy || waits.dueAt <= this.#time!.wall) return false
      leases += waits.leases
    }
    // Leases that running handlers have are extended as long as they run; any other is going to run out.
    return leases <= 0
  }

  get isMoving(): boolean {
    return this.#now - Math.max(this.#entryAt, this.#time!.actedAt) < MOVING_MS || this.#waits().some((waits) => waits.isBusy || waits.dueAt <= this.#time!.wall)
  }

  get dueAt(): number {
    return this.#waits().reduce((least, waits) => Math.min(least, waits.dueAt), Infinity)
  }

  leapt(): void {
    this.#leaptAt = this.#now
    for (const node of this.nodes) node.clockMoved()
  }

  #waits(): readonly LedWaits[] {
    return this.nodes.flatMap((node) => (node.state === 'up' ? node.actor?.waits ?? [] : []))
  }

  get #now(): number {
    return this.#world!.now
  }

  // ---- what the world tells ----------------------------------------------------------------------------------------

  observe(process: Process, observation: ReplicaObservation): void {
    switch (observation.kind) {
      case 'proposed':
        if (!isExtension(observation.entry)) this.#entryAt = this.#now
        return
      case 'applied':
        if (isExtension(observation.entry)) return
        this.#entryAt = this.#now
        this.#time!.applied()
        return
      case 'leader': {
        const known = this.#leaders.get(observation.shard)
        if (known === undefined || observation.term > known.term) this.#leaders.set(observation.shard, { term: observation.term, node: process })
        this.#changeAt = this.#now
        return
      }
      case 'configured':
      case 'restored':
      case 'doubted':
        this.#changeAt = this.#now
        return
      default:
    }
  }

  event(process: Process, event: ReplicaEvent): void {
    if (event.kind !== 'ready') return
    if (event.ready) this.#ready.add(process)
    else this.#ready.delete(process)
    this.#changeAt = this.#now
  }

  died(process: Process): void {
    this.#ready.delete(process)
  }

  /** A claim of Horus does not hold, or a listener of the user's threw where nobody catches. */
  threw(process: Process, error: unknown): void {
    this.#time!.end(new Error(`${process.name} has failed: ${error instanceof Error ? error.message : String(error)}`, { cause: error }))
  }

  halted(process: Process, reason: string): void {
    this.#time!.end(new Error(`${process.name} has ended itself: ${reason}`))
  }

  identity(_process: Process, _identity: Identity): void {}

  stopped(): void {}
}

/** Says only that a worker is still there. */
function isExtension(entry: Uint8Array): boolean {
  if (entry[0] !== command.tag) return false
  const decoded = logTable.decode(entry)
  return decoded.kind === 'command' && decoded.operation === Operation.extend
}
