import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Now } from '@horus/core/actor'
import { FailMode, logTable } from '@horus/core/message/command'
import { encode } from '@horus/core/message/layout'
import { partitionSettings, type PostMessage } from '@horus/core/message/posts'
import type { Hosted } from '@horus/core/replica/hosted'
import { JobMachine, type JobMachineOutbox } from '@horus/core/replica/job-machine'
import type { LogIndex, PartitionId, ShardId } from '@horus/core/units'
import { P, SHARD, TestLog } from '../job/log.ts'

const now = { monotonic: 50, wall: 1_700_000_000_000 } as unknown as Now
const RECEIVER = 9 as ShardId
const places = [{ partition: 40 as PartitionId, shard: RECEIVER }]
const settingsOf = (version: number): Uint8Array => encode(partitionSettings, { version, deadLetters: places })

/** The machine of a shard that is led here; what it proposes is committed by hand. */
class Led {
  readonly log = new TestLog()
  readonly sent: { readonly to: ShardId; readonly message: PostMessage }[] = []
  readonly proposed: Uint8Array[] = []
  placed = [{ partition: P, topic: 'jobs', settings: settingsOf(1), version: 1 }]
  readonly machine = new JobMachine(SHARD, {
    post: (to: ShardId, message: PostMessage) => this.sent.push({ to, message }), recoveryOf: () => 0, entry: (_shard: ShardId, index: LogIndex) => this.log.entries[index - 1], release: () => {}, placed: () => this.placed, redirect: () => new Uint8Array(0),
  } as unknown as JobMachineOutbox)
  #applied = 0

  constructor() {
    const applied = (): number => this.#applied
    this.machine.attach({
      stir: () => {}, propose: (_now: Now, entry: Uint8Array) => this.proposed.push(entry), isMending: () => false,
      get applied() {
        return applied()
      },
      master: { lastIndex: 0, proposable: 'yes', lacksRoom: false, leadsSurely: () => true, leaseNow: () => 0, wallNow: () => 0 },
    } as unknown as Hosted)
    this.machine.lead(true)
  }

  /** What the log has more than the machine. */
  apply(): void {
    for (; this.#applied < this.log.entries.length; this.#applied++) this.machine.apply((this.#applied + 1) as LogIndex, this.log.entries[this.#applied]!)
  }

  commit(): void {
    for (const entry of this.proposed.splice(0)) this.log.append(entry)
    this.apply()
  }
}

test('a shard with something in its outbox does not rest until that is confirmed; the post is sent at once, and again in time', () => {
  const led = new Led()
  const { log, machine } = led
  log.openPartition(P, 'jobs', settingsOf(1))
  const session = log.open()
  log.addMany(session, 1)
  const { jobs } = log.acquire(session, 1)
  log.release(session, jobs)
  led.apply()
  machine.turn(now)
  assert.deepEqual([machine.isIdle, led.sent], [true, []])
  log.fail(session, log.acquire(session, 1).jobs, { mode: FailMode.permanent })
  led.apply()
  assert.equal(machine.isIdle, false)
  machine.turn(now)
  assert.deepEqual(led.sent.map(({ to, message }) => [to, message.kind]), [[RECEIVER, 'posts']])
  assert.ok(machine.wakeAt(now) > now.monotonic && machine.wakeAt(now) < now.monotonic + 1000)
  machine.post(now, { kind: 'postsTaken', receiver: RECEIVER, sender: SHARD, recovery: 0, through: 1, own: 0 })
  led.commit()
  assert.equal(machine.isIdle, true)
})

test('a shard is told of other settings of a partition once, and of none that are older than those it has', () => {
  const led = new Led()
  led.machine.turn(now)
  led.machine.turn(now)
  assert.equal(led.proposed.length, 1)
  led.commit()
  led.placed = [{ ...led.placed[0]!, settings: settingsOf(5), version: 5 }]
  led.machine.turn(now)
  led.machine.turn(now)
  assert.deepEqual(led.proposed.map((entry) => logTable.decode(entry).kind), ['partitionOpen'])
  led.commit()
  // As a leader whose copy of the registry is an old one.
  led.machine.lead(true)
  led.placed = [{ ...led.placed[0]!, settings: settingsOf(1), version: 1 }]
  led.machine.turn(now)
  assert.deepEqual(led.proposed, [])
})
