//! Another cluster: founded apart, of the same name or another, and later in reach. The two must refuse each other; that neither
//! takes the other's nodes is what `check/strangers.ts` looks at.

import type { Identity, ReplicaOptions } from '@horus/core/replica'
import type { Address } from '@horus/core/units'
import { SimulatedDevice } from '@horus/core/world/device'
import { NodeProcess, type ReplicaActor } from '@horus/core/world/node'
import type { World } from '@horus/core/world/world'
import { GREETER } from './greeter.ts'

export class Strangers {
  readonly #nodes: NodeProcess[] = []
  #met = false

  /** One node that founds a cluster of its own, since it knows nobody, and after `meet` knows the addresses of ours. */
  constructor(world: World, name: string, ours: readonly Address[], make: (options: ReplicaOptions) => ReplicaActor) {
    const node = world.add((index) => new NodeProcess(world, index, 'stranger', '10.3.0.1:6470' as Address, {
      device: new SimulatedDevice(),
      greeter: GREETER,
      make: (process, random) => make({ cluster: name, address: process.home, zone: '', version: '0.1.0', eligible: true, range: [], seeds: this.#met ? ours : [], expect: 1, join: false, random }),
    }))
    node.restartAfterMs = 100
    this.#nodes.push(node)
  }

  get nodes(): readonly NodeProcess[] {
    return this.#nodes
  }

  includes(process: unknown): boolean {
    return this.#nodes.some((node) => node === process)
  }

  start(): void {
    for (const node of this.#nodes) node.start()
  }

  /** From the first call on their probes reach us. Those that belong to a cluster are returned. */
  meet(): readonly NodeProcess[] {
    const founded = this.#nodes.filter((node) => belongs(node.identified))
    if (!this.#met && founded.length > 0) {
      this.#met = true
      for (const node of founded) node.crash('killed')
      return []
    }
    return founded
  }
}

function belongs(identity: Identity | undefined): boolean {
  return identity?.clusterId !== undefined
}
