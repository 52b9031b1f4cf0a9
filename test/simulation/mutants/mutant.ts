//! A mutant: the source with one bug planted by an exact replacement. The simulator must catch every one of them, else it
//! proves little about the source without them.

export interface Mutant {
  readonly name: string
  /** Relative to `packages/core/src`. */
  readonly file: string
  /** Stands exactly once in the file: a table that no longer fits the source fails. */
  readonly find: string
  readonly replace: string
  /** What a seed has to draw for the bug to make a difference, as in docs/FAULTS.md, with commas between several; only such seeds are run, and counted. */
  readonly needs?: string
}
