import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Actor, Now } from '@horus/core/actor'
import { Admission, type AdmissionInput, type AdmissionOutbox } from '@horus/core/node/admission'
import { Discovery, type DiscoveryInput, type DiscoveryOutbox } from '@horus/core/node/discovery'
import { Identity, type IdentityInput, type IdentityOutbox } from '@horus/core/node/identity'
import { Registrar, type RegistrarInput, type RegistrarOutbox } from '@horus/core/node/registrar'
import { type CallerInput, type CallerOutbox, RegistryCaller } from '@horus/core/node/registry-caller'
import { type FollowerInput, type FollowerOutbox, RegistryFeed, type RegistryFeedInput, type RegistryFeedOutbox, RegistryFollower } from '@horus/core/node/registry-feed'
import { RegistryCode } from '@horus/core/message/registry'
import { Random } from '@horus/core/random'
import { Registry } from '@horus/core/registry/registry'
import type { Address, ClusterId, Instant, LogIndex, WallTime } from '@horus/core/units'
import { idOf } from '../names.ts'

const at = (ms: number): Now => ({ monotonic: ms as Instant, wall: ms as WallTime })
const addresses = Array.from({ length: 9 }, (_, i) => `10.0.0.${i}:1` as Address)
const entry = (k: number): Uint8Array => new Uint8Array(17).fill(k, 16).fill(0x41, 0, 1)

/** An outbox that writes down whatever is said to it. */
function paper<Outbox extends object>(): { said: unknown[]; outbox: Outbox } {
  const said: unknown[] = []
  return { said, outbox: new Proxy({} as Outbox, { get: (_target, name) => (...args: unknown[]) => said.push([name, ...args]) }) }
}

/** Gives the actor the inputs up to `cut`, copies it, and gives both the rest: they must say the same. */
function goesOn<Input, Outbox extends object>(actor: Actor<Input, Outbox>, inputs: readonly (Input | 'wake')[], cut: number): void {
  const give = (to: Actor<Input, Outbox>, k: number, outbox: Outbox): void => {
    const input = inputs[k]!
    if (input === 'wake') to.wake(at(k * 700), outbox)
    else to.receive(at(k * 700), input as Input, outbox)
  }
  for (let k = 0; k < cut; k++) give(actor, k, paper<Outbox>().outbox)
  const copy = actor.clone()
  assert.equal(copy.digest(), actor.digest())
  const [mine, its] = [paper<Outbox>(), paper<Outbox>()]
  for (let k = cut; k < inputs.length; k++) give(actor, k, mine.outbox)
  for (let k = cut; k < inputs.length; k++) give(copy, k, its.outbox)
  assert.deepEqual(its.said, mine.said)
  assert.ok(mine.said.length > 0)
  assert.equal(copy.digest(), actor.digest())
  assert.equal(copy.wakeAt, actor.wakeAt)
}

test('a copy of an identity goes on as the original would', () => {
  const device = (request: number, kind: 'created' | 'written'): IdentityInput => ({ kind: 'device', answer: { kind, request } })
  const missing: IdentityInput = { kind: 'device', answer: { kind: 'error', request: 1, error: 'missing', detail: '' } }
  const inputs: IdentityInput[] = [{ kind: 'start' }, missing, device(2, 'created'), device(3, 'written'), device(4, 'written'), { kind: 'save', user: 'replica', ticket: 1, changes: { generation: 2 } }, device(5, 'written'), device(6, 'written')]
  for (const cut of [1, 2, 3, 4, 6, 7]) goesOn<IdentityInput, IdentityOutbox>(new Identity({ cluster: 'test', random: new Random(1) }), inputs, cut)
})

test('a copy of a discovery goes on as the original would', () => {
  const inputs: (DiscoveryInput | 'wake')[] = [{ kind: 'start' }, 'wake', { kind: 'known', address: addresses[1]! }, { kind: 'known', address: addresses[2]! }, 'wake', { kind: 'unknown', address: addresses[2]! }, 'wake', 'wake']
  for (const cut of [1, 3, 5]) goesOn<DiscoveryInput, DiscoveryOutbox>(new Discovery({ self: addresses[0]!, candidates: addresses, seeds: [], enough: 2, random: new Random(2) }), inputs, cut)
})

