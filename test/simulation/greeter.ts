//! Transport's greeting for the simulated links: the same bytes and the same rules as on real sockets. A node of the next version
//! speaks a higher protocol and ours too, and says things in its HELLO that we do not know.

import { decodeControl, encodeControl } from '@horus/transport/codec'
import { mistaken, objection } from '@horus/transport/acquaintance'
import { common, decodeGreeting, disagreement, encodeHello, type NodeHello, PROTOCOL } from '@horus/transport/hello'
import type { NodeId } from '@horus/core/units'
import type { Greeted, Greeter, Refused } from '@horus/core/world/greeting'

/** 'HORUS' and the kind, in front of the map. */
const HEAD_BYTES = 6

export const GREETER: Greeter = {
  hello(node, expects) {
    const bytes = encodeHello(helloOf(node, expects))
    return node.newer ? withNews(bytes) : bytes
  },
  judge(own, bytes, dialled): Refused | undefined {
    const greeting = decodeGreeting(bytes)
    if (greeting.kind === 'refusal') return { refused: greeting.refusal.code }
    const { hello } = greeting
    const mine = helloOf(own, undefined)
    const refusal = disagreement(mine, hello) ?? (dialled === undefined ? objection(mine, { hello, host: '', principal: undefined }, undefined) : mistaken(hello, dialled))
    return refusal && { refused: refusal.code }
  },
}

function helloOf({ identity, instance, newer }: Greeted, expects: NodeId | undefined): NodeHello {
  const { nodeId, value, boot, cluster, clusterId, generation } = identity
  const own = common(cluster, clusterId, generation, newer ? '0.2.0' : '0.1.0')
  return { ...own, protocol: newer ? PROTOCOL + 1 : PROTOCOL, role: 'node', nodeId, value, boot, instance, expects }
}

function withNews(bytes: Uint8Array): Uint8Array {
  const body = encodeControl({ ...(decodeControl(bytes.subarray(HEAD_BYTES)) as Record<string, unknown>), fromTheNextVersion: { knows: ['more'] } })
  const longer = new Uint8Array(HEAD_BYTES + body.length)
  longer.set(bytes.subarray(0, HEAD_BYTES))
  longer.set(body, HEAD_BYTES)
  return longer
}
