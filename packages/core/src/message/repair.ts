//! What masters of one shard say to each other about entries that a disk cannot give back.
//!
//!   entryWanted(index, term) ──▶ another master ──▶ entryGiven(index, term, entry)      or silence, and then the next one is asked
//!
//! A committed entry is the same on all masters for ever, and so is any entry of one index and term: whoever has it may give it.

import { index, replica, shard, term } from './fields.ts'
import { bytes, type MessageOf, row } from './layout.ts'

/** An entry takes half a segment at most, and a frame on a link no more than this. */
const ENTRY_BYTES_MAX = 32 * 1024 * 1024

const header = { shard, from: replica, to: replica }

/** `entryTerm` is 0 where the asker knows the entry only as a payload below its snapshot: then only a committed one will do. */
export const entryWanted = row(0x2a, 'entryWanted', { ...header, index, entryTerm: term })
/** `entryTerm` is 0 where the giver knows the entry only as a payload below its snapshot. */
export const entryGiven = row(0x2b, 'entryGiven', { ...header, index, entryTerm: term, entry: bytes(ENTRY_BYTES_MAX) })

export const repairRows = [entryWanted, entryGiven] as const
export type RepairMessage = MessageOf<(typeof repairRows)[number]>
export type EntryWanted = MessageOf<typeof entryWanted>
export type EntryGiven = MessageOf<typeof entryGiven>
