import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClusterModel } from './cluster.ts'
import { tellMessage } from './masters/copy.ts'
import { masters, SCOPES } from './scopes.ts'
import { Breach, search } from './search.ts'
import { States } from './states.ts'
import { storyOf } from './story.ts'
import { Holder, ringLaws } from './toy.ts'

function ring(size: number, isBuggy: boolean, budgets: { readonly handOns: number; readonly duplicates: number }): ClusterModel<Holder, { kind: string; node: number }, number> {
  const nodes = Array.from({ length: size }, (_, i) => new Holder(i, size, isBuggy))
  return new ClusterModel({ nodes, laws: ringLaws, budgets: { 'hand on': budgets.handOns }, duplicates: budgets.duplicates })
}

test('every state is counted once: a token on a ring is at one of the nodes or on its way', () => {
  const result = search(ring(3, false, { handOns: 4, duplicates: 0 }), { statesMax: 1000 })
  // Handed on 0 to 4 times, and each time it is under way before it has arrived.
  assert.deepEqual(result, { states: 1 + 2 * 4, steps: 2 * 4, depth: 9, exhausted: true, breach: undefined })
})

test('a message that arrives twice is looked at where it is allowed, and only there', () => {
  assert.equal(search(ring(3, true, { handOns: 4, duplicates: 0 }), { statesMax: 1000 }).breach, undefined)
  assert.equal(search(ring(3, false, { handOns: 4, duplicates: 2 }), { statesMax: 1000 }).breach, undefined)
  assert.equal(search(ring(3, true, { handOns: 4, duplicates: 1 }), { statesMax: 1000 }).breach?.law, 'a node has two tokens')
})

test('a planted bug is told as the shortest story', () => {
  const model = ring(3, true, { handOns: 4, duplicates: 1 })
  const { breach } = search(model, { statesMax: 1000 })
  assert.deepEqual(storyOf(model, breach!.way, (bytes) => `token ${bytes[0]}`), [
    '1.  node 1 hand on => has 0; sends to 2: token 1',
    '2.  node 2 gets from 1: token 1 => has 1',
    '3.  node 2 gets from 1: token 1 => has 2',
  ])
})

test('a search that ends at its limit does not say that it has seen everything', () => {
  assert.equal(search(ring(3, false, { handOns: 4, duplicates: 0 }), { statesMax: 5 }).exhausted, false)
})

test('states are told apart by all their numbers, however many there are', () => {
  const states = new States(3)
  const row = Int32Array.of(0, 0, 0)
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 20_000; i++) {
      row.set([i % 7, i, -i])
      assert.equal(states.add(row, i - 1, i), round === 0)
    }
  }
  assert.equal(states.count, 20_000)
  states.read(12_345, row)
  assert.deepEqual([...row], [12_345 % 7, 12_345, -12_345])
  assert.deepEqual(states.wayTo(3), [1, 2, 3])
})

for (const scope of SCOPES.filter(({ isShort }) => isShort)) {
  test(`no law breaks in any state of the scope '${scope.name}'`, () => {
    const outcome = scope.explore(1_000_000)
    assert.equal(outcome.violation, undefined, outcome.violation?.story.join('\n'))
    assert.equal(outcome.exhausted, true)
    assert.ok(outcome.states > 10_000, `${outcome.states} states`)
  })
}

test('the same search visits the same states, and what a master is said to ignore it ignores for ever', () => {
  const results = [1, 2].map(() => {
    const model = masters({ budgets: { timeout: 1, crash: 1 }, candidates: [1] })
    const result = search(model, { statesMax: 100_000 })
    assert.ok(model.checkIgnored() > 100)
    return result
  })
  assert.equal(results[0]!.exhausted, true)
  assert.deepEqual(results[0], results[1])
})

test('the way to any state can be told: the steps are those of the real masters', () => {
  const model = masters({ budgets: { timeout: 1 }, candidates: [1] })
  const check = model.check.bind(model)
  // No law says that nobody ever leads in term 2: so the search finds out how it comes to that.
  model.check = (state) => {
    check(state)
    if (model.tell(state).some((node) => node.startsWith('leader in term 2'))) throw new Breach('node 2 leads')
  }
  const { breach } = search(model, { statesMax: 100_000 })
  const story = storyOf(model, breach!.way, tellMessage)
  assert.equal(story.length, 7)
  assert.match(story[0]!, /^1\. +node 2 timeout => candidate in term 1.*sends to 1: preVote \(.*to 3: preVote/)
  assert.match(story.at(-1)!, /node 2 gets from 3: voteAnswer \(.*granted true.*=> leader in term 2/)
})
