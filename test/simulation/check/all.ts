//! All checkers of a run, fed as one.

import type { ReplicaObservation } from '@horus/core/replica'
import type { NodeId } from '@horus/core/units'
import type { NodeProcess } from '@horus/core/world/node'
import type { History } from '../history.ts'
import { AddsChecker } from './adds.ts'
import { BuriedChecker } from './buried.ts'
import { type Checker, Report } from './checker.ts'
import { ClockChecker } from './clock.ts'
import { CommittedLog } from './committed.ts'
import { CountingChecker } from './counting.ts'
import { DeadLettersChecker } from './dead-letters.ts'
import { MastershipChecker } from './mastership.ts'
import { LeadersChecker } from './leaders.ts'
import { type IsAwake, LeasesChecker } from './leases.ts'
import { MemoryChecker } from './memory.ts'
import { NumbersChecker } from './numbers.ts'
import { RecoveryChecker } from './recovery.ts'
import { StrangersChecker } from './strangers.ts'
import { SureChecker } from './sure.ts'
import { TimesChecker } from './times.ts'

export class Checkers {
  readonly report = new Report()
  readonly log: CommittedLog
  readonly adds: AddsChecker
  readonly leases: LeasesChecker
  readonly buried: BuriedChecker
  readonly deadLetters: DeadLettersChecker
  readonly leaders: LeadersChecker
  readonly strangers: StrangersChecker
  readonly sure: SureChecker
  readonly recovery: RecoveryChecker
  readonly #all: readonly Checker[]

  constructor(history: History, isAwake: IsAwake, driftMax: number, now: () => number, live: () => ReadonlySet<NodeId>, mayRecover = false, deadLetter: string | undefined = undefined) {
    this.log = new CommittedLog(this.report, mayRecover)
    this.adds = new AddsChecker(this.report, history, this.log)
    this.leases = new LeasesChecker(this.report, isAwake, this.log)
    this.buried = new BuriedChecker(this.report, this.log)
    this.deadLetters = new DeadLettersChecker(this.report, history, this.log, deadLetter)
    this.leaders = new LeadersChecker(this.report)
    this.strangers = new StrangersChecker(this.report)
    this.recovery = new RecoveryChecker(this.report, this.log)
    this.sure = new SureChecker(this.report, driftMax, now)
    this.#all = [this.log, this.recovery, this.adds, this.leases, this.buried, this.deadLetters, this.leaders, this.strangers, this.sure, new CountingChecker(this.report), new MemoryChecker(this.report), new NumbersChecker(this.report, this.log), new ClockChecker(this.report, this.log, driftMax, now), new TimesChecker(this.report, this.log), new MastershipChecker(this.report, history, this.log, live, now)]
    for (const checker of this.#all) history.listen(checker)
  }

  observed(node: NodeProcess, observation: ReplicaObservation): void {
    for (const checker of this.#all) checker.observed?.(node, observation)
  }

  started(node: NodeProcess): void {
    for (const checker of this.#all) checker.started?.(node)
  }

  audit(): void {
    for (const checker of this.#all) checker.audit?.()
  }

  finish(): void {
    for (const checker of this.#all) checker.finish?.()
  }
}
