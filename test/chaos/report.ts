//! What is said when a run does not end as it should: the jobs that have not ended, what the cluster says of them at two moments
//! (so that one sees whether they move), what each worker does and what each node knows. Bounded, whatever the number of jobs.

import { detailOf } from '@horus/node/history/doubts'
import type { LocalCluster } from '@horus/node/local/cluster'
import { delay } from '@horus/node/local/until'
import { viewsOf } from '@horus/node/local/watch'
import type { Horus } from '@horus/sdk'
import type { Client } from './clients.ts'
import { LEASE_MS, TOPIC, type ToWorker } from './settings.ts'

const JOBS_SHOWN = 12
const ERRORS_SHOWN = 300

export interface ReportOptions {
  readonly cluster: LocalCluster
  readonly watcher: Horus
  readonly clients: readonly Client[]
  readonly say: (text: string) => void
}

export async function reportUnended(options: ReportOptions): Promise<void> {
  const { cluster, clients, say } = options
  for (const line of await viewsOf(cluster)) say(line)
  for (const { role, name, child } of clients) {
    say(`${name}: ${child.running ? (child.paused ? 'stopped' : 'running') : 'ended'} ${child.errors.trim().slice(-ERRORS_SHOWN)}`)
    if (role === 'worker') child.send({ kind: 'tell' } satisfies ToWorker)
  }
  await sayJobs(options)
  // Longer than a lease: a job whose token has risen was leased again, one that is active under the same token is being extended.
  await delay(1.5 * LEASE_MS)
  await sayJobs(options)
}

async function sayJobs({ watcher, say }: ReportOptions): Promise<void> {
  const counts = await watcher.counts(TOPIC)
  say(`jobs: ${Object.entries(counts).filter(([, count]) => count > 0).map(([state, count]) => `${count} ${state}`).join(', ')}`)
  const jobs = await watcher.jobs(TOPIC, { state: ['scheduled', 'waiting', 'active', 'retrying', 'dead'], limit: JOBS_SHOWN })
  for (const job of jobs) say(`  job ${job.id}: ${job.state}, ${detailOf(job)}`)
}
