//! Bugs planted in consensus and in what leading a shard means.

import type { Mutant } from './mutant.ts'

export const MASTER_MUTANTS: readonly Mutant[] = [
  {
    name: 'vote before fsync',
    file: 'master/election.ts',
    find: '  if (granted && !m.disk.has(m.voteTicket)) m.disk.defer(m.voteTicket, from.node, answer)\n  else out.send(from.node, answer)',
    replace: '  out.send(from.node, answer)',
  },
  {
    name: 'vote twice in a term',
    file: 'master/election.ts',
    find: 'const granted = message.term === m.term && free && m.log',
    replace: 'const granted = message.term === m.term && m.log',
  },
  {
    name: 'append acknowledged before fsync',
    file: 'master/state.ts',
    find: 'return Math.min(this.matched, this.disk.index) as LogIndex',
    replace: 'return this.matched as LogIndex',
  },
  {
    name: 'ack after one disk',
    file: 'master/replication.ts',
    find: "const reached = reachedByQuorum(m.configuration, m.self, m.disk.index, lead.peers, 'match')",
    replace: 'const reached: number = m.disk.index',
  },
  {
    name: 'old-term entry committed by counting',
    file: 'master/replication.ts',
    find: 'if (reached <= m.commitIndex || m.log.termAt(reached as LogIndex) !== m.term) return',
    replace: 'if (reached <= m.commitIndex) return',
  },
  {
    name: 'joint change by one majority',
    file: 'master/quorum.ts',
    find: 'return Math.min(reached, reachedByMajority(configuration.outgoing',
    replace: 'return Math.max(reached, reachedByMajority(configuration.outgoing',
  },
  {
    name: 'leader serves before it knows what was committed',
    file: 'replica/job-machine.ts',
    find: 'return this.#leads && this.#host.applied >= this.#firstOwn',
    replace: 'return this.#leads',
  },
  {
    name: 'log not compared before a vote',
    file: 'master/election.ts',
    find: 'free && m.log.isUpToDate(message.lastIndex, message.lastTerm)\n  if (granted && m.vote',
    replace: 'free\n  if (granted && m.vote',
  },
]
