//! What an entry of the registry's log says, in the words of a story.

import { isRegistryTag, registryLogTable } from '@horus/core/message/registry'
import type { Names } from './names.ts'

/** Undefined for what is no entry of the registry's own. */
export function registryText(bytes: Uint8Array, names: Names): string | undefined {
  if (!isRegistryTag(bytes[0]!)) return undefined
  const entry = registryLogTable.decode(bytes)
  switch (entry.kind) {
    case 'founded':
      return `founded, with the masters ${names.set(entry.masters.map((master) => master.node))}`
    case 'admit':
      return `${names.node(entry.record.node)} is admitted with value ${valueText(entry.record.value)}`
    case 'forget':
      return `${names.node(entry.node)} is forgotten`
    case 'drain':
      return `${names.node(entry.node)} is ${entry.draining ? 'draining' : 'no longer draining'}`
    case 'createTopic':
      return `topic ${entry.topic}, ${entry.partitions} partition${entry.partitions === 1 ? '' : 's'}`
    case 'configureTopic':
      return `topic ${entry.topic} has other settings`
    case 'shardBorn':
      return `shard ${entry.birth.shard} is born, with the masters ${names.set(entry.birth.masters)}`
    case 'shardRecovered':
      return `shard ${entry.shard} is recovered from ${names.node(entry.node)}, epoch ${entry.recovery}; destroyed ${names.set(entry.destroyed)}`
    default:
      return entry satisfies never
  }
}

/** Values in stories are given and small; one that was drawn anew is not worth its sixteen digits. */
export function valueText(value: number): string {
  return value < 1000 ? String(value) : 'newly drawn'
}
