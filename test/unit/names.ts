//! Ids and addresses that tests give to their nodes, counted from 0: node 0 is `00…01` at 10.0.0.1.

import type { Address, ClusterId, NodeId } from '@horus/core/units'

export const idOf = (i: number): NodeId => (i + 1).toString(16).padStart(32, '0') as NodeId
export const addressOf = (i: number): Address => `10.0.0.${i + 1}:6470` as Address
export const CLUSTER = 'c'.repeat(32) as ClusterId
