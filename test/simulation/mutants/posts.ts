//! Bugs planted in the posts between shards.

import type { Mutant } from './mutant.ts'

export const POST_MUTANTS: readonly Mutant[] = [
  {
    name: 'post applied twice',
    file: 'post/inbox.ts',
    find: '      row.recovery = recovery\n      row.taken = sequence\n',
    replace: '      row.recovery = recovery\n',
  },
  {
    name: 'post dropped before it is confirmed',
    file: 'lead/post-office.ts',
    find: '      sending.confirmed = confirmed\n',
    replace: "      sending.confirmed = confirmed\n      this.#taken(now, { kind: 'postsTaken', receiver, sender: shard, recovery: books.recovery, through: confirmed + posts.length, own: Infinity })\n",
  },
  {
    name: 'post not sent again',
    file: 'lead/post-office.ts',
    find: '    if (!moved && !isRead && now.monotonic < sending.resendAt) return\n',
    replace: '    if (!moved && !isRead && now.monotonic < (sending.resendAt = Infinity)) return\n',
  },
  {
    name: 'inbox not in the snapshot',
    file: 'shard/books.ts',
    find: 'this.in = yield* Inbox.read(input)',
    replace: 'yield* Inbox.read(input)',
  },
  {
    name: 'outbox not in the snapshot',
    file: 'shard/books.ts',
    find: 'this.out = yield* Outbox.read(input, this.freezer)',
    replace: 'yield* Outbox.read(input, this.freezer)',
  },
  {
    name: 'payload freed while a post needs it',
    file: 'shard.ts',
    find: '    if (this.out.holdsEntry(entry)) return\n',
    replace: '',
  },
  {
    name: 'payloads that only posts need are left out of images',
    file: 'shard/books.ts',
    find: '    this.out.liveEntries(from, to, entries)\n',
    replace: '',
  },
  {
    name: 'recovered sender goes on with the numbers of before',
    needs: 'recovery.recoverEveryMs',
    file: 'shard.ts',
    find: '    this.out.renumber()\n',
    replace: '',
  },
  {
    name: 'what a recovered sender says again is new',
    needs: 'recovery.recoverEveryMs',
    file: 'post/inbox.ts',
    find: '    if (recovery > 0 && this.#subjects.find(subject) !== undefined) return true\n',
    replace: '',
  },
]
