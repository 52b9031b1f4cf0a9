//! How many inputs the actors inside nodes and clients are given. What the world hands the actor of a process is counted by the
//! world, as deliveries; that actor passes some of it on to the actors in it, and they tell each other more. Both together are
//! the events of a run: the measure of how much it has tried.
//!
//! The mailbox of the jobs and leases of a shard is its committed log: every master's books are given each entry once.

import type { Actor, Now } from '@horus/core/actor'
import { Client } from '@horus/core/client/client'
import { Journal } from '@horus/core/journal/journal'
import { Master } from '@horus/core/master/master'
import { Admission } from '@horus/core/node/admission'
import { Confirmation } from '@horus/core/node/confirmation'
import { Discovery } from '@horus/core/node/discovery'
import { Founding } from '@horus/core/node/founding'
import { Identity } from '@horus/core/node/identity'
import { Membership } from '@horus/core/node/membership/membership'
import { Registrar } from '@horus/core/node/registrar'
import { RegistryCaller } from '@horus/core/node/registry-caller'
import { RegistryFeed, RegistryFollower } from '@horus/core/node/registry-feed'
import { JobMachine } from '@horus/core/replica/job-machine'
import type { LogIndex } from '@horus/core/units'

let inputs = 0

/** Inputs since the process began; turns are left out, since most of them find nothing to do. */
export function inputsOfActors(): number {
  return inputs
}

function count<Input extends { readonly kind: string }, Outbox>({ prototype }: { readonly prototype: Actor<Input, Outbox> }): void {
  const { receive } = prototype
  prototype.receive = function (this: Actor<Input, Outbox>, now: Now, input: Input, outbox: Outbox): void {
    if (input.kind !== 'turn') inputs++
    receive.call(this, now, input, outbox)
  }
}

count(Client)
count(Journal)
count(Master)
count(Admission)
count(Confirmation)
count(Discovery)
count(Founding)
count(Identity)
count(Membership)
count(Registrar)
count(RegistryCaller)
count(RegistryFeed)
count(RegistryFollower)

const { apply } = JobMachine.prototype
JobMachine.prototype.apply = function (this: JobMachine, index: LogIndex, entry: Uint8Array): void {
  inputs++
  apply.call(this, index, entry)
}
