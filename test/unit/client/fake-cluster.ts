//! A client actor against scripted nodes, in a time that the test moves.

import type { Address, Instant, WallTime } from '@horus/core/units'
import { Client } from '@horus/core/client/client'
import type { ClientInput, ClientOutbox, LeasedJob, LeaseKey, LinkId, Outcome, WorkerNumber } from '@horus/core/client/api'
import { deliver } from '@horus/core/message/client'
import { Random } from '@horus/core/random'
import { A, B, FakeNodes } from './fake-nodes.ts'

export { A, B, type FakeJob } from './fake-nodes.ts'
export const WORKER = 1 as WorkerNumber
const HASTY_WAKES_MAX = 20

export class FakeCluster extends FakeNodes implements ClientOutbox {
  readonly client: Client
  readonly outcomes = new Map<number, Outcome>()
  readonly leasedJobs: LeasedJob[] = []
  readonly deliveries: Uint8Array[] = []
  readonly losses: { lease: LeaseKey; reason: string }[] = []
  readonly links = new Map<LinkId, { address: Address; up: boolean }>()
  readonly #pending: { at: number; run: () => void }[] = []
  override now = 1000
  delay = 0
  /** So long it takes to open a link. */
  dialMs = 0

  constructor(options: { addresses?: Address[]; partitions?: number; seed?: number } = {}) {
    super(options.partitions)
    this.client = new Client({ addresses: options.addresses ?? [A, B], random: new Random(options.seed ?? 1) })
    this.input({ kind: 'start' })
    this.turn()
  }

  // ---- the test's hands

  input(input: ClientInput): void {
    this.client.receive(this.#time(), input, this)
  }

  turn(): void {
    for (let i = 0; i < 20; i++) {
      this.input({ kind: 'turn' })
      if (!this.#deliverDue()) return
    }
  }

  /** Lets time pass, waking the client when it wants to be. */
  pass(ms: number): void {
    const end = this.now + ms
    this.turn()
    let hasty = 0
    while (true) {
      const next = Math.min(this.client.wakeAt, ...this.#pending.map((item) => item.at))
      if (next > end) break
      // Waking again and again after a millisecond is how a client that forgot to move a timer shows.
      hasty = next <= this.now + 1 ? hasty + 1 : 0
      if (hasty > HASTY_WAKES_MAX) throw new Error(`the client spins at ${this.now}`)
      this.now = Math.max(this.now, next)
      this.client.wake(this.#time(), this)
      this.turn()
    }
    this.now = end
    this.turn()
  }

  add(request: number, count = 1, timeoutMs = 5000, key?: string): void {
    const items = Array.from({ length: count }, () => ({ name: 'bill', payload: new Uint8Array([request]), ...(key === undefined ? {} : { options: { idempotencyKey: key } }) }))
    this.input({ kind: 'add', request, topic: 'orders', items, timeoutMs })
  }

  work(concurrency: number, leaseMs = 30_000): void {
    this.input({ kind: 'work', worker: WORKER, topic: 'orders', names: [], concurrency, leaseMs })
  }

  complete(request: number, lease: LeaseKey, timeoutMs = 30_000): void {
    this.input({ kind: 'complete', request, lease, result: undefined, timeoutMs })
  }

  /** The outcome in a word: `ok`, `added`, or the error's code. */
  outcome(request: number): string | undefined {
    const outcome = this.outcomes.get(request)
    return outcome?.kind === 'failed' ? outcome.code : outcome?.kind
  }

  cut(address: Address): void {
    this.down.add(address)
    for (const [id, link] of this.links) {
      if (link.address !== address) continue
      this.links.delete(id)
      this.forgetLink(id)
      this.input({ kind: 'linkDown', link: id })
    }
  }

  /** The same bytes once more, as if a relay had kept them. */
  again(bytes: Uint8Array): void {
    for (const [link, { up }] of this.links) if (up) this.transmit(link, bytes)
  }

  // ---- the client's outbox

  open(link: LinkId, address: Address): void {
    this.links.set(link, { address, up: false })
    this.#later(() => {
      if (!this.links.has(link)) return
      if (this.silent.has(address)) return
      if (this.down.has(address)) {
        this.links.delete(link)
        this.input({ kind: 'linkDown', link })
      } else {
        this.links.get(link)!.up = true
        this.input({ kind: 'linkUp', link })
      }
    }, this.dialMs)
  }

  /** What the node at `at` says of its own accord, over the link to it. */
  say(at: Address, bytes: Uint8Array): void {
    for (const [link, { address, up }] of this.links) if (up && address === at) this.transmit(link, bytes)
  }

  close(link: LinkId): void {
    this.links.delete(link)
  }

  send(link: LinkId, bytes: Uint8Array): void {
    const known = this.links.get(link)
    if (known === undefined || !known.up) throw new Error('sent over a link that is not up')
    const { address } = known
    this.#later(() => this.take(link, address, bytes))
  }

  transmit(link: LinkId, bytes: Uint8Array): void {
    if (bytes[0] === deliver.tag) this.deliveries.push(bytes)
    this.#later(() => {
      if (this.links.get(link)?.up) this.input({ kind: 'message', link, bytes })
    })
  }

  done(request: number, outcome: Outcome): void {
    if (this.outcomes.has(request)) throw new Error(`request ${request} is done twice`)
    this.outcomes.set(request, outcome)
  }

  leased(_worker: WorkerNumber, jobs: readonly LeasedJob[]): void {
    this.leasedJobs.push(...jobs)
  }

  leaseLost(_worker: WorkerNumber, lease: LeaseKey, reason: string): void {
    this.losses.push({ lease, reason })
  }

  log(): void {}

  #later(run: () => void, ms = this.delay): void {
    this.#pending.push({ at: this.now + ms, run })
    this.#pending.sort((a, b) => a.at - b.at)
  }

  #deliverDue(): boolean {
    let any = false
    while (this.#pending.length > 0 && this.#pending[0]!.at <= this.now) {
      this.#pending.shift()!.run()
      any = true
    }
    return any
  }

  #time() {
    return { monotonic: this.now as Instant, wall: this.now as WallTime }
  }
}
