//! Who holds which job of a partition until when. A *group* is what one acquire leased; groups are found by their token,
//! and one heap entry a group finds the deadlines.
//!
//! A heap key is never later than the earliest deadline of its group: extending moves deadlines, not the heap. When a key
//! comes up, the group is looked through and goes back under its true deadline. So an extended or completed job costs the
//! heap nothing.

import { Heap } from '../heap.ts'
import type { Frozen, ImageReader, ImageWriter, Walk } from '../message/image.ts'
import { ITEMS_MAX } from '../message/jobs.ts'
import { MalformedMessage } from '../message/layout.ts'
import { readPacked, readRising, writePacked } from '../message/packed.ts'
import { type HeldGroup, type Holder, LeaseGroup } from './group.ts'

export interface HeldLease {
  readonly number: number
  readonly token: number
  readonly session: number
  readonly lane: number
}

export interface Lease {
  readonly group: LeaseGroup
  readonly position: number
}

export class Leases {
  /** By token; several of one token are chained. Tokens rise, so the map is in their order, also when restored. */
  readonly #groups = new Map<number, LeaseGroup>()
  readonly #holders = new Map<number, Holder>()
  /** (at most the earliest deadline, token) */
  readonly #deadlines = new Heap()

  held(session: number): number {
    return this.#holders.get(session)?.leases ?? 0
  }

