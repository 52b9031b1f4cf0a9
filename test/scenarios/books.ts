//! Stories of the books alone: one entry of the log after another is applied, and what comes of it is told. There is no leader and
//! no clock: time is what stands in the entries, and the order of entries is all there is.
//!
//!   sessions w1 w2        a session for each
//!   pass 500ms            both clocks of the entries that follow go on by so much

import { countsAnswer, JobState, LostReason } from '@horus/core/message/client'
import { Code, FailMode } from '@horus/core/message/command'
import { Shard } from '@horus/core/shard'
import type { ValueOf } from '@horus/core/message/layout'
import { duration } from '@horus/core/units'
import { bytesOf, type Held, type Item, P, type Seen, SHARD, TestLog } from '../unit/job/log.ts'
import { Commands, holds, jobOptions, noSuchClaim, option, plain } from './commands.ts'
import { type Driver, StoryError } from './story.ts'

const STATES = new Map<number, string>(Object.entries(JobState).map(([name, state]) => [state, name]))
const CODES = new Map<number, string>(Object.entries(Code).map(([name, code]) => [code, name]))
const REASONS = new Map<number, string>(Object.entries(LostReason).map(([name, reason]) => [reason, name]))

export class BooksStage implements Driver {
  readonly #log = new TestLog()
  readonly #actions = new Commands()
  readonly #sessions = new Map<string, number>()
  /** Tokens of a job as they were given out, so that a story can speak of its first and second lease. */
  readonly #tokens = new Map<number, number[]>()
  readonly #began = this.#log.leaseNow
  /** How to say the last command once more, under the sequence that it had. */
  #again: (() => readonly string[]) | undefined

