//! Loopback addresses for several nodes of one machine: each its own address in 127.0.0.0/8, all the same port, so that a
//! scan of their range is the same scan that a real network gets.

import { randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { createServer } from 'node:net'
import type { HostPort } from '@horus/transport'

/** A /29: eight addresses, of which five to seven are taken. */
export const SUBNET_BITS = 29
const SUBNET_SIZE = 2 ** (32 - SUBNET_BITS)
const TRIES_MAX = 200

export interface Subnet {
  /** CIDR, for `--range`. */
  readonly range: string
  readonly port: number
  /** One address a node. */
  readonly addresses: readonly HostPort[]
}

/** Whether both UDP and TCP can be bound there now. */
export async function isFree(at: HostPort): Promise<boolean> {
  return (await bindable(at)) === undefined
}

/** Binds and lets go at once: the error code of what stands in the way, undefined where nothing does. */
export async function bindable({ host, port }: HostPort): Promise<string | undefined> {
  const tcp = await new Promise<string | undefined>((resolve) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)))
  })
  if (tcp !== undefined) return tcp
  return await new Promise<string | undefined>((resolve) => {
    const socket = createSocket('udp4')
    socket.once('error', (error: NodeJS.ErrnoException) => {
      socket.close()
      resolve(error.code ?? error.message)
    })
    socket.bind({ address: host, port, exclusive: true }, () => socket.close(() => resolve(undefined)))
  })
}

/** A port of the host that is free for UDP and TCP, outside the span that the system gives to outgoing connections. */
export async function freePort(host: string): Promise<number> {
  for (let i = 0; i < TRIES_MAX; i++) {
    const port = randomInt(10_000, 32_000)
    if (await isFree({ host, port })) return port
  }
  throw new Error(`no free port on ${host}`)
}

/** `count` addresses from `network` (such as `127.0.0`) with one port that is free on all of them. */
export async function subnetOf(network: string, count: number): Promise<Subnet> {
  const [subnet] = await subnetsOf(network, count, 1)
  return subnet!
}

/** A subnet that another run on this machine is unlikely to have: two clusters side by side must not meet. */
export function randomSubnet(count: number): Promise<Subnet> {
  return subnetOf(randomNetwork(), count)
}

/** Two of them side by side with the same port: one to listen on, one to advertise, with something in between. */
export async function randomSubnetPair(count: number): Promise<readonly [Subnet, Subnet]> {
  const [one, other] = await subnetsOf(randomNetwork(), count, 2)
  return [one!, other!]
}

const randomNetwork = (): string => `127.${randomInt(1, 255)}.${randomInt(0, 256)}`

async function subnetsOf(network: string, count: number, subnets: number): Promise<readonly Subnet[]> {
  for (let i = 0; i < TRIES_MAX; i++) {
    const port = randomInt(10_000, 32_000)
    const found = Array.from({ length: subnets }, (_, number): Subnet => subnetAt(network, number * SUBNET_SIZE, port, count))
    const free = await Promise.all(found.flatMap(({ addresses }) => addresses).map(isFree))
    if (free.every(Boolean)) return found
  }
  throw new Error(`no port is free on ${count} addresses of ${network}.0/${SUBNET_BITS}`)
}

/** The addresses behind `first`, whether they are free or not. */
export function subnetAt(network: string, first: number, port: number, count: number): Subnet {
  return { range: `${network}.${first}/${SUBNET_BITS}`, port, addresses: Array.from({ length: count }, (_, n) => ({ host: `${network}.${first + n + 1}`, port })) }
}
