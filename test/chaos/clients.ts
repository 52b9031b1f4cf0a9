//! Publishers and workers of a chaos run, as their driver sees them: processes that are killed and started again.

import { fileURLToPath } from 'node:url'
import type { Random } from '@horus/core/random'
import { Child } from '@horus/node/local/children'
import type { ClientSettings, FromPublisher, FromWorker } from './settings.ts'

export interface ClientOptions {
  readonly settings: Omit<ClientSettings, 'name' | 'seed'>
  readonly random: Random
  readonly say: (text: string) => void
  readonly onMessage?: (message: FromPublisher | FromWorker, client: Client) => void
}

const SCRIPTS = {
  publisher: fileURLToPath(new URL('./publisher.js', import.meta.url)),
  worker: fileURLToPath(new URL('./worker.js', import.meta.url)),
}

/** A process of a role that is started again, under a new name, whenever it was killed. */
export class Client {
  readonly role: 'publisher' | 'worker'
  readonly #number: number
  readonly #options: ClientOptions
  #incarnation = 0
  name = ''
  child: Child

  constructor(role: Client['role'], number: number, options: ClientOptions) {
    this.role = role
    this.#number = number
    this.#options = options
    this.child = this.start()
  }

  start(): Child {
    const { settings, random, say, onMessage } = this.#options
    const name = `${this.role}-${this.#number}-${++this.#incarnation}`
    this.name = name
    const child = new Child(SCRIPTS[this.role], {
      args: [JSON.stringify({ ...settings, name, seed: random.u32() } satisfies ClientSettings)],
      onMessage: (message) => onMessage?.(message as FromPublisher | FromWorker, this),
    })
    // One that ends by itself would leave the run waiting for its jobs, and nobody would know why.
    void child.ended.then(({ code }) => {
      if (code !== null && code !== 0) say(`${name} ended by itself with code ${code}: ${child.errors.trim()}`)
    })
    this.child = child
    return child
  }
}
