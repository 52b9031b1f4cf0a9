//! Which faults a run has and how often: swarm testing. Each seed switches a random part of the faults on, since a run with
//! all of them at once never gets far enough to meet the rarer bugs.

import type { Random } from '../random.ts'
import type { NetworkSettings } from './conditions.ts'
import type { DiskSettings } from './node.ts'

/** Every `...EveryMs` is the mean time between two of that fault in the whole world; 0 is never. */
export interface FaultPlan {
  readonly network: NetworkSettings
  readonly disk: DiskSettings
  /** How long a turn of an event loop gathers inputs. */
  readonly turnMsMax: number
  /** Clocks run fast or slow by up to this part. */
  readonly driftMax: number
  readonly wallOffsetMsMax: number
  readonly wallJumpEveryMs: number
  readonly wallJumpMsMax: number
  readonly partitionEveryMs: number
  readonly partitionMsMax: number
  /** Part of the partitions that hold in one direction only. */
  readonly oneWayChance: number
  readonly cutEveryMs: number
  readonly crashEveryMs: number
  readonly downMsMax: number
  /** Part of the crashes that hit between two effects of one input. */
  readonly midInputChance: number
  /** Part of the crashes after which nobody is told that connections are gone. */
  readonly unreachableChance: number
  /** The power fails for most or all nodes at once. */
  readonly blackoutEveryMs: number
  /** Part of the elections and changes of masters into which something strikes at once. */
  readonly provokeChance: number
  readonly pauseEveryMs: number
  readonly pauseMsMax: number
  readonly wipeEveryMs: number
  readonly clientCrashEveryMs: number
  /** A node asked to stop in an orderly way, and started again. */
  readonly stopEveryMs: number
}

/** The tags of messages between the masters of a shard (message/consensus.ts): Raft bears what an adversary does to them. */
const CONSENSUS_TAG_MIN = 0x20
const CONSENSUS_TAG_MAX = 0x3f

export const NO_FAULTS: FaultPlan = {
  network: { delayMsMin: 0.1, delayMsMax: 0.5, lossChance: 0, duplicateChance: 0, spikeChance: 0, spikeMsMax: 0, adversaryChance: 0, adversaryTagMin: 0, adversaryTagMax: 0 },
  disk: { delayMsMin: 0.05, delayMsMax: 0.3, slowChance: 0, slowMsMax: 0 },
  turnMsMax: 0, driftMax: 0, wallOffsetMsMax: 0, wallJumpEveryMs: 0, wallJumpMsMax: 0, partitionEveryMs: 0, partitionMsMax: 0, oneWayChance: 0, cutEveryMs: 0,
  crashEveryMs: 0, downMsMax: 0, midInputChance: 0, unreachableChance: 0, blackoutEveryMs: 0, provokeChance: 0, pauseEveryMs: 0, pauseMsMax: 0, wipeEveryMs: 0, clientCrashEveryMs: 0, stopEveryMs: 0,
}

export function drawPlan(random: Random): FaultPlan {
  const on = (): boolean => random.chance(0.5)
  const every = (low: number, high: number): number => (on() ? random.between(low, high) : 0)
  const chance = (most: number): number => (on() ? random.fraction() * most : 0)
  const slowNetwork = random.chance(0.25)
  const slowDisk = random.chance(0.25)
  return {
    network: {
      delayMsMin: slowNetwork ? 2 : 0.05,
      delayMsMax: slowNetwork ? 5 + random.fraction() * 40 : 0.2 + random.fraction() * 2,
      lossChance: chance(0.2),
      duplicateChance: chance(0.1),
      spikeChance: chance(0.02),
      spikeMsMax: random.between(50, 1000),
      adversaryChance: random.chance(0.25) ? random.fraction() * 0.05 : 0,
      adversaryTagMin: CONSENSUS_TAG_MIN,
      adversaryTagMax: CONSENSUS_TAG_MAX,
    },
    disk: { delayMsMin: 0.05, delayMsMax: slowDisk ? 5 + random.fraction() * 40 : 0.2 + random.fraction() * 3, slowChance: chance(0.01), slowMsMax: random.between(20, 1500) },
    turnMsMax: on() ? random.fraction() * 3 : 0,
    driftMax: on() ? random.fraction() * 0.05 : 0,
    wallOffsetMsMax: on() ? random.between(1, 3000) : 0,
    wallJumpEveryMs: random.chance(0.25) ? random.between(5000, 30_000) : 0,
    wallJumpMsMax: random.pick([200, 2000, 120_000, 1_000_000]),
    partitionEveryMs: every(2000, 15_000),
    partitionMsMax: random.between(200, 6000),
    oneWayChance: chance(1),
    cutEveryMs: every(500, 10_000),
    crashEveryMs: every(1000, 12_000),
    downMsMax: random.pick([300, 2000, 5000, 12_000]),
    midInputChance: random.pick([0, 0.5, 1]),
    unreachableChance: chance(0.6),
    blackoutEveryMs: random.chance(0.35) ? random.between(2000, 12_000) : 0,
    provokeChance: chance(0.4),
    pauseEveryMs: every(2000, 15_000),
    pauseMsMax: random.between(100, 6000),
    wipeEveryMs: random.chance(0.3) ? random.between(8000, 25_000) : 0,
    clientCrashEveryMs: random.chance(0.4) ? random.between(3000, 20_000) : 0,
    stopEveryMs: random.chance(0.3) ? random.between(4000, 20_000) : 0,
  }
}
