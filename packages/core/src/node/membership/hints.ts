//! Who leads which shard, as gossip has it: of two hints the one of the higher term counts, within a term the one of the
//! higher epoch. The term comes first, since an epoch takes effect uncommitted: a change of masters that its term could
//! not commit would otherwise outlive, as a hint, every later leader. A hint only says where to ask first; whoever is
//! asked knows better.

import type { ShardHint } from '../../message/gossip.ts'
import type { ShardId } from '../../units.ts'

/** A shard id costs nothing to invent: beyond this many, hints on new ones are dropped. */
const HINTS_MAX = 65_536

export class Hints {
  readonly #hints = new Map<ShardId, ShardHint>()

  get(shard: ShardId): ShardHint | undefined {
    return this.#hints.get(shard)
  }

  get all(): readonly ShardHint[] {
    return [...this.#hints.values()]
  }

  /** True where it is news. */
  put(hint: ShardHint): boolean {
    const known = this.#hints.get(hint.shard)
    if (known ? !newer(hint, known) : this.#hints.size >= HINTS_MAX) return false
    this.#hints.set(hint.shard, hint)
    return true
  }

  clone(): Hints {
    const copy = new Hints()
    for (const [shard, hint] of this.#hints) copy.#hints.set(shard, hint)
    return copy
  }
}

function newer(hint: ShardHint, known: ShardHint): boolean {
  if (hint.term !== known.term) return hint.term > known.term
  if (hint.epoch !== known.epoch) return hint.epoch > known.epoch
  return hint.leader !== undefined && known.leader === undefined
}
