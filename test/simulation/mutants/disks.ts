//! Bugs planted in the journal, and in what a node does when its disk fails it.

import type { Mutant } from './mutant.ts'

export const DISK_MUTANTS: readonly Mutant[] = [
  {
    name: 'mid-log rot cut as a tail',
    file: 'journal/scan.ts',
    find: '  #bad(): boolean {\n    if (this.#at < this.#proven) {',
    replace: '  #bad(): boolean {\n    if (this.#at < 0) {',
  },
  {
    name: 'rotten bodies are believed',
    file: 'journal/scan.ts',
    find: '    if (!bodyHolds(window.bytes, window.view, local)) {',
    replace: '    if (!bodyHolds(window.bytes, window.view, local) && at < 0) {',
  },
  {
    name: 'vote lost with its segment',
    file: 'journal/state.ts',
    find: '  if (state) writeHardState(bytes, view, BOUNDS_BYTES, state)',
    replace: '  if (state) writeHardState(bytes, view, BOUNDS_BYTES, { ...state, vote: undefined })',
  },
  {
    name: 'doubt forgotten at the next start',
    file: 'journal/state.ts',
    find: '(bounds.suspect ? IS_SUSPECT : 0)',
    replace: '0',
  },
  {
    name: 'doubtful copy counts in a quorum',
    file: 'master/acceptance.ts',
    find: '  if (m.suspect) {\n    sendAnswer',
    replace: '  if (m.suspect && term < 0) {\n    sendAnswer',
  },
  {
    name: 'doubtful copy leads',
    file: 'journal/rebuild.ts',
    find: '  hosted.suspect ||= !whole',
    replace: '  hosted.suspect ||= !whole && tail.last < 0',
  },
  {
    name: 'failed flush ignored',
    file: 'journal/writer.ts',
    find: "    if (answer.kind === 'error') {\n      this.failure",
    replace: "    if (answer.kind === 'error' && step.kind === 'obtain') {\n      this.failure",
  },
  {
    name: 'wiped disk votes',
    file: 'replica/copies.ts',
    find: "  if (empty) return 'the journal is gone'\n",
    replace: '',
  },
  {
    name: 'payload freed one number early',
    file: 'job/batches.ts',
    find: '    if (live > 0) {\n',
    replace: '    if (live === 1) return this.entryIndex(record, number)\n    if (live > 0) {\n',
  },
  {
    name: 'snapshot counts before its last piece',
    file: 'journal/rebuild.ts',
    find: '  partial.received += body.length\n',
    replace: '  partial.received += body.length\n  shard.complete = partial\n',
  },
  {
    name: 'old copy believes the first answer',
    needs: 'rollback.oldCopyEveryMs',
    file: 'replica/witness.ts',
    find: '        else if (this.#pending.size === 0) this.#clear(out)\n',
    replace: '        else this.#clear(out)\n',
  },
  {
    name: 'old copy is not known again',
    needs: 'rollback.oldCopyEveryMs',
    file: 'replica/witness.ts',
    find: 'sight.run !== run && sight.position > position)',
    replace: 'sight.run !== run && sight.position > position + 1e9)',
  },
  {
    name: 'newest segment thrown away with its beginning',
    file: 'journal/probe.ts',
    find: "        this.#stage = 'tail'\n",
    replace: "        this.#stage = 'done'\n",
  },
  {
    name: 'unreadable entry is not fetched',
    file: 'replica/hosted.ts',
    find: '    if (!this.#repair.want(now, index)) return false\n',
    replace: '    if (index > 0) return false\n',
  },
  {
    name: 'a copy in doubt does not yield',
    file: 'replica/copies.ts',
    find: 'if (!isSuspect && (message.term < term || (isMember && !doubted)))',
    replace: 'if (message.term < term || (isMember && !doubted))',
  },
]
