//! Whom a node speaks to, once protocol and cluster fit (`disagreement` in hello.ts): pure rules over two greetings.

import type { NodeId } from '@horus/core/units'
import type { Hello, NodeHello, Refusal } from './hello.ts'
import type { ProvenPrincipal } from './tls.ts'

export interface Caller {
  readonly hello: Hello
  readonly host: string
  /** What the handshake proved. */
  readonly principal: ProvenPrincipal
}

/** Why a caller is refused; undefined when it is welcome. */
export function objection(own: NodeHello, caller: Caller, allows: ((host: string) => boolean) | undefined): Refusal | undefined {
  const { hello, host, principal } = caller
  if (hello.role === 'client') {
    if (principal === undefined || principal === hello.principal) return undefined
    return { code: 'secret', text: `the secret is of ${JSON.stringify(principal)}, not of ${JSON.stringify(hello.principal)}` }
  }
  if (principal !== undefined) return { code: 'secret', text: 'a client\'s secret does not make a node' }
  if (hello.nodeId === own.nodeId) {
    if (hello.instance === own.instance) return { code: 'self', text: 'this is the very node that dials' }
    return { code: 'twin', text: 'two processes run with the identity of this node' }
  }
  if (hello.expects !== undefined && hello.expects !== own.nodeId) return { code: 'stranger', text: `this is the node ${own.nodeId}, not ${hello.expects}` }
  if (allows && !allows(host)) return { code: 'stranger', text: `${host} is not in the range of allowed addresses` }
  return undefined
}

/** Why the one who answers is not the one who was dialled; undefined when it is. */
export function mistaken(theirs: Hello, node: NodeId | undefined): Refusal | undefined {
  if (theirs.role !== 'node') return { code: 'stranger', text: 'a client answers there' }
  if (node === undefined || theirs.nodeId === node) return undefined
  return { code: 'stranger', text: `the node ${theirs.nodeId} lives there, not ${node}` }
}
