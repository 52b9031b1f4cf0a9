//! What a node is told: options of `startNode`, flags, HORUS_* variables, a JSON file. All end in one `NodeOptions`, which
//! `resolveConfig` checks strictly: whatever is unknown, missing or contradictory is a UsageError that says what to do,
//! and nothing on the disk or the network has been touched by then.

import { readFileSync } from 'node:fs'
import { duration, type Address, type Milliseconds } from '@horus/core/units'
import { PORT_DEFAULT } from '@horus/transport'
import { UsageError } from './errors.ts'
import { addressesOfSeeds, hostPort, nodeAddress, rangeOf, staysHere, type HostPort } from './range.ts'

export const CLUSTER_DEFAULT = 'horus'
/** More than a founding by hand can want; the registry carries thousands, but they join later. */
export const EXPECT_MAX = 64

export interface NodeOptions {
  /** Nodes and clients of another name are not spoken to; 1 to 255 letters, digits, `.`, `_` or `-`. Default `horus`. */
  readonly cluster?: string
  /** Where identity and log are kept. Mandatory unless `ephemeral`. */
  readonly dataDir?: string
  /** Keeps everything in a temporary directory that goes with the node; with `join` it is never a master. Default false. */
  readonly ephemeral?: boolean
  /** `host:port` to listen on, UDP and TCP; port 0 takes a free one. Default `127.0.0.1:6470`. */
  readonly listen?: string
  /** `host:port` where others reach this node, an IPv4 address. Default: that of `listen`. */
  readonly advertise?: string
  /** CIDR ranges to probe for other nodes, at most 65,536 addresses in all. */
  readonly range?: string | readonly string[]
  /** Ports to probe in the range: `6470`, `6470-6474`, `6470,6480`. Default: the port of `listen`. */
  readonly port?: string | number
  /** `host:port` of nodes to ask, or names with many addresses. */
  readonly seeds?: string | readonly string[]
  /** How many fresh nodes found the first cluster together, 1 to 64; mandatory with range or seeds unless `join`, else 1. */
  readonly expect?: number
  /** Never founds: waits until it finds a cluster. Default false. */
  readonly join?: boolean
  /** Shared by all nodes and clients; without one, loopback addresses only. */
  readonly secret?: string | undefined
  /** A file that holds the secret, instead of it. */
  readonly secretFile?: string
  /** Address of the HTTP service; refused in this version, which has none. */
  readonly http?: string
  /** The three masters of a shard are in different zones where that is possible. At most 64 letters, digits, `.`, `_` or `-`; default none. */
  readonly zone?: string
  /** How long a master is dead before another takes its place: milliseconds, or a text such as '30s'. Default 30 s. */
  readonly replaceAfter?: number | string
}

export interface NodeConfig {
  readonly cluster: string
  /** Undefined: ephemeral. */
  readonly dataDir: string | undefined
  readonly listen: HostPort
  readonly advertise: Address | undefined
  readonly range: readonly Address[]
  readonly seeds: readonly Address[]
  /** Whether a host may be a node: a range is the list of who may, and seeds are. */
  readonly allows: ((host: string) => boolean) | undefined
  readonly expect: number | undefined
  readonly join: boolean
  readonly secret: string | undefined
  readonly zone: string
  readonly replaceAfter: Milliseconds | undefined
  readonly eligible: boolean
}

type OptionKind = 'text' | 'list' | 'number' | 'switch' | 'duration'

