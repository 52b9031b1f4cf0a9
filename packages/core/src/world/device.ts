//! A disk in memory, with the habits of a real one. `execute` does at once what any reader would see; `complete` makes it
//! durable, when the caller delivers the answer. A crash between the two is the interesting case.
//!
//!   execute(request) ─▶ unsynced: an overlay of 512-byte sectors, a row of file names not yet certain
//!   complete(request) ─▶ durable
//!   crash(random)     ─▶ every unsynced sector is kept, dropped or torn; file names up to some point hold
//!   (a killed process) ─▶ nothing: the page cache outlives it, and may still be lost in a later crash
//!
//! A torn sector is the first bytes of the new content and the rest of the old: bytes that were durable and are written
//! again unchanged never change. File names behave as on a journalling file system: a later one holds only if the earlier do.

import type { DeviceAnswer, DeviceError, DeviceRequest } from '../device.ts'
import { Hash } from '../hash.ts'
import type { Random } from '../random.ts'

export const SECTOR_BYTES = 512

/** Strikes the next request it fits, once. */
export type DeviceFault =
  /** The next request of this kind is answered with an error; of a write or flush nothing becomes durable. */
  | { readonly kind: 'error'; readonly on: DeviceRequest['kind']; readonly error: DeviceError }
  /** The next write is answered as if it were done. */
  | { readonly kind: 'lost' }
  /** The next write goes to another place of the same file. */
  | { readonly kind: 'misdirected'; readonly at: number }
  /** The next durable write fails as a flush does: a reader sees it, and no flush that comes later makes it durable. */
  | { readonly kind: 'unflushed' }

interface SimulatedFile {
  durable: Uint8Array
  /** A reader holds `durable` itself: it is copied before it next changes. */
  shared: boolean
  /** Sectors that a reader sees and a crash may lose. */
  unsynced: Map<number, Uint8Array>
  /** Sectors that cannot be read. */
  bad: Set<number>
  /** Where the newest durable write that was answered begins, -1 before the file's beginning is written, and how far any goes. */
  newest: number
  reach: number
  /** Another one for every file that a name comes to stand for. */
  serial: number
}

type NameChange = { readonly request: number } & (
  | { readonly kind: 'create'; readonly name: string; readonly file: SimulatedFile }
  | { readonly kind: 'rename'; readonly name: string; readonly to: string }
  | { readonly kind: 'delete'; readonly name: string }
)

export class SimulatedDevice {
  /** How much all files may take; the simulator may change it at any time. */
  capacityBytes: number
  /** Flushes of files whose names begin so are answered and do nothing: a crash of the machine loses what it likes of them. */
  liesAbout: string | undefined
  /** How many requests were answered with `failed`, and how many of them were durable writes. */
  failures = 0
  failedWrites = 0
  #names = new Map<string, SimulatedFile>()
  #durableNames = new Map<string, SimulatedFile>()
  #changes: NameChange[] = []
  /** Sectors that become durable with a request under way. */
  #syncing = new Map<number, { readonly file: SimulatedFile; readonly sectors: readonly number[] }>()
  #faults: DeviceFault[] = []
  #serial = 0

  constructor(capacityBytes = Infinity) {
    this.capacityBytes = capacityBytes
  }

  get usedBytes(): number {
    let sum = 0
    for (const file of this.#names.values()) sum += file.durable.length
    return sum
  }

  /** Does what the request asks, as far as a reader sees it, and returns the answer to deliver. */
  execute(request: DeviceRequest): DeviceAnswer {
    const answer = this.#execute(request)
    if (answer.kind === 'error' && answer.error === 'failed') {
      this.failures++
      if (request.kind === 'write' && request.durable) this.failedWrites++
    }
    return answer
  }

  #execute(request: DeviceRequest): DeviceAnswer {
    const error = this.#strike(request)
    if (error) return failure(request, error)
    switch (request.kind) {
      case 'list':
        return { kind: 'listed', request: request.request, files: this.files() }
      case 'space':
        return { kind: 'space', request: request.request, freeBytes: Math.max(0, this.capacityBytes - this.usedBytes) }
      case 'create':
        return this.#create(request)
      case 'write':
        return this.#write(request)
      case 'flush':
        return this.#flush(request)
      case 'read':
        return this.#read(request)
      case 'rename':
        return this.#rename(request)
      case 'delete':
        this.#names.delete(request.file)
        this.#changes.push({ kind: 'delete', request: request.request, name: request.file })
        return { kind: 'deleted', request: request.request }
    }
  }

