import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MemberState } from '@horus/core/message/gossip'
import { type Candidate, desiredMasters, nextMaster } from '@horus/core/node/placement'
import { type Copy, Replacement, type ReplacementAction, replacementSettings, type ShardView } from '@horus/core/node/replacement'
import { leadToHandOver } from '@horus/core/node/spread'
import { Random } from '@horus/core/random'
import type { Epoch, Instant, NodeId, ShardId, Term } from '@horus/core/units'
import { idOf } from '../names.ts'

const numbers = (nodes: readonly NodeId[]): number[] => nodes.map((node) => parseInt(node, 16) - 1)
const candidate = (i: number, value = i, zone = ''): Candidate => ({ node: idOf(i), value, zone })
const REGISTRY = 0 as ShardId

test('the registry’s masters are the three highest values, literally', () => {
  assert.deepEqual(numbers(desiredMasters(REGISTRY, [candidate(0, 5), candidate(1, 90), candidate(2, 7), candidate(3, 30), candidate(4, 6)])), [1, 3, 2])
})

test('other shards spread over all nodes, about equally', () => {
  const random = new Random(1)
  const nodes = Array.from({ length: 20 }, (_, i) => candidate(i, random.u32()))
  const held = new Map<NodeId, number>()
  for (let shard = 1; shard <= 2000; shard++) for (const node of desiredMasters(shard as ShardId, nodes)) held.set(node, (held.get(node) ?? 0) + 1)
  assert.equal(held.size, 20)
  for (const count of held.values()) assert.ok(count > 200 && count < 400, `${count} of 300`)
})

test('a node that goes moves only the shards that it held', () => {
  const random = new Random(2)
  const nodes = Array.from({ length: 10 }, (_, i) => candidate(i, random.u32()))
  for (let shard = 1; shard <= 200; shard++) {
    const before = desiredMasters(shard as ShardId, nodes)
    const after = desiredMasters(shard as ShardId, nodes.filter((node) => node.node !== idOf(4)))
    assert.deepEqual(before.filter((node) => node !== idOf(4)), after.filter((node) => before.includes(node)))
  }
})

test('three zones hold one master each; with two zones the third place goes to the highest', () => {
  const three = [candidate(0, 100, 'a'), candidate(1, 90, 'a'), candidate(2, 80, 'b'), candidate(3, 70, 'b'), candidate(4, 60, 'c')]
  assert.deepEqual(numbers(desiredMasters(REGISTRY, three)), [0, 2, 4])
  assert.deepEqual(numbers(desiredMasters(REGISTRY, three.slice(0, 4))), [0, 2, 1])
  assert.deepEqual(numbers([nextMaster(REGISTRY, [three[0]!, three[2]!], three)!]), [4])
})

/** A shard with its world: what the leader sees, and what its actions lead to. */
class Stage {
  readonly replacement = new Replacement()
  time = 0
  voters: NodeId[]
  learners: NodeId[] = []
  readonly states = new Map<NodeId, MemberState>()
  readonly silentSince = new Map<NodeId, number>()
  readonly behind = new Set<NodeId>()
  readonly suspects = new Set<NodeId>()
  readonly leaving = new Set<NodeId>()
  readonly doubtedLearners = new Set<NodeId>()
  readonly values: number[]
  self = idOf(0)
  settled = true

  constructor(voters: readonly number[], values: readonly number[]) {
    this.voters = voters.map(idOf)
    this.values = [...values]
    for (const i of values.keys()) this.states.set(idOf(i), 'alive')
  }

  get view(): ShardView {
    const alive = this.values.map((value, i) => candidate(i, value)).filter(({ node }) => this.states.get(node) === 'alive')
    const candidates = alive.filter(({ node }) => !this.leaving.has(node))
    const reserve = alive.filter(({ node }) => this.leaving.has(node))
    const heirs = this.voters.filter((node) => node !== this.self && this.states.get(node) === 'alive' && !this.behind.has(node) && !this.suspects.has(node))
    const copy = (node: NodeId, suspect: boolean): Copy => ({ node, activeAgoMs: this.silentSince.has(node) ? this.time - this.silentSince.get(node)! : 0, caughtUp: !this.behind.has(node), suspect })
    return {
      shard: REGISTRY, self: this.self, settled: this.settled, candidates, reserve, heirs, state: (node) => this.states.get(node), zone: () => '', isLeaving: (node) => this.leaving.has(node),
      voters: this.voters.map((node) => copy(node, this.suspects.has(node))), learners: this.learners.map((node) => copy(node, this.doubtedLearners.has(node))),
    }
  }

