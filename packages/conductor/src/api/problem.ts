import { ConductorError, errorTable, problemOf } from '@maestro/contract'
import type { FastifyReply } from 'fastify'

/** Answers with an RFC 9457 problem. What is not a `ConductorError` is our own mistake and says nothing of itself. */
export function replyProblem(reply: FastifyReply, error: unknown, requestId: string): FastifyReply {
  const known = asConductorError(error)
  return reply.code(errorTable[known.code].status).type('application/problem+json').send(problemOf(known, requestId))
}

export function asConductorError(error: unknown): ConductorError {
  if (error instanceof ConductorError) return error
  // Fastify's own errors for bad bodies, lengths and schemas carry a status below 500.
  if (error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number' && error.statusCode < 500) {
    if (error.statusCode === 413) return new ConductorError('frame_too_large', 'The body is larger than allowed.')
    if (error.statusCode === 415) return new ConductorError('content_type_unsupported', 'The API takes application/json.')
    return new ConductorError('request_malformed', error.message)
  }
  return new ConductorError('internal', 'Something failed on our side.', {}, error)
}
