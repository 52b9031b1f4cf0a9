import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RESEND_MS_MAX, RESEND_MS_MIN } from '@horus/core/lead/post-office'
import { DeadLetterHeader, POSTS_MAX, type Posts, type PostsTaken } from '@horus/core/message/posts'
import { Random } from '@horus/core/random'
import { Shard } from '@horus/core/shard'
import type { LogIndex, PartitionId, ShardId } from '@horus/core/units'
import { type Letter, Party } from './party.ts'

const A = 3 as ShardId
const B = 5 as ShardId
const JOBS = 7 as PartitionId
const DEAD = 40 as PartitionId

/** Shard A has jobs whose dead-letter partition is on shard B. */
class Pair {
  readonly mail: Letter[] = []
  readonly a = new Party(A, this.mail)
  readonly b = new Party(B, this.mail)
  readonly session: number
  now = 0

  constructor() {
    this.a.openWith(JOBS, 'jobs', [{ partition: DEAD, shard: B }])
    this.b.openWith(DEAD, 'dead', [])
    this.session = this.a.open()
  }

  of(shard: ShardId): Party {
    return shard === A ? this.a : this.b
  }

  /** What was sent, taken out of the mail. */
  take(): readonly Letter[] {
    return this.mail.splice(0)
  }

  deliver(letters = this.take()): void {
    for (const { to, message } of letters) this.of(to).deliver(this.now, message)
  }

  /** Everything goes its way until nobody has anything left to say. */
  run(): void {
    for (let round = 0; round < 50; round++) {
      this.now += RESEND_MS_MAX
      this.a.turn(this.now)
      this.b.turn(this.now)
      this.deliver()
      this.a.commit()
      this.b.commit()
      this.b.turn(this.now)
      this.deliver()
      this.a.commit()
      if (this.a.shard.outbox.size === 0 && this.mail.length === 0) return
    }
    assert.fail('posts are on their way for ever')
  }

  /** One message from A, as it is sent now. */
  sent(): Posts {
    this.now += RESEND_MS_MAX
    this.a.turn(this.now)
    const [letter] = this.take()
    return letter!.message as Posts
  }
}

test('a job that dies is in the dead-letter partition, with its name, payload, id and reason', () => {
  const pair = new Pair()
  const { number } = pair.a.bury(pair.session, JOBS, 'ham', 'broken')
  assert.equal(pair.a.shard.counts(JOBS)!.posting, 1)
  pair.run()
  const [job, ...others] = pair.b.arrived(DEAD)
  assert.deepEqual(others, [])
  assert.deepEqual([job!.was, job!.name, job!.payload, job!.headers.get(DeadLetterHeader.reason)], [`jobs ${JOBS}-${number}`, 'name of ham', 'ham', 'broken'])
  assert.deepEqual([pair.a.shard.counts(JOBS)!.dead, pair.a.shard.counts(JOBS)!.posting], [1, 0])
})

test('headers that the job had follow those that tell of it', () => {
  const pair = new Pair()
  pair.a.add(pair.session, [{ options: { headers: [['own', 'x']], maxAttempts: 1, priority: 9 } }], JOBS)
  pair.a.fail(pair.session, pair.a.acquire(pair.session, 1, { partition: JOBS }).jobs, { partition: JOBS })
  pair.run()
  assert.deepEqual([...pair.b.arrived(DEAD)[0]!.headers.keys()], [DeadLetterHeader.topic, DeadLetterHeader.id, DeadLetterHeader.reason, 'own'])
  assert.equal(pair.b.job(1, DEAD)!.priority, 0)
})

test('a job that dies of its lost leases is posted too', () => {
  const pair = new Pair()
  pair.a.addMany(pair.session, 1, {}, JOBS)
  for (let lost = 0; lost < 3; lost++) {
    pair.a.acquire(pair.session, 1, { partition: JOBS })
    pair.a.pass(60_000)
    pair.a.tick()
  }
  pair.run()
  assert.equal(pair.b.arrived(DEAD)[0]!.headers.get(DeadLetterHeader.reason), 'lease lost 3 times')
})

