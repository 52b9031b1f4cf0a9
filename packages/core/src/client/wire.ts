//! Bytes out and in: one scratch writer, so that a message costs one allocation.

import { COMMAND_BODY_AT, COMMAND_OPERATION_AT, command } from '../message/command.ts'
import { type ClientMessage, clientRows } from '../message/client.ts'
import { type Fields, MalformedMessage, type RecordOf, type Row, Table, Writer } from '../message/layout.ts'
import type { Instant, SessionNumber, ShardId } from '../units.ts'

const table = new Table<(typeof clientRows)[number]>(clientRows)
const scratch = new Writer(64 * 1024)
const addresses = new Writer(64)

export function encodeRow<Kind extends string, F extends Fields>(row: Row<Kind, F>, values: RecordOf<F>): Uint8Array {
  const writer = scratch.reset()
  writer.u8(row.tag)
  row.record.write(writer, values)
  return writer.take()
}

/** A command up to its body, which the caller writes behind it and then takes all: so its bytes are written once and copied once. */
export function beginCommand(operation: number): Writer {
  const writer = scratch.reset()
  writer.claim(COMMAND_BODY_AT)
  writer.bytes.fill(0, 0, COMMAND_BODY_AT)
  writer.bytes[0] = command.tag
  writer.bytes[COMMAND_OPERATION_AT] = operation
  return writer
}

const SHARD_AT = 17

export interface CommandAddress {
  readonly shard: ShardId
  readonly session: SessionNumber
  readonly sequence: number
  readonly lowest: number
  readonly stamp: Instant
}

/** Writes into a finished command what is known only when it is sent. */
export function addressCommand(bytes: Uint8Array, { shard, session, sequence, lowest, stamp }: CommandAddress): void {
  const head = addresses.reset()
  head.u32(shard)
  head.u53(session)
  head.u53(sequence)
  head.u53(lowest)
  head.f64(stamp)
  bytes.set(head.bytes.subarray(0, head.at), SHARD_AT)
}

/** Undefined where the bytes are no message that a client knows: a newer node may say more than this client understands. */
export function decodeMessage(bytes: Uint8Array): ClientMessage | undefined {
  try {
    return table.decode(bytes)
  } catch (error) {
    if (error instanceof MalformedMessage) return undefined
    throw error
  }
}
