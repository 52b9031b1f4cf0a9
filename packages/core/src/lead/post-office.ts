//! The posts of a shard that this node leads, on their way: what lies in the outbox goes to the leaders of the receivers, what comes from other
//! shards goes into the log, and both are told how far they have come.
//!
//!   outbox ──send──▶ receiver's leader          its answer ──▶ postsConfirmed into the log
//!   posts of others ──▶ post into the log       applied ──▶ answer
//!
//! Nothing here is lost with the lead: the next leader finds the outbox as it is, and begins with the first post in it. Messages may be lost, come
//! twice or from a leader that has long been followed by another: posts are sent again in time, and the books know what counts.

import type { Now } from '../actor.ts'
import { HEADERS_MAX, logTable, type JobOptions } from '../message/command.ts'
import { OPTIONS_BYTES_MAX, readAddEntry, writeAddItem } from '../message/jobs.ts'
import { encode, tryDecode, Writer } from '../message/layout.ts'
import { deadLetter, DeadLetterHeader, type Post, PostKind, type PostMessage, type Posts, type PostsTaken, POSTS_BYTES, POSTS_MAX } from '../message/posts.ts'
import { utf8Length } from '../utf8.ts'
import type { LogIndex, PartitionId, ShardId } from '../units.ts'

/** What was sent and not heard of is sent again after so long, and after twice as long each time up to the most. */
export const RESEND_MS_MIN = 300
export const RESEND_MS_MAX = 2400

/** The committed books, as far as posts need them. */
export interface PostBooks {
  readonly recovery: number
  readonly outbox: {
    readonly size: number
    readonly receivers: readonly ShardId[]
    confirmed(receiver: ShardId): number
    first(receiver: ShardId, most: number): readonly Post[]
  }
  readonly inbox: {
    taken(sender: ShardId, recovery: number): number
    expected(from: { readonly sender: ShardId; readonly recovery: number; readonly lowest: number }, own: number): number | undefined
  }
  topicOf(partition: PartitionId): string | undefined
  fits(partition: PartitionId, names: readonly string[]): boolean
}

export interface PostDesk {
  readonly shard: ShardId
  readonly books: PostBooks
  /** Entries can be proposed. */
  readonly isOpen: boolean
  /** There is no room for more jobs. */
  readonly lacksRoom: boolean
  propose(now: Now, entry: Uint8Array): void
  entry(index: LogIndex): Uint8Array | undefined
  fetch(index: LogIndex): void
  /** To whoever leads that shard, as far as is known here; it may get lost. */
  send(to: ShardId, message: PostMessage): void
  /** The recovery epoch that a shard has by now, as far as is known here. */
  recoveryOf(shard: ShardId): number
}

interface Sending {
  /** The confirmed post when it was sent last. */
  confirmed: number
  resendAt: number
  waitMs: number
  /** An entry that confirms this far is under way. */
  confirming: number
  /** The entry that is being read for the first post; 0 for none. */
  reading: LogIndex
}

interface Taking {
  readonly recovery: number
  /** The last post that is in the log, applied or not. */
  proposed: number
  /** The sender is to hear how far its posts were taken. */
  owed: boolean
}

export class PostOffice {
  readonly #desk: PostDesk
  readonly #sending = new Map<ShardId, Sending>()
  readonly #taking = new Map<ShardId, Taking>()

  constructor(desk: PostDesk) {
    this.#desk = desk
  }

  /** The lead was won or lost. */
  clear(): void {
    this.#sending.clear()
    this.#taking.clear()
  }

