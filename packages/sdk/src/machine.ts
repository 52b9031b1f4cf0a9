//! What a client has of the machine that it runs on: clocks, timers, turns of the loop, chance. The test kit hands in a virtual one, so that
//! the very client runs in virtual time.

import { randomBytes } from 'node:crypto'
import type { Now } from '@horus/core/actor'
import { Random } from '@horus/core/random'
import type { Instant, WallTime } from '@horus/core/units'
import { sleep } from './wait.ts'

export type Timer = NodeJS.Timeout | { cancel(): void }

/** What a machine may ask of the client that runs on it. */
export interface ClientLoad {
  /** Requests without an outcome. */
  readonly asked: number
  /** Leases that are extended by themselves. */
  readonly kept: number
}

export interface Machine {
  /** To be read at once: the next call may write into the same object. */
  now(): Now
  /** A generator that no other client has. */
  random(): Random
  /** Calls back once whatever has arrived by then has been read. */
  afterReads(call: () => void): void
  /** Calls back when the monotonic clock has come to `at`; for a time far away it may call back early. */
  alarm(call: () => void, at: Instant): Timer
  /** Calls back after `ms` of a user's time, which may be months. */
  timer(call: () => void, ms: number): Timer
  /** Every handler of a user's is called by this. */
  run<Value, Returned>(handler: (value: Value) => Returned, value: Value): Returned
  /** Somebody who called the client waits for the promise, which is given back. */
  waiting<T>(promise: Promise<T>): Promise<T>
  /** Before a job that has not ended is looked at again: `ms` at least. Rejects with the signal's reason. */
  pause(ms: number, signal: AbortSignal | undefined): Promise<void>
  /** A client begins to run. */
  begun(client: ClientLoad): void
}

export function cancelTimer(timer: Timer | undefined): void {
  if (timer === undefined) return
  if ('cancel' in timer) timer.cancel()
  else clearTimeout(timer)
}

/** Beyond this a timer of Node fires at once. */
const TIMER_MS_MAX = 0x7fff_ffff

/** The one that the process runs on. */
export const MACHINE: Machine = {
  now() {
    time.monotonic = performance.now() as Instant
    time.wall = Date.now() as WallTime
    return time
  },
  random() {
    const seed = randomBytes(12)
    return Random.fromWords(seed.readUInt32LE(0), seed.readUInt32LE(4), seed.readUInt32LE(8))
  },
  afterReads: (call) => void setImmediate(call),
  alarm: (call, at) => setTimeout(call, Math.min(Math.max(0, Math.ceil(at - performance.now())), TIMER_MS_MAX)),
  timer: (call, ms) => (ms <= TIMER_MS_MAX ? setTimeout(call, ms) : new LongTimer(call, ms)),
  run: (handler, value) => handler(value),
  waiting: (promise) => promise,
  pause: sleep,
  begun: () => {},
}

const time = { monotonic: 0 as Instant, wall: 0 as WallTime }

/** Longer than a timer of Node can be: one after the other. */
class LongTimer {
  #timer: NodeJS.Timeout | undefined

  constructor(call: () => void, ms: number) {
    this.#wait(call, ms)
  }

  #wait(call: () => void, ms: number): void {
    const part = Math.min(ms, TIMER_MS_MAX)
    this.#timer = setTimeout(() => (part < ms ? this.#wait(call, ms - part) : call()), part)
  }

  cancel(): void {
    clearTimeout(this.#timer)
  }
}
