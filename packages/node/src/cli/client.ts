//! How the client verbs reach a cluster: any node will do, it relays to the leader.

import { Horus } from '@horus/sdk'
import { PORT_DEFAULT } from '@horus/transport'
import { CLUSTER_DEFAULT, clusterOf, optionsOfEnvironment, secretOf } from '../config.ts'
import { UsageError } from '../errors.ts'
import { hostPort, staysHere } from '../range.ts'
import type { CommandLine, FlagTable } from './flags.ts'

export const CLIENT_FLAGS: FlagTable = {
  node: { value: 'HOST:PORT', help: `a node of the cluster, or several with commas; default 127.0.0.1:${PORT_DEFAULT}` },
  cluster: { value: 'NAME', help: `the cluster's name; default ${CLUSTER_DEFAULT}` },
  'secret-file': { value: 'FILE', help: "the cluster's secret" },
}

/** A command that waits longer looks as if it hung. */
const CONNECT_MS_MAX = 5000

export const JSON_FLAG: FlagTable = { json: { value: '', help: 'print one line of JSON' } }

export async function connect(line: CommandLine): Promise<Horus> {
  const environment = optionsOfEnvironment(process.env)
  const nodes = line.text('node') ?? process.env['HORUS_NODE'] ?? `127.0.0.1:${PORT_DEFAULT}`
  const seeds = nodes.split(',').map((text) => hostPort(text, '--node', PORT_DEFAULT))
  const secretFile = line.text('secret-file')
  const secret = secretFile === undefined ? secretOf(environment) : secretOf({ secretFile })
  const far = seeds.find((seed) => !staysHere(seed.host))
  if (far && secret === undefined) throw new UsageError(`--node ${far.host} is not loopback and needs the cluster's secret: give --secret-file`)
  const cluster = clusterOf(line.text('cluster') ?? environment.cluster)
  return await Horus.connect({ cluster, connectTimeout: CONNECT_MS_MAX, seeds: seeds.map((seed) => `${seed.host}:${seed.port}`), ...(secret === undefined ? {} : { secret }) })
}

/** Connects, runs and closes, whichever way it ends. */
export async function withClient<T>(line: CommandLine, run: (horus: Horus) => Promise<T>): Promise<T> {
  const horus = await connect(line)
  try {
    return await run(horus)
  } finally {
    await horus.close()
  }
}

/** The argument at `at`, or a UsageError that names what is missing. */
export function argument(line: CommandLine, at: number, what: string, usage: string): string {
  const value = line.positionals[at]
  if (value === undefined || value === '') throw new UsageError(`no ${what}: horus ${usage}`)
  return value
}

export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`)
}
