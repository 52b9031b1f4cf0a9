//! How two processes greet each other when a link opens. What a HELLO says and who refuses whom is transport's, handed in; the world
//! only carries it over, so that twins, strangers and other versions meet the very code that they meet on real sockets.

import type { NodeId } from '../units.ts'
import type { Identity } from '../replica.ts'

export interface Greeted {
  readonly identity: Identity
  /** Differs for every start of every process. */
  readonly instance: string
  /** Runs the next version of the software. */
  readonly newer: boolean
}

/** `refused` is a code of transport's. */
export interface Refused {
  readonly refused: string
}

export interface Greeter {
  hello(node: Greeted, expects: NodeId | undefined): Uint8Array
  /** Why the one who got `hello` refuses the other side; undefined where it is welcome. `dialled` is whom it wanted to reach, where it dialled. */
  judge(own: Greeted, hello: Uint8Array, dialled: NodeId | undefined): Refused | undefined
}
