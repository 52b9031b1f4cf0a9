//! What people of a story ask of a cluster, and what a story claims about it.

import type { Outcome } from '@horus/core/client/api'
import type { ClientProcess } from '@horus/core/world/client'
import { jobsAnswer, jobsQuery, JobState, NodeWish, Query, statusBody } from '@horus/core/message/client'
import { decode, encode, type ValueOf } from '@horus/core/message/layout'
import type { ShardId } from '@horus/core/units'
import type { ClusterStage } from './cluster.ts'
import { type Commands, holds, jobOptions, noSuchClaim, option, plain, textOption } from './commands.ts'
import type { Ledger, Person } from './person.ts'
import { StoryError } from './story.ts'

type Who = (name: string | undefined) => { readonly person: Person; readonly process: ClientProcess }
type Job = ValueOf<typeof jobsAnswer>['jobs'][number]

const LEASE_MS = 30_000
/** A reading that is not answered within so long fails the story. */
const READ_MS = 10_000
const STATES = new Map<number, string>(Object.entries(JobState).map(([name, state]) => [state, name]))

export class Asked {
  readonly #stage: ClusterStage
  readonly #ledger: Ledger
  readonly #who: Who

  constructor(stage: ClusterStage, ledger: Ledger, who: Who) {
    this.#stage = stage
    this.#ledger = ledger
    this.#who = who
  }

