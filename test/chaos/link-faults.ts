//! What can be done to the links of a node, whatever does it: the proxy on loopback addresses, or the system between namespaces.

import type { Random } from '@horus/core/random'
import type { Counts } from './counts.ts'

export interface LinkFault {
  readonly kind: keyof Counts
  readonly text: string
  begin(): Promise<void> | void
  end(): Promise<void> | void
}

export interface LinkFaults {
  /** A fault of this node's links; nodes by their place in the list. */
  draw(random: Random, node: number): LinkFault
  /** A fault between clients and nodes; undefined where none can be made or no client is connected. */
  drawForClients(random: Random): LinkFault | undefined
  close(): Promise<void>
}

/** Of several kinds one, each as often as its weight says. */
export function weighted<K>(random: Random, kinds: readonly (readonly [K, number])[]): K {
  let left = random.fraction() * kinds.reduce((sum, [, weight]) => sum + weight, 0)
  for (const [kind, weight] of kinds) if ((left -= weight) < 0) return kind
  return kinds.at(-1)![0]
}
