//! One chaos run: starts everything, lets `Faults` break it, heals it, drains it and has the history judged.

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Random } from '@horus/core/random'
import { checkHistory, type Finding } from '@horus/node/history/check'
import { readHistory } from '@horus/node/history/recorder'
import { randomSubnet } from '@horus/node/local/addresses'
import { Child } from '@horus/node/local/children'
import { LocalCluster } from '@horus/node/local/cluster'
import { until } from '@horus/node/local/until'
import { allMastersLive, viewsOf } from '@horus/node/local/watch'
import { Horus } from '@horus/sdk'
import { Doubts } from './doubts.ts'
import { Faults } from './faults.ts'
import { TOPIC, type ClientSettings, type ToPublisher } from './settings.ts'

export interface ChaosOptions {
  readonly seconds: number
  readonly seed: number
  readonly say: (text: string) => void
  readonly show: (fraction: number, text: string) => void
}

export interface ChaosOutcome {
  readonly seconds: number
  readonly seed: number
  readonly kills: number
  readonly pauses: number
  readonly restarts: number
  readonly acknowledged: number
  readonly completed: number
  readonly lost: number
  readonly doublyLeased: number
  readonly redelivered: number
  readonly rerunAfterComplete: number
  readonly phantoms: number
  readonly duplicates: number
  readonly longestGapMs: number
  readonly findings: readonly Finding[]
}

const SCRIPTS = {
  publisher: fileURLToPath(new URL('./publisher.js', import.meta.url)),
  worker: fileURLToPath(new URL('./worker.js', import.meta.url)),
}
const NODES = 5
const PUBLISHERS = 2
const WORKERS = 3
const FOUND_MS_MAX = 30_000
const HEAL_MS_MAX = 40_000
const DRAIN_MS_MAX = 40_000

export function faultsOf(outcome: ChaosOutcome): number {
  return outcome.lost + outcome.doublyLeased + outcome.rerunAfterComplete + outcome.phantoms + outcome.duplicates
}

/** A process of a role that is started again, under a new name, whenever it was killed. */
export class Client {
  readonly role: 'publisher' | 'worker'
  readonly #settings: Omit<ClientSettings, 'name' | 'seed'>
  readonly #random: Random
  readonly #onMessage: (message: unknown) => void
  #incarnation = 0
  name = ''
  child: Child

  constructor(role: Client['role'], number: number, settings: Omit<ClientSettings, 'name' | 'seed'>, random: Random, onMessage: (message: unknown) => void = () => {}) {
    this.role = role
    this.#settings = settings
    this.#random = random
    this.#onMessage = onMessage
    this.child = this.start(number)
  }

  start(number: number): Child {
    this.name = `${this.role}-${number}-${++this.#incarnation}`
    const settings: ClientSettings = { ...this.#settings, name: this.name, seed: this.#random.u32() }
    this.child = new Child(SCRIPTS[this.role], { args: [JSON.stringify(settings)], onMessage: this.#onMessage })
    return this.child
  }
}

export async function runChaos(options: ChaosOptions): Promise<ChaosOutcome> {
  const random = new Random(options.seed)
  const cluster = new LocalCluster({ cluster: `chaos-${process.pid}`, subnet: await randomSubnet(NODES), expect: NODES, replaceAfter: '1s' })
  const clients: Client[] = []
  try {
    return await play(options, random, cluster, clients)
  } finally {
    await Promise.all(clients.map((client) => client.child.kill()))
    await cluster.close()
  }
}

async function play(options: ChaosOptions, random: Random, cluster: LocalCluster, clients: Client[]): Promise<ChaosOutcome> {
  options.say(`${NODES} nodes on ${cluster.addresses.join(', ')}, seed ${options.seed}`)
  await cluster.start()
  const watcher = await Horus.connect({ cluster: cluster.name, seeds: cluster.addresses })
  const history = join(cluster.folder, 'history')
  mkdirSync(history)
  await until('the cluster is founded', async () => allMastersLive(cluster, await watcher.status()), FOUND_MS_MAX)
  const settings = { cluster: cluster.name, seeds: cluster.addresses, history }
  let finished = 0
  for (let i = 1; i <= PUBLISHERS; i++) clients.push(new Client('publisher', i, settings, random.fork(), () => void finished++))
  for (let i = 1; i <= WORKERS; i++) clients.push(new Client('worker', i, settings, random.fork()))
  await until('the first job is completed', async () => (await watcher.counts(TOPIC)).completed > 0, FOUND_MS_MAX)

  const doubts = new Doubts(watcher, history)
  const faults = new Faults({ cluster, watcher, random: random.fork(), workers: clients.filter((client) => client.role === 'worker'), doubts, say: options.say, show: options.show })
  await faults.runFor(options.seconds * 1000)

  options.say('healed: the last jobs are worked off')
  for (const client of clients) if (client.role === 'publisher') client.child.send({ kind: 'finish' } satisfies ToPublisher)
  const tried = async (waiting: Promise<unknown>): Promise<void> => {
    await waiting.catch(async (error: unknown) => {
      options.say((error as Error).message)
      for (const line of await viewsOf(cluster)) options.say(line)
    })
  }
  await tried(until('every shard has three live masters', async () => allMastersLive(cluster, await watcher.status()), HEAL_MS_MAX))
  await tried(until('the publishers have ended', () => finished === PUBLISHERS, HEAL_MS_MAX))
  await tried(until('all jobs have ended', async () => {
    const { waiting, scheduled, active, retrying } = await watcher.counts(TOPIC)
    return waiting + scheduled + active + retrying === 0
  }, DRAIN_MS_MAX))
  for (const client of clients) await client.child.stop()
  await tried(doubts.settle(readHistory(history)))
  await watcher.close()
  const { acknowledged, completed, lost, doublyLeased, redelivered, rerunAfterComplete, phantoms, duplicates, longestGapMs, findings } = checkHistory(readHistory(history))
  return { seconds: options.seconds, seed: options.seed, ...faults.counts, acknowledged, completed, lost, doublyLeased, redelivered, rerunAfterComplete, phantoms, duplicates, longestGapMs, findings }
}
