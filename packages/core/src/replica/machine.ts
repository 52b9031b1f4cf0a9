//! A state machine that a shard's log is applied to: the books of a job shard, or the registry. Hosted shards know no more of it.

import type { Now } from '../actor.ts'
import type { Imaging, Walk } from '../message/image.ts'
import type { LogIndex } from '../units.ts'

export interface Machine {
  /** Applies one committed entry and settles whatever waited for it. */
  apply(index: LogIndex, entry: Uint8Array): void
  /** The state without payloads as it is now, to be written step by step while it goes on. */
  freeze(): Imaging
  /**
   * Reads an image step by step; at the end of the walk, and not before, its state is the machine's. The pieces are the machine's from
   * now on, which lets each go when it is read. Throws MalformedMessage.
   */
  restoring(pieces: Uint8Array[]): Walk
  digest(): string
  /** Whether the entry at an applied index still holds a payload somebody will ask for. */
  needs(index: LogIndex): boolean
  /** The entries from `from` to `through`, which are applied, that still hold a payload somebody will ask for, rising. */
  livePayloads(from: LogIndex, through: LogIndex): readonly LogIndex[]
  /** The first of them from `from` on, Infinity without one: whoever looks through all passes over what lies before, which a recovery makes endless. */
  nextPayload(from: LogIndex): number
  /** The lead was won or lost. */
  lead(leads: boolean): void
  /** Its time has come: what is due is noted, and done in the next turn. */
  wake(now: Now): void
  /** Once a turn, and after every input to its copy: a leader proposes what is due, and sends what can be read now. */
  turn(now: Now): void
  /** When `turn` next has something to do by itself; Infinity when idle. */
  wakeAt(now: Now): number
  /** Waits for no time that the lease clock has to tell, and has nothing under way. */
  readonly isIdle: boolean
  /** A fetch has ended: this entry cannot be read. */
  unreadable(index: LogIndex): void
}
