//! What the journal found of a copy, in the form that a master takes.

import type { RecoveredShard } from '../journal/rebuild.ts'
import type { RecoveredCopy } from '../master/boundary.ts'

export function copyOf(recovered: RecoveredShard): RecoveredCopy {
  const { hardState, snapshot, first, last, terms, suspect } = recovered
  return { hardState, snapshot, firstIndex: first, lastIndex: last, terms, suspect }
}
