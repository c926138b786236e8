import type { IncomingMessage } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { ConductorError, rpcErrorOf } from '@maestro/contract'
import { type Frame, idTextOf, isBatch, oneLine, readFrame, writeError } from '@maestro/logic'
import type { Credentials, Endpoint } from './credentials.ts'
import { statelessHeaders } from './request-headers.ts'
import { type HttpExchange, NoReply, sendHttp } from './send-http.ts'
import { serverSentEvents } from './server-sent-events.ts'

const reconnectMsMax = 15_000
const resumesMax = 8
const finishMsMax = 10_000
const retryMs = 1_000
const bodyBytesMax = 256 * 1024 * 1024

/** Carries frames between a client on a pipe and a server on Streamable HTTP, byte for byte, one frame per line. */
export interface Bridge {
  /** One line of the client. Settles when the next one may follow. Never throws: failures are answered as JSON-RPC errors. */
  receive(line: Uint8Array): Promise<void>
  /** The client has said all: waits for what is still unanswered, then ends the session. */
  finish(): Promise<void>
  /** Ends the session at once. */
  abort(): Promise<void>
}

export interface BridgeParts {
  credentials: Credentials
  /** Takes one frame for the client, without its newline; settles when there is room for the next. */
  write(frame: Uint8Array): Promise<void>
  /** A word to the person. */
  note(text: string): void
}

interface Conversation {
  /** Null where the server keeps no sessions. */
  id: string | null
  /** As negotiated; empty until the answer to initialize. */
  revision: string
}

