//! Addresses as people write them, read with the words of whoever starts a node: each error names the option and says what
//! to give.

import type { Address } from '@horus/core/units'
import { type HostPort, isLoopback, parseAddress, Range, resolveSeeds, splitHost, TransportError } from '@horus/transport'
import { UsageError } from './errors.ts'

export type { HostPort } from '@horus/transport'

export function hostPort(text: string, option: string, defaultPort?: number): HostPort {
  if (defaultPort === undefined && !text.includes(':')) throw new UsageError(`${option} '${text}' has no port: give HOST:PORT, such as 10.0.0.7:6470`)
  return usable(option, () => splitHost(text, defaultPort))
}

/** An address that other nodes can be told: an IPv4 address and a port. */
export function nodeAddress(text: string, option: string): Address {
  const { host, port } = usable(option, () => parseAddress(text))
  return `${host}:${port}` as Address
}

export function rangeOf(ranges: readonly string[], ports: string | number): Range {
  return usable('--range', () => new Range(ranges, ports))
}

/** A seed may be a name with many addresses, as a headless service of Kubernetes is. */
export async function addressesOfSeeds(seeds: readonly string[], defaultPort: number): Promise<readonly Address[]> {
  for (const seed of seeds) hostPort(seed, '--seeds', defaultPort)
  const missing: string[] = []
  const addresses = await resolveSeeds(seeds, defaultPort, (seed) => missing.push(seed))
  if (missing.length > 0) throw new UsageError(`--seeds: '${missing.join("', '")}' has no IPv4 address: correct the name, or give addresses`)
  return addresses
}

/** `localhost` is loopback by its name: it is looked up nowhere. */
export const staysHere = (host: string): boolean => host === 'localhost' || isLoopback(host)

function usable<T>(option: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (error instanceof TransportError) throw new UsageError(`${option}: ${error.message}`)
    throw error
  }
}
