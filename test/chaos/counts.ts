//! How often each kind of fault was done.

export interface Counts {
  /** kill -9 of a node, worker or publisher; a kill of all nodes counts each of them. */
  kills: number
  /** SIGSTOP, mostly for longer than a lease. */
  pauses: number
  restarts: number
  /** All nodes killed at once. */
  wholeKills: number
  /** All connections of a node, or one of a client, broken with RST. */
  cuts: number
  /** Connections that stay open and carry nothing, in one direction or both, while datagrams pass. */
  halfOpens: number
  /** A node that nothing reaches, and from which nothing comes. */
  partitions: number
  /** A node that hears and is not heard, or the other way round. */
  oneWays: number
  delays: number
  diskFulls: number
  /** Nodes that joined with an empty directory. */
  joins: number
  /** Nodes that left for good: drained, forgotten, ended by themselves. */
  leaves: number
}

export const noCounts = (): Counts => ({ kills: 0, pauses: 0, restarts: 0, wholeKills: 0, cuts: 0, halfOpens: 0, partitions: 0, oneWays: 0, delays: 0, diskFulls: 0, joins: 0, leaves: 0 })

/** What was done at all, for a line of progress. */
export function tellCounts(counts: Counts): string {
  return Object.entries(counts).filter(([, count]) => count > 0).map(([kind, count]) => `${count} ${kind}`).join(', ')
}
