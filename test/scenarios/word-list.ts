//! The state machine of the stories of masters: a list of words. Each command in the log adds one. A word may be written with a
//! length (`book*9000`), and takes that many bytes then: a snapshot of short words would be a single piece.

import { Hash } from '@horus/core/hash'
import { type Imaging, readSmall, smallImage, type Walk } from '@horus/core/message/image'
import { logTable } from '@horus/core/message/command'
import type { Machine } from '@horus/core/replica/machine'
import type { LogIndex, ShardId } from '@horus/core/units'

/** No operation of a real shard. */
export const WORD = 0

export function wordEntry(word: string, shard: ShardId): Uint8Array {
  const [text = '', length = '0'] = word.split('*')
  const body = new TextEncoder().encode(text.padEnd(Number(length), FILLER))
  return logTable.encode({ kind: 'command', leaseNow: 0 as never, wallNow: 0 as never, shard, session: 0 as never, sequence: 0, lowest: 0, stamp: 0, operation: WORD, body })
}

export function wordOf(body: Uint8Array): string {
  return new TextDecoder().decode(body).replace(FILLED, '')
}

const FILLER = '.'
const FILLED = /\.+$/

export class WordList implements Machine {
  #texts: string[] = []

  get words(): readonly string[] {
    return this.#texts.map((text) => text.replace(FILLED, ''))
  }

  apply(_index: LogIndex, entry: Uint8Array): void {
    const decoded = logTable.decode(entry)
    if (decoded.kind === 'command') this.#texts.push(new TextDecoder().decode(decoded.body))
  }

  freeze(): Imaging {
    return smallImage(new TextEncoder().encode(this.#texts.join('\n')))
  }

  *restoring(pieces: Uint8Array[]): Walk {
    const bytes = readSmall(pieces)
    this.#texts = bytes.length === 0 ? [] : new TextDecoder().decode(bytes).split('\n')
  }

  digest(): string {
    return new Hash().text(this.#texts.join('\n')).digest()
  }

  needs(): boolean {
    return false
  }

  livePayloads(): readonly LogIndex[] {
    return []
  }

  nextPayload(): number {
    return Infinity
  }

  lead(): void {}

  wake(): void {}

  turn(): void {}

  wakeAt(): number {
    return Infinity
  }

  readonly isIdle = true

  unreadable(): void {}
}
