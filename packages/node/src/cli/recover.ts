//! `horus recover`: two of three masters of a shard are lost for ever, and this stopped node has the third copy.
//!
//!   lock the directory ─▶ read identity and journal ─▶ say what is left and what may be missing ─▶ confirmed ─▶ one durable write
//!
//! Nothing is changed before that write, and nothing but it: the node carries out what was decided when it is started.

import { stat } from 'node:fs/promises'
import type { DeviceAnswer } from '@horus/core/device'
import { RECOVERED_SHARDS_MAX, type RecoveryDecision } from '@horus/core/node/identity-file'
import { DESTROYED_MAX } from '@horus/core/message/registry'
import { type CopyFinding, decisionOf, type Findings, remainingOf, Salvage, type SalvageInput, type SalvageOutbox } from '@horus/core/replica/salvage'
import { type Instant, type NodeId, REGISTRY_SHARD, type WallTime } from '@horus/core/units'
import { DataDirectory } from '../device/directory.ts'
import { FileDevice } from '../device/file-device.ts'
import { oneLine, StartError, UsageError } from '../errors.ts'
import { randomFromEntropy } from '../host.ts'
import { JSON_FLAG } from './client.ts'
import { confirmed, DIGITS_MIN, SURE_FLAGS, tell } from './confirm.ts'
import { type CommandLine, type FlagTable, helpOfFlags, readCommandLine } from './flags.ts'

const FLAGS: FlagTable = {
  data: { value: 'DIR', help: 'data directory of the stopped node that has the last copy' },
  destroyed: { value: 'NODE[,NODE]', help: 'the other masters, which are lost with their disks: never let in again' },
  shard: { value: 'K[,K]', help: 'only these shards; 0 is the registry. Default: all of which the other masters are lost' },
  ...SURE_FLAGS,
  ...JSON_FLAG,
}

export const recover = {
  help: (): string => helpOfFlags(FLAGS),
  async run(args: readonly string[]): Promise<void> {
    const line = readCommandLine('recover', args, FLAGS, 0)
    const path = line.text('data')
    if (path === undefined) throw new UsageError("'horus recover' needs --data DIR: the data directory of the stopped node that has the last copy")
    await withSalvage(path, async (salvage) => {
      const findings = await salvage.found()
      const destroyed = destroyedOf(line, findings)
      const chosen = choose(line, findings, destroyed)
      const verdicts = findings.copies.map((copy) => ({ copy, why: whyNot(copy, destroyed, findings) }))
      const text = describe(findings, destroyed, verdicts, chosen)
      if (chosen.length === 0) {
        process.stdout.write(line.has('json') ? '' : `${text}\n`)
        throw new StartError(`there is nothing to recover here: ${verdicts.map(({ copy, why }) => `${name(copy)}: ${why ?? ''}`).join('; ') || 'this node is a master of nothing'}`)
      }
      const report = reportOf(findings, destroyed, verdicts, chosen)
      if (line.has('dry-run')) return tell(line, { ...report, decided: false }, text)
      await confirmed(line, text)
      await salvage.decide(decisionOf(chosen, destroyed))
      tell(line, { ...report, decided: true }, `${line.has('yes') ? `${text}\n` : ''}Decided. Start this node now: it carries that out first, and the shards come back to three masters by themselves`)
    })
  },
}

// ---- the disk --------------------------------------------------------------------------------------------------------

interface Reading {
  found(): Promise<Findings>
  decide(decision: RecoveryDecision): Promise<void>
}

async function withSalvage(path: string, use: (salvage: Reading) => Promise<void>): Promise<void> {
  // A directory that is not there must not be made by looking into it.
  if (!(await stat(path).then((found) => found.isDirectory(), () => false))) throw new StartError(`there is no data directory ${path}: give that of the node that has the last copy with --data`)
  const directory = await DataDirectory.open(path).catch((error: unknown) => {
    throw new StartError(`${oneLine(error)}: stop the node first`)
  })
  const salvage = new Salvage({ random: randomFromEntropy() })
  const device = new FileDevice({ directory: directory.path, answer: (answer) => input({ kind: 'device', answer }) })
  let settle: { found?: (findings: Findings) => void; decided?: () => void; failed(reason: string): void } = { failed: () => {} }
  const outbox: SalvageOutbox = {
    device: (request) => device.request(request),
    found: (findings) => settle.found?.(findings),
    decided: () => settle.decided?.(),
    failed: (reason) => settle.failed(reason),
  }
  const input = (given: SalvageInput | { readonly kind: 'device'; readonly answer: DeviceAnswer }): void => {
    try {
      salvage.receive({ monotonic: performance.now() as Instant, wall: Date.now() as WallTime }, given, outbox)
    } catch (error) {
      settle.failed(oneLine(error))
    }
  }
  try {
    await use({
      found: () => new Promise((resolve, reject) => {
        settle = { found: resolve, failed: (reason) => reject(new StartError(reason)) }
        input({ kind: 'start' })
      }),
      decide: (decision) => new Promise((resolve, reject) => {
        settle = { decided: resolve, failed: (reason) => reject(new StartError(reason)) }
        input({ kind: 'decide', decision })
      }),
    })
  } finally {
    await device.close()
    await directory.release()
  }
}

// ---- what is asked for -------------------------------------------------------------------------------------------------

