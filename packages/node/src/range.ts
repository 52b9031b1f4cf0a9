//! Addresses as people write them: `host:port`, a CIDR range, a span of ports, a seed by name.

import { lookup } from 'node:dns/promises'
import { isIPv4 } from 'node:net'
import IPCIDR from 'ip-cidr'
import type { Address } from '@horus/core/units'
import { UsageError } from './errors.ts'

/** A scan of more is slower than a list of a few seeds, and a burden on the network. */
export const RANGE_ADDRESSES_MAX = 65_536
/** A span of ports is for several nodes on one machine. */
export const PORTS_MAX = 64
const SEEDS_MAX = 1024

export interface HostPort {
  readonly host: string
  readonly port: number
}

/** Throws a UsageError that names the option. */
export function hostPort(text: string, option: string, defaultPort?: number): HostPort {
  const parts = /^([^:\s]+)(?::(\d{1,5}))?$/.exec(text.trim())
  const port = parts?.[2] === undefined ? defaultPort : Number(parts[2])
  if (!parts || port === undefined || port > 65_535) throw new UsageError(`${option} '${text}' is no address: give HOST:PORT, such as 10.0.0.7:6470`)
  return { host: parts[1]!, port }
}

/** An address that other nodes can be told: an IPv4 address and a port. */
export function nodeAddress(text: string, option: string): Address {
  const { host, port } = hostPort(text, option)
  if (!isIPv4(host)) throw new UsageError(`${option} '${text}' needs an IPv4 address, such as 10.0.0.7:6470`)
  return `${host}:${port}` as Address
}

export const isLoopback = (host: string): boolean => /^127\./.test(host) || host === 'localhost' || host === '::1'

/** `6470`, `6470-6474` or `6470,6480`. */
export function ports(text: string | number, option: string): readonly number[] {
  const all: number[] = []
  for (const part of String(text).split(',')) {
    const span = /^\s*(\d{1,5})(?:-(\d{1,5}))?\s*$/.exec(part)
    const from = Number(span?.[1])
    const to = span?.[2] === undefined ? from : Number(span[2])
    if (!span || from < 1 || to > 65_535 || to < from) throw new UsageError(`${option} '${text}' is no port: give 6470, a span 6470-6474 or a list 6470,6480`)
    if (all.length + to - from + 1 > PORTS_MAX) throw new UsageError(`${option} '${text}' names more than ${PORTS_MAX} ports: give a shorter span`)
    for (let port = from; port <= to; port++) all.push(port)
  }
  return all
}

/** Every address of the ranges with every port. Throws a UsageError that says which range is wrong, or that there are too many. */
export function expandRanges(ranges: readonly string[], portsOfRange: readonly number[], option: string): readonly Address[] {
  const cidrs = ranges.map((range) => parseRange(range.trim(), option))
  let count = 0
  for (const cidr of cidrs) count += Number(cidr.size) * portsOfRange.length
  if (count > RANGE_ADDRESSES_MAX) {
    throw new UsageError(`${option} covers ${count} addresses, more than the ${RANGE_ADDRESSES_MAX} that are probed: give a smaller range, or a few addresses with --seeds`)
  }
  const addresses = new Set<Address>()
  for (const cidr of cidrs) for (const host of cidr.toArray()) for (const port of portsOfRange) addresses.add(`${host}:${port}` as Address)
  return [...addresses]
}

/** Whether one of the ranges has the address: a range is the list of who may be spoken to as well. */
export function inRanges(host: string, ranges: readonly string[]): boolean {
  return ranges.some((range) => new IPCIDR(range.trim()).contains(host))
}

/** A seed may be a name with many addresses, as a headless service of Kubernetes is. */
export async function resolveSeeds(seeds: readonly HostPort[], option: string): Promise<readonly Address[]> {
  const addresses = new Set<Address>()
  for (const { host, port } of seeds) {
    if (isIPv4(host)) {
      addresses.add(`${host}:${port}` as Address)
      continue
    }
    const found = await lookup(host, { all: true, family: 4 }).catch(() => [])
    if (found.length === 0) throw new UsageError(`${option}: the name '${host}' has no IPv4 address: correct it, or give addresses`)
    for (const { address } of found.slice(0, SEEDS_MAX)) addresses.add(`${address}:${port}` as Address)
  }
  return [...addresses]
}

function parseRange(range: string, option: string): IPCIDR {
  const [host, bits] = range.split('/')
  if (!isIPv4(host ?? '') || !/^\d{1,2}$/.test(bits ?? '') || Number(bits) > 32 || !IPCIDR.isValidCIDR(range)) {
    throw new UsageError(`${option} '${range}' is no range: give an IPv4 CIDR range, such as 10.0.0.0/24`)
  }
  return new IPCIDR(range)
}
