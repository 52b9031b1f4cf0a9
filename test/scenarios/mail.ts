//! What a message says, in the words of a story. Heartbeats and what only repeats what was said are left to their own topic.

import type { Append, AppendAnswer, ConsensusMessage } from '@horus/core/message/consensus'
import type { Decision, FoundingMessage, GossipMessage, Member, Update } from '@horus/core/message/gossip'
import { FoundingRefusal, isFounding } from '@horus/core/message/gossip'
import type { RestChange } from '@horus/core/message/pulse'
import { entryText } from './entries.ts'
import type { Names } from './names.ts'
import { valueText } from './registry-text.ts'
import type { Mail } from './scene-node.ts'

export interface Tidings {
  readonly topic: string
  readonly text: string
}

export function tidingsOf(mail: Mail, names: Names, from: string, to: string): Tidings | undefined {
  if (isFounding(mail)) return { topic: 'founding', text: founding(mail, names) }
  switch (mail.kind) {
    case 'preVote':
    case 'preVoteAnswer':
    case 'vote':
    case 'voteAnswer':
    case 'append':
    case 'appendAnswer':
    case 'snapshot':
    case 'snapshotAnswer':
    case 'timeoutNow':
    case 'removed':
      return consensus(mail, names)
    case 'probe':
    case 'probeAnswer':
    case 'ping':
    case 'pingRequest':
    case 'pong':
    case 'nack':
    case 'gossip':
      return gossip(mail, names, from, to)
    case 'sync':
      return { topic: 'feed', text: 'all that I know, in short' }
    case 'syncAnswer':
      return { topic: 'feed', text: `what I know where we differ: ${mail.updates.length} nodes, ${mail.hints.length} leads` }
    case 'pulse':
      return { topic: 'heartbeat', text: pulse(mail.changes) }
    case 'pulseAnswer':
      return { topic: 'heartbeat', text: mail.ended.length === 0 ? 'I follow, in every shard at rest' : 'I follow, but not in all of those shards' }
    case 'registryFollow':
      return { topic: 'feed', text: `what is new in the registry behind ${mail.from}?` }
    case 'registryFeed':
      return { topic: 'feed', text: mail.entries.length === 0 ? `nothing behind ${mail.applied}` : `registry ${mail.first} to ${mail.first + mail.entries.length - 1}` }
    case 'registryImage':
      return { topic: 'feed', text: `the whole registry, through ${mail.index}` }
    case 'registryCommand':
      return { topic: 'feed', text: `asks the registry` }
    case 'registryAnswer':
      return { topic: 'feed', text: `the registry's answer: ${mail.code}` }
    default:
      return undefined
  }
}

// ---- masters -------------------------------------------------------------------------------------------------------

function consensus(message: ConsensusMessage, names: Names): Tidings {
  const log = (at: { readonly lastIndex: number; readonly lastTerm: number }): string => (at.lastIndex === 0 ? 'my log is empty' : `my log ends with ${at.lastIndex} of term ${at.lastTerm}`)
  switch (message.kind) {
    case 'preVote':
      return { topic: 'votes', text: `would you vote for me in term ${message.term + 1}? ${log(message)}` }
    case 'preVoteAnswer':
      return { topic: 'votes', text: message.granted ? `I would, in term ${message.asked}` : `I would not${message.leader === undefined ? '' : `: ${names.node(message.leader.node)} leads`}` }
    case 'vote':
      return { topic: 'votes', text: `vote for me in term ${message.term}${message.transfer ? ', the leader wants it' : ''}; ${log(message)}` }
    case 'voteAnswer':
      return { topic: 'votes', text: message.granted ? `my vote in term ${message.term}` : `not my vote, in term ${message.term}` }
    case 'append':
      return { topic: message.entries.length > 0 ? 'append' : 'heartbeat', text: append(message, names) }
    case 'appendAnswer':
      return { topic: 'answer', text: appendAnswer(message) }
    case 'snapshot':
      return { topic: 'snapshot', text: `snapshot of everything through ${message.index}, bytes ${message.offset} to ${message.offset + message.chunk.length} of ${message.totalBytes}` }
    case 'snapshotAnswer':
      return { topic: 'snapshot', text: `snapshot through ${message.index}: byte ${message.offset} is next` }
    case 'timeoutNow':
      return { topic: 'votes', text: `stand for election now, term ${message.term} is yours to end` }
    case 'removed':
      return { topic: 'masters', text: `you are no master any more, since epoch ${message.epoch}` }
    default:
      return message satisfies never
  }
}

