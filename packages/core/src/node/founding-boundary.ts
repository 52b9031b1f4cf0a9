//! What goes into the founding and what comes out of it.

import type { Decision, FoundingMessage, Member, Sender } from '../message/gossip.ts'
import type { Random } from '../random.ts'
import type { Address, NodeId } from '../units.ts'
import type { IdentityChanges } from './identity.ts'
import type { IdentityState } from './identity-file.ts'

export interface FoundingSettings {
  /** So long the highest value in sight waits before it proposes, so that others are heard of. */
  readonly settleMs: number
  /** Every lower one waits so much longer than the one above it. */
  readonly staggerMs: number
  /** What is unanswered is sent again this often. */
  readonly resendMs: number
  /** After a quorum has promised, the rest of those in sight have so long: the highest values should be masters. */
  readonly collectMs: number
  /** A proposal that has no quorum by then is given up. */
  readonly proposalMs: number
  /** The longest wait before the next try. */
  readonly backoffMs: number
  readonly inquireMs: number
  /** The decision is told to fresh nodes in sight this often, and for so long. */
  readonly announceMs: number
  readonly announceForMs: number
}

export const foundingSettings: FoundingSettings = {
  settleMs: 200, staggerMs: 150, resendMs: 150, collectMs: 150, proposalMs: 1200, backoffMs: 3000, inquireMs: 500, announceMs: 250, announceForMs: 30_000,
}

export interface FoundingOptions {
  readonly node: NodeId
  readonly address: Address
  readonly eligible: boolean
  /** How many fresh nodes must agree; 0 for a node that only ever joins. */
  readonly expect: number
  /** Neither range nor seeds: nobody else can be there, so nobody is waited for. */
  readonly alone: boolean
  readonly random: Random
  /** Of a value that is drawn again. */
  readonly valueBits?: number | undefined
  readonly settings?: Partial<FoundingSettings>
}

export type FoundingInput =
  | { readonly kind: 'start'; readonly identity: IdentityState }
  /** Discovery has asked every candidate once. */
  | { readonly kind: 'scanned' }
  /** Membership's view of another node changed. */
  | { readonly kind: 'member'; readonly member: Member }
  | { readonly kind: 'datagram'; readonly sender: Sender; readonly message: FoundingMessage }
  | { readonly kind: 'saved'; readonly ticket: number }
  /** The registry has admitted this node: there is nothing left to found. */
  | { readonly kind: 'admitted' }

export interface FoundingOutbox {
  datagram(to: Address, message: FoundingMessage): void
  /** Through the identity, which answers `saved` with the ticket. */
  save(ticket: number, changes: IdentityChanges): void
  /** Durable: this node belongs to the cluster now. */
  decided(decision: Decision): void
  /** Durable: this node joins, and never founds. Said at every start of such a node. */
  ended(): void
  /** Durable: this node has drawn another value. */
  redrawn(value: number): void
  log(level: 'info' | 'warning' | 'error', text: string): void
}