test('a topic posts to itself, and to a partition of its own shard, as to any other', () => {
  const mail: Letter[] = []
  const party = new Party(A, mail)
  party.openWith(JOBS, 'jobs', [{ partition: DEAD, shard: A }])
  party.openWith(DEAD, 'dead', [])
  party.bury(party.open(), JOBS, 'ham')
  for (let round = 1; round < 5; round++) {
    party.turn(round * RESEND_MS_MAX)
    for (const { message } of mail.splice(0)) party.deliver(round * RESEND_MS_MAX, message)
    party.commit()
  }
  assert.deepEqual(party.arrived(DEAD).map((job) => job.payload), ['ham'])
  assert.equal(party.shard.outbox.size, 0)
})

test('a post holds the payload of its job, also when that is cancelled, until it is confirmed; then it is free, once', () => {
  const pair = new Pair()
  const { number, entry } = pair.a.bury(pair.session, JOBS, 'ham')
  pair.a.cancel(pair.session, [number], JOBS)
  assert.deepEqual(pair.a.freed, [])
  pair.a.restart()
  assert.ok(pair.a.shard.holdsEntry(entry as LogIndex))
  assert.deepEqual(pair.a.shard.liveEntries(), [entry])
  assert.equal(pair.a.shard.nextLive(1), entry)
  pair.run()
  assert.deepEqual(pair.b.arrived(DEAD).map((job) => job.payload), ['ham'])
  assert.deepEqual(pair.a.freed, [entry])
  assert.equal(pair.a.shard.nextLive(1), Infinity)
})

test('where the post goes first, the payload is free when the job goes', () => {
  const pair = new Pair()
  const { number, entry } = pair.a.bury(pair.session, JOBS, 'ham')
  pair.run()
  assert.deepEqual(pair.a.freed, [])
  assert.deepEqual(pair.a.shard.liveEntries(), [entry])
  pair.a.cancel(pair.session, [number], JOBS)
  assert.deepEqual(pair.a.freed, [entry])
})

test('nothing is confirmed before it is in the committed log, and what is lost with the lead is sent again', () => {
  const pair = new Pair()
  pair.a.bury(pair.session, JOBS, 'ham')
  pair.a.turn(0)
  pair.deliver()
  assert.equal(pair.b.proposed.length, 1)
  pair.b.turn(1)
  assert.deepEqual(pair.take(), [])
  pair.b.loseLead()
  pair.b.turn(2)
  assert.deepEqual(pair.take(), [])
  pair.run()
  assert.deepEqual(pair.b.arrived(DEAD).map((job) => job.payload), ['ham'])
})

test('a post that comes again, or before its turn, does nothing; the sender hears how far it is', () => {
  const pair = new Pair()
  for (const text of ['a', 'b', 'c']) pair.a.bury(pair.session, JOBS, text)
  const message = pair.sent()
  pair.b.deliver(0, { ...message, lowest: 2, posts: message.posts.slice(1) })
  assert.equal(pair.b.proposed.length, 0)
  pair.b.deliver(0, message)
  pair.b.deliver(0, message)
  assert.equal(pair.b.proposed.length, 3)
  // As a leader would that does not know what the one before it has in its log.
  pair.b.proposed.push(...pair.b.proposed)
  pair.b.commit()
  assert.equal(pair.b.arrived(DEAD).length, 3)
  pair.b.turn(0)
  pair.take()
  pair.b.deliver(0, message)
  pair.b.turn(0)
  assert.deepEqual(pair.take().map(({ message: said }) => (said as PostsTaken).through), [3])
})

