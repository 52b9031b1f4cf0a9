//! Real bytes of a real cluster: what nodes and clients said to each other, and what was committed, in some virtual seconds
//! of a simulated run.

import { Cluster } from '../simulation/cluster.ts'
import { PARTS } from '../simulation/parts.ts'
import { drawSetup } from '../simulation/setup.ts'

export interface Corpus {
  readonly links: readonly Uint8Array[]
  readonly clients: readonly Uint8Array[]
  readonly datagrams: readonly Uint8Array[]
  /** Of one job shard, from the first entry on. */
  readonly entries: readonly Uint8Array[]
}

/** Three nodes that form a cluster and work for a while. */
const SEED = 3
const VIRTUAL_MS = 12_000
/** More of a kind than this adds nothing. */
const SAMPLES_MAX = 5000

export function recordCorpus(): Corpus {
  const links: Uint8Array[] = []
  const clients: Uint8Array[] = []
  const datagrams: Uint8Array[] = []
  const logs = new Map<number, Uint8Array[]>()
  const keep = (samples: Uint8Array[], bytes: Uint8Array): void => {
    if (samples.length < SAMPLES_MAX) samples.push(bytes.slice())
  }
  const cluster = new Cluster(drawSetup(SEED), {
    ...PARTS,
    replica: (options) => {
      const replica = PARTS.replica(options)
      return {
        receive(now, input, outbox) {
          if (input.kind === 'message') keep(links, input.bytes)
          else if (input.kind === 'clientMessage') keep(clients, input.bytes)
          else if (input.kind === 'datagram') keep(datagrams, input.bytes)
          replica.receive(now, input, outbox)
        },
        wake: (now, outbox) => replica.wake(now, outbox),
        get wakeAt() {
          return replica.wakeAt
        },
      }
    },
  })
  const { world } = cluster
  world.watcher = {
    threw: (process, error) => cluster.threw(process, error),
    died: (process) => cluster.died(process),
    identity: (process, identity) => cluster.identity(process, identity),
    event: (process, event) => cluster.event(process, event),
    halted: (process, reason) => cluster.halted(process, reason),
    stopped: () => cluster.stopped(),
    observe(process, observation) {
      if (observation.kind === 'applied') {
        const log = logs.get(observation.shard) ?? []
        logs.set(observation.shard, log)
        if (observation.index === log.length + 1) log.push(observation.entry.slice())
      }
      cluster.observe(process, observation)
    },
  }
  cluster.start()
  world.runUntil(VIRTUAL_MS)
  const entries = [...logs].filter(([shard]) => shard !== 0).map(([, log]) => log).sort((a, b) => b.length - a.length)[0] ?? []
  return { links, clients, datagrams, entries }
}
