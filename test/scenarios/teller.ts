//! What happened, as a reader wants it: one line for one thing, with the time since the command began, who did it and what.
//! Lines of the same instant that say the same about several nodes become one. Each line has a topic; a story shows the
//! topics that it is about.

import { StoryError } from './story.ts'

interface Line {
  readonly at: number
  /** One who says something to somebody, or several to whom the same happened at the same time. */
  readonly who: Set<string>
  /** Who heard it. */
  readonly to: Set<string>
  readonly what: string
  times: number
}

/** Wide enough for `a → b c`, so that what happened begins in one column. */
const WHO_WIDTH = 9
const TIME_WIDTH = 5

export class Teller {
  readonly #now: () => number
  readonly #topics: ReadonlySet<string>
  #shown: ReadonlySet<string>
  #lines: Line[] = []
  #began = 0
  /** Every line since the command began, shown or not, for whoever waits for one. */
  #said: string[] = []
  /** And since the story itself began. */
  #ever: string[] = []

  constructor(now: () => number, topics: readonly string[], shown: readonly string[]) {
    this.#now = now
    this.#topics = new Set(topics)
    this.#shown = new Set(shown)
  }

  /** Only these topics are told from now on; with `+x` or `-x` one more or one less. */
  show(topics: readonly string[]): void {
    const relative = topics.every((topic) => /^[+-]/.test(topic))
    const shown = new Set(relative ? this.#shown : [])
    for (const topic of topics) {
      const name = topic.replace(/^[+-]/, '')
      if (!this.#topics.has(name)) throw new StoryError(`there is no topic ${name}, only: ${[...this.#topics].join(' ')}`)
      if (topic.startsWith('-')) shown.delete(name)
      else shown.add(name)
    }
    this.#shown = shown
  }

  begin(): void {
    this.#lines = []
    this.#said = []
    this.#began = this.#now()
  }

  tell(topic: string, who: string, what: string, to?: string): void {
    if (!this.#topics.has(topic)) throw new Error(`no topic ${topic}`)
    const sentence = `${to === undefined ? who : `${who} → ${to}`} ${what}`
    this.#said.push(sentence)
    this.#ever.push(sentence)
    if (!this.#shown.has(topic)) return
    const at = Math.round(this.#now() - this.#began)
    const said = (line: Line): boolean => line.at === at && line.what === what && (to === undefined ? line.to.size === 0 : line.to.size > 0 && line.who.has(who))
    const twin = this.#lines.find(said)
    if (twin === undefined) this.#lines.push({ at, who: new Set([who]), to: new Set(to === undefined ? [] : [to]), what, times: 1 })
    else if (to === undefined) twin.who.add(who)
    else if (twin.to.has(to)) twin.times++
    else twin.to.add(to)
  }

  /** Whether something was said since the command began that holds all these words, in their order. */
  heard(text: string): boolean {
    return this.#said.some((said) => said.includes(text))
  }

  /** What has been told so far was there before the story began. */
  forget(): void {
    this.#ever = []
    this.begin()
  }

  /** The same of the whole story. */
  ever(text: string): boolean {
    return this.#ever.some((said) => said.includes(text))
  }

  take(): string[] {
    const lines = this.#lines.map(({ at, who, to, what, times }) => {
      const names = [...who, ...(to.size > 0 ? ['→'] : []), ...to].join(' ')
      return `${`${at} ms`.padStart(TIME_WIDTH + 3)}  ${names.padEnd(WHO_WIDTH)} ${what}${times > 1 ? ` (${times} times)` : ''}`
    })
    this.#lines = []
    return lines
  }
}
