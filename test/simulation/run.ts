//! One seed from beginning to end: a phase of faults in which nothing wrong may happen, then everything is healed and all
//! that is open must come to its end.

import type { TraceRecord } from '@horus/core/world/trace'
import type { Violation } from './check/checker.ts'
import { Cluster, type Parts } from './cluster.ts'
import { drawSetup, type Setup } from './setup.ts'

export interface SeedResult {
  readonly seed: number
  readonly violation: Violation | undefined
  readonly events: number
  readonly turns: number
  readonly trace: string
  readonly coverage: ReadonlyMap<string, number>
  /** The last events, of a seed that failed. */
  readonly recent: readonly TraceRecord[]
}

const FAULTS_UNTIL_MS = 35_000
const END_MS = 60_000
/** A run that has done less has not shown much. */
const EVENTS_MIN = 20_000
/** Runs go on beyond a minute until they have enough events, up to this. */
const END_MS_MAX = 240_000

export function runSeed(seed: number, parts: Parts): SeedResult {
  return runSetup(drawSetup(seed), parts)
}

export function runSetup(setup: Setup, parts: Parts): SeedResult {
  const cluster = new Cluster(setup, parts)
  const { world, checkers } = cluster
  const broken = (): boolean => checkers.report.first !== undefined
  cluster.start()
  // A quiet seed runs longer, until it has shown enough.
  world.runUntil(FAULTS_UNTIL_MS, broken)
  while (!broken() && world.events < EVENTS_MIN * (FAULTS_UNTIL_MS / END_MS) && world.now < END_MS_MAX) world.runUntil(world.now + 5000, broken)
  if (!broken()) cluster.heal()
  const end = world.now + (END_MS - FAULTS_UNTIL_MS)
  world.runUntil(end, () => broken() || cluster.settled)
  if (!broken() && !cluster.settled) checkers.report.broken('L1', `not at rest ${END_MS - FAULTS_UNTIL_MS} ms after the faults ended: ${cluster.describeRest()}`)
  world.runUntil(end, broken)
  while (!broken() && world.events < EVENTS_MIN && world.now < END_MS_MAX) world.runUntil(world.now + 5000, broken)
  if (!broken()) cluster.finish()
  return {
    seed: setup.seed,
    violation: checkers.report.first,
    events: world.events,
    turns: world.turns,
    trace: world.trace.digest(),
    coverage: coverageOf(cluster),
    recent: broken() ? world.trace.recent() : [],
  }
}

function coverageOf(cluster: Cluster): ReadonlyMap<string, number> {
  const coverage = new Map([...cluster.world.counts, ...cluster.coverage.entries()])
  const { checkers, history } = cluster
  coverage.set('elections', checkers.leaders.elections)
  coverage.set('committed entries', checkers.log.entries)
  coverage.set('completed jobs', checkers.leases.completed)
  coverage.set('dead letters', checkers.deadLetters.letters)
  coverage.set('posts', checkers.deadLetters.posted)
  coverage.set('posts that came again', checkers.deadLetters.repeated)
  coverage.set('acknowledged adds', history.attempts.filter((attempt) => attempt.outcome === 'acknowledged').length)
  coverage.set('refused adds', history.attempts.filter((attempt) => attempt.outcome === 'refused').length)
  coverage.set('unknown adds', history.attempts.filter((attempt) => attempt.outcome === 'unknown').length)
  return coverage
}
