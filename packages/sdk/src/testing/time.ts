//! Drives virtual time. A step lets the world go on until something reaches user code; then the event loop turns until user code has done what it
//! can; then comes the next step. Where nothing happens until a known moment, all wall clocks leap to just before it.
//!
//!   settle ──▶ a timer due? fire ──▶ at rest? leap ──▶ else run the world, up to the next timer, the target, or a touch of user code ──▶ settle
//!
//! Time passes for one of two reasons: somebody advances it, or a call of a client that no handler made waits for its answer.

import { Heap } from '@horus/core/heap'
import { quantize, WORLD_EPOCH } from '@horus/core/world/clock'
import type { World } from '@horus/core/world/world'
import { InvalidOption } from '../errors.ts'
import type { Timer } from '../machine.ts'
import type { Handlers } from './handlers.ts'

/** What the driver asks of whoever watches the world. */
export interface Repose {
  /** Nothing is under way that time other than the calendar's would change. */
  readonly isCalm: boolean
  /** What has come due is still being dealt with. */
  readonly isMoving: boolean
  /** Wall time at which the next job is due; Infinity without. */
  readonly dueAt: number
  /** Some time after a leap: all nodes know how late it is. */
  leapt(): void
}

/** The world goes on at most so far before it is asked whether it has come to rest. */
const STEP_MS = 500
/** A leap ends so long before whatever it leaps to: half of it until every node has heard the others' clocks, the rest for what these make due. */
const CLOCKS_MS = 1000
/** A shorter leap spares nothing. */
const LEAP_MS_MIN = 2000
/** What came due within an advance may go on for so long after it. */
const OVERTIME_MS = 1000
/** What is due so soon after it counts as due: whatever follows an answer by a message or two is then as late as the answer. */
const GRACE_MS = 10
const OVERTIME_STEP_MS = 5
/** Turns of the loop for a busy handler before a real timer is used, which costs a millisecond and no work. */
const BUSY_TURNS = 50

const realImmediate = setImmediate
const realTimeout = setTimeout

interface Pending {
  readonly call: () => void
}

export class VirtualTime {
  readonly world: World
  readonly handlers: Handlers
  readonly #repose: Repose
  readonly #timers = new Heap()
  readonly #pending = new Map<number, Pending>()
  #timerCount = 0
  /** Whoever is told when the world ends. */
  readonly #waiters = new Set<(error: Error) => void>()
  readonly #newsFor = new Set<() => void>()
  #calls = 0
  #changes = 0
  #target: { readonly at: number; readonly done: () => void } | undefined
  #driving = false
  #touched = false
  #actedAt = -Infinity
  /** When whatever waits for the calendar is to look at it, after a leap. */
  #lookAt = Infinity
  #ended: Error | undefined

  constructor(world: World, handlers: Handlers, repose: Repose) {
    this.world = world
    this.handlers = handlers
    this.#repose = repose
  }

  /** Milliseconds since the world began. */
  get now(): number {
    return this.world.now + this.world.leapt
  }

  get wall(): number {
    return WORLD_EPOCH + this.now
  }

  /** When user code last said something to a client, in the world's own time. */
  get actedAt(): number {
    return this.#actedAt
  }

  // ---- who wants time to pass ---------------------------------------------------------------------------------------

