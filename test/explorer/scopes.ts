//! The scopes that are explored, each small enough to be exhausted. What all of them have in common: messages arrive in any order or never, a disk
//! answers at any time for any beginning of what was written, and a crash at any time keeps any beginning of what was not answered.

import { birthConfiguration } from '@horus/core/master/configuration'
import type { ReplicaNumber } from '@horus/core/units'
import { ClusterModel } from './cluster.ts'
import { Copy, nodesOf, type Rules, tellMessage } from './masters/copy.ts'
import { MasterLaws } from './masters/laws.ts'
import type { Fact, Participant } from './participant.ts'
import { search } from './search.ts'
import { storyOf, type TellMessage } from './story.ts'

export interface Outcome {
  readonly scope: string
  readonly states: number
  readonly steps: number
  readonly depth: number
  /** Distinct nodes with their disks, and distinct messages, out of which the states are made. */
  readonly nodeStates: number
  readonly messages: number
  readonly exhausted: boolean
  /** The law that is broken, and the shortest way there. */
  readonly violation: { readonly law: string; readonly story: readonly string[] } | undefined
}

export interface NamedScope {
  readonly name: string
  /** Where it starts and what is bounded how. */
  readonly bounds: string
  /** Some seconds at most, so that the tests can run it. */
  readonly isShort: boolean
  explore(statesMax: number, progress?: (states: number, depth: number, frontier: number) => void): Outcome
}

export const SCOPES: readonly NamedScope[] = [
  scope('log', true, 'three masters, node 1 leads term 1; one entry is proposed, one time-out of node 2 may lead to term 2; no crash', () => masters({ budgets: { timeout: 1, proposal: 1 }, candidates: [1] }), tellMessage),
  scope('pair', false, 'masters 1 and 2, node 1 leads term 1 and node 3 is a learner with the whole log; the leader is asked to put it in the place of node 2; one time-out of node 2, one crash of any node', () => pair({ budgets: { timeout: 1, crash: 1, 'change 2': 1 }, candidates: [1] }), tellMessage),
  scope('heartbeat', false, 'three masters, node 1 leads term 1; one heartbeat of a leader, one leader steps down since it hears nobody, one time-out of node 2; no entry is proposed, no crash', () => masters({ budgets: { timeout: 1, heartbeat: 1, 'step down': 1 }, candidates: [1] }), tellMessage),
  scope('joint', false, 'three masters, node 1 leads term 1 and node 4 is a learner with the whole log; the leader is asked to put it in the place of node 3; no time-out, no crash', () => swap({ budgets: { 'change 2': 1 }, candidates: [] }), tellMessage),
  scope('log and crash', false, 'as log, and one crash of any node', () => masters({ budgets: { timeout: 1, proposal: 1, crash: 1 }, candidates: [1] }), tellMessage),
  scope('log and copies', false, 'as log, and one message arrives twice', () => masters({ budgets: { timeout: 1, proposal: 1 }, candidates: [1], duplicates: 1 }), tellMessage),
  scope('votes', false, 'three masters, node 1 leads term 1; two time-outs of nodes 2 and 3 in all, one crash of any node', () => masters({ budgets: { timeout: 2, crash: 1 }, candidates: [1, 2] }), tellMessage),
]

function scope<P extends Participant, F extends Fact, Memory>(name: string, isShort: boolean, bounds: string, make: () => ClusterModel<P, F, Memory>, tell: TellMessage): NamedScope {
  return {
    name, bounds, isShort,
    explore(statesMax, progress) {
      const model = make()
      const { breach, ...counts } = search(model, { statesMax, ...(progress && { progress }) })
      return {
        scope: name, ...counts, nodeStates: model.locals, messages: model.network.messages,
        violation: breach && { law: breach.law, story: storyOf(model, breach.way, tell) },
      }
    },
  }
}

interface Bounds {
  readonly budgets: Readonly<Record<string, number>>
  /** Whose election timers may run out. */
  readonly candidates: readonly number[]
  readonly duplicates?: number
}

const TERM_MAX = 2

/** Three masters. */
export function masters({ budgets, candidates, duplicates = 0 }: Bounds): ClusterModel<Copy, Fact, unknown> {
  const nodes = nodesOf(3)
  return settled({ birth: birthConfiguration(nodes), termMax: TERM_MAX, nodes, candidates, changes: [] }, budgets, duplicates)
}

/** Four nodes, three of them masters; node 4 is a learner and has the whole log. */
function swap(bounds: Bounds): ClusterModel<Copy, Fact, unknown> {
  return withLearner(4, [1, 2, 4], bounds)
}

/** Two masters, and node 3 is a learner that has the whole log. */
function pair(bounds: Bounds): ClusterModel<Copy, Fact, unknown> {
  return withLearner(3, [1, 3], bounds)
}

/** The last node becomes a learner; then the leader may be asked to make it a voter. */
function withLearner(count: number, next: readonly number[], { budgets, candidates, duplicates = 0 }: Bounds): ClusterModel<Copy, Fact, unknown> {
  const nodes = nodesOf(count)
  const voters = next.map((replica) => ({ replica: replica as ReplicaNumber, node: nodes[replica - 1]! }))
  const rules: Rules = { birth: birthConfiguration(nodes.slice(0, -1)), termMax: TERM_MAX, nodes, candidates, changes: [{ kind: 'learner', node: nodes[count - 1]! }, { kind: 'replace', voters }] }
  const model = settled(rules, budgets, duplicates)
  model.prepare(0, { kind: 'change', argument: 0 })
  model.prepare(0, { kind: 'heartbeat', argument: 0 })
  return model
}

/** Node 1 leads in term 1, and its no-op is committed everywhere. */
function settled(rules: Rules, budgets: Bounds['budgets'], duplicates: number): ClusterModel<Copy, Fact, unknown> {
  const born = rules.nodes.map((_, i) => (i < rules.birth.voters.length ? Copy.born(i, rules) : new Copy(i, rules)))
  const model: ClusterModel<Copy, Fact, unknown> = new ClusterModel({ nodes: born, laws: new MasterLaws() as never, budgets, duplicates })
  model.prepare(0, { kind: 'timeout', argument: 0 })
  model.prepare(0, { kind: 'heartbeat', argument: 0 })
  return model
}
