//! `host:port`, the host an IPv4 address: how nodes and clients name a place to send to.

import type { Address } from '@horus/core/units'
import { TransportError } from './errors.ts'

export interface HostPort {
  readonly host: string
  readonly port: number
}

export const PORT_DEFAULT = 6470

/** Whether `text` is an IPv4 address in its usual form: four numbers without leading zeros. */
export function isIpv4(text: string): boolean {
  const parts = text.split('.')
  return parts.length === 4 && parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255)
}

/** Reads `10.0.0.7:6470`; without a port it is `port`. Throws a TransportError with code `address`. */
export function parseAddress(text: string, port = PORT_DEFAULT): HostPort {
  const { host, port: given } = splitHost(text, port)
  if (!isIpv4(host)) throw new TransportError('address', `${JSON.stringify(text)} is no address: an IPv4 address and a port are wanted, such as 10.0.0.7:${port}`)
  return { host, port: given }
}

/** Reads `name:port` where the host may also be a DNS name. Throws a TransportError with code `address`. */
export function splitHost(text: string, port = PORT_DEFAULT): HostPort {
  const parts = /^([A-Za-z0-9_.-]{1,253})(?::(\d{1,5}))?$/.exec(text.trim())
  const given = parts?.[2] === undefined ? port : Number(parts[2])
  if (!parts || given > 65_535) throw new TransportError('address', `${JSON.stringify(text)} is no address: host and port are wanted, such as 10.0.0.7:${port}`)
  return { host: parts[1]!, port: given }
}

export function toAddress(host: string, port: number): Address {
  return `${host}:${port}` as Address
}

/** Sockets name an IPv4 peer of a dual-stack listener `::ffff:10.0.0.7`. */
export function plainHost(host: string | undefined): string {
  if (host === undefined) return ''
  return host.startsWith('::ffff:') ? host.slice(7) : host
}

export function isLoopback(host: string): boolean {
  return (isIpv4(host) && host.startsWith('127.')) || host === '::1'
}

/** Without a secret nothing leaves this machine: throws a TransportError with code `insecure` for any other host. */
export function demandLoopback(host: string, doing: string): void {
  if (isLoopback(host)) return
  throw new TransportError('insecure', `${doing} ${host} needs a secret: without one only loopback addresses (127.0.0.0/8) are used`)
}