  kill(i: number): void {
    this.states.set(idOf(i), 'dead')
    this.silentSince.set(idOf(i), this.time)
  }

  consider(): ReplacementAction | undefined {
    return this.replacement.consider(this.time as Instant, this.view)
  }

  /** Lets time pass and carries actions out, until the first one or the limit. */
  next(limitMs: number, stepMs = 100): ReplacementAction | undefined {
    const end = this.time + limitMs
    while (this.time < end) {
      const action = this.consider()
      if (action) {
        this.#carryOut(action)
        return action
      }
      this.time += stepMs
    }
    return undefined
  }

  #carryOut(action: ReplacementAction): void {
    if (action.kind === 'transfer') this.self = action.to
    if (action.kind === 'addLearner') this.learners = [...this.learners, action.node]
    if (action.kind === 'dropLearner') {
      this.learners = this.learners.filter((node) => node !== action.node)
      this.doubtedLearners.delete(action.node)
    }
    if (action.kind === 'reconfigure') {
      for (const node of action.voters) if (this.learners.includes(node)) this.suspects.delete(node)
      this.voters = [...action.voters]
      this.learners = []
    }
  }
}

test('one master grows to three by two learners and one joint step', () => {
  const stage = new Stage([0], [50, 40, 30, 20])
  stage.behind.add(idOf(2))
  assert.deepEqual(stage.next(1000), { kind: 'addLearner', node: idOf(1) })
  assert.deepEqual(stage.next(1000), { kind: 'addLearner', node: idOf(2) })
  assert.equal(stage.next(1000), undefined)
  stage.behind.clear()
  assert.deepEqual(stage.next(3000), { kind: 'reconfigure', voters: [idOf(0), idOf(1), idOf(2)] })
  assert.equal(stage.next(10_000), undefined)
})

test('with two nodes both become masters, after a wait for a third', () => {
  const stage = new Stage([0], [50, 40])
  assert.equal(stage.next(4000), undefined)
  assert.deepEqual(stage.next(4000), { kind: 'addLearner', node: idOf(1) })
  assert.deepEqual(stage.next(4000), { kind: 'reconfigure', voters: [idOf(0), idOf(1)] })
})

test('a dead master is replaced by the next highest after replaceAfter, not before', () => {
  const stage = new Stage([0, 1, 2], [50, 40, 30, 20, 25])
  stage.kill(1)
  assert.equal(stage.next(replacementSettings.replaceAfterMs - 200), undefined)
  assert.deepEqual(stage.next(1000), { kind: 'addLearner', node: idOf(4) })
  assert.deepEqual(stage.next(1000), { kind: 'reconfigure', voters: [idOf(0), idOf(4), idOf(2)] })
})

test('a master that membership alone, or the leader alone, holds for dead stays', () => {
  const byGossip = new Stage([0, 1, 2], [50, 40, 30, 20])
  byGossip.states.set(idOf(1), 'dead')
  assert.equal(byGossip.next(100_000), undefined)
  const bySilence = new Stage([0, 1, 2], [50, 40, 30, 20])
  bySilence.silentSince.set(idOf(1), 0)
  assert.equal(bySilence.next(100_000), undefined)
})

test('with nobody to replace it a dead master keeps its place', () => {
  const stage = new Stage([0, 1, 2], [50, 40, 30])
  stage.kill(2)
  assert.equal(stage.next(100_000), undefined)
})

test('a learner that dies while it catches up makes room for the next', () => {
  const stage = new Stage([0, 1, 2], [50, 40, 30, 20, 10])
  stage.kill(1)
  stage.behind.add(idOf(3))
  assert.deepEqual(stage.next(40_000), { kind: 'addLearner', node: idOf(3) })
  stage.kill(3)
  assert.deepEqual(stage.next(40_000), { kind: 'dropLearner', node: idOf(3) })
  assert.deepEqual(stage.next(40_000), { kind: 'addLearner', node: idOf(4) })
  assert.deepEqual(stage.next(40_000), { kind: 'reconfigure', voters: [idOf(0), idOf(4), idOf(2)] })
})