  /** Of all sessions. */
  get count(): number {
    let count = 0
    for (const { leases } of this.#holders.values()) count += leases
    return count
  }

  /** The first group of a token, in its chain. */
  of(token: number): LeaseGroup | undefined {
    return this.#groups.get(token)
  }

  /** Leases the jobs of one acquire; see LeaseGroup for what numbers and lanes must be. */
  grant(token: number, session: number, leaseMs: number, deadline: number, numbers: Float64Array, lanes: Uint32Array): LeaseGroup {
    let holder = this.#holders.get(session)
    if (holder === undefined) this.#holders.set(session, (holder = { session, leases: 0 }))
    holder.leases += numbers.length
    const group = new LeaseGroup(token, holder, leaseMs, deadline, numbers, lanes)
    const first = this.#groups.get(group.token)
    if (first === undefined) this.#groups.set(group.token, group)
    else {
      let last = first
      while (last.next !== undefined) last = last.next
      last.next = group
    }
    this.#deadlines.push(deadline, token)
    return group
  }

  /** Ends one lease. */
  drop(group: LeaseGroup, position: number): void {
    group.drop(position)
    this.#release(group, 1)
  }

  /** Ends the leases whose deadline has come, and returns them by session and number. */
  expire(leaseNow: number): HeldLease[] {
    const expired: HeldLease[] = []
    while (this.#deadlines.peekKey <= leaseNow) {
      const token = this.#deadlines.pop()
      for (let group = this.#groups.get(token); group !== undefined; group = group.next) this.#expireGroup(group, leaseNow, expired)
      const left = this.#earliest(token)
      if (left < Infinity) this.#deadlines.push(left, token)
    }
    // The heap's order depends on when keys were last corrected, which a snapshot does not tell.
    return expired.sort((a, b) => a.session - b.session || a.number - b.number)
  }

  /** The earliest deadline; Infinity without leases. */
  get deadlineNext(): number {
    const heap = this.#deadlines
    while (heap.size > 0) {
      const key = heap.peekKey
      const token = heap.peekValue
      const earliest = this.#earliest(token)
      if (earliest <= key) return key
      heap.pop()
      if (earliest < Infinity) heap.push(earliest, token)
    }
    return Infinity
  }

  /** Calls `visit` for every lease, by token. */
  each(visit: (group: LeaseGroup, position: number) => void): void {
    for (const first of this.#groups.values()) {
      for (let group: LeaseGroup | undefined = first; group !== undefined; group = group.next) {
        for (let at = 0; at < group.size; at++) if (group.holds(at)) visit(group, at)
      }
    }
  }

  /** The leases of a session, by token and number. */
  ofSession(session: number): HeldLease[] {
    const found: HeldLease[] = []
    if (this.held(session) === 0) return found
    this.each((group, at) => {
      if (group.session === session) found.push(leaseAt(group, at))
    })
    return found.sort((a, b) => a.token - b.token || a.number - b.number)
  }

  /** Ends all leases of a session and returns them, by token and number. */
  endSession(session: number): HeldLease[] {
    const found = this.ofSession(session)
    for (const { token, number } of found) {
      const lease = this.find(number, token)
      if (lease !== undefined) this.drop(lease.group, lease.position)
    }
    return found
  }

  /** The leases of some jobs. Looks through all groups: not for what happens once a job. */
  findAll(numbers: readonly number[]): Map<number, Lease> {
    const found = new Map<number, Lease>()
    if (numbers.length <= FEW) {
      for (const number of numbers) {
        const lease = this.find(number)
        if (lease !== undefined) found.set(number, lease)
      }
      return found
    }
    const wanted = new Set(numbers)
    this.each((group, position) => {
      const number = group.number(position)
      if (wanted.has(number)) found.set(number, { group, position })
    })
    return found
  }

  /** The lease of a job; without its token all groups are looked through. */
  find(number: number, token?: number): Lease | undefined {
    if (token !== undefined) return inChain(this.#groups.get(token), number)
    for (const first of this.#groups.values()) {
      const lease = inChain(first, number)
      if (lease !== undefined) return lease
    }
    return undefined
  }

  freeze(): Frozen {
    const groups: HeldGroup[] = []
    for (const first of this.#groups.values()) {
      for (let group: LeaseGroup | undefined = first; group !== undefined; group = group.next) if (group.live > 0) groups.push(group.hold())
    }
    return function* (out): Walk {
      writePacked(out.writer, groups.length)
      out.endItem()
      for (const group of groups) {
        writeGroup(out, group)
        yield group.gone.length
      }
    }
  }

  static *read(input: ImageReader): Walk<Leases> {
    const leases = new Leases()
    const groups = input.count(14)
    for (let i = 0; i < groups; i++) yield readGroup(input, leases)
    return leases
  }

  #expireGroup(group: LeaseGroup, leaseNow: number, expired: HeldLease[]): void {
    if (group.live === 0 || group.deadlineNext > leaseNow) return
    const live = group.live
    for (let at = 0; at < group.size; at++) {
      if (!group.holds(at) || group.deadline(at) > leaseNow) continue
      expired.push(leaseAt(group, at))
      group.drop(at)
    }
    this.#release(group, live - group.live)
  }

  #release(group: LeaseGroup, count: number): void {
    const holder = group.holder
    holder.leases -= count
    if (holder.leases === 0) this.#holders.delete(holder.session)
    if (group.live > 0) return
    for (let other = this.#groups.get(group.token); other !== undefined; other = other.next) if (other.live > 0) return
    this.#groups.delete(group.token)
  }

  #earliest(token: number): number {
    let least = Infinity
    for (let group = this.#groups.get(token); group !== undefined; group = group.next) if (group.live > 0) least = Math.min(least, group.deadlineNext)
    return least
  }
}

/** Up to as many jobs it is cheaper to look for one by one. */
const FEW = 4

function inChain(first: LeaseGroup | undefined, number: number): Lease | undefined {
  for (let group = first; group !== undefined; group = group.next) {
    const position = group.position(number)
    if (position >= 0) return { group, position }
  }
  return undefined
}

function leaseAt(group: LeaseGroup, at: number): HeldLease {
  return { number: group.number(at), token: group.token, session: group.session, lane: group.lane(at) }
}

/** Only what is still leased is written: what is gone from a group can never matter again. */
function writeGroup(out: ImageWriter, { group, live, gone, deadlines }: HeldGroup): void {
  const { writer } = out
  writePacked(writer, group.token)
  writePacked(writer, group.session)
  writePacked(writer, group.leaseMs)
  writePacked(writer, live)
  out.endItem()
  let before = 0
  for (let at = 0; at < group.size; at++) {
    if (gone[at] !== 0) continue
    writePacked(writer, group.number(at) - before)
    writePacked(writer, group.lane(at))
    writer.f64(group.deadlineIn(deadlines, at))
    out.endItem()
    before = group.number(at)
  }
}

/** Returns how many leases the group has. */
function readGroup(input: ImageReader, leases: Leases): number {
  const reader = input.item()
  const token = readPacked(reader)
  const session = readPacked(reader)
  const leaseMs = readPacked(reader)
  const count = readPacked(reader)
  if (count === 0 || count > ITEMS_MAX) throw new MalformedMessage('a group of leases without one, or with more than are ever taken at once')
  const numbers = new Float64Array(count)
  const lanes = new Uint32Array(count)
  const deadlines = new Float64Array(count)
  let before = 0
  for (let i = 0; i < count; i++) {
    const item = input.item()
    before = readRising(item, before)
    numbers[i] = before
    lanes[i] = readPacked(item)
    deadlines[i] = item.f64()
  }
  const earliest = deadlines.reduce((a, b) => Math.min(a, b))
  const group = leases.grant(token, session, leaseMs, earliest, numbers, lanes)
  for (let i = 0; i < count; i++) group.extend(i, deadlines[i]!)
  return count
}
