import assert from 'node:assert/strict'
import { test } from 'node:test'
import { faultsOf, runChaos } from './run.ts'

test('a cluster that is broken for twenty seconds loses nothing and leases nothing twice', { timeout: 400_000 }, async (t) => {
  const seed = Math.floor(performance.timeOrigin) >>> 0
  const outcome = await runChaos({ seconds: 20, seed, say: (text) => t.diagnostic(text), show: () => {} })
  assert.equal(faultsOf(outcome), 0, `seed ${seed}: ${outcome.findings.slice(0, 5).map(({ what, id, why }) => `${what}: job ${id} ${why}`).join('; ')}`)
  assert.ok(outcome.kills > 0 && outcome.pauses > 0 && outcome.cuts + outcome.halfOpens + outcome.partitions + outcome.oneWays + outcome.delays > 0 && outcome.completed > 0, 'something was broken and something was done')
})
