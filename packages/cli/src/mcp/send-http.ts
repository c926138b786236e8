import { Agent as HttpAgent, type IncomingMessage, request as requestHttp } from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'

const agents = { 'http:': new HttpAgent({ keepAlive: true }), 'https:': new HttpsAgent({ keepAlive: true }) }

export interface HttpExchange {
  /** Settles when the request has left, so that the next one cannot overtake it; also when it failed. */
  left: Promise<void>
  /** Rejects where there was no answer: `delivered` on the error says whether the server may have seen the request. */
  reply: Promise<IncomingMessage>
}

export class NoReply extends Error {
  readonly delivered: boolean

  constructor(cause: unknown, delivered: boolean) {
    super(cause instanceof Error ? cause.message : String(cause), { cause })
    this.delivered = delivered
  }
}

/** One HTTP request. `fetch` would do, but it does not say when a request has left, and order matters to a session. */
export function sendHttp(
  method: 'GET' | 'POST' | 'DELETE',
  url: string,
  headers: Record<string, string>,
  body: Uint8Array | null,
  signal: AbortSignal,
): HttpExchange {
  const { protocol } = new URL(url)
  const isHttps = protocol === 'https:'
  const request = (isHttps ? requestHttps : requestHttp)(url, {
    method,
    headers: { ...headers, ...(body ? { 'content-length': String(body.length) } : {}) },
    agent: isHttps ? agents['https:'] : agents['http:'],
    signal,
  })
  let delivered = false
  const left = new Promise<void>(resolve => {
    request.once('finish', () => {
      delivered = request.socket !== null && !request.socket.connecting
      resolve()
    })
    request.once('close', () => resolve())
  })
  const reply = new Promise<IncomingMessage>((resolve, reject) => {
    request.once('response', resolve)
    request.once('error', cause =>
      reject(new NoReply(cause, delivered && (cause as NodeJS.ErrnoException).code !== 'ECONNREFUSED')),
    )
  })
  reply.catch(() => {})
  if (body) request.write(body)
  request.end()
  return { left, reply }
}
