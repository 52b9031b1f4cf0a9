import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Member, type ShardHint } from '@horus/core/message/gossip'
import { Awareness } from '@horus/core/node/membership/awareness'
import { Hints } from '@horus/core/node/membership/hints'
import { News } from '@horus/core/node/membership/news'
import { beats, Roster } from '@horus/core/node/membership/roster'
import { Rota } from '@horus/core/node/membership/rota'
import { Suspicion, suspicionLimits } from '@horus/core/node/membership/suspicion'
import { Random } from '@horus/core/random'
import type { Address, Epoch, Instant, NodeId, ShardId, Term } from '@horus/core/units'
import { idOf } from '../names.ts'

const at = (ms: number): Instant => ms as Instant

test('a suspicion is patient while nobody confirms it and short once enough have', () => {
  const limits = suspicionLimits(100, 500, 4)
  assert.deepEqual(limits, { leastMs: 4000, mostMs: 24_000, confirmations: 2 })
  const suspicion = new Suspicion(limits, at(1000), idOf(0))
  assert.equal(suspicion.endsAt, 25_000)
  assert.equal(suspicion.confirm(idOf(0)), false)
  assert.equal(suspicion.confirm(idOf(1)), true)
  assert.ok(suspicion.endsAt < 14_000 && suspicion.endsAt > 5000)
  assert.equal(suspicion.confirm(idOf(1)), false)
  assert.equal(suspicion.confirm(idOf(2)), true)
  assert.equal(suspicion.endsAt, 5000)
  assert.equal(suspicion.confirm(idOf(3)), false)
})

test('where too few are there to confirm, a suspicion is as short as it gets', () => {
  assert.deepEqual(suspicionLimits(3, 500, 4), { leastMs: 2000, mostMs: 2000, confirmations: 0 })
  assert.equal(new Suspicion(suspicionLimits(2, 500, 4), at(0), idOf(0)).endsAt, 2000)
})

test('time in which the process stood still does not count against a suspect', () => {
  const suspicion = new Suspicion(suspicionLimits(3, 500, 4), at(0), idOf(0))
  suspicion.shift(7000)
  assert.equal(suspicion.endsAt, 9000)
})

test('a node that doubts itself is slower, never more than ninefold', () => {
  const awareness = new Awareness()
  assert.equal(awareness.stretch(100), 100)
  awareness.change(20)
  assert.equal(awareness.stretch(100), 900)
  awareness.change(-50)
  assert.equal(awareness.score, 0)
})

test('news is told so often and no oftener, the least told first, as much as fits', () => {
  const news = new News<string, string>((value) => value.length)
  news.put('a', 'aaaa')
  news.put('b', 'bb')
  assert.deepEqual(news.take(100, 1, 2).values, ['aaaa'])
  assert.deepEqual(news.take(100, 10, 2).values, ['bb', 'aaaa'])
  assert.deepEqual(news.take(100, 10, 2).values, ['bb'])
  assert.equal(news.size, 0)
  news.put('a', 'aaaa')
  news.put('c', 'c')
  assert.deepEqual(news.take(3, 10, 2).values, ['c'])
})

test('a newer word on the same subject replaces the older one and is told anew', () => {
  const news = new News<string, string>((value) => value.length)
  news.put('a', 'old')
  news.take(100, 10, 2)
  news.put('a', 'new')
  assert.deepEqual([news.take(100, 10, 2).values, news.take(100, 10, 2).values, news.take(100, 10, 2).values], [['new'], ['new'], []])
})

test('of two hints the higher (term, epoch) counts, and a leader counts more than none', () => {
  const hint = (epoch: number, term: number, leader?: number): ShardHint => ({ shard: 1 as ShardId, epoch: epoch as Epoch, term: term as Term, leader: leader === undefined ? undefined : idOf(leader), masters: [] })
  const hints = new Hints()
  assert.deepEqual([hint(1, 5), hint(1, 5, 1), hint(1, 5, 2), hint(1, 4, 2), hint(2, 1, 3), hint(1, 9, 4), hint(2, 9, 5)].map((one) => hints.put(one)), [true, true, false, false, false, true, true])
  assert.equal(hints.get(1 as ShardId)?.leader, idOf(5))
})

test('every member is probed once a round, in another order each round, and a doubted one next', () => {
  const rota = new Rota(new Random(1))
  for (let i = 0; i < 20; i++) rota.add(idOf(i))
  const round = (): NodeId[] => Array.from({ length: 20 }, () => rota.next()!)
  const rounds = [round(), round(), round()]
  for (const order of rounds) assert.equal(new Set(order).size, 20)
  assert.notDeepEqual(rounds[1], rounds[2])
  for (let k = 0; k < 7; k++) rota.next()
  rota.hurry(idOf(11))
  assert.equal(rota.next(), idOf(11))
  rota.remove(idOf(3))
  assert.equal(Array.from({ length: 60 }, () => rota.next()).includes(idOf(3)), false)
})

test('news of a member beats what is known as SWIM says', () => {
  const states = ['alive', 'suspect', 'dead', 'left'] as const
  const member = (state: Member['state'], incarnation: number): Member => ({ node: idOf(0), address: 'x:1' as Address, incarnation, boot: 1, state, value: 1, zone: '', version: '', eligible: true, expect: 0, clusterId: undefined })
  for (const [k, known] of states.entries()) {
    for (const [n, news] of states.entries()) {
      assert.equal(beats(member(news, 5), member(known, 5)), n > k)
      assert.equal(beats(member(news, 6), member(known, 5)), true)
      assert.equal(beats(member(news, 4), member(known, 5)), false)
    }
  }
})

test('a node compares what it knows with few others, and yet what one knows is soon known to all', () => {
  const nodes = Array.from({ length: 200 }, (_, i) => idOf(i))
  const random = new Random(4)
  const knows = new Set([idOf(0)])
  const partners = new Map(nodes.map((node) => [node, new Set<NodeId>()]))
  const rosters = nodes.map((node) => {
    const roster = new Roster()
    for (const other of nodes) if (other !== node) roster.set(other, { member: { node: other, state: 'alive' } as Member, changedAt: at(0), suspicion: undefined })
    return roster
  })
  let rounds = 0
  for (; knows.size < 200; rounds++) {
    nodes.forEach((node, i) => {
      const partner = rosters[i]!.distant(node, random)!
      partners.get(node)!.add(partner)
      // Both know afterwards what either knew.
      if (knows.has(node) || knows.has(partner)) knows.add(node).add(partner)
    })
  }
  assert.ok(rounds <= 10, `${rounds} rounds`)
  assert.ok([...partners.values()].every((those) => those.size <= 8))
})

test('of two nodes each is the one that the other compares with, and alone there is nobody', () => {
  const roster = new Roster()
  assert.equal(roster.distant(idOf(0), new Random(1)), undefined)
  roster.set(idOf(1), { member: { node: idOf(1), state: 'alive' } as Member, changedAt: at(0), suspicion: undefined })
  for (let i = 0; i < 10; i++) assert.equal(roster.distant(idOf(0), new Random(i)), idOf(1))
})