  /** When posts are next sent by time; Infinity where nothing waits. */
  get wakeAt(): number {
    if (this.#desk.books.outbox.size === 0) return Infinity
    let at = Infinity
    for (const receiver of this.#desk.books.outbox.receivers) at = Math.min(at, this.#sending.get(receiver)?.resendAt ?? 0)
    return at
  }

  turn(now: Now): void {
    for (const [sender, taking] of this.#taking) {
      if (!taking.owed) continue
      taking.owed = false
      this.#answer(sender, taking.recovery)
    }
    if (this.#desk.books.outbox.size === 0) return
    for (const receiver of this.#desk.books.outbox.receivers) this.#send(now, receiver)
  }

  /** A post of that shard was applied here. */
  applied(sender: ShardId): void {
    const taking = this.#taking.get(sender)
    if (taking !== undefined) taking.owed = true
  }

  // ---- from other shards -------------------------------------------------------------------------------------------

  receive(now: Now, message: PostMessage): void {
    if (message.kind === 'posts') this.#take(now, message)
    else this.#taken(now, message)
  }

  #take(now: Now, message: Posts): void {
    const { sender, recovery, lowest, posts } = message
    const { books } = this.#desk
    const expected = books.inbox.expected(message, books.recovery)
    if (expected === undefined) return
    const known = this.#taking.get(sender)
    const taking = known?.recovery === recovery ? known : { recovery, proposed: 0, owed: false }
    this.#taking.set(sender, taking)
    // What was taken before is confirmed once more: the sender has not heard of it.
    if (lowest < expected) taking.owed = true
    for (let at = 0; at < posts.length && this.#desk.isOpen && !this.#desk.lacksRoom; at++) {
      const { kind, body } = posts[at]!
      const sequence = lowest + at
      if (sequence < expected || sequence <= taking.proposed) continue
      if (sequence !== Math.max(expected, taking.proposed + 1) || !this.#fits(kind, body)) return
      this.#desk.propose(now, logTable.encode({ kind: 'post', leaseNow: 0 as never, wallNow: 0 as never, sender, recovery, lowest, sequence, postKind: kind, body }))
      taking.proposed = sequence
    }
  }

  /** Whether it would be taken: its partition is open by now. */
  #fits(kind: number, body: Uint8Array): boolean {
    if (kind !== PostKind.deadLetter) return false
    const letter = tryDecode(deadLetter, body)
    return letter !== undefined && this.#desk.books.fits(letter.partition, letter.names)
  }

  #answer(sender: ShardId, recovery: number): void {
    const { shard, books } = this.#desk
    this.#desk.send(sender, { kind: 'postsTaken', receiver: shard, sender, recovery, through: books.inbox.taken(sender, recovery), own: books.recovery })
  }

  /** What only masters have confirmed that are lost, or were recovered from another copy, is not known to be there. */
  #taken(now: Now, { receiver, recovery, through, own }: PostsTaken): void {
    const { books } = this.#desk
    const sending = this.#sending.get(receiver)
    if (sending === undefined || recovery !== books.recovery || own < this.#desk.recoveryOf(receiver) || !this.#desk.isOpen) return
    if (through <= Math.max(books.outbox.confirmed(receiver), sending.confirming)) return
    sending.confirming = through
    this.#desk.propose(now, logTable.encode({ kind: 'postsConfirmed', leaseNow: 0 as never, wallNow: 0 as never, receiver, recovery, through }))
  }

  // ---- to other shards ---------------------------------------------------------------------------------------------

  #send(now: Now, receiver: ShardId): void {
    const { books, shard } = this.#desk
    const confirmed = books.outbox.confirmed(receiver)
    let sending = this.#sending.get(receiver)
    if (sending === undefined) this.#sending.set(receiver, (sending = { confirmed: -1, resendAt: 0, waitMs: RESEND_MS_MIN, confirming: 0, reading: 0 as LogIndex }))
    const moved = sending.confirmed !== confirmed
    // At once when it was read: a moment later it may have left the cache.
    const isRead = sending.reading > 0 && this.#desk.entry(sending.reading) !== undefined
    if (!moved && !isRead && now.monotonic < sending.resendAt) return
    const { posts, missing } = this.#gather(receiver)
    sending.reading = posts.length === 0 ? missing : (0 as LogIndex)
    if (posts.length > 0) {
      sending.confirmed = confirmed
      this.#desk.send(receiver, { kind: 'posts', sender: shard, receiver, recovery: books.recovery, lowest: confirmed + 1, posts })
    }
    sending.waitMs = moved ? RESEND_MS_MIN : Math.min(2 * sending.waitMs, RESEND_MS_MAX)
    sending.resendAt = now.monotonic + sending.waitMs
  }

  /** As many as one message takes, and what is not in memory for the next one, which is being read now; 0 for nothing. */
  #gather(receiver: ShardId): { readonly posts: Posts['posts']; readonly missing: LogIndex } {
    const posts: { readonly kind: number; readonly body: Uint8Array }[] = []
    let bytes = 0
    for (const post of this.#desk.books.outbox.first(receiver, POSTS_MAX)) {
      const entry = this.#desk.entry(post.entryIndex)
      if (entry === undefined) {
        this.#desk.fetch(post.entryIndex)
        return { posts, missing: post.entryIndex }
      }
      const body = bodyOf(post, entry, this.#desk.books.topicOf(post.origin) ?? '')
      if (posts.length > 0 && bytes + body.length > POSTS_BYTES) break
      posts.push({ kind: PostKind.deadLetter, body })
      bytes += body.length
    }
    return { posts, missing: 0 as LogIndex }
  }
}

/** The same job as it was added, with what became of it in its headers; of its options only the headers are left, since another topic has other defaults. */
function bodyOf({ origin, number, addedAt, ordinal, partition, reason }: Post, entry: Uint8Array, topic: string): Uint8Array {
  const { items, names } = readAddEntry(entry)
  items.seek(ordinal)
  const headers: (readonly [string, string])[] = [[DeadLetterHeader.topic, topic], [DeadLetterHeader.id, `${origin}-${number}`], [DeadLetterHeader.reason, String.fromCharCode(...reason)]]
  const writer = new Writer(64 + items.payloadLength)
  writeAddItem(writer, 0, items.payload, { headers: withOwn(headers, items.options) })
  return encode(deadLetter, { origin, number, addedAt, partition, names: [names[items.nameOrdinal]!], count: 1, items: writer.take() })
}

/** Those that the job had itself follow, as many as there is room for. */
function withOwn(headers: (readonly [string, string])[], { headers: own = [] }: JobOptions): readonly (readonly [string, string])[] {
  let bytes = headers.reduce((sum, header) => sum + sizeOf(header), OPTION_BYTES)
  for (const header of own) {
    bytes += sizeOf(header)
    if (headers.length === HEADERS_MAX || bytes > OPTIONS_BYTES_MAX) break
    headers.push(header)
  }
  return headers
}

const sizeOf = ([name, value]: readonly [string, string]): number => HEADER_BYTES + utf8Length(name) + utf8Length(value)
/** Lengths of name and value, and what stands before the list. */
const HEADER_BYTES = 8
const OPTION_BYTES = 16
