//! How long one step of a snapshot takes: of the books on their way into an image, of an image on its way into books, and of the walk
//! through the log behind it. Whatever else a node has to do waits for so long, once in a while.

import { helpOfFlags, readCommandLine } from '@horus/node/cli/flags'
import { facts } from '@horus/node/cli/output'
import { walked } from '@horus/core/message/image'
import { RANGE_ENTRIES, SNAPSHOT_STEP } from '@horus/core/replica/snapshots'
import { Shard } from '@horus/core/shard'
import type { LogIndex } from '@horus/core/units'
import { quantile } from './quantile.ts'
import { BATCH, Rig } from './rig.ts'

const FLAGS = {
  jobs: { value: 'N', help: 'that wait; default 1000000' },
  options: { value: '', help: 'each with a priority and a delay' },
  json: { value: '', help: 'end with one line of JSON' },
}
const NEVER_DUE_MS = 1e9

export const help = (): string => helpOfFlags(FLAGS)

/** Processor time of the process, its garbage collector's threads with it, in milliseconds. */
interface Steps {
  readonly steps: number
  readonly median: number
  readonly p999: number
  readonly worst: number
}

export async function run(args: readonly string[]): Promise<void> {
  const line = readCommandLine('bench steps', args, FLAGS, 0)
  const jobs = line.number('jobs', 1_000_000, 1000, 20_000_000)
  const rig = new Rig()
  const add = rig.add(line.has('options') ? { priority: 1, delay: NEVER_DUE_MS } : undefined)
  for (let added = 0; added < jobs; added += BATCH) rig.again(add)
  const pieces: Uint8Array[] = []
  const taking = new Clock()
  // Freezing copies nothing, but is a step like the others.
  const imaging = taking.measure(() => rig.books.freeze())
  for (let isLast = false; !isLast; ) {
    const { piece, last } = taking.measure(() => imaging.step(SNAPSHOT_STEP))
    pieces.push(piece)
    isLast = last
  }
  const imageBytes = pieces.reduce((sum, { length }) => sum + length, 0)
  const looking = new Clock()
  for (let from = 1; from <= rig.index; from += RANGE_ENTRIES.keep) {
    looking.measure(() => rig.books.liveEntries(from, from + RANGE_ENTRIES.keep - 1))
    looking.measure(() => rig.books.nextLive(from as LogIndex))
  }
  const restoring = new Clock()
  const walk = Shard.restoring(rig.books.shard, pieces)
  while (restoring.measure(() => walked(walk, SNAPSHOT_STEP)) === undefined);
  const figures = { jobs, imageBytes, take: taking.figures, restore: restoring.figures, look: looking.figures }
  process.stdout.write(line.has('json') ? `${JSON.stringify(figures)}\n` : report(figures))
}

function report({ jobs, imageBytes, ...kinds }: { readonly jobs: number; readonly imageBytes: number; readonly take: Steps; readonly restore: Steps; readonly look: Steps }): string {
  const rows = Object.entries(kinds).map(([kind, { steps, median, p999, worst }]): [string, string] => [kind, `${steps} steps, median ${median} ms, 99.9 % ${p999} ms, worst ${worst} ms`])
  return `${facts([['jobs', jobs], ['image', `${imageBytes} bytes`], ...rows])}\n`
}

class Clock {
  readonly #ms: number[] = []

  measure<T>(step: () => T): T {
    const before = process.cpuUsage()
    const result = step()
    const { user, system } = process.cpuUsage(before)
    this.#ms.push((user + system) / 1000)
    return result
  }

  get figures(): Steps {
    const sorted = [...this.#ms].sort((a, b) => a - b)
    return { steps: sorted.length, median: quantile(sorted, 0.5), p999: quantile(sorted, 0.999), worst: quantile(sorted, 1) }
  }
}