function destroyedOf(line: CommandLine, { identity, copies, nodes }: Findings): readonly NodeId[] {
  const known = [...new Set([...copies.flatMap(({ others, learners }) => [...others, ...learners]), ...nodes.map(({ node }) => node)])].filter((node) => node !== identity.nodeId)
  const given = (line.text('destroyed') ?? '').split(',').filter((part) => part !== '')
  const named = (part: string): NodeId => {
    const found = known.filter((node) => (part.length >= DIGITS_MIN && node.startsWith(part.toLowerCase())) || nodes.some((record) => record.node === node && record.address === part))
    if (found.length === 1) return found[0]!
    throw new UsageError(found.length > 1 ? `'${part}' may be ${found.join(', ')}: give more of the id` : `'${part}' is no other node that this one knows: there are ${known.join(', ') || 'none'}`)
  }
  const destroyed = [...new Set(given.map(named))]
  if (destroyed.length > DESTROYED_MAX) throw new UsageError(`${destroyed.length} nodes are too many for one recovery: at most ${DESTROYED_MAX}`)
  return destroyed
}

function choose(line: CommandLine, findings: Findings, destroyed: readonly NodeId[]): readonly CopyFinding[] {
  const wanted = line.text('shard')
  const able = findings.copies.filter((copy) => whyNot(copy, destroyed, findings) === undefined)
  const chosen = wanted === undefined ? able : wanted.split(',').map((text) => {
    const copy = findings.copies.find(({ shard }) => String(shard) === text)
    if (copy === undefined) throw new UsageError(`this node has no copy of shard '${text}': it has ${findings.copies.map(({ shard }) => shard).join(', ') || 'none'}`)
    const why = whyNot(copy, destroyed, findings)
    if (why !== undefined) throw new StartError(`${name(copy)} is not recovered: ${why}`)
    return copy
  })
  if (chosen.length > RECOVERED_SHARDS_MAX) throw new UsageError(`${chosen.length} shards are too many at once: name at most ${RECOVERED_SHARDS_MAX} with --shard, start the node, stop it, and go on with the others`)
  return chosen
}

/** Undefined where the shard can be recovered from this copy. */
function whyNot(copy: CopyFinding, destroyed: readonly NodeId[], { identity, nodes }: Findings): string | undefined {
  switch (copy.obstacle) {
    case 'damaged':
      return 'this copy is damaged; restore the data directory from a backup'
    case 'empty':
      return 'this copy was never filled'
    case 'noMaster':
      return 'this copy is no master'
    case 'onlyMaster':
      return 'this node is its only master already: start it'
    case 'tooOften':
      return 'it was recovered too often'
    case 'olderGeneration':
      return 'the registry was recovered from another copy'
    case undefined:
      break
    default:
      copy.obstacle satisfies never
  }
  const left = remainingOf(copy, destroyed).filter((node) => node !== identity.nodeId)
  return left.length === 0 ? undefined : `other masters remain: ${left.map((node) => called(node, nodes)).join(' and ')}; start them, or declare them with --destroyed where they are lost for ever`
}

// ---- what is said ------------------------------------------------------------------------------------------------------

interface Verdict {
  readonly copy: CopyFinding
  readonly why: string | undefined
}

const name = ({ shard }: CopyFinding): string => (shard === REGISTRY_SHARD ? 'shard 0 (the registry)' : `shard ${shard}`)

function called(node: NodeId, nodes: Findings['nodes']): string {
  const record = nodes.find((each) => each.node === node)
  return record === undefined ? node : `${node} (${record.address})`
}

function describe({ identity, nodes }: Findings, destroyed: readonly NodeId[], verdicts: readonly Verdict[], chosen: readonly CopyFinding[]): string {
  const lines = [`Node ${identity.nodeId} of cluster ${identity.cluster}, generation ${identity.generation}`]
  for (const { copy, why } of verdicts) {
    const { last, commit, term, epoch, voters, recovery } = copy
    lines.push(`  ${name(copy)}: term ${term}, entries through ${last}, of which ${commit} are known to be committed, epoch ${epoch}, masters ${voters.map((node) => called(node, nodes)).join(', ')}`)
    if (!chosen.includes(copy)) lines.push(`    left alone${why === undefined ? '' : `: ${why}`}`)
    else lines.push(`    becomes recovery epoch ${recovery + 1} with this node as its only master. What the others have acknowledged behind entry ${last} is lost; ${last - commit} entries that nobody may have been told of become committed`)
  }
  if (chosen.some(({ shard }) => shard === REGISTRY_SHARD)) lines.push(`  the cluster becomes generation ${identity.generation + 1}`)
  if (destroyed.length > 0) lines.push(`  struck and never let in again, whatever is left on their disks: ${destroyed.map((node) => called(node, nodes)).join(', ')}`)
  if (chosen.length > 0) lines.push('Where another node has a copy of the same shard, look there too (--dry-run), and recover from the one with the highest term, and then the most entries. The disks of the nodes named must be destroyed: nodes that come back make two clusters of one')
  return lines.join('\n')
}

function reportOf({ identity }: Findings, destroyed: readonly NodeId[], verdicts: readonly Verdict[], chosen: readonly CopyFinding[]): object {
  const isRegistry = chosen.some(({ shard }) => shard === REGISTRY_SHARD)
  return {
    node: identity.nodeId, cluster: identity.cluster, clusterId: identity.clusterId, generation: isRegistry ? identity.generation + 1 : identity.generation, destroyed,
    shards: verdicts.map(({ copy, why }) => ({
      shard: copy.shard, term: copy.term, epoch: copy.epoch, recoveryEpoch: copy.recovery, lastIndex: copy.last, commitIndex: copy.commit, uncommitted: copy.last - copy.commit,
      masters: copy.voters, recovered: chosen.includes(copy), ...(why === undefined ? {} : { reason: why }),
    })),
  }
}
