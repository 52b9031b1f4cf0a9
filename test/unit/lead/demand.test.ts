import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Demand, DemandBook, GRANT_MAX } from '@horus/core/lead/demand'

test('no demand, however large, gets more than a session may hold', () => {
  const book = new DemandBook()
  const view = { waiting: () => 10_000_000, held: () => 0 }
  let planned = 0
  const plan = (): void => book.plan(view, ({ count }) => (planned += count))
  const demand = { partition: 1, session: 3, number: 1, grant: 0xffff_ffff, leaseMs: 1000, names: [] } as unknown as Demand
  book.set(demand)
  plan()
  book.set({ ...demand, number: 2 })
  plan()
  assert.equal(planned, GRANT_MAX)
})
