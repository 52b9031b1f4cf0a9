//! Every planted bug, by the part it is planted in.

import type { Mutant } from './mutant.ts'

export const MUTANTS: readonly Mutant[] = []
