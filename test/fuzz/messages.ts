//! Messages: whatever comes over a link, a connection or a datagram is read, or refused as malformed; nothing else. What was
//! read says the same once it is written again.

import { isDeepStrictEqual } from 'node:util'
import { logTable } from '@horus/core/message/command'
import { MalformedMessage } from '@horus/core/message/layout'
import { connectionTable, linkTable } from '@horus/core/message/messages'
import { Gate } from '@horus/core/node/gate'
import type { Random } from '@horus/core/random'
import type { Address, NodeId } from '@horus/core/units'
import type { Corpus } from './corpus.ts'
import { mutated } from './mutate.ts'
import { BrokenPromise, type Target, type Verdict } from './target.ts'

interface Codec<Message> {
  decode(bytes: Uint8Array): Message
  encode(message: Message): Uint8Array
}

function codecTarget<Message>(name: string, codec: Codec<Message>, samples: readonly Uint8Array[]): Target {
  return {
    name,
    round(random): Verdict {
      const bytes = mutated(random, random.pick(samples), samples)
      const message = readOrRefused(() => codec.decode(bytes))
      if (message === undefined) return 'refused'
      const again = codec.decode(codec.encode(message))
      if (!isDeepStrictEqual(again, message)) throw new BrokenPromise(`a message that is not the same once it is written again: ${Buffer.from(bytes).toString('hex')}`)
      return 'taken'
    },
  }
}

function readOrRefused<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof MalformedMessage) return undefined
    throw error
  }
}

/** A datagram is broken, foreign or read; the gate never throws, and never reports more strangers than it said. */
function gateTarget(samples: readonly Uint8Array[]): Target {
  let reports = 0
  const gate = new Gate({ cluster: 'simulated', node: '0'.repeat(32) as NodeId, run: 1 })
  return {
    name: 'datagrams',
    round(random: Random): Verdict {
      const opened = gate.open('10.0.0.1:1' as Address, mutated(random, random.pick(samples), samples), { foreign: () => reports++ })
      if (reports > 16) throw new BrokenPromise(`${reports} strangers reported`)
      return opened === undefined ? 'refused' : 'taken'
    },
  }
}

export function messageTargets({ links, clients, datagrams, entries }: Corpus): readonly Target[] {
  return [codecTarget('links', linkTable, links), codecTarget('connections', connectionTable, clients), codecTarget('log entries', logTable, entries), gateTarget(datagrams)]
}
