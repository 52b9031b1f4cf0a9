//! Bugs planted in how shards are recovered from their last copy, and in who has a say after that.

import type { Mutant } from './mutant.ts'

export const RECOVERY_MUTANTS: readonly Mutant[] = [
  {
    name: 'recovery goes on in the old epoch of jobs',
    needs: 'recovery.recoverEveryMs',
    file: 'shard.ts',
    find: '    for (const { books } of this.hosted) books.next = base.job\n',
    replace: '',
  },
  {
    name: 'recovery keeps the term and the number of the copy',
    needs: 'recovery.recoverEveryMs',
    file: 'replica/revival.ts',
    find: "    const hardState = { term: base.term, vote: undefined, self: base.replica,",
    replace: "    const hardState = { term: found.hardState?.term ?? base.term, vote: undefined, self: base.replica,",
  },
  {
    name: 'a recovered shard is led before the registry confirms it',
    needs: 'recovery.recoverEveryMs',
    file: 'replica/standing.ts',
    find: ' && recovery?.shards.some((decided) => decided.shard === shard) !== true',
    replace: ' && recovery?.shards.length !== -1',
  },
  {
    name: 'a copy counts before its node is let in again',
    needs: 'recovery.recoverEveryMs',
    file: 'replica/standing.ts',
    find: 'return this.#confirmed && recoveryOf(term)',
    replace: 'return recoveryOf(term)',
  },
  {
    name: 'a node that was declared destroyed may go on',
    needs: 'recovery.recoverEveryMs',
    file: 'registry/registry.ts',
    find: "    this.#strike(node)\n    addBounded(this.#state.destroyed, node)",
    replace: '    void node',
  },
  {
    name: 'recovery goes no further than what is known to be committed',
    needs: 'recovery.recoverEveryMs',
    file: 'replica/revival.ts',
    find: '    const { shard, last } = found\n',
    replace: '    const { shard } = found\n    const last = Math.min(found.last, Math.max(found.hardState?.commit ?? 0, found.snapshot?.index ?? 0)) as LogIndex\n',
  },
  {
    name: 'payloads of a recovered shard go with its log',
    needs: 'recovery.recoverEveryMs',
    file: 'replica/revival.ts',
    find: "through: this.#applied, keep: this.#books!.livePayloads() })",
    replace: 'through: this.#applied, keep: [] })',
  },
  {
    name: 'an older generation is not given up',
    needs: 'recovery.recoverEveryMs',
    file: 'replica/cluster.ts',
    find: "    this.#save(now, 'generation', 0, { generation })\n",
    replace: '',
  },
  {
    name: 'an image is put together from every index there is',
    needs: 'recovery.recoverEveryMs',
    file: 'replica/images.ts',
    find: 'next: (from) => machine.nextPayload(from),',
    replace: 'next: (from) => from,',
  },
]
