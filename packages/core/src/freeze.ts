//! Lets a snapshot be written while the state goes on. What is frozen stays as it is: whatever is written for the first time
//! since then is copied first, and the snapshot keeps the original.
//!
//!   freeze ──▶ pages A B C          the snapshot reads A B C, some a turn
//!   write B ──▶ pages A B' C        B is the snapshot's from now on, B' the state's; nothing else was copied
//!
//! So freezing costs a list of pages, however much is in them, and a snapshot is exactly the state at its index.

/** Tells pages whether a snapshot may still want what they hold. Shared by everything that is frozen at the same moment. */
export class Freezer {
  #generation = 1
  #held = 0
  #sharedBelow = 0

  /** What is made or copied now bears this. */
  get born(): number {
    return this.#generation
  }

  /** Whether what was born then has to be copied before it is written. */
  isShared(born: number): boolean {
    return born < this.#sharedBelow
  }

  /** A snapshot is under way. */
  get isHeld(): boolean {
    return this.#held > 0
  }

  /** Everything that there is now is shared with one snapshot more. */
  hold(): void {
    this.#held++
    this.#sharedBelow = ++this.#generation
  }

  /** One snapshot less is under way; without any, nothing is shared. */
  release(): void {
    if (--this.#held === 0) this.#sharedBelow = 0
  }
}
