//! Sessions: how a command that is repeated, because its answer was lost, takes effect once.
//!
//! A session numbers its commands and names with each the lowest that it has no answer to. Answers from there up are kept
//! and given again to a repeat; what lies below is dropped, late duplicates with it. A session is opened by a log entry,
//! whose index is its number, and forgotten after a day without a command by the lease clock, unless it holds leases.
//! All of it is replicated state: a repeat gets its first answer over failovers and snapshots.

import { Freezer } from '../freeze.ts'
import { Heap } from '../heap.ts'
import type { Frozen, ImageReader, ImageWriter, Walk } from '../message/image.ts'
import { Code } from '../message/command.ts'
import { readPacked, readRising, writePacked } from '../message/packed.ts'

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
  /** Of the freezer: whether a snapshot may want it as it is. */
  readonly born: number
  readonly #answers: Map<number, StoredAnswer>
  #answerBytes = 0

  constructor(number: number, activeAt: number, born = 0, answers = new Map<number, StoredAnswer>()) {
    this.number = number
    this.activeAt = activeAt
    this.born = born
    this.#answers = answers
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

  *write(out: ImageWriter): Walk {
    const { writer } = out
    writePacked(writer, this.lowest)
    writer.f64(this.activeAt)
    writePacked(writer, this.#answers.size)
    out.endItem()
    let before = this.lowest
    for (const sequence of [...this.#answers.keys()].sort((a, b) => a - b)) {
      const { code, body } = this.#answers.get(sequence)!
      writePacked(writer, sequence - before)
      writer.u8(code)
      writePacked(writer, body.length)
      writer.raw(body)
      out.endItem()
      before = sequence
      yield 1 + body.length / ANSWER_BYTES_EACH
    }
  }

  static *read(input: ImageReader, number: number, born: number): Walk<Session> {
    const reader = input.item()
    const lowest = readPacked(reader)
    const session = new Session(number, reader.f64(), born)
    session.lowest = lowest
    const count = readPacked(reader)
    let sequence = lowest
    for (let i = 0; i < count; i++) {
      const item = input.item()
      sequence += readPacked(item)
      const code = item.u8() as Code
      const length = readPacked(item)
      session.keep(sequence, { code, body: item.raw(length).slice() })
      yield 1 + length / ANSWER_BYTES_EACH
    }
    return session
  }

  clone(born: number): Session {
    const copy = new Session(this.number, this.activeAt, born, new Map(this.#answers))
    copy.lowest = this.lowest
    copy.#answerBytes = this.#answerBytes
    return copy
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
  readonly #freezer: Freezer
  /** In the order of their numbers, also when restored. */
  readonly #sessions = new Map<number, Session>()
  /** (at most when it is idle for too long, number) */
  readonly #idle = new Heap()

  constructor(freezer = new Freezer()) {
    this.#freezer = freezer
  }

  get size(): number {
    return this.#sessions.size
  }

  get full(): boolean {
    return this.#sessions.size >= SESSIONS_MAX
  }

  has(number: number): boolean {
    return this.#sessions.has(number)
  }

  /** The session, to be changed: a snapshot that is under way keeps the one that there was. */
  own(number: number): Session | undefined {
    const session = this.#sessions.get(number)
    if (session === undefined || !this.#freezer.isShared(session.born)) return session
    const copy = session.clone(this.#freezer.born)
    this.#sessions.set(number, copy)
    return copy
  }

  open(number: number, leaseNow: number): Session {
    const session = new Session(number, leaseNow, this.#freezer.born)
    this.#add(session)
    return session
  }

  close(number: number): void {
    this.#sessions.delete(number)
  }

  /** Forgets sessions that were idle for too long; one that `holds` something counts as active now. */
  expire(leaseNow: number, holds: (session: number) => boolean): void {
    while (this.#idle.peekKey <= leaseNow) {
      const session = this.own(this.#idle.pop())
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

  freeze(): Frozen {
    const sessions = [...this.#sessions.values()]
    return function* (out): Walk {
      writePacked(out.writer, sessions.length)
      out.endItem()
      let before = 0
      for (const session of sessions) {
        writePacked(out.writer, session.number - before)
        yield* session.write(out)
        before = session.number
        yield 1
      }
    }
  }

  static *read(input: ImageReader, freezer?: Freezer): Walk<Sessions> {
    const sessions = new Sessions(freezer)
    const count = input.count(11)
    let number = 0
    for (let i = 0; i < count; i++) {
      number = readRising(input.item(), number)
      sessions.#add(yield* Session.read(input, number, sessions.#freezer.born))
      yield 1
    }
    return sessions
  }

  #add(session: Session): void {
    this.#sessions.set(session.number, session)
    this.#idle.push(session.activeAt + SESSION_IDLE_MS, session.number)
  }
}

/** So many bytes of an answer are about as much work as the answer itself. */
const ANSWER_BYTES_EACH = 1024
const NEW: Admission = { kind: 'new' }
const STALE: Admission = { kind: 'stale' }
const MALFORMED: Admission = { kind: 'malformed' }
const FULL: Admission = { kind: 'full' }