test('a copy of a registry’s caller goes on as the original would', () => {
  const inputs: (CallerInput | 'wake')[] = [
    { kind: 'targets', leader: undefined, masters: [idOf(1), idOf(2), idOf(3)], others: [idOf(4)] },
    { kind: 'ask', user: 'client', ticket: 1, wish: { kind: 'forget', node: idOf(8), force: false } }, 'wake', 'wake', { kind: 'targets', leader: idOf(2), masters: [idOf(2)], others: [] }, 'wake', ...Array.from({ length: 30 }, () => 'wake' as const),
  ]
  for (const cut of [1, 3, 5]) goesOn<CallerInput, CallerOutbox>(new RegistryCaller({ node: idOf(0), random: new Random(3) }), inputs, cut)
})

test('a copy of a follower goes on as the original would', () => {
  const inputs: (FollowerInput | 'wake')[] = [
    { kind: 'start', applied: 0 as LogIndex }, { kind: 'masters', masters: [idOf(1), idOf(2)] },
    { kind: 'message', from: idOf(1), message: { kind: 'registryImage', index: 7 as LogIndex, part: 0, parts: 2, bytes: new Uint8Array([1]) } },
    { kind: 'message', from: idOf(1), message: { kind: 'registryImage', index: 7 as LogIndex, part: 1, parts: 2, bytes: new Uint8Array([2]) } },
    { kind: 'message', from: idOf(1), message: { kind: 'registryFeed', applied: 9 as LogIndex, first: 7 as LogIndex, entries: [entry(7), entry(8), entry(9)] } }, 'wake', 'wake', 'wake', 'wake', 'wake', 'wake', 'wake', 'wake', 'wake',
  ]
  for (const cut of [2, 3, 4]) goesOn<FollowerInput, FollowerOutbox>(new RegistryFollower({ random: new Random(4) }), inputs, cut)
})

test('a copy of a feed goes on as the original would', () => {
  const inputs: RegistryFeedInput[] = [
    { kind: 'applied', index: 1 as LogIndex, entry: entry(1) }, { kind: 'follow', from: idOf(1), index: 0 as LogIndex, registry: new Registry() },
    { kind: 'applied', index: 2 as LogIndex, entry: entry(2) }, { kind: 'turn' }, { kind: 'applied', index: 3 as LogIndex, entry: entry(3) }, { kind: 'turn' },
  ]
  for (const cut of [2, 3, 4]) goesOn<RegistryFeedInput, RegistryFeedOutbox>(new RegistryFeed(), inputs, cut)
})

test('a copy of an admission goes on as the original would', () => {
  const record = { node: idOf(0), address: addresses[0]!, value: 1, zone: '', version: '', eligible: true }
  const nothing = new Uint8Array(0)
  const inputs: (AdmissionInput | 'wake')[] = [{ kind: 'start', clusterId: undefined }, { kind: 'answer', ticket: 1, code: RegistryCode.tie, body: nothing }, { kind: 'saved', ticket: 2 }, { kind: 'answer', ticket: 3, code: RegistryCode.full, body: nothing }, 'wake', 'wake', 'wake']
  for (const cut of [1, 2, 3, 4]) goesOn<AdmissionInput, AdmissionOutbox>(new Admission({ record, random: new Random(5) }), inputs, cut)
})

test('a copy of a registrar goes on as the original would', () => {
  const view = { registry: new Registry(), candidates: [], reserve: [], isLive: () => true, isMaster: () => false, decision: { clusterId: 'c'.repeat(32) as ClusterId, masters: [] }, generation: 1 }
  const inputs: RegistrarInput[] = [{ kind: 'role', leading: true, leader: idOf(0), proposable: true }, { kind: 'tend', view }, { kind: 'tend', view }, { kind: 'tend', view }, { kind: 'outcome', origin: idOf(1), request: 1, code: 0, body: new Uint8Array(0) }]
  for (const cut of [1, 2, 3]) goesOn<RegistrarInput, RegistrarOutbox>(new Registrar({ node: idOf(0) }), inputs, cut)
})