  /** Makes durable what the request promises; to be called when its answer is delivered, and harmless for one without effect. */
  complete(request: DeviceRequest): void {
    const syncing = this.#syncing.get(request.request)
    if (syncing) {
      this.#syncing.delete(request.request)
      const { file } = syncing
      if (!this.#isLie(request)) for (const sector of syncing.sectors) settle(file, sector)
      if (request.kind === 'write') {
        if (request.at === 0 || file.newest >= 0) file.newest = request.at
        file.reach = Math.max(file.reach, request.at + request.pieces.reduce((sum, piece) => sum + piece.length, 0))
      }
    }
    const last = this.#changes.findIndex((change) => change.request === request.request)
    for (const change of this.#changes.splice(0, last + 1)) applyChange(this.#durableNames, change)
  }

  /** The process is gone, its requests with it; what they did stays visible, but not durable. */
  kill(): void {
    this.#syncing.clear()
    this.#changes = this.#changes.map((change) => ({ ...change, request: -1 }))
  }

  /** The machine loses its power. */
  crash(random: Random): void {
    this.kill()
    const holding = random.below(this.#changes.length + 1)
    for (const change of this.#changes.slice(0, holding)) applyChange(this.#durableNames, change)
    this.#changes = []
    this.#names = new Map(this.#durableNames)
    for (const name of [...this.#names.keys()].sort()) {
      const file = this.#names.get(name)!
      for (const sector of [...file.unsynced.keys()].sort((a, b) => a - b)) {
        const fate = random.below(3)
        if (fate === 0) file.unsynced.delete(sector)
        else settle(file, sector, fate === 1 ? SECTOR_BYTES : random.below(SECTOR_BYTES))
      }
    }
  }

  inject(fault: DeviceFault): void {
    this.#faults.push(fault)
  }

  /** Bit rot: flips bits of one byte, wherever it is held. */
  rot(name: string, at: number, bits = 0xff): void {
    const file = this.#names.get(name)
    if (!file || at >= file.durable.length) return
    own(file)[at]! ^= bits
    const unsynced = file.unsynced.get(Math.floor(at / SECTOR_BYTES))
    if (unsynced) unsynced[at % SECTOR_BYTES]! ^= bits
  }

  /** Reads that touch the sector at this offset fail until it is written again. */
  spoil(name: string, at: number): void {
    this.#names.get(name)?.bad.add(Math.floor(at / SECTOR_BYTES))
  }

  /** A file is gone for good, its name too. */
  lose(name: string): void {
    this.#names.delete(name)
    this.#durableNames.delete(name)
    this.#changes = this.#changes.filter((change) => change.name !== name && !(change.kind === 'rename' && change.to === name))
  }

  /** Whether a fault still waits for a request that fits it. */
  get armed(): boolean {
    return this.#faults.length > 0
  }

  /** Which file a name stands for: another number after it was made anew or used again. */
  serial(name: string): number | undefined {
    return this.#names.get(name)?.serial
  }

  /** Where the newest durable write to a file begins that was answered, and how far such writes go; nothing before there is one at its beginning. */
  written(name: string): { readonly newest: number; readonly reach: number } | undefined {
    const file = this.#names.get(name)
    return file === undefined || file.newest < 0 ? undefined : { newest: file.newest, reach: file.reach }
  }

  /** By name, so that the order never depends on history. */
  files(): readonly { readonly name: string; readonly size: number }[] {
    return [...this.#names.keys()].sort().map((name) => ({ name, size: this.#names.get(name)!.durable.length }))
  }

  /** What a reader would see. */
  content(name: string): Uint8Array | undefined {
    const file = this.#names.get(name)
    return file && look(file, 0, file.durable.length)
  }

  /** An independent disk, as it is now. */
  clone(): SimulatedDevice {
    const copy = new SimulatedDevice(this.capacityBytes)
    const twins = new Map<SimulatedFile, SimulatedFile>()
    const twin = (file: SimulatedFile): SimulatedFile => {
      let made = twins.get(file)
      if (!made) {
        const unsynced = new Map([...file.unsynced].map(([sector, bytes]): [number, Uint8Array] => [sector, bytes.slice()]))
        made = { durable: file.durable.slice(), shared: false, unsynced, bad: new Set(file.bad), newest: file.newest, reach: file.reach, serial: file.serial }
        twins.set(file, made)
      }
      return made
    }
    for (const [name, file] of this.#names) copy.#names.set(name, twin(file))
    for (const [name, file] of this.#durableNames) copy.#durableNames.set(name, twin(file))
    copy.#changes = this.#changes.map((change) => (change.kind === 'create' ? { ...change, file: twin(change.file) } : change))
    for (const [request, { file, sectors }] of this.#syncing) copy.#syncing.set(request, { file: twin(file), sectors })
    copy.#faults = [...this.#faults]
    copy.liesAbout = this.liesAbout
    copy.#serial = this.#serial
    return copy
  }

  digest(): string {
    const hash = new Hash()
    for (const { name, size } of this.files()) hash.text(name).bytes(look(this.#names.get(name)!, 0, size))
    return hash.number(this.#changes.length).number(this.#syncing.size).digest()
  }

  #isLie(request: DeviceRequest): boolean {
    return this.liesAbout !== undefined && 'file' in request && request.file.startsWith(this.liesAbout)
  }

  /** The error that a waiting fault puts in the way. */
  #strike(request: DeviceRequest): DeviceError | undefined {
    const at = this.#faults.findIndex((fault) => fault.kind === 'error' && fault.on === request.kind)
    if (at < 0) return undefined
    const [fault] = this.#faults.splice(at, 1)
    return fault?.kind === 'error' ? fault.error : undefined
  }

  #create(request: Extract<DeviceRequest, { kind: 'create' }>): DeviceAnswer {
    const before = this.#names.get(request.file)?.durable.length ?? 0
    if (this.usedBytes - before + request.size > this.capacityBytes) return failure(request, 'full')
    const file: SimulatedFile = { durable: new Uint8Array(request.size), shared: false, unsynced: new Map(), bad: new Set(), newest: -1, reach: 0, serial: ++this.#serial }
    this.#names.set(request.file, file)
    this.#changes.push({ kind: 'create', request: request.request, name: request.file, file })
    return { kind: 'created', request: request.request }
  }

  #rename(request: Extract<DeviceRequest, { kind: 'rename' }>): DeviceAnswer {
    const file = this.#names.get(request.file)
    if (!file) return failure(request, 'missing')
    this.#names.delete(request.file)
    this.#names.set(request.to, file)
    file.newest = -1
    file.reach = 0
    file.serial = ++this.#serial
    this.#changes.push({ kind: 'rename', request: request.request, name: request.file, to: request.to })
    return { kind: 'renamed', request: request.request }
  }

  #write(request: Extract<DeviceRequest, { kind: 'write' }>): DeviceAnswer {
    const file = this.#names.get(request.file)
    if (!file) return failure(request, 'missing')
    const struck = this.#faults.findIndex(({ kind }) => kind === 'lost' || kind === 'misdirected' || (kind === 'unflushed' && request.durable))
    const fault = struck < 0 ? undefined : this.#faults.splice(struck, 1)[0]
    const answer = { kind: 'written', request: request.request } as const
    if (fault?.kind === 'lost') return answer
    let at = fault?.kind === 'misdirected' ? fault.at : request.at
    const first = Math.floor(at / SECTOR_BYTES)
    for (const piece of request.pieces) {
      if (at + piece.length > file.durable.length) lengthen(file, at + piece.length)
      overlay(file, at, piece)
      at += piece.length
    }
    if (fault?.kind === 'unflushed') return failure(request, 'failed')
    if (request.durable) {
      const sectors: number[] = []
      for (let sector = first; sector * SECTOR_BYTES < at; sector++) sectors.push(sector)
      this.#syncing.set(request.request, { file, sectors })
    }
    return answer
  }

  #flush(request: Extract<DeviceRequest, { kind: 'flush' }>): DeviceAnswer {
    const file = this.#names.get(request.file)
    if (!file) return failure(request, 'missing')
    this.#syncing.set(request.request, { file, sectors: [...file.unsynced.keys()] })
    return { kind: 'flushed', request: request.request }
  }

  #read(request: Extract<DeviceRequest, { kind: 'read' }>): DeviceAnswer {
    const file = this.#names.get(request.file)
    if (!file) return failure(request, 'missing')
    const end = Math.min(request.at + request.length, file.durable.length)
    for (const sector of file.bad) {
      if (sector * SECTOR_BYTES < end && (sector + 1) * SECTOR_BYTES > request.at) return failure(request, 'failed')
    }
    return { kind: 'bytes', request: request.request, bytes: look(file, request.at, end) }
  }
}

function failure(request: DeviceRequest, error: DeviceError): DeviceAnswer {
  return { kind: 'error', request: request.request, error, detail: 'file' in request ? request.file : '' }
}

function applyChange(names: Map<string, SimulatedFile>, change: NameChange): void {
  if (change.kind === 'create') names.set(change.name, change.file)
  else if (change.kind === 'delete') names.delete(change.name)
  else {
    const file = names.get(change.name)
    if (!file) return
    names.delete(change.name)
    names.set(change.to, file)
  }
}

/** Growing a file is not modelled apart from its content: the new length holds at once. */
function lengthen(file: SimulatedFile, size: number): void {
  const longer = new Uint8Array(size)
  longer.set(file.durable)
  file.durable = longer
  file.shared = false
}

/** The durable bytes, to be changed: what a reader was given stays as it was. */
function own(file: SimulatedFile): Uint8Array {
  if (file.shared) {
    file.durable = file.durable.slice()
    file.shared = false
  }
  return file.durable
}

function overlay(file: SimulatedFile, at: number, bytes: Uint8Array): void {
  for (let from = 0; from < bytes.length; ) {
    const sector = Math.floor((at + from) / SECTOR_BYTES)
    const within = (at + from) % SECTOR_BYTES
    const count = Math.min(SECTOR_BYTES - within, bytes.length - from)
    let held = file.unsynced.get(sector)
    if (!held) {
      const start = sector * SECTOR_BYTES
      const whole = start + SECTOR_BYTES <= file.durable.length
      held = whole ? file.durable.slice(start, start + SECTOR_BYTES) : new Uint8Array(SECTOR_BYTES)
      if (!whole) held.set(file.durable.subarray(start))
      file.unsynced.set(sector, held)
    }
    held.set(bytes.subarray(from, from + count), within)
    file.bad.delete(sector)
    from += count
  }
}

/** Makes the first `count` bytes of an unsynced sector durable, and forgets the rest. */
function settle(file: SimulatedFile, sector: number, count = SECTOR_BYTES): void {
  const bytes = file.unsynced.get(sector)
  if (!bytes) return
  const at = sector * SECTOR_BYTES
  own(file).set(bytes.subarray(0, Math.min(count, file.durable.length - at)), at)
  file.unsynced.delete(sector)
}

function look(file: SimulatedFile, from: number, to: number): Uint8Array {
  const sectors = unsyncedWithin(file, Math.floor(from / SECTOR_BYTES), Math.ceil(to / SECTOR_BYTES))
  if (sectors.length === 0 && to - from >= SHARED_BYTES_MIN) {
    file.shared = true
    return file.durable.subarray(from, to)
  }
  const bytes = file.durable.slice(from, Math.max(from, to))
  for (const sector of sectors) {
    const at = sector * SECTOR_BYTES
    const start = Math.max(from, at)
    bytes.set(file.unsynced.get(sector)!.subarray(start - at, Math.min(to, at + SECTOR_BYTES) - at), start - from)
  }
  return bytes
}

/** Counted off whichever is fewer: a file under recovery is long, and little of it is unsynced. */
function unsyncedWithin(file: SimulatedFile, first: number, end: number): readonly number[] {
  const { unsynced } = file
  if (unsynced.size === 0) return NONE
  const sectors: number[] = []
  if (unsynced.size < end - first) {
    for (const sector of unsynced.keys()) if (sector >= first && sector < end) sectors.push(sector)
  } else {
    for (let sector = first; sector < end; sector++) if (unsynced.has(sector)) sectors.push(sector)
  }
  return sectors
}

const NONE: readonly number[] = []
/** From here on a reader is given the file's own bytes: a recovery reads whole segments, and most of them never change again. */
const SHARED_BYTES_MIN = 16 * 1024