test('a learner whose copy is in doubt goes, and learns anew under another number', () => {
  for (const voters of [[0, 1, 2], [0, 1]]) {
    const stage = new Stage(voters, [50, 40, 30, 20])
    if (voters.length === 3) stage.kill(1)
    const next = idOf(voters.length)
    stage.behind.add(next)
    assert.deepEqual(stage.next(100_000), { kind: 'addLearner', node: next })
    stage.doubtedLearners.add(next)
    assert.deepEqual(stage.next(1000), { kind: 'dropLearner', node: next })
    assert.deepEqual(stage.next(5000), { kind: 'addLearner', node: next })
    stage.behind.clear()
    assert.equal(stage.next(1000)?.kind, 'reconfigure')
  }
})

test('a master that returns before its learner has caught up keeps its place, and the learner goes', () => {
  const stage = new Stage([0, 1, 2], [50, 40, 30, 20])
  stage.kill(1)
  stage.behind.add(idOf(3))
  stage.next(40_000)
  stage.states.set(idOf(1), 'alive')
  stage.silentSince.clear()
  assert.deepEqual(stage.next(5000), { kind: 'dropLearner', node: idOf(3) })
  assert.equal(stage.next(100_000), undefined)
})

test('a copy in doubt comes back on the same node, under a new number', () => {
  const stage = new Stage([0, 1, 2], [50, 40, 30, 20])
  stage.suspects.add(idOf(2))
  assert.deepEqual(stage.next(1000), { kind: 'addLearner', node: idOf(2) })
  assert.deepEqual(stage.next(1000), { kind: 'reconfigure', voters: [idOf(0), idOf(1), idOf(2)] })
  assert.equal(stage.next(10_000), undefined)
})

test('a copy that takes long to come back is waited for', () => {
  const stage = new Stage([0, 1, 2], [50, 40, 30, 20])
  stage.suspects.add(idOf(2))
  stage.behind.add(idOf(2))
  assert.deepEqual(stage.next(1000), { kind: 'addLearner', node: idOf(2) })
  assert.equal(stage.next(60_000), undefined)
  stage.behind.clear()
  assert.deepEqual(stage.next(1000), { kind: 'reconfigure', voters: [idOf(0), idOf(1), idOf(2)] })
})

test('a draining master is replaced at once, by the same path as a dead one', () => {
  const stage = new Stage([0, 1, 2], [50, 40, 30, 20, 25])
  stage.leaving.add(idOf(1))
  stage.behind.add(idOf(4))
  assert.deepEqual(stage.next(1000), { kind: 'addLearner', node: idOf(4) })
  assert.equal(stage.next(60_000), undefined)
  stage.behind.clear()
  assert.deepEqual(stage.next(1000), { kind: 'reconfigure', voters: [idOf(0), idOf(4), idOf(2)] })
  assert.equal(stage.next(200_000), undefined)
})

test('a draining leader hands its lead to a master that stays before it is replaced', () => {
  const stage = new Stage([0, 1, 2], [50, 40, 30, 20])
  for (const i of [0, 1]) stage.leaving.add(idOf(i))
  assert.deepEqual(stage.next(1000), { kind: 'transfer', to: idOf(2) })
  assert.deepEqual(stage.next(1000), { kind: 'addLearner', node: idOf(3) })
  assert.deepEqual(stage.next(1000), { kind: 'reconfigure', voters: [idOf(3), idOf(1), idOf(2)] })
  assert.equal(stage.next(200_000), undefined)
})

test('with no other node a draining one stays a master, and only the lead goes', () => {
  const stage = new Stage([0, 1, 2], [50, 40, 30])
  stage.leaving.add(idOf(0))
  assert.deepEqual(stage.next(1000), { kind: 'transfer', to: idOf(1) })
  assert.equal(stage.next(200_000), undefined)
})

