//! One chaos run: starts everything, lets `Faults` break it, heals it, drains it and has the history judged.

import { randomBytes } from 'node:crypto'
import { cpSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Random } from '@horus/core/random'
import { checkHistory, type Finding } from '@horus/node/history/check'
import { readHistory } from '@horus/node/history/recorder'
import { randomSubnet, randomSubnetPair } from '@horus/node/local/addresses'
import { LocalCluster } from '@horus/node/local/cluster'
import { until } from '@horus/node/local/until'
import { allMastersLive } from '@horus/node/local/watch'
import { Churn, CHURN_GAP_MS_MAX } from './churn.ts'
import { Client } from './clients.ts'
import type { Counts } from './counts.ts'
import { Faults, type FaultsOptions } from './faults.ts'
import { Inquiry } from './inquiry.ts'
import type { LinkFaults } from './link-faults.ts'
import { Namespaces } from './namespaces.ts'
import { ProxyFaults } from './proxy-faults.ts'
import { Proxy } from './proxy.ts'
import { reportUnended } from './report.ts'
import { SmallDisk } from './small-disk.ts'
import { TOPIC, type ToPublisher } from './settings.ts'

export interface ChaosOptions {
  readonly seconds: number
  readonly seed: number
  /** A network namespace for each node; else a proxy on loopback addresses stands before it. */
  readonly netns?: boolean
  /** One node has a disk that becomes full. */
  readonly diskFull?: boolean
  /** Instead of being broken, the cluster sees so many nodes join, and as many leave. */
  readonly churn?: number | undefined
  /** A folder for the histories. */
  readonly keep?: string | undefined
  readonly say: (text: string) => void
  readonly show: (fraction: number, text: string) => void
}

export interface ChaosOutcome extends Readonly<Counts> {
  readonly seconds: number
  readonly seed: number
  /** Nodes that ended by themselves. */
  readonly died: number
  /** Whether the cluster did not become whole again, or its last jobs did not end, in time. */
  readonly stuck: number
  readonly acknowledged: number
  readonly completed: number
  readonly lost: number
  readonly doublyLeased: number
  readonly redelivered: number
  readonly rerunAfterComplete: number
  readonly phantoms: number
  readonly duplicates: number
  /** The longest time in which no job was completed; where nodes joined and left, while they did. */
  readonly longestGapMs: number
  /** Whether that is longer than what a failover costs, where none was called for. */
  readonly stalled: number
  readonly findings: readonly Finding[]
}

const NODES = 5
/** Of six addresses: so there is room for one that joins before another leaves. */
const CHURN_NODES = 4
const CHURN_ADDRESSES = 6
const NODE_SCRIPT = fileURLToPath(new URL('./node.js', import.meta.url))
const PUBLISHERS = 2
const WORKERS = 3
/** On an idle machine all of these take a second or two; one that does much else is given time. */
const FOUND_MS_MAX = 120_000
const HEAL_MS_MAX = 90_000
const DRAIN_MS_MAX = 90_000
const STOP_MS_MAX = 15_000
/** Enough that a segment is full in less than a minute. */
const PADDING_BYTES_MAX = 2048

export function faultsOf(outcome: ChaosOutcome): number {
  return outcome.lost + outcome.doublyLeased + outcome.rerunAfterComplete + outcome.phantoms + outcome.duplicates + outcome.died + outcome.stuck + outcome.stalled
}

export async function runChaos(options: ChaosOptions): Promise<ChaosOutcome> {
  const clients: Client[] = []
  const scene = await prepare(options)
  try {
    return await play(options, scene, clients)
  } finally {
    await Promise.all(clients.map((client) => client.child.kill()))
    scene.disk?.small.close()
    await scene.cluster.close()
    await scene.links?.close()
  }
}

interface Scene {
  readonly cluster: LocalCluster
  /** None where no link is broken. */
  readonly links: LinkFaults | undefined
  readonly disk: FaultsOptions['disk']
  readonly secret: string | undefined
}

async function prepare(options: ChaosOptions): Promise<Scene> {
  const name = `chaos-${process.pid}`
  const common = { cluster: name, expect: options.churn === undefined ? NODES : CHURN_NODES, replaceAfter: '1s', script: NODE_SCRIPT }
  if (options.churn !== undefined) return { cluster: new LocalCluster({ ...common, subnet: await randomSubnet(CHURN_ADDRESSES) }), links: undefined, secret: undefined, disk: undefined }
  if (options.netns === true) {
    const links = new Namespaces(NODES)
    const secret = randomBytes(32).toString('hex')
    const cluster = new LocalCluster({ ...common, subnet: links.subnet, secret, through: (number) => links.through(number - 1) })
    return { cluster, links, secret, disk: options.diskFull === true ? smallDiskOf(cluster) : undefined }
  }
  const [subnet, advertised] = await randomSubnetPair(NODES)
  const proxy = new Proxy({ listening: subnet.addresses, advertised: advertised.addresses })
  await proxy.open()
  const cluster = new LocalCluster({ ...common, subnet, advertised })
  return { cluster, links: new ProxyFaults(proxy, NODES), secret: undefined, disk: options.diskFull === true ? smallDiskOf(cluster) : undefined }
}