  add(actions: Commands): void {
    actions.set('topic', (name, topic, ...words) => this.#ask(name, (person) => {
      const partitions = Number(plain(words)[0] ?? 1)
      const deadLetter = textOption(words, 'dead')
      if (deadLetter === undefined) person.createTopic(topic!, partitions)
      else person.configureTopic(topic!, partitions, deadLetter)
    }))
    actions.set('add', (name, topic, ...words) => this.#ask(name, (person) => person.add(topic!, plain(words), jobOptions(words), option(words, 'timeout'))))
    actions.set('work', (name, topic, ...words) => this.#ask(name, (person) => person.work(topic!, option(words, 'at') ?? 1, option(words, 'lease') ?? LEASE_MS)))
    actions.set('acquire', (name, topic, ...words) => this.#ask(name, (person) => person.acquire(topic!, option(words, 'max') ?? 1, option(words, 'lease') ?? LEASE_MS, option(words, 'wait') ?? 0)))
    for (const how of ['complete', 'extend', 'release'] as const) actions.set(how, (name, job, ...words) => this.#ask(name, (person) => person.end(how, Number(job), option(words, 'lease'), {})))
    actions.set('fail', (name, job, ...words) => this.#ask(name, (person) => {
      const after = option(words, 'after')
      person.end('fail', Number(job), undefined, after === undefined ? { mode: words.includes('permanently') ? 'permanent' : 'retry' } : { mode: 'retryAfter', after })
    }))
    actions.set('cancel', (name, topic, job) => this.#ask(name, (person) => person.cancel(topic!, Number(job))))
    for (const wish of Object.keys(NodeWish) as (keyof typeof NodeWish)[]) actions.set(wish, (name, node, force) => this.#ask(name, (person) => person.wish(wish, this.#stage.names.id(this.#stage.node(node).name), node!, force === 'force')))
    actions.set('jobs', (name, topic) => this.#jobs(name, topic!).map((job) => `job ${job.number}  ${this.#jobText(job)}`))
    actions.set('status', (name) => this.#status(name))
    actions.set('expect', (...words) => this.#expect(words))
  }

  #ask(name: string | undefined, what: (person: Person) => void): void {
    const { person, process } = this.#who(name)
    what(person)
    if (process.state === 'up') process.planWake()
    this.#stage.world.runUntil(this.#stage.world.now)
  }

  /** Asks and runs until the answer is there. */
  #read(name: string | undefined, ask: (person: Person, done: (outcome: Outcome) => void) => void): Outcome {
    let answer: Outcome | undefined
    this.#ask(name, (person) => ask(person, (outcome) => void (answer = outcome)))
    this.#stage.wait('an answer', () => answer !== undefined)
    return answer!
  }

  #jobs(name: string | undefined, topic: string): readonly Job[] {
    const body = encode(jobsQuery, { states: [], name: undefined, from: 0 as never, limit: 100 })
    const outcome = this.#read(name, (person, done) => person.ask((request) => ({ kind: 'query', request, topic, operation: Query.jobs, body, timeoutMs: READ_MS }), done))
    if (outcome.kind !== 'answered') throw new StoryError(`the jobs cannot be read: ${outcome.kind === 'failed' ? outcome.code : outcome.kind}`)
    return outcome.answers.flatMap(({ body: answer }) => decode(jobsAnswer, answer).jobs)
  }

  #jobText(job: Job): string {
    const state = STATES.get(job.state) ?? '?'
    const by = this.#ledger.completed.get(job.number)
    return `${state}${state === 'completed' && by !== undefined ? ` by ${by}` : ''}, attempt ${job.attempt} of ${job.maxAttempts}${job.lostLeases > 0 ? `, ${job.lostLeases} lost` : ''}`
  }

  #status(name: string | undefined): readonly string[] {
    const outcome = this.#read(name, (person, done) => person.ask((request) => ({ kind: 'status', request, timeoutMs: READ_MS }), done))
    if (outcome.kind !== 'status') throw new StoryError('no node says how it is')
    const { self, nodes, shards, quorum } = decode(statusBody, outcome.body)
    const { names } = this.#stage
    return [
      `${names.node(self)} says: ${quorum ? 'a quorum is there' : 'there is no quorum'}`,
      ...nodes.map((node) => `node ${names.node(node.id)}  ${node.state}${node.admitted ? '' : ', not admitted'}${node.draining ? ', draining' : ''}`).sort(),
      ...[...shards].sort((a, b) => a.shard - b.shard).map(({ shard, leader, masters, term, epoch }) => `${shard === 0 ? 'registry' : `shard ${shard}`}  masters ${names.set(masters)}, leader ${leader === undefined ? 'unknown' : names.node(leader)}, term ${term}, epoch ${epoch}`),
    ]
  }

  // ---- claims ------------------------------------------------------------------------------------------------------

  #expect([what, ...words]: readonly string[]): void {
    const { teller } = this.#stage
    switch (what) {
      case 'told':
        return holds(teller.ever(words.join(' ')), true)
      case 'never':
        return holds(teller.ever(words.join(' ')), false)
      case 'says': {
        const lines = this.#status(words[0]).filter((line) => line.startsWith(words[1]!))
        return holds(lines.some((line) => line.includes(words.slice(2).join(' '))) ? true : lines.join('; '), true)
      }
      case 'spread': {
        const leads = this.#stage.shards.map((shard) => this.#stage.leaderOf(shard))
        const counts = [...this.#stage.nodes.keys()].map((name) => leads.filter((leader) => leader === name).length)
        const even = leads.length === Number(words[0]) && Math.max(...counts) - Math.min(...counts) <= 1
        return holds(even ? true : counts.join(' '), true)
      }
      case 'masters':
        return holds(this.#stage.mastersOf(shardOf(words[0])), words.slice(1).join(' '))
      case 'leads':
        return holds(this.#stage.leaderOf(shardOf(words[1])) ?? 'nobody', words[0])
      case 'cluster':
        return holds(words.map((name) => this.#stage.identityOf(name)?.clusterId !== undefined), words.map(() => true))
      case 'together':
        return holds(new Set(words.map((name) => this.#stage.identityOf(name)?.clusterId ?? name)).size, 1)
      case 'no-cluster':
        return holds(words.map((name) => this.#stage.identityOf(name)?.clusterId !== undefined), words.map(() => false))
      case 'running':
        return holds(words.map((name) => this.#stage.node(name).running), words.map(() => true))
      case 'dead':
        return holds(words.map((name) => this.#stage.node(name).running), words.map(() => false))
      case 'leases':
        return holds(this.#ledger.leases(Number(words[0])), words[1])
      case 'job': {
        const [name, topic, number, ...text] = words
        const job = this.#jobs(name, topic!).find((each) => each.number === Number(number))
        return holds(job === undefined ? 'unknown' : this.#jobText(job).startsWith(text.join(' ')) ? text.join(' ') : this.#jobText(job), text.join(' '))
      }
      case 'lost': {
        const known = new Set(this.#jobs(words[0], words[1]!).map((job) => Number(job.number)))
        return holds([...this.#ledger.added.keys()].filter((number) => !known.has(number)).length, words[2])
      }
      default:
        return noSuchClaim(what)
    }
  }
}

function shardOf(text: string | undefined): ShardId {
  return (text === 'registry' ? 0 : Number(text)) as ShardId
}
