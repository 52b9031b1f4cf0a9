//! Nodes, the network between them and what they have done so far, as one model for the search.
//!
//!   state = [ node 0, 1, 2 ... | inbox 0, 1, 2 ... | memory of the laws | budgets used ]      each a number that stands for the thing
//!
//! A node is the real actor with its disk. What it does depends only on itself and its input, so every (node, input) is run once and looked up
//! ever after: the actors run some ten thousand times for millions of states.

import { type Envelope, Network } from './network.ts'
import type { Fact, Input, Laws, Move, Participant } from './participant.ts'
import { Breach, type Model } from './search.ts'

export interface Scope<P extends Participant, F extends Fact, Memory> {
  readonly nodes: readonly P[]
  readonly laws: Laws<P, F, Memory>
  /** How often each kind of move that costs something may happen in all: seven kinds, each at most 15 times. What is not listed never happens. */
  readonly budgets: Readonly<Record<string, number>>
  /** How many deliveries leave the message under way: it comes again, or is lost. */
  readonly duplicates: number
}

interface Step<F> {
  readonly input: number
  /** Of the budgets; -1 where it costs nothing. */
  readonly cost: number
  readonly next: number
  /** Messages: node and number in turn. */
  readonly sent: readonly number[]
  readonly facts: readonly F[]
  /** The actor itself found something impossible. */
  readonly failure: string | undefined
  readonly isBeyond: boolean
}

/** What a node may do by itself: as an input, and which budget it uses up. */
interface Offer {
  readonly input: number
  readonly cost: number
}

/** One step of a story. */
export interface Told<P> {
  readonly node: number
  readonly input: Input
  readonly before: P
  /** Undefined where the actor failed. */
  readonly after: P | undefined
  readonly sent: readonly Envelope[]
}

/** Counters share one number, four bits each. */
const BUDGET_BITS = 4
const BUDGET_MAX = (1 << BUDGET_BITS) - 1
const BUDGETS_MAX = 7
const DUPLICATE = 'duplicate'
/** Two numbers in one key. */
const NUMBERS_MAX = 1 << 26

export class ClusterModel<P extends Participant, F extends Fact, Memory> implements Model {
  readonly words: number
  readonly start: Int32Array
  under = 0
  /** A law that broke on the way to the start, and that way from the nodes as they were given. */
  broken: { readonly law: string; readonly way: readonly number[] } | undefined
  readonly network = new Network()
  readonly #laws: Laws<P, F, Memory>
  readonly #size: number
  readonly #given: Int32Array
  readonly #prelude: number[] = []
  readonly #budgets: readonly (readonly [string, number])[]
  /** The place of the counter of duplicates, behind those of the moves. */
  readonly #duplicate: number
  readonly #moves: Move[] = []
  readonly #moveNumbers = new Map<string, number>()
  readonly #locals: P[] = []
  readonly #localNumbers = new Map<string, number>()
  readonly #offers: (readonly Offer[])[] = []
  readonly #steps: Map<number, Step<F>>[] = []
  /** By node and inbox: the steps that do something. */
  readonly #choices = new Map<number, readonly Step<F>[]>()
  /** By node and inbox: the inbox without what the node ignores. */
  readonly #kept = new Map<number, number>()
  readonly #memories: { readonly memory: Memory }[] = []
  readonly #memoryNumbers = new Map<string, number>()
  readonly #checkedOnes = new Set<number>()
  readonly #checkedPairs = new Set<number>()
  readonly #next: Int32Array

