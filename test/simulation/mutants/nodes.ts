//! Bugs planted in how a node is put together, in what nodes tell each other about shards, and in how they are drained.

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
    find: 'this.#copies.isGone(message.shard, message.to)) return this.#o.send(from, linkTable.encode(goneAnswer(message, this.#now, this.#journal.freeBytes)))',
    replace: 'this.#copies.isGone(message.shard, message.to)) return',
  },
  {
    name: 'a draining leader keeps its lead',
    needs: 'members.drainEveryMs',
    file: 'node/replacement.ts',
    find: 'const to = view.isLeaving(view.self) ? view.heirs.find((node) => !view.isLeaving(node)) : undefined',
    replace: 'const to = undefined as NodeId | undefined',
  },
  {
    name: 'drains are not in the snapshot of the registry',
    needs: 'members.drainEveryMs',
    file: 'registry/registry.ts',
    find: '    registry.#state = readImage(image)',
    replace: '    registry.#state = { ...readImage(image), draining: new Set() }',
  },
  {
    name: 'a drain ends when the node is started again',
    needs: 'members.drainEveryMs',
    file: 'registry/registry.ts',
    find: '    nodes.set(record.node, record)',
    replace: '    this.#state.draining.delete(record.node)\n    nodes.set(record.node, record)',
  },
  {
    name: 'a draining node is not replaced',
    needs: 'members.drainEveryMs',
    file: 'node/replacement.ts',
    find: '    const leaving = view.voters.filter((voter) => view.isLeaving(voter.node))',
    replace: '    const leaving = view.voters.filter((voter) => view.isLeaving(voter.node) && voter.node === view.self)',
  },
  {
    name: 'leads are spread over draining nodes too',
    needs: 'members.drainEveryMs',
    file: 'replica/caretaker.ts',
    find: ' && !around.isLeaving(peer.node)).map((peer) => peer.node)],',
    replace: ').map((peer) => peer.node)],',
  },
]
