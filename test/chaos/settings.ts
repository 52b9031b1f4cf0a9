//! What the processes of a chaos run are told, and tell each other.

import { Horus } from '@horus/sdk'

export const TOPIC = 'chaos'
/** Short, so that a stopped worker's leases run out while one watches. */
export const LEASE = '2s'
export const LEASE_MS = 2000

export interface ClientSettings {
  readonly cluster: string
  readonly seeds: readonly string[]
  readonly history: string
  /** Of this process; a restarted one has another. */
  readonly name: string
  readonly seed: number
  /** Of the cluster; none on loopback. */
  readonly secret?: string
  /** A job carries up to this many bytes more, so that a small disk becomes full; 0 where none is small. */
  readonly paddingBytesMax: number
}

export type ToPublisher = { readonly kind: 'finish' }
export type FromPublisher = { readonly kind: 'finished' }
export type ToWorker = { readonly kind: 'tell' }
export type FromWorker = { readonly kind: 'stats'; readonly text: string }

/** A client may be started while no node lives. */
const CONNECT_TIMEOUT = '5m'

export function connectAs({ cluster, seeds, secret }: ClientSettings): Promise<Horus> {
  return Horus.connect({ cluster, seeds, connectTimeout: CONNECT_TIMEOUT, ...(secret === undefined ? {} : { secret }) })
}

export function readSettings(): ClientSettings {
  return JSON.parse(process.argv[2]!) as ClientSettings
}
