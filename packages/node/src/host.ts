//! Runs one Replica on real sockets, a real disk and real clocks.
//!
//!   sockets ──▶ inputs ──▶ replica.receive ──▶ outbox ──▶ sockets, device, timer
//!                  ▲                                          │
//!                  └── answers of the disk, links up and down ┘
//!
//! A turn of the event loop is the unit: everything that the sockets had is fed first, and behind it, once, `turn`, on which
//! the replica writes its groups and ships its batches. So batches form by themselves, the larger the busier the node is.

import { setImmediate as afterReads } from 'node:timers'
import { getRandomValues } from 'node:crypto'
import type { Now } from '@horus/core/actor'
import type { DeviceRequest } from '@horus/core/device'
import { Random } from '@horus/core/random'
import type { Identity, ReplicaEvent, ReplicaInput, ReplicaOutbox } from '@horus/core/replica'
import type { Instant, WallTime } from '@horus/core/units'
import { oneLine } from './errors.ts'

/** What the host needs of a replica; `Replica` of core is one. */
export interface HostedReplica {
  receive(now: Now, input: ReplicaInput, outbox: ReplicaOutbox): void
  wake(now: Now, outbox: ReplicaOutbox): void
  readonly wakeAt: Instant
}

/** The disk: answers come later, never from within `request`. */
export interface HostDevice {
  request(request: DeviceRequest): void
  close(): Promise<void>
}

/** The sockets: what they receive comes by the functions that the host hands out in `inputs`. */
export interface HostNetwork extends Pick<ReplicaOutbox, 'datagram' | 'send' | 'address' | 'client' | 'closeClient' | 'closeLink'> {
  /** Opens the sockets on the first call; from then on the identity is what HELLO carries. */
  identify(identity: Identity): Promise<void>
  /** Everything that was sent in this turn goes out, one write a link. */
  flush(): void
  close(): Promise<void>
}

export interface HostListener {
  /** The sockets are open. */
  listening(identity: Identity): void
  event(event: ReplicaEvent): void
  /** The host has ended; without a reason because it was asked to. */
  ended(reason: string | undefined): void
}

/** How long a leader may take to hand over before the node closes all the same. */
export const STOP_MS_MAX = 3_000
/** Beyond this a timer of Node fires at once; waking early does no harm. */
const TIMER_MS_MAX = 2 ** 31 - 1

export class Host {
  readonly #replica: HostedReplica
  readonly #listener: HostListener
  readonly #outbox: ReplicaOutbox
  #device: HostDevice | undefined
  #network: HostNetwork | undefined
  #queue: ReplicaInput[] = []
  #busy = false
  #turnPending = false
  #timer: NodeJS.Timeout | undefined
  #timerAt = Infinity
  #identified = false
  #ending: Promise<void> | undefined
  #handedOver = () => {}

  constructor(replica: HostedReplica, listener: HostListener) {
    this.#replica = replica
    this.#listener = listener
    this.#outbox = this.#makeOutbox()
  }

  /** From here on the replica runs; `device` and `network` were made with this host's `input`. */
  start(device: HostDevice, network: HostNetwork): void {
    this.#device = device
    this.#network = network
    this.input({ kind: 'start' })
  }

