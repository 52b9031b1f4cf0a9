import assert from 'node:assert/strict'
import { test } from 'node:test'
import { localEndpoint } from '@horus/core/lead/endpoint'
import { Presences } from '@horus/core/lead/sessions'
import type { ConnectionId, LeaseTime, SessionNumber } from '@horus/core/units'

const session = 3 as SessionNumber
const [relay, direct] = [localEndpoint(1 as ConnectionId), localEndpoint(2 as ConnectionId)]

test('a session is where it spoke last by its own time: what a relay brings late does not draw it back', () => {
  const presences = new Presences()
  presences.heard(session, relay, 100, 5 as LeaseTime, true)
  presences.heard(session, direct, 120, 6 as LeaseTime, true)
  presences.heard(session, relay, 110, 7 as LeaseTime, true)
  assert.deepEqual(presences.of(session), { endpoint: direct, saidAt: 120, stamp: 120, leaseClock: 6 })
  // The link has gone, and it speaks over the relay again.
  presences.heard(session, relay, 130, 8 as LeaseTime, false)
  assert.deepEqual(presences.of(session), { endpoint: relay, saidAt: 130, stamp: 120, leaseClock: 6 })
})
