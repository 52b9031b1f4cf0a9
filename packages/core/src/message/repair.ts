//! What masters of one shard say to each other about committed entries that a disk cannot give back.
//!
//!   entryWanted(index) ──▶ another master ──▶ entryGiven(index, entry)      or silence, and then the next one is asked
//!
//! A committed entry is the same on all masters for ever, so whoever has it may give it.

import { index, replica, shard, term } from './fields.ts'
import { bytes, type MessageOf, row } from './layout.ts'

/** An entry takes half a segment at most, and a frame on a link no more than this. */
const ENTRY_BYTES_MAX = 32 * 1024 * 1024

const header = { shard, from: replica, to: replica }

export const entryWanted = row(0x2a, 'entryWanted', { ...header, index })
/** `entryTerm` is 0 where the giver knows the entry only as a payload below its snapshot. */
export const entryGiven = row(0x2b, 'entryGiven', { ...header, index, entryTerm: term, entry: bytes(ENTRY_BYTES_MAX) })

export const repairRows = [entryWanted, entryGiven] as const
export type RepairMessage = MessageOf<(typeof repairRows)[number]>
export type EntryGiven = MessageOf<typeof entryGiven>
