//! Single adds of one loop turn as one batch: a promise each, but one input and one command for all.

import type { Added, AddItem, Outcome } from '@horus/core/client/api'
import type { Engine, Receiver } from './engine.ts'
import { errorOf } from './errors.ts'

export interface AddedJob {
  readonly partition: number
  readonly number: number
  readonly duplicate: boolean
}

export class Adder {
  readonly #engine: Engine
  readonly #timeoutMs: number
  readonly #gathers = new Map<string, Gather>()

  constructor(engine: Engine, timeoutMs: number) {
    this.#engine = engine
    this.#timeoutMs = timeoutMs
  }

  add(topic: string, item: AddItem): Promise<AddedJob> {
    return this.#engine.machine.waiting(new Promise((resolve, reject) => {
      let gather = this.#gathers.get(topic)
      if (gather === undefined) {
        if (this.#gathers.size === 0) this.#engine.beforeTurn(this.#flush)
        gather = new Gather()
        this.#gathers.set(topic, gather)
      }
      gather.items.push(item)
      gather.resolves.push(resolve)
      gather.rejects.push(reject)
    }))
  }

  readonly #flush = (): void => {
    for (const [topic, gather] of this.#gathers) {
      this.#engine.input({ kind: 'add', request: this.#engine.register(gather), topic, items: gather.items, timeoutMs: this.#timeoutMs })
    }
    this.#gathers.clear()
  }
}

class Gather implements Receiver {
  readonly items: AddItem[] = []
  readonly resolves: ((job: AddedJob) => void)[] = []
  readonly rejects: ((error: Error) => void)[] = []

  /** Of a batch that was split over partitions some may be in and others not. */
  done(outcome: Outcome): void {
    const added: Added | undefined = outcome.kind === 'added' || outcome.kind === 'failed' ? outcome.added : undefined
    for (let i = 0; i < this.items.length; i++) {
      const number = added?.numbers[i] ?? 0
      if (number > 0) this.resolves[i]!(addedJob(added!, i))
      else if (outcome.kind === 'failed') this.rejects[i]!(errorOf(outcome))
    }
  }
}

export function addedJob(added: Added, at: number): AddedJob {
  return { partition: added.partitions[at]!, number: added.numbers[at]!, duplicate: added.duplicates[at] === 1 }
}
