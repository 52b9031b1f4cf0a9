//! The images of the books that a leader is putting together for other masters, each for one of them, a step at a time.
//!
//!   open ──step──▶ books, entries ──▶ opened: the master sends it
//!                     │ an entry has to be read, or asked for: goes on when that has come

import type { Now } from '../actor.ts'
import type { SnapshotSource } from '../master/boundary.ts'
import type { LogIndex, ReplicaNumber } from '../units.ts'
import { ImageBuilder } from './image.ts'
import type { Machine } from './machine.ts'

const STEP_EVERY_MS = 1

export interface ImagesHost {
  readonly machine: Machine
  /** Undefined while it is read or asked for; null where nobody wants it any more, or nobody can give it. */
  payload(now: Now, index: LogIndex): Uint8Array | undefined | null
  /** Other masters are asked for the entry. */
  isAskedFor(index: LogIndex): boolean
  opened(now: Now, peer: ReplicaNumber, source: SnapshotSource): void
}

interface Image {
  readonly peer: ReplicaNumber
  readonly builder: ImageBuilder
  readonly of: Pick<SnapshotSource, 'index' | 'term' | 'configuration'>
}

export class Images {
  readonly #host: ImagesHost
  readonly #work: number
  #images: Image[] = []
  /** When the next step is due; Infinity while there is none, or each waits for an entry. */
  stepAt = Infinity

  /** `work`: of small things done in one step. */
  constructor(host: ImagesHost, work: number) {
    this.#host = host
    this.#work = work
  }

  /** Of the books as they are now. */
  open(now: Now, peer: ReplicaNumber, of: Image['of']): void {
    if (this.#images.some((image) => image.peer === peer)) return
    this.#images.push({ peer, builder: new ImageBuilder(this.#host.machine.freeze(), of.index), of })
    this.stepAt = now.monotonic
  }

  /** Only a leader fills others. */
  drop(): void {
    for (const { builder } of this.#images.splice(0)) builder.end()
    this.stepAt = Infinity
  }

  /** Something has happened: what was waited for may be here. */
  stir(now: Now): void {
    if (this.#images.length > 0) this.stepAt = Math.min(this.stepAt, now.monotonic + STEP_EVERY_MS)
  }

  /** Something was read: by the next turn it may have left the cache again. */
  loaded(now: Now): void {
    if (this.#images.length > 0) this.stepAt = now.monotonic
    this.step(now)
  }

  step(now: Now): void {
    if (this.stepAt > now.monotonic) return
    this.stepAt = Infinity
    for (const image of this.#images.splice(0)) this.#step(now, image)
  }

  #step(now: Now, image: Image): void {
    const { builder, of, peer } = image
    const { machine } = this.#host
    const outcome = builder.step(this.#work, {
      wanted: (from, through) => machine.livePayloads(from, through),
      next: (from) => machine.nextPayload(from),
      read: (index) => this.#host.payload(now, index),
      ahead: (index, next) => {
        const isAskedFor = this.#host.isAskedFor(index)
        if (isAskedFor) for (const each of next) this.#host.payload(now, each)
        return isAskedFor
      },
    })
    if (outcome === 'complete') return this.#host.opened(now, peer, { ...of, totalBytes: builder.totalBytes, hash: builder.hash, chunk: (offset, most) => builder.chunk(offset, most) })
    this.#images.push(image)
    if (outcome === 'more') this.stepAt = now.monotonic + STEP_EVERY_MS
  }
}
