//! What a start finds on the disk. Only reads; the first write is the opening of the new segment that the writer makes
//! of the result.
//!
//!   list ─▶ probe every file ─▶ which segments count, and where each ends ─▶ scan them in order ─▶ the shards

import { present } from '../assert.ts'
import type { DeviceAnswer, DeviceRequest } from '../device.ts'
import type { Hosted } from './hosted.ts'
import { Probe, type Probed } from './probe.ts'
import { Rebuild, type RecoveredShard } from './rebuild.ts'
import { Scan, type Scanned } from './scan.ts'
import { parseFile, segmentFile, spareFile } from './segment.ts'
import { SPARES_MAX, type Segments } from './segments.ts'
import type { Gathered } from './writer.ts'

export interface RecoveredJournal {
  /** By number. */
  readonly shards: readonly RecoveredShard[]
  /** There is a hole that may have held shards of which nothing is known: a copy that is not listed may have voted. */
  readonly doubt: boolean
  /** There was no journal at all. */
  readonly empty: boolean
  /** Where it ended: what was ever called durable above this is lost. */
  readonly position: number
}

export interface Recovery {
  readonly journal: RecoveredJournal
  readonly shards: Map<number, Hosted>
  readonly carried: Gathered[]
  readonly nextNumber: number
  readonly nextBase: number
  /** Files that nothing needs; they go once the new segment is open. */
  readonly strays: readonly string[]
}

export class Recoverer {
  result: Recovery | undefined
  /** Why this journal cannot be opened. */
  failure: string | undefined
  readonly #segments: Segments
  readonly #segmentBytes: number
  readonly #request: () => number
  #asked = 0
  #files: { readonly number: number; readonly size: number }[] = []
  #spares: { readonly number: number; readonly size: number }[] = []
  #probe: Probe | undefined
  #probed: Probed[] = []
  #rebuild = new Rebuild()
  #scan: Scan | undefined
  #scanned: readonly Scanned[] = []

  constructor(segments: Segments, segmentBytes: number, request: () => number) {
    this.#segments = segments
    this.#segmentBytes = segmentBytes
    this.#request = request
  }

  start(): DeviceRequest {
    this.#asked = this.#request()
    return { kind: 'list', request: this.#asked }
  }

  /** The next request; undefined when `result` or `failure` is there, or the answer was to somebody else. */
  answer(answer: DeviceAnswer): DeviceRequest | undefined {
    if (answer.request !== this.#asked) return undefined
    if (answer.kind === 'listed') this.#list(answer.files)
    else if (this.#scan) this.#scan.accept(answer)
    else if (this.#probe) this.#probe.accept(answer)
    else {
      this.failure = 'the journal could not list its directory'
      return undefined
    }
    this.#asked = this.#request()
    return this.#next()
  }

  #list(files: readonly { readonly name: string; readonly size: number }[]): void {
    for (const { name, size } of files) {
      const file = parseFile(name)
      if (file) (file.kind === 'segment' ? this.#files : this.#spares).push({ number: file.number, size })
    }
    this.#files.sort((a, b) => a.number - b.number)
    this.#spares.sort((a, b) => a.number - b.number)
  }

  #next(): DeviceRequest | undefined {
    while (!this.#scan) {
      if (this.#probe) {
        const request = this.#probe.next(this.#asked)
        if (request) return request
        if (this.#probe.refusal !== undefined) {
          this.failure = this.#probe.refusal
          return undefined
        }
        this.#probed.push(this.#probe.result)
        this.#probe = undefined
      }
      const file = this.#files[this.#probed.length]
      if (file) this.#probe = new Probe(file.number, file.size)
      else this.#beginScan()
    }
    const request = this.#scan.next(this.#asked)
    if (!request) this.#finish()
    return request
  }

  #beginScan(): void {
    this.#scanned = countingSegments(this.#probed)
    this.#scan = new Scan(this.#scanned, this.#rebuild)
  }

  #finish(): void {
    const segments = this.#segments
    const scan = present(this.#scan, 'a recovery that ends has scanned')
    for (const { number, head } of this.#scanned) {
      if (!head) continue
      segments.add({ number, base: head.base, size: head.size, nonce: head.nonce, end: scan.ends.get(number) ?? 0, needed: 0, neededBytes: 0, rewritten: false })
      segments.active = number
    }
    const baseOf = (number: number): number => present(segments.get(number), 'a record is in a segment that was scanned').base
    const { shards, carried, recovered } = this.#rebuild.finish(segments, baseOf)
    for (const { number } of this.#scanned) segments.reconsider(number)
    const strays = this.#probed.filter(({ number }) => !segments.get(number)).map(({ number }) => segmentFile(number))
    for (const { number, size } of this.#spares) {
      if (segments.spares.length < SPARES_MAX && size === this.#segmentBytes) segments.spares.push(number)
      else strays.push(spareFile(number))
    }
    let nextBase = 0
    for (const { head } of this.#probed) if (head) nextBase = Math.max(nextBase, head.base + head.size)
    for (const { head, size } of this.#probed) if (!head) nextBase += size
    const nextNumber = 1 + Math.max(0, ...this.#files.map(({ number }) => number), ...this.#spares.map(({ number }) => number))
    this.result = { journal: { shards: recovered, doubt: this.#rebuild.doubt, empty: this.#scanned.length === 0, position: scan.position }, shards, carried, nextNumber, nextBase, strays }
  }
}

/**
 * The segments to read, in order: those whose opening is complete or that a later one names, without those that the
 * newest head no longer lists.
 */
function countingSegments(probed: readonly Probed[]): readonly Scanned[] {
  const named = new Map<number, number>()
  const counting: Probed[] = []
  let listComplete = false
  for (const file of probed.toReversed()) {
    if (!(file.counts && file.head) && !named.has(file.number)) continue
    if (listComplete && !named.has(file.number)) continue
    counting.unshift(file)
    if (file.head?.previous && !named.has(file.head.previous)) named.set(file.head.previous, NaN)
    if (!file.ends) continue
    if (!listComplete) {
      for (const { number, end } of file.ends) named.set(number, end)
      listComplete = true
    }
  }
  const previousEnds = new Map(counting.map(({ head }) => [head?.previous, head?.previousEnd]))
  return counting.map(({ number, head }, i): Scanned => {
    const told = previousEnds.get(number)
    const end = named.get(number)
    const known = end !== undefined && !Number.isNaN(end) ? end : told !== undefined && head ? told - head.base : undefined
    return { number, head, end: known, continuous: i === 0 || counting[i]?.head?.previous === counting[i - 1]?.number }
  })
}
