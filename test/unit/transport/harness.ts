//! Nodes and clients on loopback that remember what they were told, so that a test can wait for it instead of sleeping.

import { connect, type Socket } from 'node:net'
import { once } from 'node:events'
import type { Address, ClusterId, ConnectionId, NodeId } from '@horus/core/units'
import { type ClientLink, type ClientLinkOptions, connectClient } from '@horus/transport/client-link'
import { Keyring } from '@horus/transport/keyring'
import type { LinkHandlers, LinkOptions } from '@horus/transport/link-options'
import { NodeLinks } from '@horus/transport/links'

export class Told {
  readonly lines: string[] = []
  #wake = (): void => undefined

  say(line: string): void {
    this.lines.push(line)
    this.#wake()
  }

  /** Resolves when a line that begins with `start` has been said `times` times, to the last of them. */
  async until(start: string, times = 1): Promise<string> {
    for (;;) {
      const found = this.lines.filter((line) => line.startsWith(start))
      if (found.length >= times) return found.at(-1)!
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  count(start: string): number {
    return this.lines.filter((line) => line.startsWith(start)).length
  }
}

export interface TestNode {
  readonly id: NodeId
  readonly links: NodeLinks
  readonly address: Address
  readonly told: Told
  readonly clients: ConnectionId[]
}

export interface NodeSettings {
  readonly digit: string
  /** Does not listen. */
  readonly deaf?: boolean
  readonly host?: string
  readonly secret?: string
  readonly cluster?: string
  readonly clusterId?: string
  readonly version?: string
  readonly handlers?: Partial<LinkHandlers>
  readonly options?: Partial<LinkOptions>
}

const open: { close(): unknown }[] = []

export async function closeAll(): Promise<void> {
  for (const each of open.splice(0)) await each.close()
}

export const nodeIdOf = (digit: string): NodeId => digit.repeat(32) as NodeId
export const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const shown = (bytes: Uint8Array): string => (bytes.length > 100 ? `${bytes.length} bytes` : new TextDecoder().decode(bytes))

export async function startNode(settings: NodeSettings): Promise<TestNode> {
  const told = new Told()
  const clients: ConnectionId[] = []
  const links = new NodeLinks({
    identity: { nodeId: nodeIdOf(settings.digit), value: 1, boot: 1, cluster: settings.cluster ?? 'test', clusterId: settings.clusterId as ClusterId | undefined, generation: 0 },
    version: settings.version ?? '0.1.0',
    keyring: settings.secret === undefined ? undefined : new Keyring(settings.secret),
    handlers: {
      linkUp: (node) => told.say(`up ${node[0]}`),
      linkDown: (node, reason) => told.say(`down ${node[0]} ${reason.code}: ${reason.message}`),
      message: (from, bytes) => told.say(`message ${from[0]} ${shown(bytes)}`),
      clientUp(connection, principal) {
        clients.push(connection)
        told.say(`clientUp ${principal}`)
      },
      clientDown: (_connection, reason) => told.say(`clientDown ${reason.code}: ${reason.message}`),
      clientMessage: (_connection, bytes) => told.say(`clientMessage ${shown(bytes)}`),
      refused: (_where, reason) => told.say(`refused ${reason.code}: ${reason.message}`),
      twin: () => told.say('twin'),
      newer: (generation) => told.say(`newer ${generation}`),
      ...settings.handlers,
    },
    ...settings.options,
  })
  open.push(links)
  const address = settings.deaf ? ('' as Address) : await links.listen(`${settings.host ?? '127.0.0.1'}:0`)
  return { id: nodeIdOf(settings.digit), links, address, told, clients }
}

export function introduce(...nodes: readonly TestNode[]): void {
  for (const node of nodes) for (const other of nodes) if (node !== other) node.links.address(other.id, other.address)
}

export function startClient(address: string, options: Partial<ClientLinkOptions> = {}): { readonly link: ClientLink; readonly told: Told } {
  const told = new Told()
  const link = connectClient({
    address, cluster: 'test',
    onUp: (node) => told.say(`up ${node.nodeId[0]}`),
    onMessage: (bytes) => told.say(`message ${shown(bytes)}`),
    onClose: (reason) => told.say(`closed ${reason.code}: ${reason.message}`),
    onDrain: () => told.say('drain'),
    ...options,
  })
  open.push(link)
  return { link, told }
}

/** A bare connection that says what it likes. */
export async function rawConnection(address: string): Promise<Socket> {
  const [host, port] = address.split(':')
  const socket = connect({ host: host!, port: Number(port) })
  socket.on('error', () => undefined)
  open.push({ close: () => socket.destroy() })
  await once(socket, 'connect')
  return socket
}

/** Does something once a turn of the loop until the condition holds. */
export async function repeat(action: () => void, until: () => boolean): Promise<void> {
  while (!until()) {
    action()
    await new Promise((resolve) => setImmediate(resolve))
  }
}
