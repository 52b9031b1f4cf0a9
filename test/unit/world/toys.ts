//! A pair of toy actors that use everything a world offers: a counter that keeps its count on its disk, and a pinger that
//! asks for one more over a link and remembers the highest count it was ever told. A count that was told and then falls is
//! lost data: it happens exactly when the counter answers before its disk has.

import type { Now } from '@horus/core/actor'
import type { DeviceAnswer } from '@horus/core/device'
import { Hash } from '@horus/core/hash'
import type { Random } from '@horus/core/random'
import type { ReplicaInput, ReplicaObservation, ReplicaOutbox, ReplicaEvent, Identity } from '@horus/core/replica'
import type { Address, Instant, NodeId } from '@horus/core/units'
import { never } from '@horus/core/units'
import { SimulatedDevice } from '@horus/core/world/device'
import { NodeProcess, type ReplicaActor } from '@horus/core/world/node'
import type { Process } from '@horus/core/world/process'
import { World, type WorldWatcher } from '@horus/core/world/world'
import { Random as Generator } from '@horus/core/random'

const FILE = 'count'

export function idOf(number: number): NodeId {
  return number.toString(16).padStart(32, '0') as NodeId
}

function identityOf(number: number): Identity {
  return { nodeId: idOf(number), value: number, boot: 1, cluster: 'toys', clusterId: undefined, generation: 0 }
}

function countBytes(count: number): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setFloat64(0, count)
  return bytes
}

/** What a toy would never say: the faults send bytes that are no message, too. */
function isGarbage(input: ReplicaInput): boolean {
  if (input.kind === 'datagram') return input.bytes.length !== 8 || !(countOf(input.bytes) >= 1 && countOf(input.bytes) <= COUNT_MAX)
  return input.kind === 'message' && input.bytes[0] === 0xff
}

const COUNT_MAX = 1e9

function countOf(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, 8).getFloat64(0)
}

/** What all toys share: they are never cloned and have nothing to hash. */
export abstract class Toy implements ReplicaActor {
  wakeAt: Instant = never

  abstract receive(now: Now, input: ReplicaInput, outbox: ReplicaOutbox): void
  wake(_now: Now, _outbox: ReplicaOutbox): void {}

  clone(): this {
    throw new Error('toys are not explored')
  }

  digest(): string {
    return new Hash().digest()
  }
}

/** Answers every message with one more than before; `careless` answers at once, else when the disk has said so. */
export class Counter extends Toy {
  readonly #number: number
  readonly #careless: boolean
  #count = 0
  #request = 0
  readonly #asking = new Map<number, { to: NodeId; count: number }>()

  constructor(number: number, careless: boolean) {
    super()
    this.#number = number
    this.#careless = careless
  }

