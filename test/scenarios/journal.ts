//! Stories of one node's journal on a simulated disk: what is gathered, what is on the disk, and what the next start finds there.
//!
//!   append 1 x y          entries of shard 1, behind what it has
//!   turn, step, flush     a group goes to the disk; the oldest request is done; both, up to the end
//!   power loses           the power fails, and of what was under way the disk `loses` all, `keeps` all, or `tears` a sector in two

import { shardId } from '@horus/core/units'
import { JournalHost } from '../unit/journal/host.ts'
import { Commands, holds, noSuchClaim } from './commands.ts'
import { Dice } from './dice.ts'
import { type Driver, StoryError } from './story.ts'

/** So that a story of a few entries fills more than one segment. */
const SETTINGS = { segmentBytes: 16 * 1024, cacheBytes: 1024 * 1024 }
/** What becomes of each sector that was not flushed. */
const FATES: Readonly<Record<string, number>> = { loses: 0, keeps: 0.5, tears: 0.9 }

export class JournalStage implements Driver {
  #host = JournalHost.started(undefined, 1, SETTINGS)
  readonly #actions = new Commands()
  #seed = 1
  /** What was handed in and is not durable yet, by ticket. */
  #waiting: { readonly shard: number; readonly ticket: number; readonly what: string }[] = []
  #asked = 0
  readonly #terms = new Map<number, number>()
  #segments = new Set<string>(this.#host.segmentFiles)

  #failure: string | undefined

