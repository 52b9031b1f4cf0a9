//! Runs the core's client actor on a machine's time (`machine.ts`) and channels.
//!
//!   calls, messages ──receive──▶ Client ──outbox──▶ channels, promises, workers
//!                                  ▲
//!        after reads: one `turn` for all inputs of a loop turn, then one write a channel
//!        alarm:       `wake` at the client's own `wakeAt`

import { Client } from '@horus/core/client/client'
import type { ClientInput, ClientOutbox, LeasedJob as CoreJob, LeaseLostReason, LinkId, Outcome, WorkerNumber } from '@horus/core/client/api'
import type { Address } from '@horus/core/units'
import type { ChannelClosed, ClientChannel, ClientTransport } from './connection.ts'
import { errorOf } from './errors.ts'
import type { ClientLoad, Machine, Timer } from './machine.ts'

/** Whoever waits for an outcome. An object instead of a callback, so that a job needs no closure. */
export interface Receiver {
  done(outcome: Outcome): void
}

/** Whoever holds leases: a worker, or all that `acquire` has given out. */
export interface Holder {
  leased(jobs: readonly CoreJob[]): void
  leaseLost(lease: CoreJob, reason: LeaseLostReason): void
}

export interface EngineOptions {
  readonly machine: Machine
  readonly transport: ClientTransport
  readonly addresses: readonly string[]
  readonly payloadBytesMax: number
  /** A link has come up, or has gone (and why). */
  linkChanged(address: string, gone: ChannelClosed | undefined): void
  log(text: string): void
}

interface Channel {
  readonly address: string
  readonly channel: ClientChannel
  /** What was refused for want of room, in order; bounded by the client's own queues. */
  readonly waiting: Uint8Array[]
  flushing: boolean
}

export class Engine implements ClientOutbox, ClientLoad {
  readonly machine: Machine
  readonly #client: Client
  readonly #options: EngineOptions
  readonly #channels = new Map<LinkId, Channel>()
  readonly #touched: Channel[] = []
  /** By request number, of which those that were answered are used again: no map entry a job. */
  readonly #receivers: (Receiver | undefined)[] = [undefined]
  readonly #free: number[] = []
  readonly #holders = new Map<WorkerNumber, Holder>()
  /** For the leases of `acquire`, whose workers the client numbers itself. */
  #pulled: Holder | undefined
  #beforeTurn: (() => void)[] = []
  readonly #inputs: ClientInput[] = []
  #inside = false
  #turnExpected = false
  #timer: Timer | undefined
  #timerAt = Infinity

  constructor(options: EngineOptions) {
    this.#options = options
    this.machine = options.machine
    this.#client = new Client({ addresses: options.addresses as readonly Address[], random: this.machine.random(), payloadBytesMax: options.payloadBytesMax })
  }

  start(): void {
    this.machine.begun(this)
    this.input({ kind: 'start' })
  }

  get asked(): number {
    return this.#receivers.length - 1 - this.#free.length
  }

  get kept(): number {
    return this.#client.kept
  }

  // ---- in ----------------------------------------------------------------------------------------------------------

