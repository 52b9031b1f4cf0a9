//! Channels over TCP, as `@horus/transport` makes them.

import { connectClient } from '@horus/transport'
import type { ChannelEvents, ClientChannel, ClientTransport } from './connection.ts'

export interface TcpOptions {
  readonly cluster: string
  readonly secret?: string | undefined
  readonly principal?: string | undefined
  readonly credential?: string | undefined
}

export class TcpTransport implements ClientTransport {
  readonly #options: TcpOptions
  /** Which cluster answered first: another one of the same name is refused from then on. */
  #met: { readonly clusterId: NonNullable<Parameters<typeof connectClient>[0]['clusterId']>; readonly generation: number } | undefined

  constructor(options: TcpOptions) {
    this.#options = options
  }

  connect(address: string, events: ChannelEvents): ClientChannel {
    return connectClient({
      address, ...this.#options, clusterId: this.#met?.clusterId, generation: this.#met?.generation,
      onUp: (node) => {
        if (node.clusterId !== undefined) this.#met = { clusterId: node.clusterId, generation: node.generation }
        events.up()
      },
      onMessage: (bytes) => events.message(bytes),
      onClose: (reason) => {
        // The registry was recovered: the cluster is the same, its generation is not.
        if (reason.code === 'generation') this.#met = undefined
        events.closed(reason)
      },
      onDrain: () => events.drained(),
    })
  }
}