  constructor() {
    this.#log.openPartition()
    const actions = this.#actions
    actions.set('sessions', (...names) => names.map((name) => this.#open(name)))
    actions.set('pass', (time) => this.#log.pass(duration(time!)))
    actions.set('add', (who, ...words) => this.#add(who!, words))
    actions.set('acquire', (who, count, ...words) => this.#acquire(who!, Number(count), words))
    for (const how of ['complete', 'release', 'extend', 'fail'] as const) actions.set(how, (who, job, ...words) => this.#end(how, who!, Number(job), words))
    actions.set('cancel', (who, ...jobs) => this.#command(who!, 'cancel', () => this.#log.cancel(this.#session(who!), jobs.map(Number)), ({ missed }) => (missed.length > 0 ? `not ${jobsText(missed)}` : 'done')))
    actions.set('tick', (...words) => this.#tick(option(words, 'behind') ?? 0))
    actions.set('repeat', () => this.#again?.() ?? [])
    actions.set('restore', () => this.#restore())
    actions.set('jobs', () => this.#jobs())
    actions.set('expect', (...words) => this.#expect(words))
  }

  run(words: readonly string[]): readonly string[] {
    return this.#actions.perform(words)
  }

  // ---- entries -----------------------------------------------------------------------------------------------------

  #open(name: string): string {
    this.#sessions.set(name, this.#log.open())
    return this.#line(name, 'opens a session')
  }

  #session(name: string): number {
    const session = this.#sessions.get(name)
    if (session === undefined) throw new StoryError(`${name} has no session`)
    return session
  }

  #line(who: string, what: string): string {
    return `entry ${String(this.#log.index).padStart(2)}  at ${timeText(this.#log.leaseNow - this.#began)}  ${who} ${what}`
  }

  /** Appends a command and tells what it was answered; `repeat` says it again under the same sequence. */
  #command<Answer extends { readonly code: Code; readonly sequence: number; readonly seen: Seen }>(who: string, what: string, append: () => Answer, text: (answer: Answer) => string): readonly string[] {
    const answer = append()
    const entry = this.#log.entries.at(-1)!.slice()
    this.#again = () => {
      const seen = this.#log.append(entry)
      const second = seen.answers[0]!
      const same = second.code === answer.code && Buffer.from(second.body).equals(Buffer.from(answer.seen.answers[0]!.body))
      return [this.#line(who, `says that again: ${same ? 'the same answer' : CODES.get(second.code)}`), ...this.#effects(seen)]
    }
    return [this.#line(who, `${what}: ${answer.code === Code.ok ? text(answer) : CODES.get(answer.code)}`), ...this.#effects(answer.seen)]
  }

  #effects(seen: Seen): readonly string[] {
    const lines: string[] = []
    for (const { session, jobs, token, deadline } of seen.leased) {
      for (const number of jobs) this.#tokens.set(number, [...(this.#tokens.get(number) ?? []), token])
      lines.push(`          ${this.#name(session)} has ${Array.from(jobs, (number) => `job ${number} under lease ${this.#tokens.get(number)!.length}`).join(', ')}, until ${timeText(deadline - this.#began)}`)
    }
    for (const { session, reason, jobs } of seen.lost) lines.push(`          ${this.#name(session)} has lost ${jobsText(jobs.map((job) => job.number))}: ${REASONS.get(reason)}`)
    return lines
  }

  #name(session: number): string {
    return [...this.#sessions].find(([, number]) => number === session)?.[0] ?? `session ${session}`
  }

  #add(who: string, words: readonly string[]): readonly string[] {
    const options = jobOptions(words)
    const items = plain(words).map((word): Item => ({ name: word, payload: bytesOf(word), ...(options && { options }) }))
    return this.#command(who, `adds ${items.map((item) => item.name).join(', ')}`, () => this.#log.add(this.#session(who), items), ({ first, added, duplicates }) => {
      const repeated = duplicates.map((each) => `job ${each.number}, which was there`)
      const fresh = Array.from({ length: added }, (_, i) => `job ${first + i}`)
      return [...fresh, ...repeated].join(', ')
    })
  }

  #acquire(who: string, count: number, words: readonly string[]): readonly string[] {
    const grant = option(words, 'grant')
    const seen = this.#log.acquire(this.#session(who), count, { leaseMs: option(words, 'lease') ?? 30_000, ...(grant !== undefined && { grant }) })
    return [this.#line(who, `acquires ${count}${seen.jobs.length === 0 ? ': nothing' : ''}`), ...this.#effects(seen)]
  }

  #end(how: 'complete' | 'release' | 'extend' | 'fail', who: string, job: number, words: readonly string[]): readonly string[] {
    const log = this.#log
    const session = this.#session(who)
    const which = option(words, 'lease')
    const tokens = this.#tokens.get(job) ?? []
    const token = which === undefined ? tokens.at(-1) : tokens[which - 1]
    if (token === undefined) throw new StoryError(`job ${job} was never leased`)
    const held: readonly Held[] = [{ number: job, token }]
    const under = `under lease ${tokens.indexOf(token) + 1}`
    const outcome = (answer: { readonly lost: readonly unknown[] }): string => (answer.lost.length > 0 ? 'that lease does not hold' : 'done')
    switch (how) {
      case 'complete':
        return this.#command(who, `completes job ${job} ${under}`, () => log.complete(session, held), outcome)
      case 'release':
        return this.#command(who, `hands job ${job} back`, () => log.release(session, held), outcome)
      case 'fail':
        return this.#command(who, `fails job ${job} ${under}`, () => log.fail(session, held, { mode: words.includes('permanently') ? FailMode.permanent : FailMode.retry, error: bytesOf('no') }), outcome)
      case 'extend':
        return this.#command(who, `extends job ${job} ${under}`, () => log.extend(session, held), (answer) => (answer.lost.length > 0 ? 'that lease does not hold' : `until ${timeText(answer.deadline - this.#began)}`))
    }
  }

  #tick(behind: number): readonly string[] {
    const through = this.#log.leaseNow - behind
    const seen = this.#log.tick(through)
    return [this.#line('the leader', `lets leases through ${timeText(through - this.#began)} expire`), ...this.#effects(seen)]
  }

  /** The books go through a snapshot, as on a master that is filled or starts again. */
  #restore(): readonly string[] {
    const before = this.#log.shard
    this.#log.shard = Shard.restore(SHARD, before.snapshot())
    if (this.#log.shard.digest() !== before.digest()) throw new StoryError('the restored books are others')
    return ['the books are restored from a snapshot, and are the same']
  }

  // ---- looking -----------------------------------------------------------------------------------------------------

  #jobs(): readonly string[] {
    const { jobs } = this.#log.shard.jobs(P, { states: [], name: undefined, from: 0 as never }, 100)
    return jobs.map((job) => `job ${job.number}  ${job.name}: ${this.#jobText(job)}`)
  }

  #jobText(job: { readonly state: number; readonly attempt: number; readonly lostLeases: number; readonly dueAt: number }): string {
    const later = job.state === JobState.scheduled || job.state === JobState.retrying ? `, due at ${job.dueAt - (this.#log.wallNow - (this.#log.leaseNow - this.#began))} ms` : ''
    return `${STATES.get(job.state)}, attempt ${job.attempt}${job.lostLeases > 0 ? `, ${job.lostLeases} lost` : ''}${later}`
  }

  #expect(words: readonly string[]): void {
    const [what, name, ...rest] = words
    if (what === 'job') {
      const job = this.#log.job(Number(name))
      const text = job === undefined ? 'unknown' : this.#jobText(job)
      return holds(text.startsWith(rest.join(' ')) ? rest.join(' ') : text, rest.join(' '))
    }
    if (what === 'leases') return holds(this.#tokens.get(Number(name))?.length ?? 0, rest[0])
    if (what === 'held') return holds(this.#log.shard.held(P, this.#session(name!) as never), rest[0])
    if (what === 'rising') return holds([...this.#tokens.values()].every((tokens) => tokens.every((token, i) => i === 0 || token > tokens[i - 1]!)), true)
    if (what === 'count') return holds(this.#log.shard.counts(P)?.[name as keyof ValueOf<typeof countsAnswer>] ?? 0, rest[0])
    return noSuchClaim(what)
  }
}

const HOUR_MS = 3_600_000

function timeText(ms: number): string {
  return ms >= HOUR_MS && ms % HOUR_MS === 0 ? `${ms / HOUR_MS} h` : `${ms} ms`
}

function jobsText(numbers: readonly number[]): string {
  return numbers.map((number) => `job ${number}`).join(', ')
}
