//! A mutant: the source with one bug planted by an exact replacement. The simulator must catch every one of them, else it
//! proves little about the source without them.

export interface Mutant {
  readonly name: string
  /** Relative to `packages/core/src`. */
  readonly file: string
  /** Stands exactly once in the file: a table that no longer fits the source fails. */
  readonly find: string
  readonly replace: string
}
