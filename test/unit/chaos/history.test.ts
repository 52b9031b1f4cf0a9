import assert from 'node:assert/strict'
import { mkdtempSync, appendFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { checkHistory, jobsInDoubt, type Verdict } from '@horus/node/history/check'
import type { HistoryEvent } from '@horus/node/history/event'
import { readHistory, readHistoryOf, Recorder } from '@horus/node/history/recorder'

const add = (at: number, key: string): HistoryEvent => ({ kind: 'add', at, process: 'p', keys: [key] })
const acknowledged = (at: number, key: string, id: string): HistoryEvent => ({ kind: 'acknowledged', at, process: 'p', keys: [key], ids: [id] })
const refused = (at: number, key: string, reason: 'NoQuorum' | 'Unknown'): HistoryEvent => ({ kind: 'refused', at, process: 'p', keys: [key], reason })
const delivered = (at: number, id: string, token: number, process = 'w1', boundAt = at + 1000): HistoryEvent => ({ kind: 'delivered', at, process, id, key: `key of ${id}`, token, attempt: 1, boundAt })
const completed = (at: number, id: string, token: number, process = 'w1'): HistoryEvent => ({ kind: 'completed', at, process, id, token })
const begun = (id = 'a'): HistoryEvent[] => [add(0, `key of ${id}`), acknowledged(1, `key of ${id}`, id)]

const faults = (verdict: Verdict) => verdict.findings.map((finding) => finding.what)

test('a job that was added, leased once and completed is without fault', () => {
  const verdict = checkHistory([...begun(), delivered(2, 'a', 7), completed(3, 'a', 7)])
  assert.deepEqual(verdict, { acknowledged: 1, completed: 1, lost: 0, deadLettered: 0, doublyLeased: 0, rerunAfterComplete: 0, phantoms: 0, duplicates: 0, redelivered: 0, longestGapMs: 2, elapsedMs: 3, findings: [] })
})

test('an acknowledged add that never completes is lost', () => {
  const verdict = checkHistory([...begun('a'), ...begun('b'), delivered(2, 'a', 7), completed(3, 'a', 7), delivered(4, 'b', 8)])
  assert.equal(verdict.lost, 1)
  assert.deepEqual(verdict.findings.map(({ what, id }) => [what, id]), [['lost', 'b']])
})

test('an add whose outcome is unknown may be there or not', () => {
  assert.deepEqual(faults(checkHistory([add(0, 'key of a'), refused(5, 'key of a', 'Unknown')])), [])
  assert.deepEqual(faults(checkHistory([add(0, 'key of a'), refused(5, 'key of a', 'Unknown'), delivered(6, 'a', 7), completed(7, 'a', 7)])), [])
})

test('an add that failed with NoQuorum never shows up', () => {
  const verdict = checkHistory([add(0, 'key of a'), refused(5, 'key of a', 'NoQuorum'), delivered(6, 'a', 7), completed(7, 'a', 7)])
  assert.deepEqual([verdict.phantoms, faults(verdict)], [1, ['phantom']])
})

test('a job is leased again only when the earlier bound has ended', () => {
  const early = checkHistory([...begun(), delivered(2, 'a', 7, 'w1', 1002), delivered(1001, 'a', 9, 'w2'), completed(1100, 'a', 9, 'w2')])
  assert.deepEqual([early.doublyLeased, early.redelivered], [1, 1])
  const late = checkHistory([...begun(), delivered(2, 'a', 7, 'w1', 1002), delivered(1003, 'a', 9, 'w2'), completed(1100, 'a', 9, 'w2')])
  assert.deepEqual([late.doublyLeased, late.redelivered], [0, 1])
})

test('an extension moves the bound', () => {
  const extended: HistoryEvent = { kind: 'extended', at: 900, process: 'w1', id: 'a', token: 7, boundAt: 2000 }
  const verdict = checkHistory([...begun(), delivered(2, 'a', 7, 'w1', 1002), extended, delivered(1500, 'a', 9, 'w2'), completed(1600, 'a', 9, 'w2')])
  assert.equal(verdict.doublyLeased, 1)
})

test('a worker that fails or releases a job ends its own lease; one that is told of a loss does not', () => {
  const gaveUp = (reason: 'failed' | 'lost'): HistoryEvent => ({ kind: 'gaveUp', at: 10, process: 'w1', id: 'a', token: 7, reason })
  const history = (reason: 'failed' | 'lost') => [...begun(), delivered(2, 'a', 7), gaveUp(reason), delivered(20, 'a', 9, 'w2'), completed(30, 'a', 9, 'w2')]
  assert.equal(checkHistory(history('failed')).doublyLeased, 0)
  assert.equal(checkHistory(history('lost')).doublyLeased, 1)
})

test('a token that does not rise is a double lease, even after the earlier bound', () => {
  for (const token of [6, 7]) {
    const verdict = checkHistory([...begun(), delivered(2, 'a', 7), delivered(2000, 'a', token, 'w2'), completed(2001, 'a', token, 'w2')])
    assert.ok(verdict.doublyLeased === 1, `token ${token}`)
  }
})

test('the same lease sent again to the same worker is one lease', () => {
  const verdict = checkHistory([...begun(), delivered(2, 'a', 7), delivered(500, 'a', 7), completed(600, 'a', 7)])
  assert.deepEqual([verdict.redelivered, faults(verdict)], [0, []])
})

test('a delivery that a stopped worker reads after its own bound leases nothing', () => {
  const verdict = checkHistory([...begun(), delivered(1500, 'a', 9, 'w2'), completed(1600, 'a', 9, 'w2'), delivered(1700, 'a', 7, 'w1', 1002)])
  assert.deepEqual(faults(verdict), [])
})

test('two acknowledged completions are a double lease', () => {
  const verdict = checkHistory([...begun(), delivered(2, 'a', 7), delivered(1100, 'a', 9, 'w2'), completed(1200, 'a', 9, 'w2'), completed(1300, 'a', 7, 'w1')])
  assert.equal(verdict.doublyLeased, 1)
})

test('a completed job is never delivered again', () => {
  const verdict = checkHistory([...begun(), delivered(2, 'a', 7), completed(3, 'a', 7), delivered(1100, 'a', 9, 'w2')])
  assert.equal(verdict.rerunAfterComplete, 1)
})

test('one add never becomes two jobs', () => {
  const twin = { ...(delivered(4, 'b', 8) as Extract<HistoryEvent, { kind: 'delivered' }>), key: 'key of a' }
  const verdict = checkHistory([...begun(), delivered(2, 'a', 7), completed(3, 'a', 7), twin, completed(5, 'b', 8)])
  assert.equal(verdict.duplicates, 1)
})

test('a job that the cluster says is completed is not lost, although its worker died before it wrote that down', () => {
  const verdict = checkHistory([...begun(), delivered(2, 'a', 7), { kind: 'found', at: 90, id: 'a', state: 'completed' }])
  assert.deepEqual([verdict.completed, verdict.lost], [1, 0])
  assert.equal(checkHistory([...begun(), delivered(2, 'a', 7), { kind: 'found', at: 90, id: 'a', state: 'waiting' }]).lost, 1)
})

test('a job in the dead-letter queue is lost unless it has used up its attempts or its leases', () => {
  const dead = (uses: { attempt?: number; lostLeases?: number }): Verdict => checkHistory([...begun(), delivered(2, 'a', 7), { kind: 'found', at: 90, id: 'a', state: 'dead', maxAttempts: 5, ...uses }])
  const figures = ({ completed, lost, deadLettered }: Verdict) => ({ completed, lost, deadLettered })
  for (const uses of [{}, { attempt: 4, lostLeases: 0 }, { attempt: 6, lostLeases: 2 }]) assert.deepEqual(figures(dead(uses)), { completed: 0, lost: 1, deadLettered: 0 }, JSON.stringify(uses))
  for (const uses of [{ attempt: 3, lostLeases: 3 }, { attempt: 5, lostLeases: 0 }, { attempt: 7, lostLeases: 2 }]) assert.deepEqual(figures(dead(uses)), { completed: 0, lost: 0, deadLettered: 1 }, JSON.stringify(uses))
  const waiting = checkHistory([...begun(), delivered(2, 'a', 7), { kind: 'found', at: 90, id: 'a', state: 'waiting', attempt: 3, maxAttempts: 5, lostLeases: 3 }])
  assert.deepEqual(figures(waiting), { completed: 0, lost: 1, deadLettered: 0 })
})

test('a job that was found completed stays so when its retention is over, and is never begun again', () => {
  const found = (at: number, state: string): HistoryEvent => ({ kind: 'found', at, id: 'a', state })
  const forgotten = checkHistory([...begun(), delivered(2, 'a', 7), found(90, 'completed'), found(900, 'gone')])
  assert.deepEqual([forgotten.completed, faults(forgotten)], [1, []])
  const again = checkHistory([...begun(), delivered(2, 'a', 7), found(90, 'completed'), delivered(2000, 'a', 9, 'w2')])
  assert.deepEqual(faults(again), ['rerunAfterComplete'])
})

test('a completion whose outcome was never heard is in doubt until somebody finds out', () => {
  const completing: HistoryEvent = { kind: 'completing', at: 3, process: 'w1', id: 'a', token: 7 }
  const gaveUp: HistoryEvent = { kind: 'gaveUp', at: 4, process: 'w1', id: 'a', token: 7, reason: 'released' }
  assert.deepEqual(jobsInDoubt([delivered(2, 'a', 7), completing, gaveUp]), ['a'])
  assert.deepEqual(jobsInDoubt([delivered(2, 'a', 7), completing, gaveUp, { kind: 'found', at: 5, process: 'w1', id: 'a', state: 'completed' }]), [])
  assert.deepEqual(jobsInDoubt([delivered(2, 'a', 7), completing, completed(4, 'a', 7)]), [])
})

test('a lost job is told with who had it last and what the cluster says of it', () => {
  const verdict = checkHistory([...begun(), delivered(2, 'a', 7), { kind: 'completing', at: 3, process: 'w1', id: 'a', token: 7 }, { kind: 'found', at: 90, id: 'a', state: 'active', detail: 'token 7' }])
  assert.match(verdict.findings[0]!.why, /7 of w1; w1 sent its completion; the cluster says: active, token 7/)
})

test('the longest gap runs between completions, the first from the first acknowledged add', () => {
  const verdict = checkHistory([...begun('a'), ...begun('b'), delivered(2, 'a', 7), completed(51, 'a', 7), delivered(52, 'b', 8), completed(90, 'b', 8)])
  assert.equal(verdict.longestGapMs, 50)
})

test('what a process wrote outlives it, but for a line that it did not finish', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'horus-history-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const worker = new Recorder(folder, 'w1')
  const publisher = new Recorder(folder, 'p1')
  publisher.record({ kind: 'add', keys: ['k'] })
  worker.recordAll([
    { kind: 'delivered', id: 'a', key: 'k', token: 7, attempt: 1, boundAt: 5 },
    { kind: 'completing', id: 'a', token: 7 },
  ])
  publisher.record({ kind: 'acknowledged', keys: ['k'], ids: ['a'] })
  appendFileSync(join(folder, 'w1.history.jsonl'), '{"kind":"compl')
  assert.deepEqual(readHistory(folder).map((event) => event.kind), ['add', 'delivered', 'completing', 'acknowledged'])
  assert.deepEqual(jobsInDoubt(readHistoryOf(folder, 'w1')), ['a'])
  worker.close()
  publisher.close()
})
