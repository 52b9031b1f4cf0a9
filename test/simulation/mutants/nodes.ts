//! Bugs planted in how a node is put together, and in what nodes tell each other about shards.

import type { Mutant } from './mutant.ts'

export const NODE_MUTANTS: readonly Mutant[] = [
  {
    name: 'hints go by epoch before term',
    file: 'node/membership/hints.ts',
    find: '  if (hint.term !== known.term) return hint.term > known.term\n  if (hint.epoch !== known.epoch) return hint.epoch > known.epoch\n',
    replace: '  if (hint.epoch !== known.epoch) return hint.epoch > known.epoch\n  if (hint.term !== known.term) return hint.term > known.term\n',
  },
  {
    name: 'a copy that was given up is met by silence',
    file: 'replica.ts',
    find: 'this.#copies.isGone(message.shard, message.to)) return this.#tellGone(from, message)',
    replace: 'this.#copies.isGone(message.shard, message.to)) return',
  },
]
