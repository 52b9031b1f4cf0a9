//! What a seed decides: how large the cluster is, how small its limits are, what users do, and which faults there are.

import { COMMAND_BYTES_MAX } from '@horus/core/client/limits'
import { Random } from '@horus/core/random'
import type { ReplicaTuning } from '@horus/core/replica'
import { SECTOR_BYTES } from '@horus/core/world/device'
import { drawPlan, type FaultPlan } from '@horus/core/world/faults/plan'
import { OPEN_MAX } from './publisher.ts'
import type { Topic, Workload } from './scene.ts'

export interface Setup {
  readonly seed: number
  readonly nodes: number
  readonly expect: number
  readonly publishers: number
  readonly workers: number
  readonly workload: Workload
  readonly tuning: ReplicaTuning
  readonly plan: FaultPlan
  /** Faults begin before the cluster is founded, or leave it that long in peace. */
  readonly faultsAtMs: number
  /** A minority node that stays dead when everything else is healed. */
  readonly leaveOneDead: boolean
  /** What the other cluster is called, where there is one. */
  readonly strangersName: string
  readonly world: Random
  readonly faults: Random
  readonly users: Random
}

export function drawSetup(seed: number): Setup {
  const random = new Random(seed, 0x5e7)
  const nodes = random.pick([1, 3, 3, 3, 3, 4, 5, 5])
  const plan = drawPlan(random.fork())
  const size = random.fork()
  const publishers = size.between(1, 3)
  const workers = size.between(2, 4)
  // Drawn apart, so that a seed is the same without it.
  const workload = { ...drawWorkload(size, plan, publishers, workers), deadLetter: drawDeadLetter(new Random(seed, 0xdead)) }
  return {
    seed,
    nodes,
    expect: Math.min(3, nodes),
    publishers,
    workers,
    workload,
    tuning: { ...drawTuning(size, workload), ...(plan.members.valueTieBits > 0 && { valueBits: plan.members.valueTieBits }) },
    plan,
    faultsAtMs: size.chance(0.3) ? 0 : size.between(1000, 5000),
    // With a twin in it, one node more is as much as the promise bears.
    leaveOneDead: nodes >= 3 && size.chance(0.3) && plan.members.twinEveryMs === 0,
    strangersName: size.chance(0.5) && keepsItsNodes(plan) ? 'simulated' : 'another',
    world: random.fork(),
    faults: random.fork(),
    users: random.fork(),
  }
}

/** No node is ever without a cluster once it has one: a fresh one would join whichever cluster of its name it meets first, and may. */
function keepsItsNodes({ disk, damage, members }: FaultPlan): boolean {
  return disk.wipeEveryMs + members.joinEveryMs + damage.rotEveryMs + damage.badSectorEveryMs + damage.lostJournalEveryMs === 0
}

function drawDeadLetter(random: Random): Topic | undefined {
  return random.chance(0.4) ? { name: 'dead', partitions: random.pick([1, 1, 2, 3]) } : undefined
}

function drawWorkload(random: Random, plan: FaultPlan, publishers: number, workers: number): Omit<Workload, 'deadLetter'> {
  const topics = random.between(1, 2)
  const leaseMs = random.between(300, 3000)
  const concurrency = random.pick([1, 4, 16, 50])
  const workMsMax = random.pick([1, 50, 500])
  const mischief = plan.clients.staleTokenChance
  const batchMax = random.pick([1, 3, 10, 40])
  // What the workers of a topic can do, with a part of their leases held to the end: jobs come at half that rate or less.
  const jobMs = workMsMax / 2 + (mischief * leaseMs) / 3 + PICKUP_MS
  const perSecond = Math.min(JOBS_PER_SECOND_MAX, (Math.floor(workers / topics) * concurrency * 500) / jobMs) * (0.2 + 0.8 * random.fraction())
  return {
    topics: Array.from({ length: topics }, (_, i) => ({ name: `topic-${i}`, partitions: random.pick([1, 1, 2, 3]) })),
    addEveryMs: (publishers * ((1 + batchMax) / 2) * 1000) / perSecond,
    batchMax,
    keyChance: random.pick([0, 0.3, 1]),
    optionsChance: random.pick([0, 0.3, 0.8]),
    payloadMax: random.pick([1, 100, 100, 2000]),
    leaseMs,
    concurrency,
    workMsMax,
    mischief,
    timeoutMs: random.pick([1000, 5000, 10_000]),
    wallTrusted: plan.clocks.wallJumpEveryMs === 0 || plan.clocks.wallJumpMsMax <= 2000,
  }
}

/** A run's jobs stay below the 10,000 ended ones that a topic keeps, so that none may be forgotten before the end. */
const JOBS_PER_SECOND_MAX = 120
/** How long a job may be on its way to a worker when all is well. */
const PICKUP_MS = 60

function drawTuning(random: Random, { batchMax, payloadMax }: Workload): ReplicaTuning {
  // All adds of a publisher may be sent as one command, and an entry takes half a segment at most.
  const entryBytes = Math.min(COMMAND_BYTES_MAX, OPEN_MAX * batchMax * (payloadMax + ITEM_BYTES)) + 4096
  const heartbeatMs = random.pick([20, 50, 100])
  return {
    heartbeatMs,
    electionMs: heartbeatMs * random.between(4, 10),
    replaceAfterMs: random.between(300, 4000),
    syncMs: 3000,
    appendBytes: random.pick([1, 1000, 1024 * 1024]),
    snapshotEntries: random.pick([16, 50, 200, 1000]),
    // Small steps, so that much is applied while a snapshot is under way.
    snapshotStep: random.pick([1, 1, 10, 4096]),
    segmentBytes: Math.ceil(Math.max(2 * entryBytes, random.pick([64 * 1024, 256 * 1024])) / SECTOR_BYTES) * SECTOR_BYTES,
    cacheBytes: random.pick([4 * 1024, 64 * 1024, 1024 * 1024]),
    minMasters: 1,
  }
}

/** What an item takes beside its payload: options, and a key. */
const ITEM_BYTES = 150
