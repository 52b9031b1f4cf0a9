//! One node with its disk, as the explorer sees it: a value that is copied before it is given anything. What it does depends on
//! itself and on the input alone, and its digest tells all that it depends on.

/** What may happen to a node apart from a message. */
export interface Move {
  readonly kind: string
  readonly argument: number
  /** The budget that it uses up by one; without one it may always happen. */
  readonly cost?: string
}

export type Input = { readonly kind: 'message'; readonly from: number; readonly bytes: Uint8Array } | { readonly kind: 'move'; readonly move: Move }

export type Send = (to: number, bytes: Uint8Array) => void

export interface Participant {
  /** Its place among the nodes. */
  readonly index: number
  clone(): this
  digest(): string
  take(input: Input, send: Send): void
  moves(): readonly Move[]
  /** Never again will it do anything on this message, whatever becomes of it: then the message need not be kept. */
  ignores(bytes: Uint8Array): boolean
  /** Outside what is looked at: whatever led here is not followed. */
  readonly isBeyond: boolean
  /** In a few words, for a story. */
  tell(): string
}

/** Something that a step did and that is remembered for ever, whatever becomes of the node. */
export interface Fact {
  readonly kind: string
  readonly node: number
}

/** What must hold in every state. The methods throw a `Breach`. */
export interface Laws<P extends Participant, F extends Fact, Memory> {
  readonly memory: Memory
  /** What a step of `node` did. A step always does the same from the same state. */
  facts(node: number, before: P, after: P, sent: readonly { readonly to: number; readonly bytes: Uint8Array }[]): readonly F[]
  /** The memory with the fact; `nodes` are as the step left them. */
  remember(memory: Memory, fact: F, nodes: readonly P[]): Memory
  one(node: P, memory: Memory): void
  pair(a: P, b: P): void
}
