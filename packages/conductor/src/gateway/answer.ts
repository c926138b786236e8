import type { IncomingMessage, ServerResponse } from 'node:http'
import { type ConductorError, errorTable, makeId, rpcErrorOf } from '@maestro/contract'
import { writeError } from '@maestro/logic'
import type { World } from '../world.ts'

/** Sends one JSON message as the whole answer, in one write. */
export function answerJson(response: ServerResponse, status: number, body: Uint8Array, headers: readonly string[] = []): void {
  response.writeHead(status, ['Content-Type', 'application/json', 'Content-Length', String(body.length), ...headers])
  response.end(body)
}

export interface Refusal {
  /** The id of the request as JSON; `null` where the failure is about the HTTP request and no JSON-RPC one. */
  idText?: string
  /** Instead of the status that the error table gives. */
  status?: number
  headers?: readonly string[]
}

/**
 * Answers with a failure of the platform: HTTP status by the error table, JSON-RPC error as the body, and a request id by
 * which it is found in the log. Does nothing where an answer has begun.
 */
export function refuse(world: World, response: ServerResponse, error: ConductorError, refusal: Refusal = {}): void {
  if (response.headersSent || response.destroyed) return
  const requestId = makeId('req', world.now(), world.randomBytes(11))
  const rpc = rpcErrorOf(error)
  const body = writeError(refusal.idText ?? 'null', { ...rpc, data: { ...rpc.data, request_id: requestId } })
  const { status } = errorTable[error.code]
  const headers = [...(refusal.headers ?? [])]
  if (status === 401) headers.push('WWW-Authenticate', challengeOf(error))
  if (status === 503 || status === 429) headers.push('Retry-After', String(retryAfterSeconds(error)))
  if (!response.req.complete) readOut(world, response.req)
  if (errorTable[error.code].retry === 'same' || status >= 500) {
    world.log.warn('gateway.refused', { requestId, code: error.code, message: error.message })
  }
  answerJson(response, refusal.status ?? status, body, headers)
}

/** How long a refused body may go on coming, ms. */
const unreadMsMax = 2_000

/**
 * Reads what is left of a refused body into nothing. To close at once would reset the connection under the answer, and a
 * client that is still sending would see a broken pipe instead of the reason.
 */
function readOut(world: World, request: IncomingMessage): void {
  request.resume()
  const cancel = world.after(unreadMsMax, () => request.destroy())
  request.once('close', cancel)
}

/** RFC 6750 section 3. Without a token there is nothing to call an error. */
const challengeOf = (error: ConductorError): string =>
  error.code === 'capability_missing' ? 'Bearer' : `Bearer error="invalid_token", error_description="${error.code}"`

function retryAfterSeconds(error: ConductorError): number {
  const ms = error.facts['retry_after_ms']
  return typeof ms === 'number' ? Math.max(1, Math.ceil(ms / 1000)) : 1
}
