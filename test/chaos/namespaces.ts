//! A network namespace for each node, joined by a bridge in the run's own namespace, where the driver and the clients are. All of it
//! is seen by this run only (`contained.ts`) and goes with its processes, however they end.
//!
//!   node i: eth0 10.73.0.i ──veth── port-i ┐
//!   driver, clients: 10.73.0.100 ───────── bridge
//!
//! A node is unplugged by taking its port down. One direction is taken away by telling the sender a hardware address that
//! nobody has: what it sends is lost without a word, and what comes the other way still comes.

import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import type { Random } from '@horus/core/random'
import { type Subnet, subnetAt } from '@horus/node/local/addresses'
import { type LinkFault, type LinkFaults, weighted } from './link-faults.ts'

const NETWORK = '10.73.0'
const PORT = 6470
const DRIVER = `${NETWORK}.100`
const NOBODY = '02:00:00:00:ff:ff'
/** Where `ip netns` keeps its names. */
const NAMES = '/run/netns'

const ip = (...args: readonly string[]): void => void execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] })
const nameOf = (node: number): string => `node-${node + 1}`
const addressOf = (node: number): string => `${NETWORK}.${node + 1}`
const hardwareOf = (node: number): string => `02:00:00:00:00:${(node + 1).toString(16).padStart(2, '0')}`

export class Namespaces implements LinkFaults {
  readonly subnet: Subnet
  readonly #nodes: number

  constructor(nodes: number) {
    this.#nodes = nodes
    this.subnet = subnetAt(NETWORK, 0, PORT, nodes)
    mkdirSync(NAMES, { recursive: true })
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', NAMES], { stdio: ['ignore', 'ignore', 'pipe'] })
    ip('link', 'set', 'lo', 'up')
    ip('link', 'add', 'bridge', 'type', 'bridge')
    ip('link', 'set', 'bridge', 'up')
    ip('addr', 'add', `${DRIVER}/24`, 'dev', 'bridge')
    for (let node = 0; node < nodes; node++) this.#join(node)
    for (let from = 0; from < nodes; from++) for (let to = 0; to < nodes; to++) if (from !== to) this.#reach(from, to)
  }

  /** What starts a process there. */
  through(node: number): readonly string[] {
    return ['ip', 'netns', 'exec', nameOf(node)]
  }

  draw(random: Random, node: number): LinkFault {
    const others = Array.from({ length: this.#nodes }, (_, other) => other).filter((other) => other !== node)
    const name = `node ${node + 1}`
    const other = random.pick(others)
    switch (weighted(random, [['unplug', 3], ['alone', 2], ['pair', 2], ['unheard', 2], ['deaf', 2]] as const)) {
      case 'unplug':
        return {
          kind: 'partitions', text: `${name} is unplugged`,
          begin: () => ip('link', 'set', `port-${node + 1}`, 'down'),
          end: () => ip('link', 'set', `port-${node + 1}`, 'up'),
        }
      case 'alone':
        return this.#lose('partitions', `no other node reaches ${name}`, others.flatMap((peer) => [[node, peer], [peer, node]] as const))
      case 'pair':
        return this.#lose('partitions', `${name} and node ${other + 1} do not reach each other`, [[node, other], [other, node]])
      case 'unheard':
        return this.#lose('oneWays', `no other node hears ${name}`, others.map((peer) => [node, peer] as const))
      case 'deaf':
        return this.#lose('oneWays', `${name} hears no other node`, others.map((peer) => [peer, node] as const))
    }
  }

  /** Clients are where the bridge is: nothing lies between them and it. */
  drawForClients(): undefined {}

  async close(): Promise<void> {
    for (let node = 0; node < this.#nodes; node++) ip('netns', 'del', nameOf(node))
    ip('link', 'del', 'bridge')
  }

  #join(node: number): void {
    const name = nameOf(node)
    const port = `port-${node + 1}`
    ip('netns', 'add', name)
    ip('link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth0', 'address', hardwareOf(node), 'netns', name)
    ip('link', 'set', port, 'master', 'bridge', 'up')
    ip('-n', name, 'link', 'set', 'lo', 'up')
    ip('-n', name, 'addr', 'add', `${addressOf(node)}/24`, 'dev', 'eth0')
    ip('-n', name, 'link', 'set', 'eth0', 'up')
  }

  #reach(from: number, to: number): void {
    this.#neighbour(from, to, hardwareOf(to))
  }

  #neighbour(from: number, to: number, hardware: string): void {
    ip('-n', nameOf(from), 'neigh', 'replace', addressOf(to), 'lladdr', hardware, 'nud', 'permanent', 'dev', 'eth0')
  }

  #lose(kind: LinkFault['kind'], text: string, ways: readonly (readonly [number, number])[]): LinkFault {
    return {
      kind, text,
      begin: () => {
        for (const [from, to] of ways) this.#neighbour(from, to, NOBODY)
      },
      end: () => {
        for (const [from, to] of ways) this.#reach(from, to)
      },
    }
  }
}
