//! One chaos run: starts everything, lets `Faults` break it, heals it, drains it and has the history judged.

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { Random } from '@horus/core/random'
import { checkHistory, type Finding } from '@horus/node/history/check'
import { readHistory } from '@horus/node/history/recorder'
import { randomSubnet } from '@horus/node/local/addresses'
import { LocalCluster } from '@horus/node/local/cluster'
import { until } from '@horus/node/local/until'
import { allMastersLive } from '@horus/node/local/watch'
import { Horus } from '@horus/sdk'
import { Client } from './clients.ts'
import { Faults } from './faults.ts'
import { Inquiry } from './inquiry.ts'
import { reportUnended } from './report.ts'
import { TOPIC, type ToPublisher } from './settings.ts'

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

const NODES = 5
const PUBLISHERS = 2
const WORKERS = 3
const FOUND_MS_MAX = 30_000
const HEAL_MS_MAX = 40_000
const DRAIN_MS_MAX = 40_000
const STOP_MS_MAX = 15_000

export function faultsOf(outcome: ChaosOutcome): number {
  return outcome.lost + outcome.doublyLeased + outcome.rerunAfterComplete + outcome.phantoms + outcome.duplicates
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
  for (let i = 1; i <= PUBLISHERS; i++) clients.push(new Client('publisher', i, { settings, random: random.fork(), say: options.say, onMessage: () => void finished++ }))
  for (let i = 1; i <= WORKERS; i++) {
    clients.push(new Client('worker', i, { settings, random: random.fork(), say: options.say, onMessage: (message, { name }) => options.say(`${name}: ${message.kind === 'stats' ? message.text : message.kind}`) }))
  }
  await until('the first job is completed', async () => (await watcher.counts(TOPIC)).completed > 0, FOUND_MS_MAX)

  const inquiry = new Inquiry(watcher, history)
  const faults = new Faults({ cluster, watcher, random: random.fork(), workers: clients.filter((client) => client.role === 'worker'), inquiry, say: options.say, show: options.show })
  await faults.runFor(options.seconds * 1000)

  options.say('healed: the last jobs are worked off')
  for (const client of clients) if (client.role === 'publisher') client.child.send({ kind: 'finish' } satisfies ToPublisher)
  const tried = async (waiting: Promise<unknown>): Promise<void> => {
    await waiting.catch(async (error: unknown) => {
      options.say((error as Error).message)
      await reportUnended({ cluster, watcher, clients, say: options.say }).catch((reason: unknown) => options.say(`no report: ${(reason as Error).message}`))
    })
  }
  await tried(until('every shard has three live masters', async () => allMastersLive(cluster, await watcher.status()), HEAL_MS_MAX))
  await tried(until('the publishers have ended', () => finished === PUBLISHERS, HEAL_MS_MAX))
  await tried(until('all jobs have ended', async () => {
    const { waiting, scheduled, active, retrying } = await watcher.counts(TOPIC)
    return waiting + scheduled + active + retrying === 0
  }, DRAIN_MS_MAX))
  await tried(inquiry.settle(() => readHistory(history)))
  await Promise.all(clients.map((client) => client.child.stop(STOP_MS_MAX)))
  await watcher.close()
  const { acknowledged, completed, lost, doublyLeased, redelivered, rerunAfterComplete, phantoms, duplicates, longestGapMs, findings } = checkHistory(readHistory(history))
  return { seconds: options.seconds, seed: options.seed, ...faults.counts, acknowledged, completed, lost, doublyLeased, redelivered, rerunAfterComplete, phantoms, duplicates, longestGapMs, findings }
}
