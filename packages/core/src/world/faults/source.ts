//! What a source of faults is: a row of strikes, each with its own mean time in the plan, and what else it does to processes
//! that come, to a world that is healed, and where something rare has just begun.
//!
//!   plan.ts   which sources there are, what each draws      faults.ts   the hand: schedules strikes, heals
//!   network.ts nodes.ts clocks.ts clients.ts disk.ts ...    one file a source: its plan, how it is drawn, what it does

import type { Random } from '../../random.ts'
import type { Address, NodeId } from '../../units.ts'
import type { ClientProcess } from '../client.ts'
import type { SimulatedDevice } from '../device.ts'
import type { NodeProcess } from '../node.ts'
import type { Process } from '../process.ts'
import type { World } from '../world.ts'

/** What only somebody who watches the cluster can tell. */
export interface FaultGuard {
  /** Whether the promise still holds when this node's disk is lost, beside those that were lost before. */
  mayWipe(node: NodeProcess): boolean
  wiped(node: NodeProcess): void
  /** Whether the promise still holds when something on this node's disk is damaged, beside what was damaged on others before. */
  mayDamage(node: NodeProcess): boolean
  /** It counts as damaged as long as `lasts` says so, and as long as a copy that it made doubtful is a master. */
  damaged(node: NodeProcess, lasts: () => boolean): void
  /** Whether all the others have what they should have, so that one may forget. */
  mayForget(node: NodeProcess): boolean
  /** It may be found out from now on, and end itself. */
  forgets(node: NodeProcess): void
  /** Nodes that lead something. */
  leaders(): readonly NodeProcess[]
  /** The masters of one shard, by its newest committed configuration; empty while there is none. */
  masters(random: Random): readonly NodeProcess[]
  emptyDisk(): SimulatedDevice
  /** New nodes that join in this instant; fewer than asked for, or none, where there are enough. */
  join(count: number): readonly NodeProcess[]
  /** Where else a node may come back, perhaps another one's home; undefined where the others could lose sight of the cluster. */
  otherHome(node: NodeProcess, random: Random): Address | undefined
  /** Starts a second process on a copy of the node's disk; undefined where it cannot be promised to be noticed. */
  twin(node: NodeProcess): NodeProcess | undefined
  /** An operator drains the node; its identity, or undefined where too few would stay. */
  drain(node: NodeProcess): NodeId | undefined
  /** The node is an ordinary one again, or leaves the cluster for good where enough stay, `forced` though it still is a master; whether it leaves. */
  endDrain(node: NodeId, leaves: boolean, forced: boolean): boolean
  /** An operator forgets the identities that were lost with their disks; returns the nodes that had them. */
  forgetLost(): readonly NodeProcess[]
  /** Two nodes that may be lost for ever, while all is whole and an operator can go on with a third copy of whatever loses its quorum; none else. */
  mayLose(random: Random): readonly NodeProcess[]
  /** Whether these are such nodes still. */
  mayStillLose(nodes: readonly NodeProcess[]): boolean
  /** An operator stops every node that has the last copy of a shard and recovers it; returns those, to be started. */
  recover(lost: readonly NodeProcess[]): readonly NodeProcess[]
  /** Whether all that was decided is confirmed, and led. */
  isRecovered(): boolean
  /** A node that was declared destroyed comes back, and may end itself. */
  returns(node: NodeProcess): void
  /** Whether they are no quorum of the registry, nor ever were, so that they may meet each other and nobody else. */
  mayBeAlone(nodes: readonly NodeProcess[]): boolean
  /** By now those that came back must have ended. */
  foundOut(nodes: readonly NodeProcess[]): void
  /** Nobody adds anything for so long; returns whoever would have. */
  lull(ms: number): readonly Process[]
  /** Nodes of another cluster, which from now on know the addresses of this one. */
  meet(): readonly NodeProcess[]
}

/** What a source has to work with. */
export interface Hands {
  readonly world: World
  readonly guard: FaultGuard
  readonly nodes: readonly NodeProcess[]
  readonly clients: readonly ClientProcess[]
  /** Between `begin` and `heal`. */
  readonly active: boolean
  /** A node to hit, with a preference for whoever leads. */
  victim(random: Random): NodeProcess | undefined
  /** Later, unless everything has been healed by then. */
  after(ms: number, action: () => void): void
}

export interface Strike {
  /** As in the catalogue and in the coverage. */
  readonly name: string
  /** Mean time between two in the whole world, in ms; 0 is never. */
  readonly everyMs: number
  /** Returns who was hit; nobody where there was nobody to hit. */
  hit(random: Random): readonly Process[]
}

/** Something rare that has just begun at a node: it leads a new term, its shard's masters change, its disk was found damaged. */
export type Occasion = 'term' | 'change' | 'doubt'

export interface FaultSource {
  /** In a fixed order: each strike has a generator of its own, so that one more at the end moves none of the others. */
  readonly strikes: readonly Strike[]
  begin?(): void
  /** A process has come into the world. */
  added?(process: Process): void
  heal?(): void
  /** Returns who was hit. */
  provoke?(node: NodeProcess, occasion: Occasion): readonly Process[]
}

export const NOBODY: readonly Process[] = []
