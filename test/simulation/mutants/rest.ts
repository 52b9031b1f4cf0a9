//! Bugs planted in how shards rest. What the pulses say is held by the tests of their actors: whoever at rest missed it would still hear
//! a leader, and help nobody to be another.

import type { Mutant } from './mutant.ts'

export const REST_MUTANTS: readonly Mutant[] = [
  {
    name: 'the lease clock of a shard stands still while it rests',
    needs: 'clients.lullEveryMs',
    file: 'master/rest.ts',
    find: '    if (awakeFrom !== undefined) m.leaseClock.observe(now.monotonic, m.settings, m.pulses!.awakeMs - awakeFrom)\n',
    replace: '',
  },
]
