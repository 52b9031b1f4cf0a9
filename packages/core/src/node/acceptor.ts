//! The acceptor of the founding: what it has promised and accepted, and what it therefore refuses. It only changes its
//! state; that the state is durable before anything is said about it is the founding's affair.

import { type Ballot, type Decision, type FoundingMessage, FoundingRefusal } from '../message/gossip.ts'
import { compareBallots } from './ballot.ts'
import type { FoundingState } from './identity-file.ts'

export interface Standing {
  /** Belongs to no cluster, and has met none. */
  readonly fresh: boolean
  /** Twice as many fresh nodes as expected are in sight. */
  readonly tooMany: boolean
}

export class Acceptor {
  readonly #expect: number
  state: FoundingState = { promised: undefined, accepted: undefined, expect: 0, ended: false, decided: undefined }

  constructor(expect: number) {
    this.#expect = expect
  }

  /** Its promises were given under another number of nodes. */
  get isBoundElsewhere(): boolean {
    return this.state.expect !== 0 && this.state.expect !== this.#expect
  }

  /** The answer to a ballot that must not be promised or accepted. */
  refusal(ballot: Ballot, expect: number, standing: Standing): FoundingMessage | undefined {
    const refuse = (reason: number): FoundingMessage => ({ kind: 'refused', ballot, reason, expect: this.state.expect || this.#expect, promised: this.state.promised })
    if (!standing.fresh) return refuse(FoundingRefusal.mayNotFound)
    if (this.isBoundElsewhere || expect !== this.#expect) return refuse(FoundingRefusal.otherExpect)
    if (standing.tooMany) return refuse(FoundingRefusal.tooMany)
    return this.state.promised && compareBallots(ballot, this.state.promised) < 0 ? refuse(FoundingRefusal.lowBallot) : undefined
  }

  /** True where this is a new promise, which has to become durable. */
  promise(ballot: Ballot, expect: number): boolean {
    if (this.state.promised && compareBallots(ballot, this.state.promised) <= 0) return false
    this.state = { ...this.state, promised: ballot, expect }
    return true
  }

  /** True where this is news, which has to become durable. */
  accept(ballot: Ballot, expect: number, decision: Decision): boolean {
    const known = this.state.accepted
    if (known && compareBallots(ballot, known.ballot) <= 0) return false
    this.state = { ...this.state, promised: ballot, expect, accepted: { ballot, decision } }
    return true
  }

  clone(): Acceptor {
    const copy = new Acceptor(this.#expect)
    copy.state = this.state
    return copy
  }
}
