//! What comes from a socket before anybody knows who speaks: streams that are cut into frames, and sealed datagrams.

import { TransportError } from '@horus/transport/errors'
import { FrameBatch, FrameReader } from '@horus/transport/frame'
import { Keyring } from '@horus/transport/keyring'
import { SecretSealer } from '@horus/transport/seal'
import type { Corpus } from './corpus.ts'
import { mutated } from './mutate.ts'
import { BrokenPromise, type Target, type Verdict } from './target.ts'

const LIMIT = 64 * 1024

/** However a stream is cut and whatever it says, frames stay below the limit and hold no more than came. */
function frameTarget({ clients }: Corpus): Target {
  return {
    name: 'frames',
    round(random): Verdict {
      const batch = new FrameBatch()
      for (let count = random.below(6); count >= 0; count--) batch.add(random.pick(clients))
      const stream = mutated(random, new Uint8Array(Buffer.concat(batch.take())), clients)
      let frames = 0
      const reader = new FrameReader(LIMIT, (payload) => {
        frames += 4 + payload.length
        if (payload.length > LIMIT || frames > stream.length) throw new BrokenPromise(`${frames} bytes of frames in a stream of ${stream.length}`)
      })
      try {
        for (let at = 0; at < stream.length; ) {
          const size = random.pick([1, 3, 4, 50, 5000])
          reader.push(stream.slice(at, at + size))
          at += size
        }
        return 'taken'
      } catch (error) {
        if (error instanceof TransportError) return 'refused'
        throw error
      }
    },
  }
}

/** A sealed datagram is opened as it was sealed, once, or dropped. */
function sealTarget({ datagrams }: Corpus): Target {
  const keyring = new Keyring('a secret of the fuzzer')
  const sender = new SecretSealer(keyring)
  const receiver = new SecretSealer(keyring)
  return {
    name: 'sealed datagrams',
    round(random): Verdict {
      const payload = random.pick(datagrams)
      const sealed = new Uint8Array(sender.seal(payload))
      const changed = mutated(random, sealed, datagrams)
      const opened = receiver.open(changed)
      if (opened.kind === 'dropped') return 'refused'
      if (Buffer.compare(changed, sealed) !== 0 || Buffer.compare(opened.payload, payload) !== 0) throw new BrokenPromise(`a changed datagram was opened: ${Buffer.from(changed).toString('hex')}`)
      return 'taken'
    },
  }
}

export function streamTargets(corpus: Corpus): readonly Target[] {
  return [frameTarget(corpus), sealTarget(corpus)]
}
