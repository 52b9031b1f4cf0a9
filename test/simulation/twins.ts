//! One identity that runs twice: a data directory was copied, and both copies were started. The promise is that they notice and
//! do not go on side by side: mostly both stop; where the copy finds first that others have seen its journal go further, it ends
//! as an old copy and the original runs on alone. Then somebody throws the copy away, and an original that stopped comes back.

import type { NodeProcess } from '@horus/core/world/node'
import type { World } from '@horus/core/world/world'
import type { Report } from './check/checker.ts'

/** At most one is left by then: gossip has to carry the news of the second address, and each has to challenge the other. */
const NOTICED_MS = 10_000
/** How long it takes until somebody has thrown the copy away. */
const TENDED_MS = 1000

interface Pair {
  readonly original: NodeProcess
  readonly copy: NodeProcess
  readonly startedAt: number
  tended: boolean
}

export class Twins {
  readonly #world: World
  readonly #report: Report
  readonly #pairs: Pair[] = []

  constructor(world: World, report: Report) {
    this.#world = world
    this.#report = report
  }

  get any(): boolean {
    return this.#pairs.length > 0
  }

  /** Neither is started again by itself. */
  begin(original: NodeProcess, copy: NodeProcess): void {
    original.restartAfterMs = copy.restartAfterMs = undefined
    this.#pairs.push({ original, copy, startedAt: this.#world.now, tended: false })
    copy.start()
  }

  /**
   * Whether it may end itself: it is one of two. And when the original is back alone, others may have seen its name go further on the
   * copy's disk than on its own: then it ends once more, and joins as a new node.
   */
  includes(process: unknown): boolean {
    return this.#pairs.some((pair) => pair.original === process || pair.copy === process)
  }

  /** To be called now and then. */
  audit(): void {
    for (const pair of this.#pairs) {
      if (pair.tended) continue
      const { original, copy } = pair
      if (!original.running && !copy.running) {
        pair.tended = true
        original.restartAfterMs = TENDED_MS
        this.#world.restart(original, TENDED_MS)
      } else if (this.#world.now - pair.startedAt > NOTICED_MS) {
        if (original.running && copy.running) this.#report.broken('twin', `${original.name} and ${copy.name} of one identity still run ${NOTICED_MS} ms after the second was started`)
        pair.tended = true
        original.restartAfterMs = TENDED_MS
        // Whichever is left is the node from now on.
        if (!original.running) copy.restartAfterMs = TENDED_MS
      }
    }
  }
}
