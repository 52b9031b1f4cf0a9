//! The journal knows one rising ticket a shard; masters and snapshots each want to hear of their own. This book translates.

export type Mark =
  | { readonly kind: 'master'; readonly ticket: number }
  | { readonly kind: 'snapshot'; readonly index: number; readonly term: number; readonly all: boolean }
  | { readonly kind: 'installed'; readonly index: number }
  | { readonly kind: 'born'; readonly done: () => void }
  /** A piece of a snapshot. */
  | { readonly kind: 'piece' }
  /** Nobody waits for it. */
  | { readonly kind: 'written' }

export class Tickets {
  readonly #take: () => number
  readonly #marks: { readonly ticket: number; readonly mark: Mark }[] = []

  /** `take` gives rising numbers. */
  constructor(take: () => number) {
    this.#take = take
  }

  issue(mark: Mark): number {
    const ticket = this.#take()
    this.#marks.push({ ticket, mark })
    return ticket
  }

  /** What has become durable; of the master's own tickets only the newest. */
  durable(ticket: number): Mark[] {
    const done: Mark[] = []
    let count = 0
    while (count < this.#marks.length && this.#marks[count]!.ticket <= ticket) {
      const mark = this.#marks[count++]!.mark
      const last = done[done.length - 1]
      if (mark.kind === 'master' && last?.kind === 'master') done[done.length - 1] = mark
      else done.push(mark)
    }
    this.#marks.splice(0, count)
    return done
  }
}
