//! `pnpm sim --scale [--nodes 10,30,100,300] [--shards 256] [--minutes 1] [--seed S] [--json]`: what a cluster of many nodes and
//! many shards costs each of its nodes while next to nothing happens, and whether that grows with the cluster.
//!
//! Every size is run twice over: idle, and with a node killed and started again every few seconds somewhere in the cluster, the same
//! number of kills however large it is. Bytes are those on the wire: with the seal, and with the headers of UDP or TLS.

import { inputsOfActors } from '../tally.ts'
import { Fleet } from './fleet.ts'
import type { Count, Traffic } from './traffic.ts'

export interface ScaleOptions {
  readonly sizes: readonly number[]
  readonly shards: number
  readonly minutes: number
  readonly seed: number
  say(text: string): void
}

/** What one node says in one second, on average. */
export interface Cost {
  readonly udpMessages: number
  readonly udpBytes: number
  readonly tcpMessages: number
  readonly tcpBytes: number
  readonly flushes: number
  /** Processor time of the simulation, its own work included: more than the actors of a node take, and nothing of sockets and disks. */
  readonly cpuMicros: number
  /** Messages and bytes by kind. */
  readonly kinds: Readonly<Record<string, Count>>
}

export interface ScaleResult {
  readonly nodes: number
  readonly shards: number
  readonly idle: Cost
  readonly churn: Cost
  readonly kills: number
  /** Shards, the registry among them, that have three masters, and a leader that lives. */
  readonly withThreeMasters: number
  readonly led: number
  /** Of job shards: the most that a node leads, and has a copy of, before the first is killed. */
  readonly leadsMax: number
  readonly copiesMax: number
  readonly linksPerNode: number
  readonly events: number
  readonly seconds: number
  readonly rssBytes: number
  /** Why the run counts as failed. */
  readonly complaints: readonly string[]
}

const CHURN_EVERY_MS = 4000
/** A cluster that is not complete by then has failed. */
const COMPLETE_MS_MAX = 600_000
/** Leads are spread one after the other, and copies move to the nodes that rank higher. */
const SETTLE_MS = 120_000
const SLICE_MS = 1000
/** A node hands a lead over where the other one leads at least two fewer, as far as masters allow. */
const LEADS_SLACK = 2
/** What a size may cost over the smallest: dissemination tells everything to each other node, and log n times. */
const SLACK = 1.5

export function runScale({ sizes, shards, minutes, seed, say }: ScaleOptions): readonly ScaleResult[] {
  const results: ScaleResult[] = []
  say('nodes  masters  leads  copies  links |  idle: UDP/s  bytes/s   TCP/s  bytes/s  flushes/s  us/s | churn: UDP/s  bytes/s   TCP/s  bytes/s  us/s |  events/s   MiB')
  for (const nodes of sizes) {
    const result = runSize(nodes, shards, minutes, seed, results[0])
    results.push(result)
    say(lineOf(result))
    for (const complaint of result.complaints) say(complaint)
  }
  return results
}

function runSize(nodes: number, shards: number, minutes: number, seed: number, smallest: ScaleResult | undefined): ScaleResult {
  const fleet = new Fleet({ seed, nodes, shards, churnEveryMs: CHURN_EVERY_MS })
  const { world } = fleet
  const [events, began] = [inputsOfActors(), performance.now()]
  const stays = (): boolean => fleet.complaints.length > 0
  fleet.start()
  while (!fleet.complete && !stays() && world.now < COMPLETE_MS_MAX) world.runUntil(world.now + SLICE_MS, stays)
  world.runUntil(world.now + SETTLE_MS, stays)
  const window = minutes * 60_000
  const perNode = 1 / (nodes * (window / 1000))
  const measure = (churning: boolean): Cost => {
    fleet.measure(churning)
    const before = process.cpuUsage()
    world.runUntil(world.now + window, stays)
    const { user, system } = process.cpuUsage(before)
    return costOf(fleet.traffic, user + system, perNode)
  }
  const idle = measure(false)
  const [leadsMax, copiesMax] = [fleet.leads[0] ?? 0, fleet.copies[0] ?? 0]
  const churn = measure(true)
  fleet.rest()
  while (!fleet.complete && !stays() && world.now < 2 * COMPLETE_MS_MAX) world.runUntil(world.now + SLICE_MS, stays)
  const result: Omit<ScaleResult, 'complaints'> = {
    nodes, shards, idle, churn, kills: fleet.kills, withThreeMasters: fleet.shardsWithThree, led: fleet.shardsLed, leadsMax, copiesMax,
    linksPerNode: fleet.linkEnds / nodes, events: world.events + inputsOfActors() - events, seconds: (performance.now() - began) / 1000, rssBytes: process.memoryUsage.rss(),
  }
  return { ...result, complaints: [...fleet.complaints, ...faultsOf(result, smallest)] }
}

function faultsOf({ nodes, shards, withThreeMasters, led, leadsMax, copiesMax, idle, churn }: Omit<ScaleResult, 'complaints'>, smallest: ScaleResult | undefined): string[] {
  const faults: string[] = []
  const said = idle.kinds['append']?.messages ?? 0
  if (said > 0.01 || idle.flushes > 0.01) faults.push(`idle shards are not quiet: ${said} appends and ${idle.flushes} flushes a node and second`)
  if (withThreeMasters < shards + 1) faults.push(`of ${shards + 1} shards only ${withThreeMasters} have three masters`)
  if (led < shards + 1) faults.push(`of ${shards + 1} shards only ${led} have a leader that lives`)
  if (leadsMax > Math.max(LEADS_SLACK + 1, Math.ceil(copiesMax / 3) + LEADS_SLACK)) faults.push(`a node leads ${leadsMax} shards where no node has more than ${copiesMax} copies`)
  if (smallest === undefined) return faults
  const allowed = SLACK * smallest.churn.udpBytes * (Math.log(nodes) / Math.log(smallest.nodes))
  if (churn.udpBytes > allowed) faults.push(`${Math.round(churn.udpBytes)} bytes of UDP a node and second are more than the ${Math.round(allowed)} that the logarithm of the size allows`)
  return faults
}

function costOf({ udp, tcp, flushes, kinds }: Traffic, cpuMicros: number, perNode: number): Cost {
  return {
    udpMessages: udp.messages * perNode, udpBytes: udp.bytes * perNode, tcpMessages: tcp.messages * perNode, tcpBytes: tcp.bytes * perNode, flushes: flushes * perNode, cpuMicros: cpuMicros * perNode,
    kinds: Object.fromEntries(kinds.map(([kind, { messages, bytes }]) => [kind, { messages: messages * perNode, bytes: bytes * perNode }])),
  }
}

function lineOf(result: ScaleResult): string {
  const { nodes, withThreeMasters, leadsMax, copiesMax, linksPerNode, idle, churn, events, seconds, rssBytes } = result
  const column = (value: number, width: number, digits = 0): string => value.toFixed(digits).padStart(width)
  const cost = ({ udpMessages, udpBytes, tcpMessages, tcpBytes }: Cost): string => `${column(udpMessages, 13, 1)}${column(udpBytes, 9)}${column(tcpMessages, 8, 1)}${column(tcpBytes, 9)}`
  return `${column(nodes, 5)}${column(withThreeMasters, 9)}${column(leadsMax, 7)}${column(copiesMax, 8)}${column(linksPerNode, 7)} |${cost(idle)}${column(idle.flushes, 11, 2)}${column(idle.cpuMicros, 6)} |${cost(churn)}${column(churn.cpuMicros, 6)} |${column(events / seconds, 10)}${column(rssBytes / 2 ** 20, 6)}`
}
