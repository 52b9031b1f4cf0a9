//! Scripted nodes behind the SDK's transport: the real client and the real clock, without sockets.

import type { LinkId } from '@horus/core/client/api'
import type { Address } from '@horus/core/units'
import { type ChannelEvents, type ClientChannel, type ClientTransport, Horus } from '@horus/sdk'
import { A, FakeNodes } from '../client/fake-nodes.ts'

export class FakeTransport extends FakeNodes implements ClientTransport {
  readonly #channels = new Map<LinkId, { readonly address: Address; readonly events: ChannelEvents }>()
  #last = 0

  override get now(): number {
    return performance.now()
  }

  connect(address: string, events: ChannelEvents): ClientChannel {
    const link = ++this.#last as LinkId
    const at = address as Address
    setImmediate(() => {
      if (this.down.has(at)) return events.closed({ code: 'unreachable', message: `${address} is down` })
      this.#channels.set(link, { address: at, events })
      events.up()
    })
    return {
      send: (bytes) => {
        setImmediate(() => {
          if (this.#channels.has(link)) this.take(link, at, bytes)
        })
        return true
      },
      flush: () => {},
      close: () => void this.#channels.delete(link),
    }
  }

  override transmit(link: LinkId, bytes: Uint8Array): void {
    setImmediate(() => this.#channels.get(link)?.events.message(bytes))
  }

  get openChannels(): number {
    return this.#channels.size
  }
}

export async function withHorus(run: (horus: Horus, nodes: FakeTransport) => Promise<void>, partitions = 1): Promise<void> {
  const nodes = new FakeTransport(partitions)
  const horus = await Horus.over(nodes, [A], { requestTimeout: 2000 })
  try {
    await run(horus, nodes)
  } finally {
    await horus.close({ drain: false })
  }
}

/** Resolves with the values of the next such event. */
export function next<V extends unknown[]>(on: (listener: (...values: V) => void) => unknown): Promise<V> {
  return new Promise((resolve) => on((...values) => resolve(values)))
}

/** Waits until `holds` does. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 1))
}