  /** Feeds what came from outside; never throws. */
  input(input: ReplicaInput): void {
    if (this.#ending && input.kind !== 'device' && !this.#handingOver) return
    if (this.#busy) {
      this.#queue.push(input)
      return
    }
    this.#step(input)
    for (let next = this.#queue.shift(); next; next = this.#queue.shift()) this.#step(next)
    this.#expectTurn()
  }

  /** Ends with a reason: the process must not go on as this node. */
  halt(reason: string): void {
    this.#halt(reason)
  }

  /** Hands the lead over, for at most STOP_MS_MAX, and closes everything. */
  stop(): Promise<void> {
    this.#ending ??= this.#end(undefined)
    return this.#ending
  }

  // ---- one step ------------------------------------------------------------------------------------------------------

  #handingOver = false

  #step(input: ReplicaInput | undefined): void {
    this.#busy = true
    try {
      if (input) this.#replica.receive(now(), input, this.#outbox)
      else this.#replica.wake(now(), this.#outbox)
    } catch (error) {
      this.#halt(`a claim of the program does not hold, so it ends here: ${oneLine(error)}`, error)
    } finally {
      this.#busy = false
    }
  }

  #expectTurn(): void {
    if (this.#turnPending) return
    this.#turnPending = true
    afterReads(() => {
      this.#turnPending = false
      this.#step({ kind: 'turn' })
      for (let next = this.#queue.shift(); next; next = this.#queue.shift()) this.#step(next)
      if (this.#closed) return
      this.#network?.flush()
      this.#setTimer()
    })
  }

  #setTimer(): void {
    const wakeAt = this.#replica.wakeAt
    if (wakeAt === this.#timerAt) return
    clearTimeout(this.#timer)
    this.#timerAt = wakeAt
    if (wakeAt === Infinity || this.#closed) return
    this.#timer = setTimeout(() => {
      this.#timerAt = Infinity
      // Timers of Node may fire a fraction of a millisecond early.
      if (performance.now() >= this.#replica.wakeAt) {
        this.#step(undefined)
        this.#expectTurn()
      } else {
        this.#setTimer()
      }
    }, Math.min(TIMER_MS_MAX, Math.max(0, Math.ceil(wakeAt - performance.now()))))
  }

  // ---- the end -------------------------------------------------------------------------------------------------------

  #closed = false

  #halt(reason: string, error?: unknown): void {
    if (this.#ending && !this.#handingOver) return
    if (error instanceof Error && process.env['HORUS_DEBUG'] !== undefined) process.stderr.write(`${error.stack}\n`)
    this.#handedOver()
    this.#ending ??= this.#end(reason)
  }

  async #end(reason: string | undefined): Promise<void> {
    if (reason === undefined && this.#identified) await this.#handOver()
    this.#handingOver = false
    this.#closed = true
    clearTimeout(this.#timer)
    this.#queue = []
    await this.#network?.close().catch(() => {})
    await this.#device?.close().catch(() => {})
    this.#listener.ended(reason)
  }

  async #handOver(): Promise<void> {
    this.#handingOver = true
    const done = new Promise<void>((resolve) => (this.#handedOver = resolve))
    const timer = setTimeout(() => this.#handedOver(), STOP_MS_MAX)
    // Not from within a step, whoever asked for the end.
    afterReads(() => this.input({ kind: 'stop' }))
    await done
    clearTimeout(timer)
  }

  // ---- effects -------------------------------------------------------------------------------------------------------

  #makeOutbox(): ReplicaOutbox {
    const live = (): HostNetwork | undefined => (this.#closed ? undefined : this.#network)
    return {
      device: (request) => {
        if (!this.#closed) this.#device?.request(request)
      },
      datagram: (to, bytes) => live()?.datagram(to, bytes),
      send: (to, bytes) => live()?.send(to, bytes),
      address: (node, at) => live()?.address(node, at),
      client: (connection, bytes) => live()?.client(connection, bytes),
      closeClient: (connection, reason) => live()?.closeClient(connection, reason),
      closeLink: (node, reason) => live()?.closeLink(node, reason),
      identity: (identity) => this.#identify(identity),
      event: (event) => this.#listener.event(event),
      halt: (reason) => this.#halt(oneLine(reason)),
      stopped: () => this.#handedOver(),
    }
  }

  #identify(identity: Identity): void {
    const first = !this.#identified
    this.#identified = true
    this.#network?.identify(identity).then(
      () => {
        if (first && !this.#closed) this.#listener.listening(identity)
      },
      (error: unknown) => this.#halt(oneLine(error)),
    )
  }
}

export const now = (): Now => ({ monotonic: performance.now() as Instant, wall: Date.now() as WallTime })

/** Seeded from the machine's entropy: no two nodes may ever draw alike. */
export function randomFromEntropy(): Random {
  const [a, b, c] = getRandomValues(new Uint32Array(3))
  return Random.fromWords(a!, b!, c!)
}
