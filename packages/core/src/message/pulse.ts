//! What two nodes say to each other about all shards at rest between them at once.
//!
//!   pulse(round, rests that began or ended) ──▶ node that follows ──▶ pulseAnswer(round, rests that it holds no more)
//!
//! A conversation is named by both sides: `stream` by the one that leads, `channel` by the one that follows. Whoever forgets it draws
//! a new name, so that nothing of an earlier one is ever taken for this one's. Changes and ended rests are numbered, and said
//! again until they are known to have come: messages may be lost, doubled and reordered.

import { index, replica, shard, term, wallTime } from './fields.ts'
import { f64, list, type MessageOf, optional, record, row, u32, u53, type ValueOf } from './layout.ts'

/** So many changes, or ended rests, go in one message; the others follow in the next. */
export const CHANGES_MAX = 1024

/** In this term the copy `to` follows the copy `from`, and both logs end at `index`, committed: from now on the pulse speaks for them. */
export const rest = record({ shard, term, from: replica, to: replica, index })
export type Rest = ValueOf<typeof rest>
/** A rest begins, under the number of the change, or the one that began under the number `ended` is over. */
export const restChange = record({ begun: optional(rest), ended: u53 })
export type RestChange = ValueOf<typeof restChange>

/** `first` is the number of the first change; `channel` is 0 before it is known; `known`: so many ended rests were heard of. */
export const pulse = row(0x2f, 'pulse', { stream: u32, channel: u32, round: u53, known: u53, first: u53, changes: list(restChange, CHANGES_MAX) })
/**
 * The answer to a round proves that the sender, when it had come, held every rest that began up to change `applied` and is neither among
 * `ended` nor was before. `first` is the number of the first of them. `wall` and `freeBytes` are as in an append's answer.
 */
export const pulseAnswer = row(0x30, 'pulseAnswer', { stream: u32, channel: u32, round: u53, applied: u53, first: u53, ended: list(u53, CHANGES_MAX), wall: wallTime, freeBytes: f64 })

export const pulseRows = [pulse, pulseAnswer] as const
export type PulseMessage = MessageOf<(typeof pulseRows)[number]>
export type Pulse = MessageOf<typeof pulse>
export type PulseAnswer = MessageOf<typeof pulseAnswer>
