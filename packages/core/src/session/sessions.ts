//! Sessions: how a command that is repeated, because its answer was lost, takes effect once.
//!
//! A session numbers its commands and names with each the lowest that it has no answer to. Answers from there up are kept
//! and given again to a repeat; what lies below is dropped, late duplicates with it. A session is opened by a log entry,
//! whose index is its number, and forgotten after a day without a command by the lease clock, unless it holds leases.
//! All of it is replicated state: a repeat gets its first answer over failovers and snapshots.

import { Heap } from '../heap.ts'
import { Code } from '../message/command.ts'
import type { Reader, Writer } from '../message/layout.ts'
import { readCount, readPacked, readRising, writePacked } from '../message/packed.ts'

/** How far a session may run ahead of its lowest unanswered command. */
export const SESSION_WINDOW = 1024
export const SESSION_IDLE_MS = 24 * 3_600_000
/** Sessions of a shard at a time; a client opens one a shard. */
export const SESSIONS_MAX = 65_536
/** Bytes of answers that a session may leave unacknowledged. */
export const SESSION_ANSWER_BYTES_MAX = 8 * 1024 * 1024

export interface StoredAnswer {
  readonly code: Code
  readonly body: Uint8Array
}

export type Admission =
  | { readonly kind: 'new' | 'stale' | 'malformed' | 'full' }
  | { readonly kind: 'repeat'; readonly answer: StoredAnswer }

export class Session {
  readonly number: number
  lowest = 0
  /** Lease time of its last command. */
  activeAt: number
  readonly #answers = new Map<number, StoredAnswer>()
  #answerBytes = 0

  constructor(number: number, activeAt: number) {
    this.number = number
    this.activeAt = activeAt
  }

  /** Decides what becomes of a command, and forgets the answers that the session has. */
  admit(sequence: number, lowest: number): Admission {
    if (sequence < this.lowest) return STALE
    if (lowest > sequence || sequence >= Math.max(lowest, this.lowest) + SESSION_WINDOW) return MALFORMED
    if (lowest > this.lowest) this.#forget(lowest)
    const answer = this.#answers.get(sequence)
    if (answer !== undefined) return { kind: 'repeat', answer }
    return this.#answerBytes > SESSION_ANSWER_BYTES_MAX ? FULL : NEW
  }

  keep(sequence: number, answer: StoredAnswer): void {
    this.#answers.set(sequence, answer)
    this.#answerBytes += answer.body.length
  }

  write(writer: Writer): void {
    writePacked(writer, this.lowest)
    writer.f64(this.activeAt)
    writePacked(writer, this.#answers.size)
    let before = this.lowest
    for (const sequence of [...this.#answers.keys()].sort((a, b) => a - b)) {
      const { code, body } = this.#answers.get(sequence)!
      writePacked(writer, sequence - before)
      writer.u8(code)
      writePacked(writer, body.length)
      writer.raw(body)
      before = sequence
    }
  }

  static read(reader: Reader, number: number): Session {
    const lowest = readPacked(reader)
    const session = new Session(number, reader.f64())
    session.lowest = lowest
    const count = readCount(reader, 3)
    let sequence = lowest
    for (let i = 0; i < count; i++) {
      sequence += readPacked(reader)
      const code = reader.u8() as Code
      session.keep(sequence, { code, body: reader.raw(readPacked(reader)).slice() })
    }
    return session
  }

  #forget(lowest: number): void {
    // A session may name any number: what is kept bounds the work, not how far it steps.
    if (lowest - this.lowest <= this.#answers.size) for (let sequence = this.lowest; sequence < lowest; sequence++) this.#drop(sequence)
    else for (const sequence of this.#answers.keys()) if (sequence < lowest) this.#drop(sequence)
    this.lowest = lowest
  }

  #drop(sequence: number): void {
    const answer = this.#answers.get(sequence)
    if (answer === undefined) return
    this.#answerBytes -= answer.body.length
    this.#answers.delete(sequence)
  }
}

export class Sessions {
  /** In the order of their numbers, also when restored. */
  readonly #sessions = new Map<number, Session>()
  /** (at most when it is idle for too long, number) */
  readonly #idle = new Heap()

  get size(): number {
    return this.#sessions.size
  }

  get full(): boolean {
    return this.#sessions.size >= SESSIONS_MAX
  }

  get(number: number): Session | undefined {
    return this.#sessions.get(number)
  }

  open(number: number, leaseNow: number): Session {
    const session = new Session(number, leaseNow)
    this.#add(session)
    return session
  }

  close(number: number): void {
    this.#sessions.delete(number)
  }

  /** Forgets sessions that were idle for too long; one that `holds` something counts as active now. */
  expire(leaseNow: number, holds: (session: number) => boolean): void {
    while (this.#idle.peekKey <= leaseNow) {
      const session = this.#sessions.get(this.#idle.pop())
      if (session === undefined) continue
      if (session.activeAt + SESSION_IDLE_MS <= leaseNow) {
        if (!holds(session.number)) {
          this.#sessions.delete(session.number)
          continue
        }
        session.activeAt = leaseNow
      }
      this.#idle.push(session.activeAt + SESSION_IDLE_MS, session.number)
    }
  }

  /** Not before this does a session become idle for too long, by the lease clock. */
  get expiresNext(): number {
    return this.#idle.peekKey
  }

  write(writer: Writer): void {
    writePacked(writer, this.#sessions.size)
    let before = 0
    for (const session of this.#sessions.values()) {
      writePacked(writer, session.number - before)
      session.write(writer)
      before = session.number
    }
  }

  static read(reader: Reader): Sessions {
    const sessions = new Sessions()
    const count = readCount(reader, 11)
    let number = 0
    for (let i = 0; i < count; i++) {
      number = readRising(reader, number)
      sessions.#add(Session.read(reader, number))
    }
    return sessions
  }

  #add(session: Session): void {
    this.#sessions.set(session.number, session)
    this.#idle.push(session.activeAt + SESSION_IDLE_MS, session.number)
  }
}

const NEW: Admission = { kind: 'new' }
const STALE: Admission = { kind: 'stale' }
const MALFORMED: Admission = { kind: 'malformed' }
const FULL: Admission = { kind: 'full' }
