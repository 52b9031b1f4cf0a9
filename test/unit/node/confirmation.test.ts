import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Now } from '@horus/core/actor'
import { Code } from '@horus/core/message/command'
import { RegistryCode } from '@horus/core/message/registry'
import { Confirmation, type ConfirmationOutbox } from '@horus/core/node/confirmation'
import type { RecoveryDecision } from '@horus/core/node/identity-file'
import type { Instant, ShardId, WallTime } from '@horus/core/units'
import { idOf } from '../names.ts'

/** The node that has decided, and the registry that is asked. */
class Stand implements ConfirmationOutbox {
  readonly confirmation = new Confirmation(idOf(3))
  readonly said: string[] = []
  kept: RecoveryDecision | undefined
  ticket = 0
  ms = 0

  constructor(shards: readonly number[]) {
    this.kept = { destroyed: [idOf(1), idOf(2)], shards: shards.map((shard) => ({ shard: shard as ShardId, recovery: 1 })) }
    this.confirmation.receive(this.now, { kind: 'start', decision: this.kept }, this)
  }

  get now(): Now {
    return { monotonic: this.ms as Instant, wall: 0 as WallTime }
  }

  answer(code: number): void {
    this.confirmation.receive(this.now, { kind: 'answer', ticket: this.ticket, code }, this)
  }

  saved(): void {
    this.confirmation.receive(this.now, { kind: 'saved', ticket: this.ticket }, this)
  }

  ask(ticket: number, wish: Parameters<ConfirmationOutbox['ask']>[1]): void {
    this.ticket = ticket
    assert.ok(wish.kind === 'shardRecovered' && wish.node === idOf(3) && wish.destroyed.length === 2)
    this.said.push(`asks ${wish.shard} ${wish.recovery}`)
  }

  save(ticket: number, changes: Parameters<ConfirmationOutbox['save']>[1]): void {
    this.ticket = ticket
    this.kept = changes.recovery
    this.said.push('saves')
  }

  settled(shard: ShardId, confirmed: boolean): void {
    this.said.push(`${confirmed ? 'confirmed' : 'given up'} ${shard}`)
  }

  log(level: string): void {
    if (level === 'error') this.said.push('complains')
  }
}

test('each shard is confirmed by the registry, and counts only once that is kept; the registry itself needs nobody', () => {
  const stand = new Stand([0, 4])
  assert.deepEqual(stand.said, ['saves'])
  stand.saved()
  assert.deepEqual(stand.said, ['saves', 'confirmed 0', 'asks 4 1'])
  stand.answer(Code.ok)
  assert.deepEqual([stand.said.slice(3), stand.kept], [['saves'], undefined])
  stand.saved()
  assert.deepEqual(stand.said.slice(4), ['confirmed 4'])
  assert.equal(stand.confirmation.wakeAt, Infinity)
})

test('another copy was recovered: this one is given up; a node that lives is waited for, and told once', () => {
  const stand = new Stand([4, 5])
  stand.answer(RegistryCode.outdated)
  stand.saved()
  assert.deepEqual(stand.said, ['asks 4 1', 'complains', 'saves', 'given up 4', 'asks 5 1'])
  for (let tries = 0; tries < 2; tries++) {
    stand.answer(RegistryCode.lives)
    stand.ms = stand.confirmation.wakeAt
    stand.confirmation.wake(stand.now, stand)
  }
  assert.deepEqual(stand.said.slice(5), ['complains', 'asks 5 1', 'asks 5 1'])
  assert.deepEqual(stand.kept?.shards.map(({ shard }) => shard), [5])
})
