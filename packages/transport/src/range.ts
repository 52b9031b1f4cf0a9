//! Where other nodes may live: a list of CIDR ranges times a list of ports, or seeds. The range is the allow-list too.
//!
//!   range  '10.0.0.0/24,10.0.1.7'          ports  '6470' | '6470-6474' | '6470,7000-7003'
//!   seeds  'horus.internal:6470,10.0.0.9'  a name may stand for many addresses; all of them are used

import { lookup } from 'node:dns/promises'
import IPCIDR from 'ip-cidr'
import type { Address } from '@horus/core/units'
import { isIpv4, PORT_DEFAULT, splitHost, toAddress } from './address.ts'
import { TransportError } from './errors.ts'

/** A scan at the default pace of 200 probes a second takes five and a half minutes for this many. */
export const ADDRESSES_MAX = 65_536
const PORTS_MAX = 1024

interface Span {
  readonly first: number
  readonly last: number
}

export class Range {
  readonly #spans: readonly Span[]
  readonly ports: readonly number[]

  /** Throws a TransportError with code `address` for a range or port that cannot be read, or for too many addresses. */
  constructor(range: string | readonly string[], ports: string | number | readonly number[] = PORT_DEFAULT) {
    this.#spans = merged(listOf(range).map(spanOf))
    this.ports = parsePorts(ports)
    if (this.size > ADDRESSES_MAX) {
      const many = `the range ${listOf(range).join(',')} has ${this.size} addresses with its ports, ${ADDRESSES_MAX} are allowed`
      throw new TransportError('address', `${many}: name some seeds instead, or a smaller range`)
    }
  }

  /** How many addresses there are, ports included. */
  get size(): number {
    return this.ports.length * this.#spans.reduce((sum, span) => sum + span.last - span.first + 1, 0)
  }

  /** All addresses in rising order, each once. */
  addresses(): Address[] {
    const all: Address[] = []
    for (const span of this.#spans) {
      for (let host = span.first; host <= span.last; host++) {
        for (const port of this.ports) all.push(toAddress(hostOf(host), port))
      }
    }
    return all
  }

  /** Whether `host` (or `host:port`) lies in the range, whatever the port. */
  allows(address: string): boolean {
    const host = address.split(':', 1)[0]!
    if (!isIpv4(host)) return false
    const value = numberOf(host)
    return this.#spans.some((span) => value >= span.first && value <= span.last)
  }
}

/** `6470`, `'6470-6474'`, `'6470,7000'` or a list. Throws a TransportError with code `address`. */
export function parsePorts(ports: string | number | readonly number[]): number[] {
  const parts = typeof ports === 'string' ? listOf(ports) : [ports].flat().map(String)
  const all = new Set<number>()
  for (const part of parts) {
    const ends = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part)
    const first = Number(ends?.[1])
    const last = Number(ends?.[2] ?? first)
    if (!ends || first < 1 || last > 65_535 || last < first) {
      throw new TransportError('address', `${JSON.stringify(part)} is no port: a number from 1 to 65535, a span such as 6470-6474, or a list of them is wanted`)
    }
    if (last - first >= PORTS_MAX) throw new TransportError('address', `${part} are more than ${PORTS_MAX} ports`)
    for (let port = first; port <= last; port++) all.add(port)
  }
  if (all.size === 0) throw new TransportError('address', 'no port is given')
  if (all.size > PORTS_MAX) throw new TransportError('address', `${all.size} ports are more than ${PORTS_MAX}`)
  return [...all].sort((a, b) => a - b)
}

/** A seed's name may have many addresses, each is returned; a name that has none at the moment is left out and told to `missing`. */
export async function resolveSeeds(seeds: string | readonly string[], port = PORT_DEFAULT, missing?: (seed: string, why: string) => void): Promise<Address[]> {
  const places = listOf(seeds).map((seed) => ({ seed, ...splitHost(seed, port) }))
  const found = await Promise.all(places.map(async (place) => {
    if (isIpv4(place.host)) return [toAddress(place.host, place.port)]
    try {
      const answers = await lookup(place.host, { all: true, family: 4 })
      return answers.map((answer) => toAddress(answer.address, place.port))
    } catch (error) {
      missing?.(place.seed, (error as Error).message)
      return []
    }
  }))
  return [...new Set(found.flat())].slice(0, ADDRESSES_MAX)
}

function listOf(text: string | readonly string[]): string[] {
  const parts = typeof text === 'string' ? text.split(',') : [...text]
  return parts.map((part) => part.trim()).filter((part) => part !== '')
}

function spanOf(text: string): Span {
  const [host = '', bits = '32'] = text.split('/')
  if (!isIpv4(host) || !/^\d{1,2}$/.test(bits) || text.split('/').length > 2) throw badRange(text)
  try {
    const cidr = new IPCIDR(`${host}/${bits}`)
    return { first: Number(cidr.start<bigint>({ type: 'bigInteger' })), last: Number(cidr.end<bigint>({ type: 'bigInteger' })) }
  } catch {
    throw badRange(text)
  }
}

function badRange(text: string): TransportError {
  return new TransportError('address', `${JSON.stringify(text)} is no range: an IPv4 CIDR is wanted, such as 10.0.0.0/24`)
}

function merged(spans: readonly Span[]): Span[] {
  const result: Span[] = []
  for (const span of [...spans].sort((a, b) => a.first - b.first)) {
    const last = result.at(-1)
    if (last && span.first <= last.last + 1) result[result.length - 1] = { first: last.first, last: Math.max(last.last, span.last) }
    else result.push(span)
  }
  return result
}

function numberOf(host: string): number {
  return host.split('.').reduce((value, part) => value * 256 + Number(part), 0)
}

function hostOf(value: number): string {
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`
}