  constructor() {
    this.#asked = this.#host.requests.length
    const actions = this.#actions
    actions.set('append', (shard, ...words) => this.#append(Number(shard), words))
    actions.set('vote', (shard, term, replica) => this.#vote(Number(shard), Number(term), Number(replica)))
    actions.set('drop', (shard) => this.#drop(Number(shard)))
    actions.set('renumber', (shard, term, self) => this.#renumber(Number(shard), Number(term), Number(self)))
    actions.set('snapshot', (shard, index) => this.#note(Number(shard), this.#host.snapshot(Number(shard), Number(index), this.#termOf(Number(shard)), new TextEncoder().encode(`books through ${index}`)), `a snapshot through ${index}`))
    actions.set('trim', (shard, through) => this.#host.trim(Number(shard), Number(through)))
    actions.set('turn', () => this.#host.turn())
    actions.set('step', () => void this.#host.step())
    actions.set('flush', () => this.#host.flush())
    actions.set('rest', () => this.#host.rest())
    actions.set('kill', () => this.#restart(() => this.#host.device.kill()))
    actions.set('power', (fate) => this.#power(fate!))
    actions.set('rot', (word) => this.#rot(word!))
    actions.set('read', (shard, ...indexes) => indexes.map((index) => `entry ${index} of shard ${shard}: ${this.#read(Number(shard), Number(index)) ?? 'cannot be read'}`))
    actions.set('disk', (...words) => this.#disk(words))
    actions.set('expect', (...words) => this.#expect(words))
  }

  run(words: readonly string[]): readonly string[] {
    return [...this.#actions.perform(words), ...this.#happened()]
  }

  // ---- what is handed in -------------------------------------------------------------------------------------------

  #termOf(shard: number): number {
    return this.#terms.get(shard) ?? 1
  }

  #last(shard: number): number {
    return this.#lasts.get(shard) ?? this.#host.found(shard)?.last ?? 0
  }

  readonly #lasts = new Map<number, number>()

  #note(shard: number, ticket: number, what: string): void {
    this.#waiting.push({ shard, ticket, what })
  }

  #append(shard: number, words: readonly string[]): void {
    const from = this.#last(shard) + 1
    const ticket = this.#host.append(shard, from, words.map(entryOf), this.#termOf(shard))
    this.#lasts.set(shard, from + words.length - 1)
    this.#note(shard, ticket, words.map((word, i) => `${from + i} ${word.split('*')[0]}`).join(', '))
  }

  #vote(shard: number, term: number, replica: number): void {
    this.#terms.set(shard, term)
    this.#note(shard, this.#host.hardState(shard, term, 1, replica), `its vote for ${replica} in term ${term}`)
  }

  /** The copy is given up: its entries go. */
  #drop(shard: number): void {
    this.#host.input({ kind: 'drop', shard: shardId(shard) })
    this.#lasts.set(shard, 0)
  }

  #renumber(shard: number, term: number, self: number): void {
    this.#terms.set(shard, term)
    this.#note(shard, this.#host.hardState(shard, term, self), `that it is copy ${self} now`)
  }

  // ---- what happens ------------------------------------------------------------------------------------------------

  /** Since the last command: writes, what became durable, segments that came and went, a failure. */
  #happened(): readonly string[] {
    const host = this.#host
    const lines: string[] = []
    for (const request of host.requests.slice(this.#asked)) {
      if (request.kind === 'write') lines.push(`writes ${request.pieces.reduce((sum, piece) => sum + piece.length, 0)} bytes to ${request.file} at ${request.at}`)
    }
    this.#asked = host.requests.length
    for (const { shard, ticket, what } of this.#waiting) if ((host.durableTickets.get(shard) ?? 0) >= ticket) lines.push(`durable: shard ${shard} has ${what}`)
    this.#waiting = this.#waiting.filter(({ shard, ticket }) => (host.durableTickets.get(shard) ?? 0) < ticket)
    const segments = new Set(host.segmentFiles)
    for (const file of this.#segments) if (!segments.has(file)) lines.push(`${file} is needed no more`)
    for (const file of segments) if (!this.#segments.has(file)) lines.push(`${file} is there`)
    this.#segments = segments
    if (host.failure !== undefined && host.failure !== this.#failure) lines.push(`ends itself: ${host.failure}`)
    this.#failure = host.failure
    return lines
  }

  #power(fate: string): readonly string[] {
    const chance = FATES[fate]
    if (chance === undefined) throw new StoryError(`the disk ${Object.keys(FATES).join(', ')}`)
    return this.#restart(() => this.#host.device.crash(new Dice(chance)))
  }

  #restart(end: () => void): readonly string[] {
    const gone = this.#waiting.map(({ shard, what }) => `never answered: shard ${shard}, ${what}`)
    end()
    this.#waiting = []
    this.#lasts.clear()
    this.#host = JournalHost.started(this.#host.device, ++this.#seed, SETTINGS)
    this.#asked = this.#host.requests.length
    this.#segments = new Set(this.#host.segmentFiles)
    if (this.#host.failure !== undefined) return [...gone, `does not start: ${this.#host.failure}`]
    for (const { shard, hardState } of this.#host.recoveredJournal!.shards) if (hardState !== undefined) this.#terms.set(shard, hardState.term)
    const found = this.#host.recoveredJournal!.shards.map(({ shard, first, last, hardState, snapshot, suspect }) => {
      const log = last < first ? 'no entries' : `entries ${first} to ${last}`
      const state = hardState === undefined ? 'no vote and no term' : `term ${hardState.term}${hardState.vote === undefined ? '' : `, a vote for ${hardState.vote}`}`
      return `shard ${shard}: ${[...(snapshot === undefined ? [] : [`a snapshot through ${snapshot.index}`]), log, state].join(', ')}: ${suspect ? 'IN DOUBT' : 'intact'}`
    })
    return [...gone, 'the next start finds', ...found.map((line) => `  ${line}`)]
  }

  /** A bit flips in the middle of an entry, where it lies on the disk. */
  #rot(word: string): readonly string[] {
    const wanted = Buffer.from(word)
    for (const { name } of this.#host.device.files()) {
      const at = Buffer.from(this.#host.device.content(name)!).indexOf(wanted)
      if (at < 0 || name.includes('spare')) continue
      this.#host.device.rot(name, at, 1)
      return [`a bit of ${word} flips in ${name}`]
    }
    throw new StoryError(`${word} is nowhere on the disk`)
  }

  #disk(words: readonly string[]): void {
    if (words[0] === 'fails') this.#host.device.inject({ kind: 'error', on: 'write', error: 'failed' })
    else if (words[0] === 'lies') this.#host.device.inject({ kind: 'lost' })
    else throw new StoryError('a disk fails or lies')
  }

  #read(shard: number, index: number): string | undefined {
    const bytes = this.#host.read(shard, index)
    return bytes && new TextDecoder().decode(bytes).replace(/\.+$/, '')
  }

  // ---- claims ------------------------------------------------------------------------------------------------------

  #expect([what, shard, ...rest]: readonly string[]): void {
    const found = this.#host.found(Number(shard))
    switch (what) {
      case 'suspect':
        return holds(found?.suspect, true)
      case 'intact':
        return holds(found?.suspect, false)
      case 'last':
        return holds(found?.last ?? 0, rest[0])
      case 'vote':
        return holds(found?.hardState?.vote, rest[0])
      case 'entry':
        return holds(this.#read(Number(shard), Number(rest[0])), rest[1])
      case 'gone':
        return holds(this.#host.segmentFiles.includes(shard ?? ''), false)
      case 'failed':
        return holds(this.#host.failure !== undefined, true)
      default:
        return noSuchClaim(what)
    }
  }
}

/** `mail*3000` takes that many bytes. An entry is never shorter than its two clocks. */
function entryOf(word: string): Uint8Array {
  const [text = '', length = '20'] = word.split('*')
  return new TextEncoder().encode(text.padEnd(Number(length), '.'))
}