test('a post for a partition that is not open yet is not taken, and comes again', () => {
  const pair = new Pair()
  pair.a.openWith(8 as PartitionId, 'other', [{ partition: 41 as PartitionId, shard: B }])
  pair.a.bury(pair.session, 8 as PartitionId, 'ham')
  const message = pair.sent()
  pair.b.deliver(0, message)
  assert.equal(pair.b.proposed.length, 0)
  pair.b.openWith(41 as PartitionId, 'later', [])
  pair.run()
  assert.equal(pair.b.arrived(41 as PartitionId).length, 1)
})

test('what waits for a payload or for an answer is sent again in time, less and less often, and what follows in bounded lots', () => {
  const pair = new Pair()
  const { entry } = pair.a.bury(pair.session, JOBS, 'first')
  for (let i = 0; i < POSTS_MAX + 5; i++) pair.a.bury(pair.session, JOBS, `${i}`)
  pair.a.unread.add(entry as LogIndex)
  pair.a.turn(0)
  assert.deepEqual([pair.take(), pair.a.fetched], [[], [entry]])
  pair.a.unread.clear()
  const sentAt: number[] = []
  for (let now = 0; now < 10 * RESEND_MS_MAX; now += 10) {
    pair.a.turn(now)
    const letters = pair.take()
    if (letters.length > 0) sentAt.push(now)
    for (const { message } of letters) assert.equal((message as Posts).posts.length, POSTS_MAX)
  }
  const gaps = sentAt.slice(1).map((time, i) => time - sentAt[i]!)
  assert.equal(sentAt[0], 0, 'at once when it was read: it may be gone from memory again before its time')
  assert.ok(gaps.every((gap, i) => gap >= (gaps[i - 1] ?? 0)) && Math.max(...gaps) === RESEND_MS_MAX, gaps.join())
  pair.run()
  assert.equal(pair.b.arrived(DEAD).length, POSTS_MAX + 6)
})

test('an answer of a receiver that was recovered since, or of the sender’s epoch before, confirms nothing', () => {
  const pair = new Pair()
  pair.a.bury(pair.session, JOBS, 'ham')
  pair.sent()
  pair.a.recoveries.set(B, 1)
  const taken = (changes: Partial<PostsTaken>): number => {
    pair.a.deliver(0, { kind: 'postsTaken', receiver: B, sender: A, recovery: 0, through: 1, own: 0, ...changes })
    return pair.a.proposed.length
  }
  assert.equal(taken({}), 0)
  assert.equal(taken({ own: 1, recovery: 1 }), 0)
  assert.equal(taken({ own: 1 }), 1)
  assert.equal(taken({ own: 1 }), 1)
})

// ---- recovery ------------------------------------------------------------------------------------------------------

test('a sender that is recovered sends what the lost masters may have sent, and it is no second job', () => {
  const pair = new Pair()
  pair.a.bury(pair.session, JOBS, 'a')
  pair.a.bury(pair.session, JOBS, 'b')
  const copy = pair.a.shard.snapshot()
  const late = pair.sent()
  pair.b.deliver(0, late)
  pair.b.commit()
  // The lost masters went on: c died there alone, and was posted.
  pair.a.bury(pair.session, JOBS, 'c')
  pair.run()
  assert.equal(pair.b.arrived(DEAD).length, 3)
  pair.a.shard = Shard.restore(A, copy)
  pair.a.recover(1)
  pair.a.loseLead()
  assert.equal(pair.a.shard.outbox.size, 2)
  pair.a.bury(pair.session, JOBS, 'd')
  pair.run()
  assert.deepEqual(pair.b.arrived(DEAD).map((job) => job.payload), ['a', 'b', 'c', 'd'])
  // A late message of a leader that is lost has no number that counts.
  pair.b.deliver(0, { ...late, lowest: 4, posts: late.posts })
  pair.b.commit()
  assert.equal(pair.b.arrived(DEAD).length, 4)
})

