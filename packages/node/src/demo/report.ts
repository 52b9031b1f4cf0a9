//! What the demo says at its end.

import { facts, table } from '../cli/output.ts'

export interface MasterRow {
  readonly id: string
  readonly address: string
  readonly value: number
  /** What its value comes to for the shard of the jobs; the three highest are its masters. */
  readonly rank: number
}

export interface DemoOutcome {
  readonly nodes: number
  readonly killed: number
  readonly mastersBefore: readonly MasterRow[]
  readonly mastersAfter: readonly MasterRow[]
  readonly killedNodes: readonly string[]
  readonly all: readonly MasterRow[]
  readonly files: number
  readonly rounds: number
  readonly added: number
  readonly completed: number
  readonly lost: number
  readonly doublyLeased: number
  readonly redelivered: number
  readonly checksumsAgree: boolean
  readonly checksumsCompared: number
  readonly longestGapMs: number
  readonly jobsPerSecond: number
  readonly problems: readonly string[]
}

const PROBLEMS_SHOWN = 10

export function report(outcome: DemoOutcome, json: boolean): void {
  for (const problem of outcome.problems.slice(0, PROBLEMS_SHOWN)) process.stderr.write(`${problem}\n`)
  if (!json) {
    process.stdout.write(`\n${mastersTable(outcome)}\n\n${facts([
      ['files', outcome.files],
      ['rounds', outcome.rounds],
      ['jobs added', outcome.added],
      ['jobs completed', outcome.completed],
      ['jobs lost', outcome.lost],
      ['doubly leased', outcome.doublyLeased],
      ['leased again after a loss', outcome.redelivered],
      ['checksums', outcome.checksumsAgree ? `all ${outcome.checksumsCompared} agree` : 'DIFFER'],
      ['longest gap', `${outcome.longestGapMs} ms without a completed job`],
      ['jobs per second', outcome.jobsPerSecond],
    ])}\n`)
    return
  }
  const { mastersBefore, mastersAfter, all, problems: _, ...rest } = outcome
  const ids = (rows: readonly MasterRow[]): readonly string[] => rows.map((row) => row.id)
  process.stdout.write(`${JSON.stringify({ ...rest, mastersBefore: ids(mastersBefore), mastersAfter: ids(mastersAfter), values: Object.fromEntries(all.map((row) => [row.id, row.value])) })}\n`)
}

function mastersTable({ all, mastersBefore, mastersAfter, killedNodes }: DemoOutcome): string {
  const has = (masters: readonly MasterRow[], id: string): boolean => masters.some((row) => row.id === id)
  return table(['node', 'value', 'for the shard of the jobs', 'before', 'after'], [...all].sort((a, b) => b.rank - a.rank).map((row) => [
    row.address,
    row.value,
    row.rank,
    has(mastersBefore, row.id) ? 'master' : '-',
    killedNodes.includes(row.id) ? 'killed' : has(mastersAfter, row.id) ? 'master' : '-',
  ]))
}
