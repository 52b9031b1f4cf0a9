//! The actors of a node's part in the cluster, made together once its identity is known.

import { Admission } from '../node/admission.ts'
import { Confirmation } from '../node/confirmation.ts'
import { Discovery } from '../node/discovery.ts'
import { Founding } from '../node/founding.ts'
import { Gate } from '../node/gate.ts'
import type { IdentityState } from '../node/identity-file.ts'
import { Membership } from '../node/membership/membership.ts'
import { Registrar } from '../node/registrar.ts'
import { RegistryCaller } from '../node/registry-caller.ts'
import { RegistryFollower } from '../node/registry-feed.ts'
import type { ReplicaOptions } from './boundary.ts'

export interface Parts {
  readonly gate: Gate
  readonly membership: Membership
  readonly discovery: Discovery
  readonly founding: Founding
  readonly admission: Admission
  readonly confirmation: Confirmation
  readonly caller: RegistryCaller
  readonly registrar: Registrar
  readonly follower: RegistryFollower
}

/** `run` is drawn at every start, and tells two processes with one identity from each other. */
export function makeParts(options: ReplicaOptions, state: IdentityState, run: number): Parts {
  const { address, zone, version, eligible, range, seeds, random, tuning } = options
  const node = state.nodeId
  const alone = range.length === 0 && seeds.length === 0 && !options.join
  const expect = options.join ? 0 : (options.expect ?? 1)
  const mayFound = state.clusterId === undefined && !state.founding.ended ? expect : 0
  const gate = new Gate({ cluster: options.cluster, node, run, leaning: state.former })
  if (state.clusterId !== undefined) gate.adopt(state.clusterId)
  const replaceAfterMs = tuning?.replaceAfterMs
  const membership = new Membership({
    self: { node, address, boot: state.boot, value: state.value, zone, version, eligible, expect: mayFound, clusterId: state.clusterId },
    run, random: random.fork(),
    settings: {
      ...(replaceAfterMs === undefined ? {} : { probeIntervalMs: Math.min(500, Math.max(100, replaceAfterMs / 4)) }),
      ...(tuning?.syncMs === undefined ? {} : { syncIntervalMs: tuning.syncMs }),
    },
  })
  return {
    gate, membership,
    discovery: new Discovery({ self: address, candidates: range, seeds, enough: Math.max(1, expect - 1), random: random.fork() }),
    founding: new Founding({ node, address, eligible, expect, alone, random: random.fork(), valueBits: tuning?.valueBits }),
    admission: new Admission({ record: { node, address, value: state.value, zone, version, eligible }, random: random.fork(), valueBits: tuning?.valueBits }),
    confirmation: new Confirmation(node),
    caller: new RegistryCaller({ node, random: random.fork() }),
    registrar: new Registrar({ node, settings: { mastersWanted: Math.min(3, Math.max(1, expect)) } }),
    follower: new RegistryFollower({ random: random.fork() }),
  }
}
