//! How late the event loops of nodes were, which run as `watched-node.ts`.

import { fileURLToPath } from 'node:url'
import type { LocalCluster, LocalNode } from '@horus/node/local/cluster'

export const LOOP_DELAY = 'loop delay'
/** A variable of the nodes' environment. */
export const NO_SNAPSHOTS = 'BENCH_NO_SNAPSHOTS'
export const WATCHED_NODE = fileURLToPath(new URL('./watched-node.js', import.meta.url))

export interface LoopDelay {
  /** Milliseconds, a timer's own resolution of one among them. */
  readonly p999: number
  readonly max: number
}

/** Of the worst node, since this was asked last. */
export async function loopDelayOf(cluster: LocalCluster): Promise<LoopDelay> {
  const delays = await Promise.all(cluster.nodes.filter((node) => node.running).map(ask))
  const worst = (figure: keyof LoopDelay): number => Math.round(Math.max(...delays.map((delay) => delay[figure])) * 10) / 10
  return { p999: worst('p999'), max: worst('max') }
}

function ask(node: LocalNode): Promise<LoopDelay> {
  return new Promise((resolve) => {
    node.onLog = (text) => {
      if (!text.startsWith(LOOP_DELAY)) return
      const [p999 = 0, max = 0] = text.slice(LOOP_DELAY.length).trim().split(' ').map(Number)
      resolve({ p999, max })
    }
    process.kill(node.pid!, 'SIGUSR2')
  })
}
