//! What end-to-end tests share: nodes and commands as real processes, on free loopback addresses, gone when the test is over.

import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { freePort, randomSubnet } from '@horus/node/local/addresses'
import { Child, removeAtExit } from '@horus/node/local/children'
import { LocalCluster, LocalNode } from '@horus/node/local/cluster'
import { until } from '@horus/node/local/until'
import { allMastersLive } from '@horus/node/local/watch'
import { Horus } from '@horus/sdk'

/** The command `horus`. */
export const MAIN = fileURLToPath(import.meta.resolve('@horus/node/main'))

export function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'horus-e2e-'))
  // Not with the test: what runs in it is ended by later hooks of the test.
  removeAtExit(folder)
  return folder
}

export interface Ended {
  readonly code: number | null
  readonly output: string
  readonly errors: string
}

/** Runs a command to its end. */
export async function horus(...args: readonly string[]): Promise<Ended> {
  let output = ''
  const child = new Child(MAIN, { args, onLine: (line) => void (output += `${line}\n`) })
  const { code } = await child.ended
  return { code, output, errors: child.errors }
}

/** A node process on 127.0.0.1; ended with the test. */
export async function node(t: TestContext, ...args: readonly string[]): Promise<LocalNode> {
  const address = `127.0.0.1:${await freePort('127.0.0.1')}`
  const started = new LocalNode(1, address, '', ['--listen', address, ...args])
  t.after(() => started.kill())
  await started.start()
  return started
}

export interface TestCluster {
  readonly cluster: LocalCluster
  readonly client: Horus
}

/** A founded cluster of node processes and a client of it; all gone when the test is over. */
export async function clusterOf(t: TestContext, nodes: number, requestTimeout = '30s'): Promise<TestCluster> {
  const cluster = new LocalCluster({ cluster: `e2e-${process.pid}`, subnet: await randomSubnet(nodes), expect: nodes })
  let client: Horus | undefined
  t.after(async () => {
    await client?.close()
    await cluster.close()
  })
  await cluster.start()
  const connected = await Horus.connect({ cluster: cluster.name, seeds: cluster.addresses, requestTimeout })
  client = connected
  await until('the cluster is founded', async () => allMastersLive(cluster, await connected.status(), Math.min(3, nodes)))
  return { cluster, client }
}
