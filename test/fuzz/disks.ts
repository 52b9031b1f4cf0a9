//! Disks: a journal recovers from whatever lies in its files or says why not, and an entry that it gives out is the entry
//! that was written.

import { Random } from '@horus/core/random'
import { SimulatedDevice } from '@horus/core/world/device'
import { blob, JournalHost } from '../unit/journal/host.ts'
import { same } from '../unit/journal/model.ts'
import { BrokenPromise, type Target, type Verdict } from './target.ts'

const SHARDS = [1, 2]
const ENTRIES = 40
const ENTRY_BYTES = 2000

function populated(): JournalHost {
  const host = JournalHost.started(new SimulatedDevice(), 1)
  for (const shard of SHARDS) {
    host.hardState(shard, 1)
    host.snapshot(shard, 0, 0, blob(100, shard))
  }
  for (let index = 1; index <= ENTRIES; index++) {
    for (const shard of SHARDS) host.append(shard, index, [bodyOf(shard, index)])
    host.flush()
  }
  host.rest()
  return host
}

function bodyOf(shard: number, index: number): Uint8Array {
  return blob(ENTRY_BYTES, shard * 1000 + index)
}

/** A few bits, a stretch, or a stretch that belongs somewhere else. */
function damage(random: Random, device: SimulatedDevice): void {
  const { name, size } = random.pick(device.files())
  const at = random.below(size)
  const length = Math.min(random.pick([1, 4, 600, 9000]), size - at)
  const from = random.below(size)
  const content = device.content(name)!
  const elsewhere = random.chance(0.4)
  for (let i = 0; i < length; i++) {
    const bits = elsewhere ? content[at + i]! ^ content[(from + i) % size]! : 1 << random.below(8)
    device.rot(name, at + i, bits)
  }
}

export function diskTarget(): Target {
  const undamaged = populated().device
  return {
    name: 'disks',
    round(random): Verdict {
      const device = undamaged.clone()
      for (let times = random.below(4); times > 0; times--) damage(random, device)
      const host = JournalHost.started(device, 1 + random.below(1_000_000))
      if (host.failure !== undefined) return 'refused'
      let whole = true
      for (const shard of SHARDS) {
        const found = host.found(shard)
        if (found === undefined || found.suspect) whole = false
        for (let index = found?.first ?? 1; index <= (found?.last ?? 0); index++) {
          const bytes = host.read(shard, index)
          if (bytes !== undefined && !same(bytes, bodyOf(shard, index))) throw new BrokenPromise(`entry ${index} of shard ${shard} came back changed`)
        }
      }
      return whole ? 'taken' : 'refused'
    },
  }
}
