//! Bytes out and in: one scratch writer, so that a message costs one allocation.

import type { Command as CommandRow } from '../message/command.ts'
import { command } from '../message/command.ts'
import { type ClientMessage, clientRows } from '../message/client.ts'
import { type Fields, MalformedMessage, type RecordOf, type Row, Table, Writer } from '../message/layout.ts'

const table = new Table<(typeof clientRows)[number]>(clientRows)
const scratch = new Writer(64 * 1024)

export function encodeRow<Kind extends string, F extends Fields>(row: Row<Kind, F>, values: RecordOf<F>): Uint8Array {
  const writer = scratch.reset()
  writer.u8(row.tag)
  row.record.write(writer, values)
  return writer.take()
}

export function encodeCommand(values: Omit<CommandRow, 'kind'>): Uint8Array {
  return encodeRow(command, values)
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