test('a receiver that is recovered goes on behind what it had confirmed, and its sender has dropped', () => {
  const pair = new Pair()
  pair.a.bury(pair.session, JOBS, 'a')
  pair.run()
  const copy = pair.b.shard.snapshot()
  pair.a.bury(pair.session, JOBS, 'b')
  pair.run()
  pair.b.shard = Shard.restore(B, copy)
  pair.b.recover(1)
  pair.b.loseLead()
  pair.a.bury(pair.session, JOBS, 'c')
  pair.run()
  assert.deepEqual(pair.b.arrived(DEAD).map((job) => job.payload), ['a', 'c'])
})

test('a receiver that was never recovered never passes over a post', () => {
  const pair = new Pair()
  pair.a.bury(pair.session, JOBS, 'a')
  const message = pair.sent()
  pair.b.deliver(0, { ...message, lowest: 2 })
  pair.b.commit()
  assert.deepEqual(pair.b.arrived(DEAD), [])
})

// ---- settings ------------------------------------------------------------------------------------------------------

test('of two settings the later counts, in whatever order they come', () => {
  const pair = new Pair()
  const places = [{ partition: DEAD, shard: B }]
  pair.a.openWith(JOBS, 'jobs', [], 5)
  pair.a.openWith(JOBS, 'jobs', places, 4)
  pair.a.bury(pair.session, JOBS, 'a')
  assert.equal(pair.a.shard.outbox.size, 0)
  pair.a.openWith(JOBS, 'jobs', places, 6)
  pair.a.bury(pair.session, JOBS, 'b')
  assert.equal(pair.a.shard.outbox.size, 1)
})

// ---- whatever happens ----------------------------------------------------------------------------------------------

test('whatever is lost, doubled, overtaken, led by others or restored, each dead job arrives exactly once', () => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = new Random(seed)
    const pair = new Pair()
    const late: Letter[] = []
    const parties = [pair.a, pair.b]
    let buried = 0
    for (let step = 0; step < 300; step++) {
      pair.now += random.below(RESEND_MS_MIN)
      const party = random.pick(parties)
      const kind = random.below(12)
      if (kind < 3) {
        const { number } = pair.a.bury(pair.session, JOBS, `${++buried}`)
        if (random.chance(0.4)) pair.a.cancel(pair.session, [number], JOBS)
      } else if (kind < 6) party.turn(pair.now)
      else if (kind < 9) {
        for (const letter of pair.take()) {
          if (random.chance(0.3)) late.push(letter)
          if (random.chance(0.7)) pair.deliver([letter])
        }
      } else if (kind === 9 && late.length > 0) pair.deliver([random.pick(late)])
      else if (kind === 10) party.commit(random.chance(0.5) ? 1 : Infinity)
      else if (random.chance(0.5)) party.loseLead()
      else if (random.chance(0.5)) party.restart()
      const payloads = pair.b.arrived(DEAD).map((job) => job.payload)
      assert.equal(new Set(payloads).size, payloads.length, `seed ${seed}`)
    }
    pair.run()
    assert.deepEqual(pair.b.arrived(DEAD).map((job) => Number(job.payload)), Array.from({ length: buried }, (_, i) => i + 1), `seed ${seed}`)
    assert.equal(new Set(pair.a.freed).size, pair.a.freed.length, `seed ${seed}`)
  }
})

test('a snapshot that is written while posts come and go is that of its index', () => {
  const pair = new Pair()
  for (let i = 0; i < 300; i++) pair.a.bury(pair.session, JOBS, `${i}`)
  for (const party of [pair.a, pair.b]) {
    const image = party.shard.snapshot()
    const imaging = party.shard.freeze()
    const pieces = [imaging.step(1).piece]
    pair.run()
    for (let last = false; !last; ) {
      const step = imaging.step(1)
      pieces.push(step.piece)
      last = step.last
    }
    assert.deepEqual(Buffer.concat(pieces), Buffer.from(image))
    for (let i = 0; i < 10; i++) pair.a.bury(pair.session, JOBS, `${i}`)
  }
})