/** Every option once: its flag and its variable come from its name (`dataDir` is `--data` and `HORUS_DATA`). */
export const OPTIONS: { readonly [K in keyof Required<NodeOptions>]: { readonly flag: string; readonly kind: OptionKind; readonly value: string; readonly help: string } } = {
  dataDir: { flag: 'data', kind: 'text', value: 'DIR', help: 'where identity and log are kept' },
  ephemeral: { flag: 'ephemeral', kind: 'switch', value: '', help: 'keep nothing after the end (instead of --data)' },
  listen: { flag: 'listen', kind: 'text', value: 'HOST:PORT', help: `UDP and TCP; default 127.0.0.1:${PORT_DEFAULT}` },
  advertise: { flag: 'advertise', kind: 'text', value: 'HOST:PORT', help: 'where others reach this node, if not at --listen' },
  range: { flag: 'range', kind: 'list', value: 'CIDR[,CIDR]', help: 'addresses to probe for other nodes' },
  port: { flag: 'port', kind: 'text', value: 'PORTS', help: 'ports to probe in the range: 6470, 6470-6474; default: that of --listen' },
  seeds: { flag: 'seeds', kind: 'list', value: 'HOST:PORT,..', help: 'nodes to ask, or names with many addresses' },
  expect: { flag: 'expect', kind: 'number', value: 'N', help: 'how many fresh nodes found the first cluster together' },
  join: { flag: 'join', kind: 'switch', value: '', help: 'never found a cluster, only join one' },
  cluster: { flag: 'cluster', kind: 'text', value: 'NAME', help: `default ${CLUSTER_DEFAULT}` },
  secret: { flag: '', kind: 'text', value: '', help: '' },
  secretFile: { flag: 'secret-file', kind: 'text', value: 'FILE', help: 'secret shared by nodes and clients; without one, loopback only' },
  http: { flag: 'http', kind: 'text', value: 'HOST:PORT', help: 'refused in this version: there is no HTTP service yet' },
  zone: { flag: 'zone', kind: 'text', value: 'ZONE', help: 'masters are spread over zones' },
  replaceAfter: { flag: 'replace-after', kind: 'duration', value: 'TIME', help: 'how long a master is dead before it is replaced; default 30s' },
}

const names = Object.keys(OPTIONS) as readonly (keyof NodeOptions)[]

export const variableOf = (flag: string): string => `HORUS_${flag.replaceAll('-', '_').toUpperCase()}`

/** The options that HORUS_* variables give. A secret itself may come by HORUS_SECRET, never by a flag, which `ps` shows. */
export function optionsOfEnvironment(environment: Readonly<Record<string, string | undefined>>): NodeOptions {
  const options: Record<string, unknown> = {}
  for (const name of names) {
    const variable = variableOf(OPTIONS[name].flag || 'secret')
    const text = environment[variable]
    if (text !== undefined && text !== '') options[name] = optionOfText(name, text, variable)
  }
  return options as NodeOptions
}

/** The options of a JSON file; its keys are those of NodeOptions. */
export function optionsOfFile(file: string): NodeOptions {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw new UsageError(`--config ${file} cannot be read (${(error as NodeJS.ErrnoException).code}): give a JSON file`)
  }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new UsageError(`--config ${file} is no JSON: ${(error as Error).message}`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new UsageError(`--config ${file} must be one JSON object, such as {"dataDir": "/var/lib/horus"}`)
  return value as NodeOptions
}

/** The value of a flag or variable. */
export function optionOfText(name: keyof NodeOptions, text: string, where: string): unknown {
  switch (OPTIONS[name].kind) {
    case 'text':
    case 'duration':
      return text
    case 'list':
      return text.split(',').map((part) => part.trim()).filter((part) => part !== '')
    case 'number':
      if (!/^\d+$/.test(text.trim())) throw new UsageError(`${where} '${text}' is no whole number`)
      return Number(text)
    case 'switch':
      if (/^(1|true|yes)$/i.test(text)) return true
      if (/^(0|false|no)$/i.test(text)) return false
      throw new UsageError(`${where} '${text}' is neither true nor false`)
  }
}

/** One set of options from several, the later ones winning; an option also displaces the one that it stands instead of. */
export function mergeOptions(...layers: readonly NodeOptions[]): NodeOptions {
  let merged: NodeOptions = {}
  for (const layer of layers) {
    const kept = { ...merged } as Record<string, unknown>
    for (const [one, other] of INSTEAD_OF) {
      if (layer[one] !== undefined) delete kept[other]
      if (layer[other] !== undefined) delete kept[one]
    }
    merged = { ...kept, ...layer }
  }
  return merged
}

