//! One user process: the client actor of core, with a user on top who asks and is answered. What the client says is given to
//! the user after the client's call has returned, as the SDK does with promises, so neither ever enters the other.

import type { Actor, Now } from '@horus/core/actor'
import type { ClientInput, ClientOutbox, LeasedJob, LeaseKey, LeaseLostReason, Outcome, WorkerNumber } from '@horus/core/client/api'
import { deliver } from '@horus/core/message/client'
import type { Random } from '@horus/core/random'
import type { ConnectionId, Instant } from '@horus/core/units'
import type { ClientActor, ClientProcessInput, ClientProcessOutbox } from '@horus/core/world/client'
import type { History } from './history.ts'
import type { Scene } from './scene.ts'

/** What a user may do: ask the client. Every request gets one `done`. */
export interface Asking {
  ask(input: ClientInput): void
  request(): number
}

export interface User {
  readonly wakeAt: Instant
  begin(now: Now, asking: Asking): void
  wake(now: Now, asking: Asking): void
  done(now: Now, request: number, outcome: Outcome, asking: Asking): void
  leased(now: Now, worker: WorkerNumber, jobs: readonly LeasedJob[], asking: Asking): void
  leaseLost(now: Now, worker: WorkerNumber, lease: LeaseKey, reason: LeaseLostReason, asking: Asking): void
  /** The process has died: what it held is nobody's. */
  died(): void
}

/** One reaction leads to another at most this often in one instant. */
const STEPS_MAX = 10_000

export class SimClient implements ClientActor {
  readonly #client: Actor<ClientInput, ClientOutbox>
  readonly #user: User
  readonly #history: History | undefined
  readonly #asked: ClientInput[] = []
  readonly #told: ((now: Now) => void)[] = []
  readonly #asking: Asking
  readonly #port: ClientOutbox
  #outbox: ClientProcessOutbox | undefined
  #requests = 0

  constructor(scene: Pick<Scene, 'makeClient' | 'seeds'> & { readonly history?: History }, random: Random, user: User) {
    this.#history = scene.history
    this.#client = scene.makeClient(random, scene.seeds)
    this.#user = user
    this.#asking = { ask: (input) => void this.#asked.push(input), request: () => ++this.#requests }
    this.#port = this.#makePort()
  }

  get user(): User {
    return this.#user
  }

  get wakeAt(): Instant {
    return Math.min(this.#client.wakeAt, this.#user.wakeAt) as Instant
  }

  receive(now: Now, input: ClientProcessInput, outbox: ClientProcessOutbox): void {
    this.#outbox = outbox
    if (input.kind === 'received' && input.bytes[0] === deliver.tag) this.#history?.delivered(input.bytes)
    this.#client.receive(now, asClientInput(input), this.#port)
    if (input.kind === 'start') this.#user.begin(now, this.#asking)
    this.#settle(now)
  }

  wake(now: Now, outbox: ClientProcessOutbox): void {
    this.#outbox = outbox
    if (this.#client.wakeAt <= now.monotonic) this.#client.wake(now, this.#port)
    this.#settle(now)
    if (this.#user.wakeAt <= now.monotonic) this.#user.wake(now, this.#asking)
    this.#settle(now)
  }

  clone(): this {
    throw new Error('users are not explored')
  }

  digest(): string {
    return this.#client.digest()
  }

  #settle(now: Now): void {
    for (let steps = 0; this.#asked.length > 0 || this.#told.length > 0; steps++) {
      if (steps > STEPS_MAX) throw new Error('a user and its client answer each other without end')
      const asked = this.#asked.shift()
      if (asked !== undefined) this.#client.receive(now, asked, this.#port)
      else this.#told.shift()!(now)
    }
  }

  #makePort(): ClientOutbox {
    const user = this.#user
    const asking = this.#asking
    return {
      open: (link, address) => this.#outbox!.connect(link as number as ConnectionId, address),
      close: (link) => this.#outbox!.disconnect(link as number as ConnectionId),
      send: (link, bytes) => this.#outbox!.transmit(link as number as ConnectionId, bytes),
      done: (request, outcome) => void this.#told.push((now) => user.done(now, request, outcome, asking)),
      leased: (worker, jobs) => void this.#told.push((now) => user.leased(now, worker, jobs, asking)),
      leaseLost: (worker, lease, reason) => void this.#told.push((now) => user.leaseLost(now, worker, lease, reason, asking)),
      log: () => {},
    }
  }
}

function asClientInput(input: ClientProcessInput): ClientInput {
  switch (input.kind) {
    case 'start':
    case 'turn':
      return input
    case 'connected':
      return { kind: 'linkUp', link: input.connection as number as never }
    case 'disconnected':
      return { kind: 'linkDown', link: input.connection as number as never }
    case 'received':
      return { kind: 'message', link: input.connection as number as never, bytes: input.bytes }
    default:
      return input satisfies never
  }
}
