//! What a shard has taken of the posts of others: for each sender the number of the last one. A post comes again until its sender has heard that it
//! was taken, from old leaders too; only the very next one counts.
//!
//!   sender's epoch   lower: of a leader that is lost, nothing      higher: its masters were lost, its numbers begin anew
//!   number           next: taken       lower: taken before         higher: nothing, it comes again in its turn
//!
//! Both logs can lose their ends when a shard is recovered by force (docs/decisions/posts.md). A sender that was recovered sends once more what
//! the lost masters may have sent before, under new numbers: so what posts were about is remembered as well, as long as idempotency keys are.
//! A receiver that was recovered may lack what it had confirmed, and its sender has dropped: then the row goes on behind that.

import { Keys } from '../job/keys.ts'
import type { Frozen, ImageReader, Walk } from '../message/image.ts'
import { readPacked, readRising, writePacked } from '../message/packed.ts'
import type { ShardId } from '../units.ts'

/** What a post says of itself. `lowest` is the first that its sender still keeps. */
export interface PostNumber {
  readonly sender: ShardId
  readonly recovery: number
  readonly lowest: number
  readonly sequence: number
}

interface Row {
  recovery: number
  taken: number
}

export class Inbox {
  readonly #rows = new Map<ShardId, Row>()
  #subjects = new Keys()

  /** The last post that was taken in that epoch of the sender. */
  taken(sender: ShardId, recovery: number): number {
    const row = this.#rows.get(sender)
    return row?.recovery === recovery ? row.taken : 0
  }

  /** The number that comes next, or undefined where the sender's epoch is over. `own` is this shard's recovery epoch. */
  expected({ sender, recovery, lowest }: Omit<PostNumber, 'sequence'>, own: number): number | undefined {
    const row = this.#rows.get(sender)
    if (row !== undefined && recovery < row.recovery) return undefined
    const next = this.taken(sender, recovery) + 1
    return own > 0 ? Math.max(next, lowest) : next
  }

  /** Whether the post counts; it does so once. */
  take(post: PostNumber, own: number): boolean {
    if (this.expected(post, own) !== post.sequence) return false
    const { sender, recovery, sequence } = post
    const row = this.#rows.get(sender)
    if (row === undefined) this.#rows.set(sender, { recovery, taken: sequence })
    else {
      row.recovery = recovery
      row.taken = sequence
    }
    return true
  }

  /**
   * Whether a post about this came before under another number: only a sender that was recovered may say it twice. With more than can be
   * remembered the new ones are not.
   */
  isRepeat({ recovery }: PostNumber, subject: string, wallNow: number): boolean {
    this.#subjects.forget(wallNow)
    if (recovery > 0 && this.#subjects.find(subject) !== undefined) return true
    if (this.#subjects.fits(1)) this.#subjects.remember(subject, 1, wallNow)
    return false
  }

  forget(wallNow: number): void {
    this.#subjects.forget(wallNow)
  }

  /** When the oldest subject is forgotten; Infinity without any. */
  get expiresNext(): number {
    return this.#subjects.expiresNext
  }

  freeze(): Frozen {
    // One row for each shard that ever posted here: so few that they are copied.
    const rows = [...this.#rows].sort(([a], [b]) => a - b).map(([sender, row]) => ({ sender, ...row }))
    const subjects = this.#subjects.freeze()
    return function* (out): Walk {
      const { writer } = out
      writePacked(writer, rows.length)
      out.endItem()
      let before = 0
      for (const { sender, recovery, taken } of rows) {
        writePacked(writer, sender - before)
        before = sender
        writePacked(writer, recovery)
        writePacked(writer, taken)
        out.endItem()
      }
      yield rows.length + 1
      yield* subjects(out)
    }
  }

  static *read(input: ImageReader): Walk<Inbox> {
    const inbox = new Inbox()
    const count = input.count(3)
    let sender = 0
    for (let i = 0; i < count; i++) {
      const reader = input.item()
      sender = readRising(reader, sender)
      inbox.#rows.set(sender as ShardId, { recovery: readPacked(reader), taken: readPacked(reader) })
    }
    inbox.#subjects = yield* Keys.read(input)
    return inbox
  }
}
