//! Every planted bug, by the part it is planted in.

import { BOOK_MUTANTS } from './books.ts'
import { MASTER_MUTANTS } from './masters.ts'
import { DISK_MUTANTS } from './disks.ts'
import type { Mutant } from './mutant.ts'
import { NODE_MUTANTS } from './nodes.ts'
import { POST_MUTANTS } from './posts.ts'
import { RECOVERY_MUTANTS } from './recovery.ts'
import { REST_MUTANTS } from './rest.ts'

export const MUTANTS: readonly Mutant[] = [...MASTER_MUTANTS, ...BOOK_MUTANTS, ...DISK_MUTANTS, ...NODE_MUTANTS, ...REST_MUTANTS, ...RECOVERY_MUTANTS, ...POST_MUTANTS]
