//! Bugs planted in how shards rest, and in the pulses that speak for them.

import type { Mutant } from './mutant.ts'

export const REST_MUTANTS: readonly Mutant[] = [
  {
    name: 'a follower at rest does not notice that its leader has gone',
    file: 'master/rest.ts',
    find: "m.role === 'follower' && m.leader !== undefined && m.term === m.restTerm",
    replace: "m.role === 'follower' && m.term === m.restTerm",
  },
  {
    name: 'a leader at rest trusts an answer that came before it rested',
    file: 'replica/pulse/leading.ts',
    find: '    if (began !== undefined) this.provenAt = began',
    replace: '    if (began !== undefined) this.provenAt = now',
  },
  {
    name: 'a leader at rest trusts a confirmation that was for another shard',
    file: 'replica/pulse/leading.ts',
    find: '      lost.push(shard)\n',
    replace: '',
  },
  {
    name: 'a follower votes at rest and answers the pulse as if it had not',
    file: 'replica/pulse/following.ts',
    find: '    this.#drop(shard, number)\n    this.#ended.push(number)',
    replace: '    this.#drop(shard, number)',
  },
  {
    name: 'a leader whose rest has ended does not say so',
    file: 'replica/pulse/leading.ts',
    find: '    this.#changes.push({ begun: undefined, ended: number })',
    replace: '',
  },
]