function pulse(changes: readonly RestChange[]): string {
  const begun = changes.flatMap(({ begun: rest }) => (rest === undefined ? [] : [rest.shard === 0 ? 'the registry' : `shard ${rest.shard}`]))
  if (begun.length > 0) return `I lead, and from now on this speaks for ${begun.join(' and ')}`
  return changes.length > 0 ? 'I lead, but this speaks for fewer shards' : 'I lead, in every shard at rest'
}

function append({ term, prevIndex, prevTerm, commit, entries }: Append, names: Names): string {
  const behind = prevIndex === 0 ? 'from the beginning' : `behind ${prevIndex} of term ${prevTerm}`
  const list = entries.map((entry, i) => `${prevIndex + 1 + i} ${entryText(entry.bytes, names)}`).join(', ')
  return `term ${term}, ${behind}: ${entries.length === 0 ? 'nothing new' : list}; committed ${commit}`
}

function appendAnswer({ accepted, match, reached, hintIndex, hintTerm, suspect }: AppendAnswer): string {
  if (suspect) return 'do not count on me: my copy is in doubt'
  if (accepted) return match === reached ? `durable through ${match}` : `agrees through ${reached}, durable through ${match}`
  return `I do not have ${reached}${hintIndex > 0 ? `; perhaps we agree at ${hintIndex} of term ${hintTerm}` : ''}`
}

// ---- founding ------------------------------------------------------------------------------------------------------

function founding(message: FoundingMessage, names: Names): string {
  const ballot = (of: { readonly round: number; readonly value: number; readonly node: string }): string => `(${of.round}, ${valueText(of.value)})`
  const decision = (of: Decision): string => `masters ${names.set(of.masters.map((master) => master.node))}`
  switch (message.kind) {
    case 'prepare':
      return `prepare ${ballot(message.ballot)}, expect ${message.expect}`
    case 'promise':
      return `promise ${ballot(message.ballot)}, my value is ${valueText(message.value)}${message.accepted ? `; I accepted ${ballot(message.accepted.ballot)} ${decision(message.accepted.decision)}` : ''}`
    case 'accept':
      return `accept ${ballot(message.ballot)}: ${decision(message.decision)}`
    case 'accepted':
      return `accepted ${ballot(message.ballot)}`
    case 'refused':
      return `refused ${ballot(message.ballot)}: ${REFUSALS[message.reason] ?? message.reason}${message.promised ? `, I promised ${ballot(message.promised)}` : ''}`
    case 'redraw':
      return `your value ${valueText(message.value)} is another's too: draw again`
    case 'decided':
      return `decided: ${decision(message.decision)}`
    case 'inquire':
      return 'what was decided?'
    default:
      return message satisfies never
  }
}

const REFUSALS: Readonly<Record<number, string>> = {
  [FoundingRefusal.lowBallot]: 'a higher ballot',
  [FoundingRefusal.otherExpect]: 'another expect',
  [FoundingRefusal.mayNotFound]: 'I may not found any more',
  [FoundingRefusal.tooMany]: 'too many nodes without a cluster are in sight',
}

// ---- gossip --------------------------------------------------------------------------------------------------------

function gossip(message: Exclude<GossipMessage, FoundingMessage>, names: Names, from: string, to: string): Tidings | undefined {
  switch (message.kind) {
    case 'probe':
      return { topic: 'probes', text: 'is anybody there?' }
    case 'probeAnswer':
      return { topic: 'probes', text: `${names.node(message.member.node)} is here` }
    case 'ping':
      return withNews('ping', message.updates, names, from, to)
    case 'pingRequest':
      return { topic: 'relays', text: `ping ${names.node(message.to)} for me` }
    case 'pong':
      return withNews('pong', message.updates, names, from, to)
    case 'nack':
      return { topic: 'relays', text: 'I asked, and have no answer yet' }
    case 'gossip':
      return withNews('gossip', message.updates, names, from, to)
    default:
      return message satisfies never
  }
}

/** What is said about others, and to somebody about himself; that the sender lives goes without saying. */
function withNews(kind: string, updates: readonly Update[], names: Names, from: string, to: string): Tidings {
  const said = updates.map(({ member }) => member).filter((member) => names.node(member.node) !== from)
  return said.length === 0 ? { topic: 'pings', text: kind } : { topic: 'gossip', text: `${kind}: ${said.map((member) => memberText(member, names, to)).join(', ')}` }
}

function memberText({ node, state }: Member, names: Names, to: string): string {
  const name = names.node(node)
  return name === to ? `you are ${state}` : `${name} is ${state}`
}