const INSTEAD_OF = [['secret', 'secretFile'], ['dataDir', 'ephemeral'], ['expect', 'join']] as const

/** Checks all and looks up the names of seeds. Rejects with UsageError. */
export async function resolveConfig(options: NodeOptions): Promise<NodeConfig> {
  checkTypes(options)
  if (options.http !== undefined) throw new UsageError('--http is not there yet in this version: leave it out')
  const listen = hostPort(options.listen ?? `127.0.0.1:${PORT_DEFAULT}`, '--listen', PORT_DEFAULT)
  const advertise = options.advertise === undefined ? undefined : nodeAddress(options.advertise, '--advertise')
  const ranges = listOf(options.range)
  const seedTexts = listOf(options.seeds)
  const dataDir = dataDirOf(options)
  const secret = secretOf(options)
  checkAddresses(listen, advertise, secret)
  const expect = expectOf(options, ranges.length > 0 || seedTexts.length > 0)
  if (options.port !== undefined && ranges.length === 0) throw new UsageError('--port names the ports to probe in a range: give --range too, or leave it out')
  const range = ranges.length === 0 ? undefined : rangeOf(ranges, options.port ?? (listen.port || PORT_DEFAULT))
  if (secret === undefined && range?.addresses().some((address) => !staysHere(hostOf(address))) === true) throw new UsageError('--range beyond loopback needs a secret, since without one anyone could take part: give --secret-file, or a range in 127.0.0.0/8')
  const seeds = await addressesOfSeeds(seedTexts, PORT_DEFAULT)
  const seedHosts = new Set(seeds.map(hostOf))
  if (secret === undefined && [...seedHosts].some((host) => !staysHere(host))) throw new UsageError('--seeds beyond loopback need a secret: give --secret-file')
  return {
    cluster: clusterOf(options.cluster),
    dataDir,
    listen,
    advertise,
    range: range?.addresses() ?? [],
    seeds,
    allows: range && ((host) => range.allows(host) || seedHosts.has(host)),
    expect,
    join: options.join === true,
    secret,
    zone: zoneOf(options.zone),
    replaceAfter: options.replaceAfter === undefined ? undefined : durationOf(options.replaceAfter, '--replace-after'),
    // An ephemeral node that joins others keeps nothing that a shard could be rebuilt from.
    eligible: !(options.ephemeral === true && options.join === true),
  }
}

/** The cluster's name, for nodes and clients alike. */
export function clusterOf(name: string | undefined): string {
  const cluster = name ?? CLUSTER_DEFAULT
  if (!/^[A-Za-z0-9._-]{1,255}$/.test(cluster)) throw new UsageError(`--cluster '${cluster}' is no name: give letters, digits, '.', '_' or '-'`)
  return cluster
}

/** The secret itself, or what its file holds without the line's end. */
export function secretOf(options: { readonly secret?: string | undefined; readonly secretFile?: string }): string | undefined {
  if (options.secret !== undefined && options.secretFile !== undefined) throw new UsageError('secret and --secret-file are both given: leave one out')
  if (options.secretFile === undefined) {
    if (options.secret === '') throw new UsageError('the secret is empty: give one, or leave it out')
    return options.secret
  }
  let text: string
  try {
    text = readFileSync(options.secretFile, 'utf8').trim()
  } catch (error) {
    throw new UsageError(`--secret-file ${options.secretFile} cannot be read (${(error as NodeJS.ErrnoException).code}): give a file that holds the secret`)
  }
  if (text === '') throw new UsageError(`--secret-file ${options.secretFile} is empty: put the secret into it, for example with 'openssl rand -hex 32'`)
  return text
}

// ---- parts -----------------------------------------------------------------------------------------------------------

