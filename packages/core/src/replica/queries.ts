//! Reads of a job shard's books, answered once the leader knows that it still leads.

import { type ClientMessage, countsAnswer, jobQuery, jobsAnswer, jobsQuery, jobView, Query } from '../message/client.ts'
import { Code } from '../message/command.ts'
import { decode, encode, MalformedMessage } from '../message/layout.ts'
import type { Shard } from '../shard.ts'

/** One answer lists at most this many jobs; the next page begins where it says. */
const JOBS_PER_ANSWER_MAX = 1000

type QueryMessage = ClientMessage & { kind: 'query' }
type QueryAnswer = ClientMessage & { kind: 'queryAnswer' }

export function answerQuery(books: Shard, query: QueryMessage): QueryAnswer {
  try {
    const body = answerBody(books, query)
    return { kind: 'queryAnswer', request: query.request, code: body === undefined ? Code.notFound : Code.ok, body: body ?? NOTHING }
  } catch (error) {
    if (!(error instanceof MalformedMessage)) throw error
    return { kind: 'queryAnswer', request: query.request, code: Code.malformed, body: NOTHING }
  }
}

function answerBody(books: Shard, query: QueryMessage): Uint8Array | undefined {
  if (books.topicOf(query.partition) === undefined) return undefined
  switch (query.operation) {
    case Query.job: {
      const job = books.job(query.partition, decode(jobQuery, query.body).number)
      return job && encode(jobView, job)
    }
    case Query.jobs: {
      const { states, name, from, limit } = decode(jobsQuery, query.body)
      return encode(jobsAnswer, books.jobs(query.partition, { states, name, from }, Math.min(limit, JOBS_PER_ANSWER_MAX)))
    }
    case Query.counts: {
      const counts = books.counts(query.partition)
      return counts && encode(countsAnswer, counts)
    }
    default:
      throw new MalformedMessage(`unknown query ${query.operation}`)
  }
}

const NOTHING: Uint8Array = new Uint8Array(0)