function smallDiskOf(cluster: LocalCluster): FaultsOptions['disk'] {
  const node = cluster.nodes[0]!
  return { node, small: new SmallDisk(node.dataDir) }
}

async function play(options: ChaosOptions, scene: Scene, clients: Client[]): Promise<ChaosOutcome> {
  const { cluster, links, disk, secret } = scene
  const random = new Random(options.seed)
  const first = options.churn === undefined ? cluster.nodes : cluster.nodes.slice(0, CHURN_NODES)
  options.say(`${first.length} nodes on ${first.map((node) => node.address).join(', ')}, seed ${options.seed}`)
  for (const node of cluster.nodes) node.onLog = (text) => options.say(`  node ${node.number}: ${text}`)
  await Promise.all(first.map((node) => node.start()))
  const watcher = await cluster.connect()
  const history = join(cluster.folder, 'history')
  mkdirSync(history)
  await until('the cluster is founded', async () => allMastersLive(cluster, await watcher.status()), FOUND_MS_MAX)
  const settings = { cluster: cluster.name, seeds: cluster.addresses, history, paddingBytesMax: disk === undefined ? 0 : PADDING_BYTES_MAX, ...(secret === undefined ? {} : { secret }) }
  let finished = 0
  for (let i = 1; i <= PUBLISHERS; i++) clients.push(new Client('publisher', i, { settings, random: random.fork(), say: options.say, onMessage: () => void finished++ }))
  for (let i = 1; i <= WORKERS; i++) {
    clients.push(new Client('worker', i, { settings, random: random.fork(), say: options.say, onMessage: (message, { name }) => options.say(`${name}: ${message.kind === 'stats' ? message.text : message.kind}`) }))
  }
  await until('the first job is completed', async () => (await watcher.counts(TOPIC)).completed > 0, FOUND_MS_MAX)

  const inquiry = new Inquiry(watcher, history)
  const faults = new Faults({ cluster, watcher, random: random.fork(), links, disk, clients, inquiry, say: options.say, show: options.show })
  const churn = options.churn === undefined ? undefined : new Churn({ cluster, watcher, random: random.fork(), counts: faults.counts, times: options.churn, ms: options.seconds * 1000, say: options.say, show: options.show })

  const tried = async (waiting: Promise<unknown>): Promise<void> => {
    await waiting.catch(async (error: unknown) => {
      faults.stuck++
      options.say((error as Error).message)
      await reportUnended({ cluster, watcher, clients, say: options.say }).catch((reason: unknown) => options.say(`no report: ${(reason as Error).message}`))
    })
  }
  if (churn === undefined) await faults.runFor(options.seconds * 1000)
  else await tried(churn.run())
  options.say('healed: the last jobs are worked off')
  for (const client of clients) if (client.role === 'publisher') client.child.send({ kind: 'finish' } satisfies ToPublisher)
  await tried(until('every shard has three live masters', async () => allMastersLive(cluster, await watcher.status()), HEAL_MS_MAX))
  await tried(until('the publishers have ended', () => finished === PUBLISHERS, HEAL_MS_MAX))
  await tried(until('all jobs have ended', async () => {
    const { waiting, scheduled, active, retrying } = await watcher.counts(TOPIC)
    return waiting + scheduled + active + retrying === 0
  }, DRAIN_MS_MAX))
  await tried(inquiry.settle(() => readHistory(history)))
  await Promise.all(clients.map((client) => client.child.stop(STOP_MS_MAX)))
  await watcher.close()
  const events = readHistory(history)
  const { elapsedMs: _, ...verdict } = checkHistory(events)
  const longestGapMs = churn?.longestGapMs(events) ?? verdict.longestGapMs
  const stalled = churn !== undefined && longestGapMs > CHURN_GAP_MS_MAX ? 1 : 0
  const outcome = { seconds: options.seconds, seed: options.seed, ...faults.counts, ...verdict, longestGapMs, stalled, died: faults.died + (churn?.died ?? 0), stuck: faults.stuck }
  if (options.keep !== undefined) cpSync(history, options.keep, { recursive: true })
  return outcome
}