  /** What is called back may call in again: that waits behind, since an actor is never entered twice. */
  input(input: ClientInput): void {
    this.#inputs.push(input)
    this.expectTurn()
    if (!this.#inside) this.#receive()
  }

  #receive(): void {
    this.#inside = true
    try {
      // The clock is read for each: a handler that was called by the one before may have taken its time.
      for (let i = 0; i < this.#inputs.length; i++) this.#client.receive(this.machine.now(), this.#inputs[i]!, this)
    } finally {
      this.#inputs.length = 0
      this.#inside = false
    }
  }

  /** Draws a request number whose outcome goes to `receiver`. */
  register(receiver: Receiver): number {
    const request = this.#free.pop() ?? this.#receivers.length
    this.#receivers[request] = receiver
    return request
  }

  /** An outcome as a promise; failures reject. With a signal the wait ends early, and the client is told. */
  request(build: (request: number) => ClientInput, signal?: AbortSignal): Promise<Exclude<Outcome, { kind: 'failed' }>> {
    return this.machine.waiting(new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason as Error)
      const request = this.register({
        done(outcome) {
          signal?.removeEventListener('abort', abort)
          if (outcome.kind === 'failed') reject(errorOf(outcome))
          else resolve(outcome)
        },
      })
      const abort = (): void => {
        this.forget(request)
        reject(signal!.reason as Error)
      }
      signal?.addEventListener('abort', abort, { once: true })
      this.input(build(request))
    }))
  }

  /** Nobody waits for it any more. */
  forget(request: number): void {
    // The number stays taken until its outcome has come, if one does.
    if (this.#receivers[request] === undefined) return
    this.#receivers[request] = NOBODY
    this.input({ kind: 'abandon', request })
  }

  hold(worker: WorkerNumber | 'pulled', holder: Holder): void {
    if (worker === 'pulled') this.#pulled = holder
    else this.#holders.set(worker, holder)
  }

  letGo(worker: WorkerNumber): void {
    this.#holders.delete(worker)
  }

  /** Calls back once, right before the next turn: for whatever gathers calls into one input. */
  beforeTurn(call: () => void): void {
    this.#beforeTurn.push(call)
    this.expectTurn()
  }

  expectTurn(): void {
    if (this.#turnExpected) return
    this.#turnExpected = true
    this.machine.afterReads(this.#turn)
  }

  // ---- turns -------------------------------------------------------------------------------------------------------

  readonly #turn = (): void => {
    this.#turnExpected = false
    if (this.#beforeTurn.length > 0) {
      const calls = this.#beforeTurn
      this.#beforeTurn = []
      for (const call of calls) call()
    }
    this.#inputs.push(TURN)
    this.#receive()
    this.#flush()
    this.#arm()
  }

  readonly #wake = (): void => {
    this.#timerAt = Infinity
    // A timer that was set for what is no longer due is simply set again.
    if (this.#client.wakeAt <= this.machine.now().monotonic) {
      this.#inside = true
      this.#client.wake(this.machine.now(), this)
      this.#receive()
      this.#flush()
    }
    this.#arm()
  }

  #arm(): void {
    const at = this.#client.wakeAt
    if (at >= this.#timerAt) return
    this.#timer?.stop()
    this.#timerAt = at
    this.#timer = this.machine.alarm(this.#wake, at)
  }

  #flush(): void {
    for (const channel of this.#touched.splice(0)) {
      channel.flushing = false
      channel.channel.flush()
    }
  }

  /** After the client was closed: nothing keeps the process alive any more. */
  stop(): void {
    this.#timer?.stop()
    this.#timerAt = -Infinity
    for (const { channel } of this.#channels.values()) channel.close()
    this.#channels.clear()
  }

  // ---- out: what the client wants ------------------------------------------------------------------------------------

  open(link: LinkId, address: Address): void {
    const channel = this.#options.transport.connect(address, {
      up: () => {
        if (!this.#channels.has(link)) return
        this.#options.linkChanged(address, undefined)
        this.input({ kind: 'linkUp', link })
      },
      message: (bytes) => {
        if (this.#channels.has(link)) this.input({ kind: 'message', link, bytes })
      },
      closed: (reason) => {
        if (!this.#channels.delete(link)) return
        this.#options.linkChanged(address, reason)
        this.input({ kind: 'linkDown', link })
      },
      drained: () => this.#drain(link),
    })
    this.#channels.set(link, { address, channel, waiting: [], flushing: false })
  }

  close(link: LinkId): void {
    const known = this.#channels.get(link)
    this.#channels.delete(link)
    known?.channel.close()
  }

  send(link: LinkId, bytes: Uint8Array): void {
    const known = this.#channels.get(link)
    if (known === undefined) return
    if (known.waiting.length > 0 || !known.channel.send(bytes)) known.waiting.push(bytes)
    else if (!known.flushing) {
      known.flushing = true
      this.#touched.push(known)
    }
  }

  #drain(link: LinkId): void {
    const known = this.#channels.get(link)
    if (known === undefined) return
    let sent = 0
    while (sent < known.waiting.length && known.channel.send(known.waiting[sent]!)) sent++
    known.waiting.splice(0, sent)
    if (sent > 0) known.channel.flush()
  }

  done(request: number, outcome: Outcome): void {
    const receiver = this.#receivers[request]
    this.#receivers[request] = undefined
    this.#free.push(request)
    receiver?.done(outcome)
  }

  leased(worker: WorkerNumber, jobs: readonly CoreJob[]): void {
    // What the client said of their delivery leaves first: a handler may kill the process, and then the loss must count.
    this.#flush()
    this.#holders.get(worker)?.leased(jobs)
  }

  leaseLost(worker: WorkerNumber, lease: CoreJob, reason: LeaseLostReason): void {
    const holder = this.#holders.get(worker) ?? this.#pulled
    holder?.leaseLost(lease, reason)
  }

  log(text: string): void {
    this.#options.log(text)
  }
}

const NOBODY: Receiver = { done: () => {} }
const TURN: ClientInput = { kind: 'turn' }
