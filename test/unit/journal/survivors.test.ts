import assert from 'node:assert/strict'
import { test } from 'node:test'
import { recordBytes } from '@horus/core/journal/record'
import { Survivors } from '@horus/core/journal/survivors'
import type { Location } from '@horus/core/journal/tail'
import { Random } from '@horus/core/random'

test('places kept as runs are those that were put, and each is claimed once', () => {
  const random = new Random(4)
  let survivors = new Survivors()
  const map = new Map<number, Location>()
  const claims = new Map<number, number>()
  const use = {
    need: () => assert.fail('whoever puts has claimed'),
    free: (segment: number) => void claims.set(segment, claims.get(segment)! - 1),
  }
  const put = (index: number, place: Location): void => {
    claims.set(place.segment, (claims.get(place.segment) ?? 0) + 1)
    survivors.put(index, place.segment, place.offset, place.length, use)
    map.set(index, place)
  }
  let place: Location = { segment: 1, offset: 512, length: 100 }
  let index = 1
  for (let i = 0; i < 8000; i++) {
    const draw = random.below(100)
    if (draw < 60) {
      if (random.chance(0.05)) place = { ...place, length: random.pick([100, 101, 104]) }
      if (random.chance(0.02)) place = { ...place, segment: place.segment + 1, offset: 512 }
      if (random.chance(0.05)) index++
      put(index++, place)
      place = { ...place, offset: place.offset + recordBytes(place.length) + (random.chance(0.05) ? 36 : 0) }
    } else if (draw < 65 && map.size > 0) put(random.pick([...map.keys()]), { segment: place.segment, offset: 1_000_000 + i * 200, length: 100 })
    else if (draw < 95 && map.size > 0) {
      const doomed = random.chance(0.5) ? Math.min(...map.keys()) : random.pick([...map.keys()])
      survivors.remove(doomed, use)
      map.delete(doomed)
    } else if (draw < 97) {
      const from = random.below(index)
      const through = from + random.below(40)
      const kept = [...map.keys()].filter((each) => each >= from && each <= through && random.chance(0.5)).sort((a, b) => a - b)
      survivors.keepOnly(kept, from, through, use)
      for (const each of [...map.keys()]) if (each >= from && each <= through && !kept.includes(each)) map.delete(each)
    } else if (draw < 98 && random.chance(0.2)) {
      const from = index - random.below(30)
      survivors.truncate(from, use)
      for (const each of [...map.keys()]) if (each >= from) map.delete(each)
    } else if (random.chance(0.1)) survivors = survivors.clone()
    assert.equal(survivors.size, map.size)
    if (i % 100 !== 0) continue
    for (let each = 0; each <= index; each++) assert.deepEqual(survivors.find(each), map.get(each))
    for (const [segment, count] of claims) assert.equal(count, [...map.values()].filter((each) => each.segment === segment).length)
    const within: number[] = []
    const segment = random.between(1, place.segment)
    for (let from = 0; from < Infinity; ) {
      const found = survivors.within(segment, from, 7)
      within.push(...found.indexes)
      from = found.next
    }
    assert.deepEqual(within, [...map].filter(([, each]) => each.segment === segment).map(([each]) => each).sort((a, b) => a - b))
  }
})
