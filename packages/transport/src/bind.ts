//! A node has one address: the same host and port for links (TCP) and datagrams (UDP). Where the system is to choose the
//! port, it chooses one for datagrams, and that one may be taken for links; then another is tried.

import type { Address } from '@horus/core/units'
import { parseAddress } from './address.ts'
import { TransportError } from './errors.ts'
import type { GossipSocket } from './gossip-socket.ts'
import type { NodeLinks } from './links.ts'

const ATTEMPTS_MAX = 20

/** Resolves to the address in use. Rejects with a TransportError (`address`, `insecure`, `listen`), and then neither listens. */
export async function listenTogether(links: NodeLinks, gossip: GossipSocket, address: string): Promise<Address> {
  const chosen = parseAddress(address).port === 0
  for (let attempt = 1; ; attempt++) {
    const at = await gossip.bind(address)
    try {
      return await links.listen(at)
    } catch (error) {
      await gossip.close()
      const taken = error instanceof TransportError && error.code === 'listen'
      if (!chosen || !taken || attempt === ATTEMPTS_MAX) throw error
    }
  }
}