test('where every master drains the others go first, the leader last', () => {
  const stage = new Stage([0, 1, 2], [50, 40, 30, 20])
  for (const i of [0, 1, 2]) stage.leaving.add(idOf(i))
  assert.deepEqual(stage.next(1000), { kind: 'addLearner', node: idOf(3) })
  assert.deepEqual(stage.next(1000), { kind: 'reconfigure', voters: [idOf(0), idOf(3), idOf(2)] })
  assert.deepEqual(stage.next(1000), { kind: 'transfer', to: idOf(3) })
  const alone = new Stage([0], [50, 40])
  alone.leaving.add(idOf(0))
  assert.deepEqual(alone.next(1000), { kind: 'addLearner', node: idOf(1) })
  assert.deepEqual(alone.next(1000), { kind: 'reconfigure', voters: [idOf(1)] })
})

test('a draining node takes nothing on while there is another; and a learner on it goes', () => {
  const stage = new Stage([0, 1, 2], [50, 40, 30, 90, 20])
  stage.leaving.add(idOf(3))
  assert.equal(stage.next(200_000), undefined)
  stage.leaving.clear()
  stage.kill(1)
  stage.behind.add(idOf(3))
  assert.deepEqual(stage.next(100_000), { kind: 'addLearner', node: idOf(3) })
  stage.leaving.add(idOf(3))
  assert.deepEqual(stage.next(1000), { kind: 'dropLearner', node: idOf(3) })
  assert.deepEqual(stage.next(1000), { kind: 'addLearner', node: idOf(4) })
  const small = new Stage([0], [50, 40])
  small.leaving.add(idOf(1))
  assert.equal(small.next(200_000), undefined)
})

test('a draining node steps in for a dead master where nobody else can, and goes as soon as somebody can', () => {
  const stage = new Stage([0, 1, 2], [50, 40, 30, 90])
  stage.leaving.add(idOf(3))
  stage.kill(1)
  assert.deepEqual(stage.next(100_000), { kind: 'addLearner', node: idOf(3) })
  assert.deepEqual(stage.next(1000), { kind: 'reconfigure', voters: [0, 3, 2].map(idOf) })
  assert.equal(stage.next(200_000), undefined)
  stage.states.set(idOf(1), 'alive')
  stage.silentSince.clear()
  assert.deepEqual(stage.next(1000), { kind: 'addLearner', node: idOf(1) })
  assert.deepEqual(stage.next(1000), { kind: 'reconfigure', voters: [0, 1, 2].map(idOf) })
  assert.equal(stage.next(200_000), undefined)
})

test('a dead master is replaced before a draining one', () => {
  const stage = new Stage([0, 1, 2], [50, 40, 30, 20])
  stage.kill(1)
  stage.next(replacementSettings.replaceAfterMs - 200)
  stage.leaving.add(idOf(2))
  stage.time += 1000
  assert.deepEqual(stage.next(1000), { kind: 'addLearner', node: idOf(3) })
  assert.deepEqual(stage.next(1000), { kind: 'reconfigure', voters: [idOf(0), idOf(3), idOf(2)] })
})

test('a copy in doubt on a draining node goes to another, and comes back on its own only where there is none', () => {
  for (const others of [[20], []]) {
    const stage = new Stage([0, 1, 2], [50, 40, 30, ...others])
    stage.suspects.add(idOf(2))
    stage.leaving.add(idOf(2))
    const next = others.length > 0 ? idOf(3) : idOf(2)
    assert.deepEqual(stage.next(1000), { kind: 'addLearner', node: next })
    assert.deepEqual(stage.next(1000), { kind: 'reconfigure', voters: [idOf(0), idOf(1), next] })
    assert.equal(stage.next(100_000), undefined)
  }
})

test('a node that no longer drains gets its place back when it ranks higher, as any other would', () => {
  const stage = new Stage([0, 1, 2], [50, 40, 30, 20])
  stage.leaving.add(idOf(1))
  stage.next(1000)
  stage.next(1000)
  assert.deepEqual(stage.voters, [0, 3, 2].map(idOf))
  stage.leaving.clear()
  assert.equal(stage.next(replacementSettings.balanceAfterMs - 500), undefined)
  assert.deepEqual(stage.next(2000), { kind: 'addLearner', node: idOf(1) })
  assert.deepEqual(stage.next(2000), { kind: 'reconfigure', voters: [0, 1, 2].map(idOf) })
})

