//! What nodes remember of each other's disks.
//!
//!   durable(position) ──▶ whoever hears a claim that a disk has to bear out      returned(position) ──▶ witnessed(position)
//!
//! A position in a node's journal is never used twice. So a node that starts and finds its journal ending below what others have
//! seen of it has an old copy of its disk, or a disk that lied, and has forgotten what it promised.

import { bool, type MessageOf, row, u32, u53 } from './layout.ts'

/**
 * The sender's journal is durable below this position. Goes ahead of the votes and acknowledgements that rest on it. `run` is drawn at
 * every start: boot counters come back with an old copy.
 */
export const durable = row(0x2c, 'durable', { run: u32, position: u53 })
/** The sender has started this run, and its journal ended there. */
export const returned = row(0x2d, 'returned', { run: u32, position: u53 })
/** To `returned` of that run: whether whoever answers has seen that journal go further in another. */
export const witnessed = row(0x2e, 'witnessed', { run: u32, further: bool })

export const witnessRows = [durable, returned, witnessed] as const
export type WitnessMessage = MessageOf<(typeof witnessRows)[number]>
