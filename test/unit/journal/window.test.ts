import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Window } from '@horus/core/journal/window'
import { SECTOR_BYTES, SimulatedDevice } from '@horus/core/world/device'

const FILE = 'journal-1'

/** A disk with one file in which every byte tells where it stands. */
function diskOf(size: number, unreadable: readonly number[]): SimulatedDevice {
  const disk = new SimulatedDevice()
  disk.execute({ kind: 'create', request: 1, file: FILE, size })
  disk.execute({ kind: 'write', request: 2, file: FILE, at: 0, pieces: [Uint8Array.from({ length: size }, (_, i) => 1 + (i % 251))], durable: false })
  for (const at of unreadable) disk.spoil(FILE, at)
  return disk
}

/** Everything from `from` up to `end`, as the window gives it. */
function readAll(disk: SimulatedDevice, from: number, end: number): Uint8Array {
  const window = new Window()
  window.open(FILE, from, end)
  for (let request = 3; !window.holds(from, end - from); request++) window.accept(disk.execute(window.ask(request, from)))
  return window.bytes
}

test('a sector that cannot be read costs nothing of its neighbours, wherever the reading began and ends', () => {
  for (const [from, end] of [[0, 8192], [700, 8192], [513, 7001], [1100, 1500], [1023, 1537], [4000, 5000]] as const) {
    const bytes = readAll(diskOf(8192, [1200, 4500]), from, end)
    for (let at = from; at < end; at++) {
      const sector = Math.floor(at / SECTOR_BYTES)
      const lost = sector === Math.floor(1200 / SECTOR_BYTES) || sector === Math.floor(4500 / SECTOR_BYTES)
      assert.equal(bytes[at - from], lost ? 0 : 1 + (at % 251), `byte ${at} of ${from} to ${end}`)
    }
  }
})
