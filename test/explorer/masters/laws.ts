//! What must hold among the masters of one shard, whatever was lost, doubled, delayed or forgotten: the safety of Raft (section 5.2 to
//! 5.4 and figure 3 of the paper), checked in every state.

import { Hash } from '@horus/core/hash'
import type { LogRecord } from '@horus/core/master/boundary'
import type { Master } from '@horus/core/master/master'
import { majorityOf } from '@horus/core/master/quorum'
import type { Configuration } from '@horus/core/message/command'
import type { LogIndex } from '@horus/core/units'
import type { Fact, Laws } from '../participant.ts'
import { Breach } from '../search.ts'
import { type Copy, decoded } from './copy.ts'

type MasterFact =
  | (Fact & { readonly kind: 'leads'; readonly term: number; readonly replica: number })
  | (Fact & { readonly kind: 'votes'; readonly term: number; readonly by: number; readonly for: number })
  | (Fact & { readonly kind: 'commits'; readonly through: number; readonly counting: Counting | undefined })

/** How a leader came to commit: the configuration that was in force before the step counts for the entries that were there, and the one after it for the rest. */
interface Counting {
  readonly term: number
  readonly before: Configuration
  readonly lastBefore: number
  readonly after: Configuration
}

interface Memory {
  /** By term: who led. */
  readonly leaders: Readonly<Record<number, number>>
  /** By voter and term: whom the vote went to. */
  readonly votes: Readonly<Record<string, number>>
  /** From index 1: the entry, and the term of the leader that committed it. */
  readonly committed: readonly { readonly print: string; readonly term: number }[]
}

export class MasterLaws implements Laws<Copy, MasterFact, Memory> {
  readonly memory: Memory = { leaders: {}, votes: {}, committed: [] }

  facts(node: number, before: Copy, after: Copy, sent: readonly { readonly bytes: Uint8Array }[]): readonly MasterFact[] {
    const { master } = after
    if (master === undefined) return []
    const facts: MasterFact[] = []
    for (const { bytes } of sent) {
      const message = decoded(bytes)
      if (message.kind === 'voteAnswer' && message.granted) facts.push({ kind: 'votes', node, term: message.term, by: message.from, for: message.to })
      // Whoever asks for votes has given itself its own.
      if (message.kind === 'vote') facts.push({ kind: 'votes', node, term: message.term, by: message.from, for: message.from })
    }
    if (master.role === 'leader' && (before.master?.role !== 'leader' || before.master.term !== master.term)) facts.push({ kind: 'leads', node, term: master.term, replica: master.self.replica })
    if (master.commitIndex > (before.master?.commitIndex ?? 0)) facts.push({ kind: 'commits', node, through: master.commitIndex, counting: countingOf(before.master, master) })
    return facts
  }

  remember(memory: Memory, fact: MasterFact, nodes: readonly Copy[]): Memory {
    switch (fact.kind) {
      case 'votes': {
        const key = `${fact.by} in ${fact.term}`
        const before = memory.votes[key]
        if (before !== undefined && before !== fact.for) throw new Breach(`I5: replica ${fact.by} votes for replica ${fact.for} in term ${fact.term}, and has voted for replica ${before}`)
        return before === undefined ? { ...memory, votes: sorted({ ...memory.votes, [key]: fact.for }) } : memory
      }
      case 'leads': {
        const before = memory.leaders[fact.term]
        if (before !== undefined && before !== fact.replica) throw new Breach(`I5: replicas ${before} and ${fact.replica} both lead in term ${fact.term}`)
        return before !== undefined ? memory : { ...memory, leaders: { ...memory.leaders, [fact.term]: fact.replica } }
      }
      case 'commits':
        return this.#commits(memory, nodes[fact.node]!, fact, nodes)
      default:
        fact satisfies never
        return memory
    }
  }

  /** Leader completeness: what was committed in earlier terms is in the log of every leader. And a healthy disk is never taken for a lost one. */
  one(copy: Copy, memory: Memory): void {
    const { master } = copy
    if (master?.role !== 'leader') return
    for (const [i, { print, term }] of memory.committed.entries()) {
      if (term < master.term && printOf(copy.entry(i + 1)) !== print) throw new Breach(`I4: replica ${master.self.replica} leads in term ${master.term} without entry ${i + 1}, which was committed in term ${term}`)
    }
    for (const peer of master.peers({ monotonic: 0, wall: 0 } as never)) if (peer.suspect) throw new Breach(`replica ${peer.replica} counts as lost, though its disk has kept everything`)
  }

  /** Log matching: where two logs have an entry of the same term at the same place, they are the same up to there. */
  pair(a: Copy, b: Copy): void {
    if (a.master === undefined || b.master === undefined) return
    let at = Math.min(a.master.lastIndex, b.master.lastIndex)
    while (at > 0 && a.entry(at)?.term !== b.entry(at)?.term) at--
    for (; at > 0; at--) if (printOf(a.entry(at)) !== printOf(b.entry(at))) throw new Breach(`replicas ${a.master.self.replica} and ${b.master.self.replica} agree on a later entry, but not on entry ${at}`)
  }

  #commits(memory: Memory, copy: Copy, { through, counting }: Extract<MasterFact, { kind: 'commits' }>, nodes: readonly Copy[]): Memory {
    const master = copy.master!
    const { replica } = master.self
    const term = master.termAt(through as LogIndex)
    if (counting !== undefined && term !== counting.term) throw new Breach(`I4: replica ${replica} leads in term ${counting.term} and counts a quorum for entry ${through}, which is of term ${term}`)
    const committed = memory.committed.slice()
    for (let index = 1; index <= through; index++) {
      const print = printOf(copy.entry(index))
      const before = committed[index - 1]
      if (before !== undefined) {
        if (before.print !== print) throw new Breach(`I4: replica ${replica} commits ${print} as entry ${index}, but ${before.print} was committed there`)
        continue
      }
      if (counting === undefined) throw new Breach(`I4: replica ${replica} takes entry ${index} for committed, and no leader does`)
      const { voters, outgoing } = index <= counting.lastBefore ? counting.before : counting.after
      for (const members of outgoing === undefined ? [voters] : [voters, outgoing]) {
        const holders = members.filter((member) => nodes.some((node) => node.master?.self.replica === member.replica && printOf(node.journal.durable(index as LogIndex)) === print))
        if (holders.length < majorityOf(members.length)) throw new Breach(`I1: entry ${index} is committed, but of ${members.length} voters only ${holders.length} have it on their disks`)
      }
      committed.push({ print, term: counting.term })
    }
    return committed.length === memory.committed.length ? memory : { ...memory, committed }
  }
}

/** Undefined where it was not as a leader. One that commits a configuration without itself follows at the end of the same step. */
function countingOf(before: Master | undefined, after: Master): Counting | undefined {
  const led = before?.role === 'leader' && before.term === after.term
  if (after.role !== 'leader' && !led) return undefined
  return { term: after.term, before: before!.configuration, lastBefore: before!.lastIndex, after: after.configuration }
}

function printOf(entry: LogRecord | undefined): string {
  return entry === undefined ? 'nothing' : `${entry.term}:${new Hash().bytes(entry.bytes).digest()}`
}

function sorted<T>(record: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)))
}
