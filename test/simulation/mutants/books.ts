//! Bugs planted in the books that a shard's log is applied to.

import type { Mutant } from './mutant.ts'

export const BOOK_MUTANTS: readonly Mutant[] = [
  {
    name: 'complete ignores token',
    file: 'lease/walk.ts',
    find: '      if (group === undefined) lost.push({ number: groups.number as JobNumber, token: groups.token as FencingToken })\n      else visit(group, position)',
    replace:
      '      const other = group === undefined ? leases.find(groups.number) : undefined\n      if (other !== undefined) visit(other.group, other.position)\n      else if (group === undefined) lost.push({ number: groups.number as JobNumber, token: groups.token as FencingToken })\n      else visit(group, position)',
  },
  {
    name: 'session table not in the snapshot',
    file: 'shard/books.ts',
    find: 'this.sessions = yield* Sessions.read(input, this.freezer)',
    replace: 'yield* Sessions.read(input, this.freezer)',
  },
  {
    name: 'keys not in the snapshot',
    file: 'job/image.ts',
    find: 'books.keys = yield* Keys.read(input)',
    replace: 'yield* Keys.read(input)',
  },
  {
    name: 'page not copied before it is written while a snapshot runs',
    file: 'rows.ts',
    find: '    if (!this.#freezer.isShared(page.born)) return page\n',
    replace: '    if (page.born > 0) return page\n',
  },
  {
    name: 'session not copied before it is changed while a snapshot runs',
    file: 'session/sessions.ts',
    find: 'if (session === undefined || !this.#freezer.isShared(session.born)) return session',
    replace: 'if (session === undefined || session.born >= 0) return session',
  },
  {
    name: 'leases not copied before they end while a snapshot runs',
    file: 'lease/group.ts',
    find: '    if (!this.#shared) return\n',
    replace: '    if (this.live > 0) return\n',
  },
  {
    name: 'repeated command applied twice',
    file: 'session/sessions.ts',
    find: "if (answer !== undefined) return { kind: 'repeat', answer }",
    replace: '',
  },
  {
    name: 'lease expires early',
    file: 'shard.ts',
    find: 'leases.expire(expireThrough)',
    replace: 'leases.expire(expireThrough + 400)',
  },
  {
    name: 'a failed job is due before its backoff ends',
    file: 'job/partition.ts',
    find: 'this.#postpone(row, JobState.retrying, wallNow + delay)',
    replace: 'this.#postpone(row, JobState.retrying, wallNow + delay / 2)',
  },
  {
    name: 'a lease that nobody had counts against its job',
    file: 'shard.ts',
    find: 'if (!had) books.putBack',
    replace: 'if (lease.token < 0) books.putBack',
  },
  {
    name: 'sessions that are made up are remembered',
    file: 'lead/service.ts',
    find: '    if (!this.#led.books.hasSession(session)) return\n    this.#presences',
    replace: '    this.#presences',
  },
  {
    name: 'connections that are gone are remembered',
    file: 'front/front.ts',
    find: '    this.#relays.delete(connection)\n    this.#locates',
    replace: '    this.#locates',
  },
]
