//! The command `horus`: finds the verb and runs it. What goes wrong is one line on standard error; exit code 2 where the
//! command must be given differently, 1 where it could not be carried out.

import { exitCodeOf, oneLine, UsageError } from './errors.ts'

interface Verb {
  readonly usage: string
  readonly help: string
  load(): Promise<{ readonly run: (args: readonly string[]) => Promise<void>; readonly help: () => string }>
}

// Verbs are loaded when they are called: a worker's command need not load a node, nor the other way round.
const VERBS: Readonly<Record<string, Verb>> = {
  start: { usage: 'start --data DIR ...', help: 'run a node until it is told to stop', load: () => import('./cli/start.ts') },
  status: { usage: 'status', help: 'the cluster: nodes, shards and their masters, topics', load: () => import('./cli/status.ts').then((verbs) => verbs.status) },
  members: { usage: 'members', help: 'the nodes', load: () => import('./cli/status.ts').then((verbs) => verbs.members) },
  drain: { usage: 'drain NODE', help: 'move what a node is master of to other nodes', load: () => import('./cli/nodes.ts').then((verbs) => verbs.drain) },
  leave: { usage: 'leave [NODE]', help: 'drain a node, and let it leave the cluster for good', load: () => import('./cli/nodes.ts').then((verbs) => verbs.leave) },
  forget: { usage: 'forget NODE', help: 'strike a node that does not come back', load: () => import('./cli/nodes.ts').then((verbs) => verbs.forget) },
  recover: { usage: 'recover --data DIR --destroyed NODE[,NODE]', help: 'go on with the last copy, when all other masters are lost for ever', load: () => import('./cli/recover.ts').then((verbs) => verbs.recover) },
  topic: { usage: 'topic TOPIC', help: 'make a topic, or change its settings', load: () => import('./cli/topic.ts') },
  add: { usage: 'add TOPIC NAME [JSON]', help: 'add a job, or those of a file', load: () => import('./cli/add.ts') },
  work: { usage: "work TOPIC --exec 'command'", help: 'run a command for each job', load: () => import('./cli/work.ts') },
  job: { usage: 'job TOPIC ID', help: 'one job', load: () => import('./cli/jobs.ts').then((verbs) => verbs.job) },
  jobs: { usage: 'jobs TOPIC', help: 'jobs of a topic', load: () => import('./cli/jobs.ts').then((verbs) => verbs.jobs) },
  counts: { usage: 'counts TOPIC', help: 'how many jobs are in which state', load: () => import('./cli/jobs.ts').then((verbs) => verbs.counts) },
}

async function main(args: readonly string[]): Promise<void> {
  const [name, ...rest] = args
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    process.stdout.write(`${overview()}\n`)
    return
  }
  const verb = Object.hasOwn(VERBS, name) ? VERBS[name] : undefined
  if (!verb) throw new UsageError(`unknown command '${name}': there are ${Object.keys(VERBS).join(', ')}; 'horus help' tells more`)
  const { run, help } = await verb.load()
  if (rest.includes('--help') || rest.includes('-h')) process.stdout.write(`horus ${verb.usage}: ${verb.help}\n\n${help()}\n`)
  else await run(rest)
}

function overview(): string {
  const width = Math.max(...Object.values(VERBS).map((verb) => verb.usage.length))
  const lines = Object.values(VERBS).map((verb) => `  horus ${verb.usage.padEnd(width)}  ${verb.help}`)
  return ['Horus, a replicated job system without a broker.', '', ...lines, '', "'horus COMMAND --help' tells the flags. Exit codes: 0 done, 1 could not be done, 2 given wrongly."].join('\n')
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  process.stderr.write(`horus: ${oneLine(error)}\n`)
  process.exitCode = exitCodeOf(error)
} finally {
  // The channel of a parent that started this command would keep it from ending.
  process.removeAllListeners('disconnect')
  if (process.connected) process.disconnect()
}