  advance(ms: number): Promise<void> {
    if (this.#target !== undefined) throw new InvalidOption('advance: time is being advanced already: wait for that first')
    return this.#until((resolve) => {
      this.#target = { at: this.now + quantize(ms), done: resolve }
    })
  }

  /** The promise itself, but that it ends with the world; until then time passes, unless a handler waits. */
  waiting<T>(promise: Promise<T>): Promise<T> {
    const unpark = this.handlers.parks()
    if (unpark === undefined) this.#calls++
    const over = (): void => {
      if (unpark === undefined) this.#calls--
      else unpark()
    }
    promise.then(over, over)
    return this.#until((resolve, reject) => void promise.then(resolve, reject))
  }

  /** Only for a handler, and for what runs beside the test: it does not make time pass. */
  sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
    const unpark = this.handlers.parks()
    const slept = this.#until<void>((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason as Error)
      const abort = (): void => {
        timer.stop()
        reject(signal!.reason as Error)
      }
      const timer = this.after(ms, () => {
        signal?.removeEventListener('abort', abort)
        resolve()
      })
      signal?.addEventListener('abort', abort, { once: true })
    })
    if (unpark !== undefined) slept.then(unpark, unpark)
    return slept
  }

  /** Entries that were applied somewhere so far. */
  get changes(): number {
    return this.#changes
  }

  /** Resolves after `ms` and once there are more changes than `known`: before that, no job has changed. */
  news(ms: number, signal: AbortSignal | undefined, known: number): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason as Error)
      let isLate = false
      let isHere = this.#changes > known
      const finish = (): void => {
        if (!isLate || !isHere) return
        signal?.removeEventListener('abort', abort)
        resolve()
      }
      const hear = (): void => {
        this.#newsFor.delete(hear)
        isHere = true
        finish()
      }
      const timer = this.after(ms, () => {
        isLate = true
        finish()
      })
      const abort = (): void => {
        timer.stop()
        this.#newsFor.delete(hear)
        reject(signal!.reason as Error)
      }
      if (!isHere) this.#newsFor.add(hear)
      signal?.addEventListener('abort', abort, { once: true })
    })
  }

  after(ms: number, call: () => void): Timer {
    const number = this.#timerCount++
    this.#pending.set(number, { call })
    this.#timers.push(this.now + quantize(ms), number)
    return { stop: () => void this.#pending.delete(number) }
  }

  #until<T>(begin: (resolve: (value: T) => void, reject: (error: Error) => void) => void): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) return reject(this.#ended)
      this.#waiters.add(reject)
      begin(
        (value) => {
          this.#waiters.delete(reject)
          resolve(value)
        },
        (error) => {
          this.#waiters.delete(reject)
          reject(error)
        },
      )
      this.kick()
    })
  }

  // ---- what happens in the world -----------------------------------------------------------------------------------

  /** User code may have something to do: the world waits for it. */
  touch(): void {
    this.#touched = true
  }

  acted(): void {
    this.#actedAt = this.world.now
  }

  applied(): void {
    this.#changes++
    if (this.#newsFor.size === 0) return
    this.#touched = true
    for (const hear of [...this.#newsFor]) hear()
  }

  /** Time stands still from now on; whoever waits for it gets the error. The first one counts. */
  end(error: Error): void {
    this.#ended ??= error
    for (const reject of this.#waiters) reject(this.#ended)
    this.#waiters.clear()
    this.#pending.clear()
    this.#newsFor.clear()
    this.#target = undefined
  }

  throwIfEnded(): void {
    if (this.#ended !== undefined) throw this.#ended
  }

  // ---- the drive ---------------------------------------------------------------------------------------------------

  /** There may be something to do again. */
  kick(): void {
    if (this.#driving || this.#ended !== undefined) return
    this.#driving = true
    this.handlers.outside(() => void this.#drive())
  }

  async #drive(): Promise<void> {
    try {
      do await this.#settle()
      while (this.#ended === undefined && (this.#target !== undefined || this.#calls > 0) && this.#step())
    } catch (error) {
      this.end(error instanceof Error ? error : new Error(String(error)))
    }
    this.#driving = false
  }

  async #settle(): Promise<void> {
    await loopTurn()
    for (let turns = 0; this.handlers.areBusy(performance.now()); turns++) await (turns < BUSY_TURNS ? loopTurn() : realMillisecond())
  }

  /** Whether there is anything to wait for. */
  #step(): boolean {
    const { now } = this
    if (this.#nextTimerAt <= now) {
      this.#fire()
      return true
    }
    const target = this.#target?.at ?? Infinity
    if (now >= target && (now >= target + OVERTIME_MS || !this.#isMoving(target))) {
      const { done } = this.#target!
      this.#target = undefined
      done()
      return true
    }
    if (this.#lookAt <= now) {
      this.#lookAt = Infinity
      this.#repose.leapt()
    }
    const stop = Math.min(this.#nextTimerAt, this.#lookAt, target > now ? target : now + OVERTIME_STEP_MS)
    if (target > now && this.#repose.isCalm) {
      const until = Math.min(stop, this.#repose.dueAt - WORLD_EPOCH) - CLOCKS_MS
      if (until === Infinity) return false
      const ms = Math.floor(until - now)
      if (ms >= LEAP_MS_MIN) {
        this.world.leap(ms)
        this.#lookAt = this.now + CLOCKS_MS / 2
        return true
      }
    }
    this.#touched = false
    this.world.runUntil(quantize(Math.min(stop, now + STEP_MS) - this.world.leapt), () => this.#touched)
    return true
  }

  #isMoving(target: number): boolean {
    return this.#repose.isMoving || Math.min(this.#nextTimerAt, this.#repose.dueAt - WORLD_EPOCH) <= target + GRACE_MS
  }

  get #nextTimerAt(): number {
    while (this.#timers.size > 0 && !this.#pending.has(this.#timers.peekValue)) this.#timers.pop()
    return this.#timers.peekKey
  }

  /** All that are due in this moment, in the order in which they were set. */
  #fire(): void {
    for (const { now } = this; this.#nextTimerAt <= now; ) {
      const number = this.#timers.pop()
      const { call } = this.#pending.get(number)!
      this.#pending.delete(number)
      call()
    }
  }
}

function loopTurn(): Promise<void> {
  return new Promise((resolve) => void realImmediate(resolve))
}

function realMillisecond(): Promise<void> {
  return new Promise((resolve) => void realTimeout(resolve, 1))
}