  constructor(scope: Scope<P, F, Memory>) {
    this.#laws = scope.laws
    this.#size = scope.nodes.length
    this.#budgets = [...Object.entries(scope.budgets), [DUPLICATE, scope.duplicates]]
    this.#duplicate = this.#budgets.length - 1
    if (this.#budgets.length > BUDGETS_MAX || this.#budgets.some(([, most]) => most > BUDGET_MAX)) throw new RangeError('too many budgets, or too large ones')
    this.words = 2 * this.#size + 2
    this.start = new Int32Array(this.words)
    for (const [i, node] of scope.nodes.entries()) this.start[i] = this.#local(node)
    this.start[2 * this.#size] = this.#memory(scope.laws.memory)
    this.#given = this.start.slice()
    this.#next = new Int32Array(this.words)
  }

  /**
   * Starts from where the cluster comes to rest after this move: every message arrives and every disk answers, until nothing changes any more. What was
   * under way then is gone, and no budget is used up.
   */
  prepare(node: number, move: Move): void {
    if (this.broken !== undefined) return
    try {
      this.#settle(node, move)
    } catch (error) {
      if (!(error instanceof Breach)) throw error
      this.broken = { law: error.message, way: [...this.#prelude, this.under] }
    }
    this.start.fill(0, this.#size, 2 * this.#size)
  }

  /** Distinct nodes with their disks that were met. */
  get locals(): number {
    return this.#locals.length
  }

  /** What each node says of itself. */
  tell(state: Int32Array): readonly string[] {
    return Array.from({ length: this.#size }, (_, node) => this.#locals[state[node]!]!.tell())
  }

  expand(state: Int32Array, visit: (action: number, next: Int32Array) => void): void {
    for (let node = 0; node < this.#size; node++) {
      const choices = this.#choicesOf(state, node)
      for (let i = 0; i < choices.length; i++) this.#go(state, node, choices[i]!, visit)
    }
  }

  check(state: Int32Array): void {
    const size = this.#size
    const memory = state[2 * size]!
    for (let a = 0; a < size; a++) {
      const local = state[a]!
      if (isNew(this.#checkedOnes, local * NUMBERS_MAX + memory)) this.#laws.one(this.#locals[local]!, this.#memories[memory]!.memory)
      for (let b = a + 1; b < size; b++) if (isNew(this.#checkedPairs, local * NUMBERS_MAX + state[b]!)) this.#laws.pair(this.#locals[local]!, this.#locals[state[b]!]!)
    }
  }

  /** Walks a way again, from the start or to the start, and hands over what each step did. */
  follow(way: readonly number[], told: (step: Told<P>) => void): void {
    const state = (this.broken === undefined ? this.start : this.#given).slice()
    for (const action of way) {
      const node = action % this.#size
      const offer = { input: Math.floor(action / this.#size), cost: -1 }
      const step = this.#step(state[node]!, node, offer)
      const before = this.#locals[state[node]!]!
      const { after, sent, failure } = this.#run(before, node, offer.input)
      told({ node, input: this.#input(offer.input), before, after: failure === undefined ? after : undefined, sent })
      state[node] = step.next
    }
  }

  /**
   * A node that is said to ignore a message has to: on the state of it that was met, and on all that can come of that one, the message does nothing.
   * Returns how many times it was looked at; throws where it is not so.
   */
  checkIgnored(): number {
    const deaf = this.#locals.map((node) => {
      const heard = Array.from({ length: this.network.messages }, (_, message) => message).filter((message) => this.network.envelope(message).to === node.index)
      return new Set(heard.filter((message) => node.ignores(this.network.envelope(message).bytes)))
    })
    const changed = new Set(deaf.keys())
    for (const local of changed) {
      changed.delete(local)
      for (const { next } of this.#steps[local]!.values()) {
        const before = deaf[next]!.size
        for (const message of deaf[local]!) deaf[next]!.add(message)
        if (deaf[next]!.size > before) changed.add(next)
      }
    }
    let looked = 0
    for (const [local, messages] of deaf.entries()) {
      for (const message of messages) {
        const { after, sent, failure } = this.#run(this.#locals[local]!, this.#locals[local]!.index, 2 * message)
        if (failure !== undefined || sent.length > 0 || after.digest() !== this.#locals[local]!.digest()) throw new Error(`node ${after.index + 1} does something on a message that it ignores, or has ignored`)
        looked++
      }
    }
    return looked
  }

  #settle(node: number, move: Move): void {
    const { start } = this
    const size = this.#size
    let isQuiet = false
    const take = (action: number, next: Int32Array): void => {
      // A cluster in which messages are doubled never comes to rest.
      if (next[2 * size + 1]! >> (BUDGET_BITS * this.#duplicate) > 0) return
      this.check(next)
      start.set(next)
      start[2 * size + 1] = 0
      this.#prelude.push(action)
      isQuiet = false
    }
    this.#go(start, node, this.#step(start[node]!, node, this.#offer({ kind: move.kind, argument: move.argument })), take)
    while (!isQuiet) {
      isQuiet = true
      for (let at = 0; at < size; at++) for (const step of this.#choicesOf(start, at)) if (step.cost < 0 && isQuiet) this.#go(start, at, step, take)
    }
  }

  #choicesOf(state: Int32Array, node: number): readonly Step<F>[] {
    const local = state[node]!
    const inbox = state[this.#size + node]!
    const key = local * NUMBERS_MAX + inbox
    let choices = this.#choices.get(key)
    if (choices === undefined) {
      const offers = [...this.network.in(inbox).map((message) => ({ input: 2 * message, cost: -1 })), ...this.#offers[local]!]
      choices = offers.map((offer) => this.#step(local, node, offer)).filter((step) => !step.isBeyond && (step.next !== local || step.sent.length > 0 || step.failure !== undefined))
      this.#choices.set(key, choices)
    }
    return choices
  }

  #go(state: Int32Array, node: number, step: Step<F>, visit: (action: number, next: Int32Array) => void): void {
    const size = this.#size
    const { cost, input } = step
    if (cost >= 0 && !this.#affords(state, cost)) return
    this.under = input * size + node
    if (step.failure !== undefined) throw new Breach(step.failure)
    const next = this.#next
    next.set(state)
    next[node] = step.next
    const isMessage = input % 2 === 0
    if (isMessage) next[size + node] = this.network.without(next[size + node]!, input / 2)
    else if (cost >= 0) next[2 * size + 1]! += 1 << (BUDGET_BITS * cost)
    for (let i = 0; i < step.sent.length; i += 2) next[size + step.sent[i]!] = this.network.with(next[size + step.sent[i]!]!, step.sent[i + 1]!)
    for (let i = 0; i < size; i++) if (next[i] !== state[i] || next[size + i] !== state[size + i]) this.#keep(next, i)
    if (step.facts.length > 0) next[2 * size] = this.#remember(next, step.facts)
    visit(this.under, next)
    if (!isMessage || !this.#affords(state, this.#duplicate)) return
    next[size + node] = this.network.with(next[size + node]!, input / 2)
    this.#keep(next, node)
    next[2 * size + 1]! += 1 << (BUDGET_BITS * this.#duplicate)
    visit(this.under, next)
  }

  #affords(state: Int32Array, cost: number): boolean {
    return ((state[2 * this.#size + 1]! >> (BUDGET_BITS * cost)) & BUDGET_MAX) < this.#budgets[cost]![1]
  }

  #keep(state: Int32Array, node: number): void {
    const local = state[node]!
    const inbox = state[this.#size + node]!
    const key = local * NUMBERS_MAX + inbox
    let kept = this.#kept.get(key)
    if (kept === undefined) {
      kept = this.network.only(inbox, (bytes) => !this.#locals[local]!.ignores(bytes))
      this.#kept.set(key, kept)
    }
    state[this.#size + node] = kept
  }

  #remember(state: Int32Array, facts: readonly F[]): number {
    const nodes: P[] = []
    for (let i = 0; i < this.#size; i++) nodes.push(this.#locals[state[i]!]!)
    const before = state[2 * this.#size]!
    let { memory } = this.#memories[before]!
    for (const fact of facts) memory = this.#laws.remember(memory, fact, nodes)
    return memory === this.#memories[before]!.memory ? before : this.#memory(memory)
  }

  #step(local: number, node: number, { input, cost }: Offer): Step<F> {
    const known = this.#steps[local]!.get(input)
    if (known !== undefined) return known
    const before = this.#locals[local]!
    const { after, sent, failure } = this.#run(before, node, input)
    const isBeyond = failure === undefined && after.isBeyond
    const isLost = failure !== undefined || isBeyond
    const step: Step<F> = {
      input, cost, failure, isBeyond, next: isLost ? local : this.#local(after),
      sent: isLost ? [] : sent.flatMap((envelope) => [envelope.to, this.network.message(envelope)]),
      facts: isLost ? [] : this.#laws.facts(node, before, after, sent),
    }
    this.#steps[local]!.set(input, step)
    return step
  }

  #run(before: P, node: number, input: number): { readonly after: P; readonly sent: readonly Envelope[]; readonly failure: string | undefined } {
    const after = before.clone()
    const sent: Envelope[] = []
    try {
      after.take(this.#input(input), (to, bytes) => void sent.push({ from: node, to, bytes }))
    } catch (error) {
      return { after, sent, failure: `node ${node + 1} fails: ${(error as Error).message}` }
    }
    return { after, sent, failure: undefined }
  }

  /** Messages have even numbers, moves odd ones. */
  #input(number: number): Input {
    if (number % 2 === 1) return { kind: 'move', move: this.#moves[(number - 1) / 2]! }
    const { from, bytes } = this.network.envelope(number / 2)
    return { kind: 'message', from, bytes }
  }

  #local(node: P): number {
    const digest = node.digest()
    let number = this.#localNumbers.get(digest)
    if (number === undefined) {
      number = this.#locals.push(node) - 1
      this.#localNumbers.set(digest, number)
      this.#offers.push(node.moves().filter(({ cost }) => cost === undefined || this.#budgets.some(([name, most]) => name === cost && most > 0)).map((move) => this.#offer(move)))
      this.#steps.push(new Map())
    }
    return number
  }

  #offer(move: Move): Offer {
    const key = `${move.kind} ${move.argument} ${move.cost ?? ''}`
    let number = this.#moveNumbers.get(key)
    if (number === undefined) {
      number = this.#moves.push(move) - 1
      this.#moveNumbers.set(key, number)
    }
    const cost = move.cost === undefined ? -1 : this.#budgets.findIndex(([name]) => name === move.cost)
    return { input: 2 * number + 1, cost }
  }

  #memory(memory: Memory): number {
    const key = JSON.stringify(memory)
    let number = this.#memoryNumbers.get(key)
    if (number === undefined) {
      number = this.#memories.push({ memory }) - 1
      this.#memoryNumbers.set(key, number)
    }
    return number
  }
}

function isNew(set: Set<number>, key: number): boolean {
  if (set.has(key)) return false
  set.add(key)
  return true
}
