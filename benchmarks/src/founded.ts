//! The cluster that a benchmark runs on: node processes of its own, founded, and gone when it is over.

import { randomSubnet } from '@horus/node/local/addresses'
import { LocalCluster, type LocalClusterOptions } from '@horus/node/local/cluster'
import { until } from '@horus/node/local/until'
import { allMastersLive } from '@horus/node/local/watch'

const FOUND_MS_MAX = 30_000

export async function withCluster<T>(name: string, nodes: number, use: (cluster: LocalCluster) => Promise<T>, options: Pick<LocalClusterOptions, 'script'> = {}): Promise<T> {
  const cluster = new LocalCluster({ cluster: `${name}-${process.pid}`, subnet: await randomSubnet(nodes), expect: nodes, ...options })
  try {
    await cluster.start()
    const watcher = await cluster.connect()
    await until('the cluster is founded', async () => allMastersLive(cluster, await watcher.status(), Math.min(3, nodes)), FOUND_MS_MAX)
    await watcher.close()
    return await use(cluster)
  } finally {
    await cluster.close()
  }
}
