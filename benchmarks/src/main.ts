//! `pnpm bench NAME [flags]`: each benchmark is a module with `run` and `help`.

import { exitCodeOf, oneLine, UsageError } from '@horus/node/errors'

interface Benchmark {
  readonly summary: string
  load(): Promise<{ readonly run: (args: readonly string[]) => Promise<void>; readonly help: () => string }>
}

const BENCHMARKS: Readonly<Record<string, Benchmark>> = {
  cluster: { summary: 'job life cycles a second through three node processes', load: () => import('./cluster.ts') },
  failover: { summary: 'the longest time without a completed job around the loss of a leader', load: () => import('./failover.ts') },
  backlog: { summary: 'what waiting jobs cost: memory, disk, restart, and what is left of them', load: () => import('./backlog.ts') },
  steps: { summary: 'the longest step of a snapshot, in processor time', load: () => import('./steps.ts') },
  idle: { summary: 'processor time and memory of nodes that hold shards in which nothing happens', load: () => import('./idle.ts') },
}

try {
  const [name, ...args] = process.argv.slice(2)
  const benchmark = name !== undefined && Object.hasOwn(BENCHMARKS, name) ? BENCHMARKS[name] : undefined
  if (!benchmark) {
    const lines = Object.entries(BENCHMARKS).map(([known, { summary }]) => `  ${known}  ${summary}`)
    throw new UsageError(`${name === undefined ? 'no benchmark is named' : `unknown benchmark '${name}'`}: pnpm bench ${Object.keys(BENCHMARKS).join(' | ')}${lines.length > 1 ? `; ${lines.join('; ')}` : ''}`)
  }
  const { run, help } = await benchmark.load()
  if (args.includes('--help')) process.stdout.write(`${help()}\n`)
  else await run(args)
  process.exit(0)
} catch (error) {
  process.stderr.write(`bench: ${oneLine(error)}\n`)
  process.exit(exitCodeOf(error))
}