export function openBridge({ credentials, write, note }: BridgeParts): Bridge {
  const ended = new AbortController()
  /** Requests that wait for their answer, by id, with what calls them off. */
  const open = new Map<string, { settled: Promise<void>; cancel: AbortController; isStream: boolean }>()
  let conversation: Conversation | null = null
  let opening: { initialize: Uint8Array; initialized: Uint8Array | null } | null = null
  let reopening: Promise<void> | null = null
  let listening = new AbortController()

  async function receive(line: Uint8Array): Promise<void> {
    if (isBatch(line)) return carryBatch(line)
    const frame = readFrame(line)
    if (frame.kind === 'fault') {
      const error = new ConductorError(frame.code, frame.message)
      return write(writeError(frame.id === null ? 'null' : JSON.stringify(frame.id), rpcErrorOf(error)))
    }
    if (frame.kind === 'request') return receiveRequest(frame)
    if (cancelStateless(frame)) return
    if (frame.method === 'notifications/initialized' && opening) opening.initialized = frame.bytes
    try {
      const reply = await ask(frame.bytes, statelessHeaders(frame), ended.signal).reply
      reply.resume()
      if (reply.statusCode !== undefined && reply.statusCode >= 400) note(`A message was refused: HTTP ${reply.statusCode}.`)
      if (frame.method === 'notifications/initialized') listen()
    } catch (error) {
      if (!ended.signal.aborted) note(`A message was lost: ${messageOf(error)}`)
    }
  }

  async function receiveRequest(frame: Frame): Promise<void> {
    const stateless = statelessHeaders(frame)
    const cancel = new AbortController()
    const signal = AbortSignal.any([cancel.signal, ended.signal])
    const opens = frame.method === 'initialize' && stateless === null
    if (opens) {
      opening = { initialize: frame.bytes, initialized: null }
      conversation = null
      listening.abort()
    }
    const exchange = ask(frame.bytes, stateless, signal)
    const settled = answer(frame, exchange, stateless, signal).catch(async error => {
      if (signal.aborted) return
      await write(writeError(idTextOf(frame), rpcErrorOf(failureOf(error))))
    })
    const key = frame.idKey ?? ''
    const entry = { settled, cancel, isStream: frame.method === 'subscriptions/listen' }
    open.set(key, entry)
    void settled.finally(() => open.get(key) === entry && open.delete(key))
    // Nothing may be said in a session before it is open.
    await (opens ? settled : exchange.left)
  }

  /** Hands the answer over, whatever it takes: a new token, a new session, a resumed stream. */
  async function answer(
    frame: Frame,
    first: HttpExchange,
    stateless: Record<string, string> | null,
    signal: AbortSignal,
  ): Promise<void> {
    let exchange = first
    let used = conversation
    for (let attempt = 0; ; attempt++) {
      const reply = await exchange.reply.catch(async error => {
        // What was never delivered may be said again: Conductor is starting anew.
        if (signal.aborted || !isAway(error)) throw error
        return reconnect(() => ask(frame.bytes, stateless, signal), error, signal)
      })
      const status = reply.statusCode ?? 0
      const isGone = status === 404 && used?.id != null && stateless === null && frame.method !== 'initialize'
      if (attempt < 2 && (status === 401 || isGone)) {
        reply.resume()
        if (status === 401) credentials.drop()
        else await reopen(used)
        used = conversation
        exchange = ask(frame.bytes, stateless, signal)
        continue
      }
      if (frame.method === 'initialize' && stateless === null) hear(reply)
      if (isEventStream(reply)) return follow(frame, reply, signal)
      return handOver(frame, status, await bodyOf(reply))
    }
  }

  function hear(reply: IncomingMessage): void {
    const id = reply.headers['mcp-session-id']
    conversation = { id: typeof id === 'string' ? id : null, revision: '' }
  }

  async function handOver(frame: Frame, status: number, body: Buffer): Promise<void> {
    const said = readFrame(body)
    if (said.kind === 'response' && said.idKey === frame.idKey) return tell(said)
    // A refusal may come without the id: it was refused before it was read.
    const error = said.kind === 'response' ? said.message['error'] : undefined
    if (error !== undefined)
      return write(Buffer.from(`{"jsonrpc":"2.0","id":${idTextOf(frame)},"error":${JSON.stringify(error)}}`))
    throw new ConductorError('remote_unreachable', `The server answered HTTP ${status} without a message.`)
  }

  /** Hands a stream's frames over until the answer came; a stream that broke off before is taken up where it ended. */
  async function follow(frame: Frame, first: IncomingMessage, signal: AbortSignal): Promise<void> {
    let reply = first
    let lastId: string | null = null
    let waitMs = retryMs
    for (let resumes = 0; ; resumes++) {
      try {
        for await (const event of serverSentEvents(reply)) {
          lastId = event.id ?? lastId
          waitMs = event.retryMs ?? waitMs
          if (event.data === '') continue
          const said = readFrame(Buffer.from(event.data))
          await (said.kind === 'fault' ? write(oneLine(Buffer.from(event.data))) : tell(said))
          if (said.kind === 'response' && said.idKey === frame.idKey) return void reply.destroy()
        }
      } catch (error) {
        if (signal.aborted) throw error
      }
      if (lastId === null || resumes >= resumesMax)
        throw new ConductorError('remote_unreachable', 'The connection ended before the answer came.')
      await sleep(waitMs, undefined, { signal })
      reply = await reconnect(
        () => send('GET', null, { accept: 'text/event-stream', 'last-event-id': lastId ?? '' }, signal),
        null,
        signal,
      )
      if (!isEventStream(reply)) {
        reply.resume()
        throw new ConductorError('remote_unreachable', `The stream could not be taken up again: HTTP ${reply.statusCode}.`)
      }
    }
  }

  /** Says a frame to the client, and keeps what an answer to initialize settles. */
  async function tell(said: Frame): Promise<void> {
    const result = said.message['result'] as { protocolVersion?: unknown } | undefined
    if (conversation?.revision === '' && typeof result?.protocolVersion === 'string')
      conversation.revision = result.protocolVersion
    await write(said.bytes)
  }

  /** What the server says unasked. A server without such a stream answers 405. */
  function listen(): void {
    listening.abort()
    listening = new AbortController()
    const signal = AbortSignal.any([listening.signal, ended.signal])
    void (async () => {
      let lastId: string | null = null
      let waitMs = retryMs
      while (!signal.aborted) {
        const headers: Record<string, string> = {
          accept: 'text/event-stream',
          ...(lastId === null ? {} : { 'last-event-id': lastId }),
        }
        const reply = await reconnect(() => send('GET', null, headers, signal), null, signal)
        if (reply.statusCode === 401) credentials.drop()
        else if (!isEventStream(reply)) return void reply.resume()
        for await (const event of serverSentEvents(reply)) {
          lastId = event.id ?? lastId
          waitMs = event.retryMs ?? waitMs
          if (event.data !== '') await write(oneLine(Buffer.from(event.data)))
        }
        await sleep(waitMs, undefined, { signal })
      }
    })().catch(() => {
      // Nothing was asked here, so nobody waits; the next request finds out what is the matter.
    })
  }

  /** The session is gone on the other side: opens one anew with the client's own words, whose answer it already has. */
  function reopen(gone: Conversation | null): Promise<void> {
    if (conversation !== gone) return Promise.resolve()
    reopening ??= (async () => {
      if (!opening) throw new ConductorError('session_not_found', 'The session is gone and was never opened here.')
      note('The session ended on the other side; opening a new one. What the server kept in memory is lost.')
      conversation = null
      const reply = await ask(opening.initialize, null, ended.signal).reply
      hear(reply)
      const text = isEventStream(reply) ? await firstData(reply) : await bodyOf(reply)
      const said = readFrame(text)
      const result = said.kind === 'response' ? (said.message['result'] as { protocolVersion?: unknown } | undefined) : undefined
      const current = conversation as Conversation | null
      if (!current || typeof result?.protocolVersion !== 'string')
        throw new ConductorError('session_not_found', 'A new session could not be opened.')
      current.revision = result.protocolVersion
      if (opening.initialized) (await ask(opening.initialized, null, ended.signal).reply).resume()
      listen()
    })().finally(() => {
      reopening = null
    })
    return reopening
  }

  async function carryBatch(line: Uint8Array): Promise<void> {
    try {
      const reply = await ask(oneLine(line), null, ended.signal).reply
      if (isEventStream(reply))
        for await (const { data } of serverSentEvents(reply)) await (data !== '' && write(oneLine(Buffer.from(data))))
      else if (reply.statusCode === 202) reply.resume()
      else await write(oneLine(await bodyOf(reply)))
    } catch (error) {
      if (!ended.signal.aborted) await write(writeError('null', rpcErrorOf(failureOf(error))))
    }
  }

  /** In the stateless era a request is called off by closing its connection. */
  function cancelStateless(frame: Frame): boolean {
    if (frame.method !== 'notifications/cancelled' || conversation !== null) return false
    const id = frame.message.params?.['requestId']
    const entry = open.get(typeof id === 'string' ? `"${id}` : String(id))
    entry?.cancel.abort()
    return entry !== undefined
  }

  const ask = (body: Uint8Array, stateless: Record<string, string> | null, signal: AbortSignal): HttpExchange =>
    send(
      'POST',
      body,
      { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...stateless },
      signal,
      stateless !== null,
    )

  function send(
    method: 'GET' | 'POST' | 'DELETE',
    body: Uint8Array | null,
    headers: Record<string, string>,
    signal: AbortSignal,
    isStateless = false,
  ): HttpExchange {
    const spoken = isStateless ? null : conversation
    const exchange = credentials.current().then((endpoint: Endpoint) =>
      sendHttp(
        method,
        endpoint.url,
        {
          ...headers,
          ...(endpoint.token === null ? {} : { authorization: `Bearer ${endpoint.token}` }),
          ...(spoken?.id ? { 'mcp-session-id': spoken.id } : {}),
          ...(spoken?.revision ? { 'mcp-protocol-version': spoken.revision } : {}),
        },
        body,
        signal,
      ),
    )
    return { left: exchange.then(sent => sent.left).catch(() => {}), reply: exchange.then(sent => sent.reply) }
  }

  /** Tries again for a while what could not be delivered, each time with a fresh look at where Conductor is. */
  async function reconnect(attempt: () => HttpExchange, failure: unknown, signal: AbortSignal): Promise<IncomingMessage> {
    const until = Date.now() + reconnectMsMax
    let last = failure
    for (let waitMs = 100; ; waitMs = Math.min(waitMs * 2, 2_000)) {
      if (last !== null) {
        credentials.drop()
        await sleep(waitMs, undefined, { signal })
      }
      try {
        return await attempt().reply
      } catch (error) {
        if (signal.aborted || !isAway(error) || Date.now() > until) throw error
        last = error
      }
    }
  }

  async function close(): Promise<void> {
    if (ended.signal.aborted) return
    const last = conversation
    listening.abort()
    if (last?.id)
      await send('DELETE', null, {}, AbortSignal.timeout(2_000))
        .reply.then(reply => reply.resume())
        .catch(() => {})
    ended.abort()
  }

  return {
    receive,
    async finish() {
      const answers = [...open.values()].filter(({ isStream }) => !isStream).map(({ settled }) => settled)
      await Promise.race([Promise.all(answers), sleep(finishMsMax, undefined, { ref: false })])
      await close()
    },
    abort: close,
  }
}

/** Nothing reached the other side: it is down, or starting anew. */
const isAway = (error: unknown): boolean =>
  error instanceof NoReply ? !error.delivered : error instanceof ConductorError && error.code === 'conductor_unreachable'

const isEventStream = (reply: IncomingMessage): boolean =>
  reply.statusCode === 200 && (reply.headers['content-type'] ?? '').startsWith('text/event-stream')

async function bodyOf(reply: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of reply) {
    bytes += (chunk as Buffer).length
    if (bytes > bodyBytesMax) throw new ConductorError('remote_unreachable', 'The server’s answer is too large.')
    chunks.push(chunk as Buffer)
  }
  return Buffer.concat(chunks)
}

async function firstData(reply: IncomingMessage): Promise<Buffer> {
  for await (const { data } of serverSentEvents(reply)) if (data !== '') return Buffer.from(data)
  return Buffer.alloc(0)
}

function failureOf(error: unknown): ConductorError {
  if (error instanceof ConductorError) return error
  return new ConductorError('conductor_unreachable', `The server could not be reached: ${messageOf(error)}`)
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error))
