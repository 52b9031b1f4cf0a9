//! What applying costs a master.
//!
//!   node benchmarks/dist/books.bench.js

import { Bench } from 'tinybench'
import { BATCH, patchGroup, Rig } from './rig.ts'

const bench = new Bench({ time: 1000, warmupTime: 300 })

{
  const rig = new Rig()
  const add = rig.add()
  bench.add('add', () => rig.again(add))
}
{
  const rig = new Rig()
  const add = rig.add({ delay: 60_000 })
  bench.add('add with a delay', () => rig.again(add))
}
for (const options of [undefined, { maxAttempts: 7 }]) {
  const rig = new Rig()
  const add = rig.add(options)
  const acquire = rig.acquire()
  const complete = rig.complete()
  let base = 1
  bench.add(options ? 'add, acquire, complete with options' : 'add, acquire, complete', () => {
    rig.again(add)
    rig.apply(acquire)
    patchGroup(complete, rig.index, base)
    rig.again(complete)
    base += BATCH
  })
}

await bench.run()
console.table(bench.tasks.map((task) => {
  const outcome = task.result
  const ns = 'latency' in outcome ? (outcome.latency.mean * 1e6) / BATCH : Number.NaN
  return { task: task.name, 'ns per job': Math.round(ns * 10) / 10 }
}))