function checkTypes(options: NodeOptions): void {
  for (const [name, value] of Object.entries(options)) {
    const option = Object.hasOwn(OPTIONS, name) ? OPTIONS[name as keyof NodeOptions] : undefined
    if (!option) throw new UsageError(`unknown option '${name}': the options are ${names.join(', ')}`)
    if (value === undefined) continue
    const wanted = { text: ['string'], duration: ['string', 'number'], list: ['string', 'list'], number: ['number'], switch: ['boolean'] }[option.kind]
    const type = Array.isArray(value) && value.every((part) => typeof part === 'string') ? 'list' : typeof value
    if (!wanted.includes(type) && !(name === 'port' && type === 'number')) throw new UsageError(`option '${name}' is ${JSON.stringify(value)}: a ${wanted.join(' or ')} is wanted`)
  }
}

function listOf(value: string | readonly string[] | undefined): readonly string[] {
  const parts = typeof value === 'string' ? value.split(',') : (value ?? [])
  return parts.map((part) => part.trim()).filter((part) => part !== '')
}

function dataDirOf(options: NodeOptions): string | undefined {
  if (options.ephemeral === true) {
    if (options.dataDir !== undefined) throw new UsageError('--data and --ephemeral contradict each other: leave one out')
    return undefined
  }
  if (options.dataDir === undefined || options.dataDir === '') throw new UsageError('no data directory: give --data DIR (dataDir), or --ephemeral if everything may go with the process')
  return options.dataDir
}

function checkAddresses(listen: HostPort, advertise: Address | undefined, secret: string | undefined): void {
  if (secret === undefined) {
    const far = !staysHere(listen.host) ? `--listen ${listen.host}` : advertise !== undefined && !staysHere(hostOf(advertise)) ? `--advertise ${advertise}` : undefined
    if (far !== undefined) throw new UsageError(`${far} is not loopback, and there without a secret anyone could take part: give --secret-file, or use addresses in 127.0.0.0/8`)
  }
  if (advertise === undefined && listen.host === '0.0.0.0') throw new UsageError('--listen 0.0.0.0 is no address that others can be told: give --advertise HOST:PORT too')
  if (listen.host !== 'localhost') nodeAddress(`${listen.host}:${listen.port}`, '--listen')
  if (advertise?.endsWith(':0') === true) throw new UsageError(`--advertise ${advertise} has no port: give HOST:PORT`)
}

const hostOf = (address: Address): string => address.slice(0, address.lastIndexOf(':'))

function expectOf(options: NodeOptions, searches: boolean): number | undefined {
  const { expect, join } = options
  if (expect !== undefined && !(Number.isInteger(expect) && expect >= 1 && expect <= EXPECT_MAX)) throw new UsageError(`--expect ${expect} is not from 1 to ${EXPECT_MAX}: give the number of nodes that found the cluster; others may join later`)
  if (join === true) {
    if (expect !== undefined) throw new UsageError('--expect and --join contradict each other: a node that joins never founds; leave one out')
    if (!searches) throw new UsageError('--join needs somewhere to look: give --range or --seeds')
    return undefined
  }
  if (!searches) {
    if (expect !== undefined && expect > 1) throw new UsageError(`--expect ${expect} needs somewhere to look for the others: give --range or --seeds`)
    return 1
  }
  if (expect === undefined) throw new UsageError('--range or --seeds need --expect N (how many fresh nodes found the cluster together) or --join (never found one)')
  return expect
}

function zoneOf(zone: string | undefined): string {
  if (zone !== undefined && !/^[A-Za-z0-9._-]{0,64}$/.test(zone)) throw new UsageError(`--zone '${zone}' is no name: give at most 64 letters, digits, '.', '_' or '-'`)
  return zone ?? ''
}

function durationOf(value: number | string, option: string): Milliseconds {
  try {
    return duration(typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value)
  } catch {
    throw new UsageError(`${option} '${value}' is no length of time: give milliseconds or a text such as '30s'`)
  }
}
