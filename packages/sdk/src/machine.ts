//! What a client has of the machine that it runs on: clocks, timers, turns of the loop, chance. The test kit hands in a virtual one, so that
//! the very client runs in virtual time.

import { randomBytes } from 'node:crypto'
import type { Now } from '@horus/core/actor'
import { Random } from '@horus/core/random'
import type { Instant, WallTime } from '@horus/core/units'
import { Alarm, sleep } from './wait.ts'

/** As long as it has not called back it can be stopped. */
export interface Timer {
  stop(): void
}

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
  /** Calls back when the monotonic clock has come to `at`. */
  alarm(call: () => void, at: Instant): Timer
  /** Calls back after `ms` of a user's time, which may be months. */
  timer(call: () => void, ms: number): Timer
  /** Every handler of a user's is called by this. */
  run<Value, Returned>(handler: (value: Value) => Returned, value: Value): Returned
  /** Somebody who called the client waits for the promise, which is given back. */
  waiting<T>(promise: Promise<T>): Promise<T>
  /** How often anything has changed that a job depends on, where the machine can tell. */
  changes(): number
  /** Before a job that has not ended is looked at again: `ms` at least, and until something has changed since `changes` was that. Rejects with the signal's reason. */
  pause(ms: number, signal: AbortSignal | undefined, changes: number): Promise<void>
  /** A client begins to run. */
  begun(client: ClientLoad): void
}

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
  alarm: (call, at) => new Alarm(Math.max(0, Math.ceil(at - performance.now())), call),
  timer: (call, ms) => new Alarm(ms, call),
  run: (handler, value) => handler(value),
  waiting: (promise) => promise,
  changes: () => 0,
  pause: sleep,
  begun: () => {},
}

const time = { monotonic: 0 as Instant, wall: 0 as WallTime }