test('a master that has said good-bye is replaced when it stays away, like one that is dead', () => {
  const stage = new Stage([0, 1, 2], [50, 40, 30, 20])
  stage.states.set(idOf(1), 'left')
  stage.silentSince.set(idOf(1), stage.time)
  assert.equal(stage.next(replacementSettings.replaceAfterMs - 500), undefined)
  assert.deepEqual(stage.next(1000), { kind: 'addLearner', node: idOf(3) })
})

test('a higher value takes a place only after it has lasted, and once it flaps not at all', () => {
  const stage = new Stage([0, 1, 2], [50, 40, 30, 90])
  assert.equal(stage.next(replacementSettings.balanceAfterMs - 500), undefined)
  stage.states.set(idOf(3), 'suspect')
  stage.next(200)
  stage.states.set(idOf(3), 'alive')
  assert.equal(stage.next(replacementSettings.balanceAfterMs - 500), undefined)
  assert.deepEqual(stage.next(2000), { kind: 'addLearner', node: idOf(3) })
  assert.deepEqual(stage.next(2000), { kind: 'reconfigure', voters: [idOf(0), idOf(1), idOf(3)] })
  assert.equal(stage.next(200_000), undefined)
})

test('a leader that is to go hands the lead over first', () => {
  const stage = new Stage([0, 1, 2], [10, 40, 30, 90])
  stage.next(100_000)
  assert.deepEqual(stage.next(1000), { kind: 'transfer', to: idOf(1) })
})

test('nothing is done for balance while a master is in doubt', () => {
  const stage = new Stage([0, 1, 2], [50, 40, 30, 90])
  stage.states.set(idOf(1), 'suspect')
  assert.equal(stage.next(200_000), undefined)
})

test('nothing is done while a change is under way', () => {
  const stage = new Stage([0], [50, 40, 30])
  stage.settled = false
  assert.equal(stage.next(10_000), undefined)
})

test('whatever dies and returns, a shard ends with the three that should hold it', () => {
  for (let seed = 1; seed <= 25; seed++) {
    const random = new Random(seed)
    const count = random.between(4, 8)
    const stage = new Stage([0, 1, 2], Array.from({ length: count }, (_, i) => random.below(1000) * 10 + i))
    for (let k = 0; k < 15; k++) {
      const i = random.between(1, count - 1)
      if (random.chance(0.5) && [...stage.voters].filter((node) => stage.states.get(node) === 'alive').length > 2) stage.kill(i)
      else {
        stage.states.set(idOf(i), 'alive')
        stage.silentSince.delete(idOf(i))
      }
      for (let n = 0; n < 4; n++) stage.next(random.pick([500, 5000, 40_000]), 1000)
      assert.equal(stage.voters.length, 3)
      assert.equal(new Set(stage.voters).size, 3)
    }
    for (const i of stage.values.keys()) stage.states.set(idOf(i), 'alive')
    stage.silentSince.clear()
    for (let n = 0; n < 12; n++) stage.next(100_000, 1000)
    const desired = desiredMasters(REGISTRY, stage.view.candidates)
    assert.deepEqual([...stage.voters].sort(), [...desired].sort(), `seed ${seed}`)
    assert.deepEqual(stage.learners, [], `seed ${seed}`)
  }
})

test('leads are handed over until counts differ by at most one', () => {
  const hint = (shard: number, leader: number) => ({ shard: shard as ShardId, epoch: 1 as Epoch, term: 1 as Term, leader: idOf(leader), masters: [0, 1, 2].map(idOf) })
  const ready = [0, 1, 2].map(idOf)
  const led = [1, 2, 3].map((shard) => ({ shard: shard as ShardId, ready }))
  const hints = [hint(1, 0), hint(2, 0), hint(3, 0), hint(4, 1)]
  assert.deepEqual(leadToHandOver(idOf(0), led, hints), { shard: 1, to: idOf(2) })
  assert.equal(leadToHandOver(idOf(0), led.slice(0, 1), hints), undefined)
  assert.equal(leadToHandOver(idOf(0), led.slice(0, 2).map((one) => ({ ...one, ready: [idOf(0), idOf(1)] })), hints), undefined)
})
