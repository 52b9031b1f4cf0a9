//! Which sources of faults there are, and what a seed draws for each. A source that is added here, at the end of each list,
//! moves nothing that the others draw.

import type { Random } from '../../random.ts'
import { AimedFaults, type AimedPlan, drawAimed, NO_AIMED_FAULTS } from './aimed.ts'
import { ClientFaults, type ClientsPlan, drawClients, NO_CLIENT_FAULTS } from './clients.ts'
import { ClockFaults, type ClocksPlan, drawClocks, NO_CLOCK_FAULTS } from './clocks.ts'
import { DecayFaults, type DecayPlan, drawDecay, NO_DECAY } from './decay.ts'
import { DiskFaults, type DiskPlan, drawDisk, NO_DISK_FAULTS } from './disk.ts'
import { DamageFaults, type DamagePlan, drawDamage, NO_DAMAGE } from './damage.ts'
import { drawNetwork, NetworkFaults, type NetworkPlan, NO_NETWORK_FAULTS } from './network.ts'
import { drawNodes, NO_NODE_FAULTS, NodeFaults, type NodesPlan } from './nodes.ts'
import { drawRollback, isNone, NO_ROLLBACK, RollbackFaults, type RollbackPlan } from './rollback.ts'
import { drawMembers, MemberFaults, type MembersPlan, NO_MEMBER_FAULTS } from './members.ts'
import { drawRecovery, NO_RECOVERY, RecoveryFaults, type RecoveryPlan } from './recovery.ts'
import type { FaultSource, Hands } from './source.ts'

/** Every `...EveryMs` is the mean time between two of that fault in the whole world; 0 is never. */
export interface FaultPlan {
  readonly network: NetworkPlan
  readonly nodes: NodesPlan
  readonly clocks: ClocksPlan
  readonly clients: ClientsPlan
  readonly disk: DiskPlan
  readonly aimed: AimedPlan
  readonly damage: DamagePlan
  readonly rollback: RollbackPlan
  readonly members: MembersPlan
  readonly decay: DecayPlan
  readonly recovery: RecoveryPlan
}

export const NO_FAULTS: FaultPlan = {
  network: NO_NETWORK_FAULTS,
  nodes: NO_NODE_FAULTS,
  clocks: NO_CLOCK_FAULTS,
  clients: NO_CLIENT_FAULTS,
  disk: NO_DISK_FAULTS,
  aimed: NO_AIMED_FAULTS,
  damage: NO_DAMAGE,
  rollback: NO_ROLLBACK,
  members: NO_MEMBER_FAULTS,
  decay: NO_DECAY,
  recovery: NO_RECOVERY,
}

export function drawPlan(random: Random): FaultPlan {
  const plan: FaultPlan = {
    network: drawNetwork(random.fork()),
    nodes: drawNodes(random.fork()),
    clocks: drawClocks(random.fork()),
    clients: drawClients(random.fork()),
    disk: drawDisk(random.fork()),
    aimed: drawAimed(random.fork()),
    damage: drawDamage(random.fork()),
    rollback: drawRollback(random.fork()),
    members: drawMembers(random.fork()),
    decay: drawDecay(random.fork()),
    recovery: NO_RECOVERY,
  }
  if (plan.members.twinEveryMs > 0) return beside(plan)
  const chosen = withoutRecovery(plan, random)
  const recovery = drawRecovery(random.fork())
  return recovery === NO_RECOVERY || !isNone(plan.rollback) ? chosen : recovering(plan, recovery)
}

function withoutRecovery(plan: FaultPlan, random: Random): FaultPlan {
  // A disk that has forgotten is found out by the others: beside it nothing else may go wrong with nodes, links and disks.
  if (isNone(plan.rollback) && plan.decay.betrayedEveryMs > 0 && random.chance(FOCUS_CHANCE)) return focused(plan)
  return isNone(plan.rollback) ? plan : { ...NO_FAULTS, clocks: plan.clocks, clients: plan.clients, rollback: plan.rollback }
}

/** Of the seeds in which masters are betrayed by their disks, those in which little else stands in the way of it. */
const FOCUS_CHANCE = 0.6

function focused({ network, clocks, clients, disk, decay }: FaultPlan): FaultPlan {
  const { delayMsMin, delayMsMax } = network.settings
  return { ...NO_FAULTS, network: { ...NO_NETWORK_FAULTS, settings: { ...NO_NETWORK_FAULTS.settings, delayMsMin, delayMsMax } }, clocks, clients, disk: { ...NO_DISK_FAULTS, settings: disk.settings }, decay }
}

/** A disaster beside another failure may cost more than is promised. */
function recovering({ network, clocks, clients }: FaultPlan, recovery: RecoveryPlan): FaultPlan {
  const { delayMsMin, delayMsMax } = network.settings
  return { ...NO_FAULTS, network: { ...NO_NETWORK_FAULTS, settings: { ...NO_NETWORK_FAULTS.settings, delayMsMin, delayMsMax } }, clocks, clients, recovery }
}

/** Twins together with another failure are outside the promise: beside them there are only the ordinary delays and clocks. */
function beside({ network, clocks, members }: FaultPlan): FaultPlan {
  const { delayMsMin, delayMsMax } = network.settings
  return {
    ...NO_FAULTS,
    network: { ...NO_NETWORK_FAULTS, settings: { ...NO_NETWORK_FAULTS.settings, delayMsMin, delayMsMax } },
    clocks: { ...NO_CLOCK_FAULTS, driftMax: clocks.driftMax },
    members: { ...NO_MEMBER_FAULTS, twinEveryMs: members.twinEveryMs },
  }
}

/** The sources at work, each with a generator of its own beside those of its strikes. */
export function makeSources(hands: Hands, plan: FaultPlan, random: Random): readonly FaultSource[] {
  const own = Object.keys(plan).map(() => random.fork())
  return [
    new NetworkFaults(hands, plan.network),
    new NodeFaults(hands, plan.nodes, own[1]!),
    new ClockFaults(hands, plan.clocks, own[2]!),
    new ClientFaults(hands, plan.clients),
    new DiskFaults(hands, plan.disk),
    new AimedFaults(hands, plan.aimed, own[5]!),
    new DamageFaults(hands, plan.damage),
    new RollbackFaults(hands, plan.rollback),
    new MemberFaults(hands, plan.members, own[8]!),
    new DecayFaults(hands, plan.decay, own[9]!),
    new RecoveryFaults(hands, plan.recovery),
  ]
}
