import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Freezer } from '@horus/core/freeze'
import { Random } from '@horus/core/random'
import { type Page, PAGE_ROWS, Rows } from '@horus/core/rows'

function listed(pages: readonly Page[]): number[][] {
  return pages.flatMap(({ doubles, words, from, to }) => Array.from({ length: to - from }, (_, i) => [doubles[(from + i) * 2]!, doubles[(from + i) * 2 + 1]!, words[from + i]!]))
}

test('rows do as a sorted map does, and what was frozen stays as it was', () => {
  const random = new Random(5)
  const freezer = new Freezer()
  const rows = new Rows(2, 1, freezer)
  const map = new Map<number, number[]>()
  const frozen: { readonly pages: readonly Page[]; readonly expected: number[][] }[] = []
  const inOrder = (): number[][] => [...map.values()].map((row) => [...row]).sort((a, b) => a[0]! - b[0]!)
  const spans = [300, 3000, 2 ** 40]
  for (let i = 0; i < 40_000; i++) {
    // It grows, shrinks, grows again: pages are split and joined.
    const grows = Math.floor(i / 5000) % 2 === 0
    const key = random.chance(0.2) ? i * 2 ** 20 : random.below(random.pick(spans))
    const row = rows.find(key)
    assert.equal(row >= 0, map.has(key))
    if (row < 0 && random.chance(grows ? 0.9 : 0.2)) {
      const made = rows.insert(key)
      assert.deepEqual([rows.key(made), rows.double(made, 1), rows.word(made, 0)], [key, 0, 0])
      rows.setDouble(made, 1, i)
      rows.setWord(made, 0, i)
      map.set(key, [key, i, i])
    } else if (row >= 0 && random.chance(0.5)) {
      rows.setWord(row, 0, i)
      map.get(key)![2] = i
    }
    if (rows.size > 0 && random.chance(grows ? 0.2 : 0.95)) {
      const doomed = random.chance(0.5) ? rows.first : rows.floor(random.below(3000))
      if (doomed >= 0) {
        map.delete(rows.key(doomed))
        rows.delete(doomed)
      }
    }
    if (frozen.length < 3 && random.chance(0.01)) {
      freezer.hold()
      frozen.push({ pages: rows.freeze(), expected: inOrder() })
    }
    if (frozen.length > 0 && random.chance(0.02)) {
      const [{ pages, expected }] = frozen.splice(random.below(frozen.length), 1) as [(typeof frozen)[0]]
      assert.deepEqual(listed(pages), expected)
      freezer.release()
    }
    if (i % 500 !== 0) continue
    const expected = inOrder()
    assert.deepEqual(listed(rows.freeze()), expected)
    const walked: number[] = []
    for (let at = rows.first; at >= 0; at = rows.next(at)) walked.push(rows.key(at))
    assert.deepEqual(walked, expected.map(([each]) => each))
    const back: number[] = []
    for (let at = rows.last; at >= 0; at = rows.previous(at)) back.push(rows.key(at))
    assert.deepEqual(back.reverse(), walked)
  }
})

test('rows that come in order fill their pages, and rows that go in order leave none behind', () => {
  const rows = new Rows(1, 1)
  for (let key = 1; key <= 100 * PAGE_ROWS; key++) rows.insert(key)
  assert.equal(rows.freeze().length, 100)
  for (let key = 1; key <= 99 * PAGE_ROWS; key++) rows.delete(rows.first)
  assert.ok(rows.freeze().length <= 2)
})

test('a freeze copies nothing until something is written, and then one page', () => {
  const freezer = new Freezer()
  const rows = new Rows(1, 1, freezer)
  for (let key = 1; key <= 10 * PAGE_ROWS; key++) rows.insert(key)
  freezer.hold()
  const before = rows.freeze()
  rows.setWord(rows.find(3 * PAGE_ROWS), 0, 7)
  const after = rows.freeze()
  assert.equal(before.filter((page, i) => page !== after[i]).length, 1)
  freezer.release()
  rows.setWord(rows.find(8 * PAGE_ROWS), 0, 7)
  assert.equal(after.filter((page, i) => page !== rows.freeze()[i]).length, 0)
})
