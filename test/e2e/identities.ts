//! Nodes whose values a test chooses: who is master of what then follows from them, and is the same in every run.

import type { DeviceAnswer } from '@horus/core/device'
import { Identity, type IdentityInput, type IdentityOutbox } from '@horus/core/node/identity'
import { DataDirectory } from '@horus/node/device/directory'
import { FileDevice } from '@horus/node/device/file-device'
import { now, randomFromEntropy } from '@horus/node/host'
import type { LocalCluster } from '@horus/node/local/cluster'

/** Before its nodes are started: node i of the cluster is to have the value at i. */
export async function giveValues(cluster: LocalCluster, values: readonly number[]): Promise<void> {
  await Promise.all(cluster.nodes.map((node, i) => giveValue(cluster.name, node.dataDir, values[i]!)))
}

/** An identity as a first start makes it, but for its value. */
async function giveValue(cluster: string, dataDir: string, value: number): Promise<void> {
  const directory = await DataDirectory.open(dataDir)
  const identity = new Identity({ cluster, random: randomFromEntropy() })
  let device: FileDevice | undefined
  await new Promise<void>((resolve, reject) => {
    const say = (input: IdentityInput): void => identity.receive(now(), input, outbox)
    const fail = (reason: string): void => reject(new Error(reason))
    const outbox: IdentityOutbox = {
      device: (request) => device!.request(request),
      loaded: () => setImmediate(() => say({ kind: 'save', user: 'founding', ticket: 1, changes: { value } })),
      saved: () => resolve(),
      refused: fail,
      failed: fail,
    }
    device = new FileDevice({ directory: directory.path, answer: (answer: DeviceAnswer) => say({ kind: 'device', answer }) })
    say({ kind: 'start' })
  })
  await device!.close()
  await directory.release()
}