  receive(_now: Now, input: ReplicaInput, outbox: ReplicaOutbox): void {
    if (isGarbage(input)) return
    switch (input.kind) {
      case 'start':
        outbox.device({ kind: 'list', request: ++this.#request })
        return
      case 'device':
        this.#answered(input.answer, outbox)
        return
      case 'datagram':
        outbox.datagram(input.from, input.bytes)
        return
      case 'message': {
        const count = ++this.#count
        outbox.device({ kind: 'write', request: ++this.#request, file: FILE, at: 0, pieces: [countBytes(count)], durable: false })
        outbox.device({ kind: 'flush', request: ++this.#request, file: FILE })
        if (this.#careless) outbox.send(input.from, countBytes(count))
        else this.#asking.set(this.#request, { to: input.from, count })
        return
      }
      default:
    }
  }

  #answered(answer: DeviceAnswer, outbox: ReplicaOutbox): void {
    if (answer.kind === 'listed') {
      if (answer.files.length === 0) outbox.device({ kind: 'create', request: ++this.#request, file: FILE, size: 8 })
      else outbox.device({ kind: 'read', request: ++this.#request, file: FILE, at: 0, length: 8 })
    } else if (answer.kind === 'created' || answer.kind === 'bytes') {
      if (answer.kind === 'bytes') this.#count = countOf(answer.bytes)
      outbox.identity(identityOf(this.#number))
    } else if (answer.kind === 'flushed') {
      const asked = this.#asking.get(answer.request)
      if (asked !== undefined) outbox.send(asked.to, countBytes(asked.count))
      this.#asking.delete(answer.request)
    }
  }
}

/** Asks the counter for one more at random intervals; `told` outlives a restart, as the world's memory of what was promised. */
export class Pinger extends Toy {
  readonly #number: number
  readonly #peer: NodeId
  readonly #peerAddress: Address
  readonly #random: Random
  readonly #told: Told
  readonly #everyMs: number

  constructor(number: number, peer: NodeId, peerAddress: Address, random: Random, told: Told, everyMs: number) {
    super()
    this.#number = number
    this.#peer = peer
    this.#peerAddress = peerAddress
    this.#random = random
    this.#told = told
    this.#everyMs = everyMs
  }

  receive(now: Now, input: ReplicaInput, outbox: ReplicaOutbox): void {
    if (isGarbage(input)) return
    if (input.kind === 'start') {
      outbox.identity(identityOf(this.#number))
      outbox.address(this.#peer, this.#peerAddress)
      this.wakeAt = now.monotonic
    } else if (input.kind === 'message') this.#told.count(countOf(input.bytes))
    else if (input.kind === 'datagram') this.#told.datagrams.push(countOf(input.bytes))
    else if (input.kind === 'linkUp' || input.kind === 'linkDown') this.#told.links.push(input.kind)
  }

  override wake(now: Now, outbox: ReplicaOutbox): void {
    this.#told.wakes.push(now.monotonic)
    outbox.send(this.#peer, new Uint8Array(1))
    outbox.datagram(this.#peerAddress, countBytes(this.#told.wakes.length))
    this.wakeAt = (now.monotonic + this.#everyMs * (0.5 + this.#random.fraction())) as Instant
  }
}

/** What pingers were told, kept outside of the actors. */
export class Told {
  readonly counts: number[] = []
  readonly datagrams: number[] = []
  readonly links: string[] = []
  readonly wakes: number[] = []
  /** A count that is not above all earlier ones: the counter has forgotten something that it had told. */
  fellBack = 0
  #highest = 0

  count(value: number): void {
    if (value <= this.#highest) this.fellBack++
    this.#highest = Math.max(this.#highest, value)
    this.counts.push(value)
  }
}

export class Silent implements WorldWatcher {
  readonly errors: unknown[] = []
  threw(_process: Process, error: unknown): void {
    this.errors.push(error)
  }
  died(): void {}
  identity(): void {}
  event(_process: Process, _event: ReplicaEvent): void {}
  observe(_process: Process, _observation: ReplicaObservation): void {}
  halted(): void {}
  stopped(): void {}
}

export interface ToyWorld {
  readonly world: World
  readonly counter: NodeProcess
  readonly pinger: NodeProcess
  readonly told: Told
  readonly watcher: Silent
}

export const emptyDisk = (): SimulatedDevice => new SimulatedDevice()

export function toyWorld(seed: number, careless = false, everyMs = 1): ToyWorld {
  const watcher = new Silent()
  const world = new World(new Generator(seed), watcher)
  const told = new Told()
  const counterAt = '10.0.0.1:6470' as Address
  const counter = world.add((index) => new NodeProcess(world, index, 'counter', counterAt, { device: emptyDisk(), make: () => new Counter(1, careless) }))
  const pinger = world.add((index) => new NodeProcess(world, index, 'pinger', '10.0.0.2:6470' as Address, { device: emptyDisk(), make: (_process, random) => new Pinger(2, idOf(1), counterAt, random, told, everyMs) }))
  return { world, counter, pinger, told, watcher }
}

export function startBoth(toys: ToyWorld): void {
  toys.counter.start()
  toys.pinger.start()
}
