import { ConductorError, makeId, rpcErrorOf, statelessRevision } from '@maestro/contract'
import { type Frame, idTextOf, isBatch, keyOfToken, oneLine, readFrame, splitBatch, writeError } from '@maestro/logic'
import { type Dispatcher, Pool } from 'undici'
import type { Exit } from '../sandbox/sandbox.ts'
import type { Runnable, Upstream } from '../session/stages.ts'
import type { World } from '../world.ts'
import { EventReader } from './event-reader.ts'

const connectMsMax = 10_000
/** How long a server may take to begin its answer, as tools may run long. */
const answerMsMax = 10 * 60_000
const deleteMsMax = 2_000
/** Pause before a broken stream is taken up again; it doubles up to the second. */
const reconnectMs = 1_000
const reconnectMsMax = 30_000
/** However soon the server says, we come no sooner: one that says 0 and ends each stream would keep us busy with nothing else. */
const reconnectMsMin = 100
/** How often the rest of one request’s stream is asked for after it broke off. */
const resumesMax = 3

type Body = Dispatcher.ResponseData['body']

/**
 * A remote server of Streamable HTTP as an `Upstream`: what is sent is POSTed, what it says, as JSON or as event streams,
 * comes back as frames. A failure of one request is a JSON-RPC error for that request; the loss of the server's session is
 * its exit. Throws `source_invalid` where the URL is not http(s). Nothing is connected before the first frame.
 * https://modelcontextprotocol.io/specification/2025-11-25/basic/transports
 */
export async function startRemote(runnable: Runnable, world: World): Promise<Upstream> {
  const url = runnable.runs.kind === 'remote' ? URL.parse(runnable.runs.url) : null
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw new ConductorError('source_invalid', `${runnable.name} has no http(s) URL to reach it by.`)
  }
  return openRemote(runnable, url, world)
}

function openRemote(runnable: Runnable, url: URL, world: World): Upstream {
  const pool = new Pool(url.origin, {
    connect: { timeout: connectMsMax },
    headersTimeout: answerMsMax,
    bodyTimeout: 0,
    keepAliveTimeout: 30_000,
  })
  const path = `${url.pathname}${url.search}`
  const isModern = runnable.release.manifest.protocolVersion === statelessRevision
  const bytesMax = runnable.limits.lineBytesMax
  const exited = Promise.withResolvers<Exit>()
  const stopped = new AbortController()
  /** Requests that wait for their answer, and how to give each up. */
  const open = new Map<string, { idText: string; abort: AbortController }>()
  const early: Uint8Array[] = []
  let listener: ((frame: Uint8Array) => void) | null = null
  let sessionKey: string | null = null
  let version: string | null = null
  let pendingBytes = 0
  let closing: Promise<void> | null = null
  /** Set while the server is held back. */
  let flow: PromiseWithResolvers<void> | null = null
  /** What must have arrived before anything else is sent: the note that initialization is over. */
  let gate: Promise<void> | null = null

  return {
    id: makeId('sbx', world.now(), world.randomBytes(11)),
    driver: 'remote',
    get pendingBytes() {
      return pendingBytes
    },
    send(bytes) {
      const frame = readFrame(bytes)
      // The session sends nothing else than frames it has read.
      if (frame.kind === 'fault' || closing !== null) return
      if (gate === null) start(frame)
      else gate.then(() => start(frame))
    },
    onFrame(wanted) {
      listener = wanted
      for (const frame of early.splice(0)) wanted(frame)
    },
    onEvent() {},
    pause() {
      flow ??= Promise.withResolvers<void>()
    },
    resume() {
      flow?.resolve()
      flow = null
    },
    exited: exited.promise,
    close() {
      closing ??= stop({ code: null, signal: null, reason: 'closed', stderrTail: '' })
      return closing
    },
  }

  function start(frame: Frame): void {
    if (isModern && frame.method === 'notifications/cancelled') {
      // There, giving up the response is what cancels.
      open.get(keyOfToken(frame.message.params?.['requestId']) ?? '')?.abort.abort()
      return
    }
    const sent = post(frame).catch(cause => failed(frame, cause))
    if (frame.method === 'notifications/initialized') {
      gate = sent.then(() => {
        gate = null
        void listen()
      })
    }
  }

  async function post(frame: Frame): Promise<void> {
    const abort = new AbortController()
    const idKey = frame.kind === 'request' ? frame.idKey : null
    if (idKey !== null) open.set(idKey, { idText: idTextOf(frame), abort })
    pendingBytes += frame.bytes.length
    let response: Dispatcher.ResponseData
    try {
      response = await pool.request({
        path,
        method: 'POST',
        headers: headersOf(frame),
        body: frame.bytes,
        signal: AbortSignal.any([stopped.signal, abort.signal]),
      })
    } finally {
      pendingBytes -= frame.bytes.length
    }
    const { statusCode, headers, body } = response
    const type = String(headers['content-type'] ?? '')
    if (statusCode >= 200 && statusCode < 300) {
      if (frame.method === 'initialize' && typeof headers['mcp-session-id'] === 'string') sessionKey = headers['mcp-session-id']
      if (type.startsWith('text/event-stream')) await follow(body, idKey)
      else if (idKey === null) await body.dump()
      else await whole(body)
    } else if (statusCode === 404 && sessionKey !== null) {
      await body.dump()
      closing ??= stop({
        code: null,
        signal: null,
        reason: 'sandbox_crashed',
        stderrTail: 'The remote server ended the session.',
      })
      return
    } else await refused(body, statusCode, type)
    if (idKey !== null && open.has(idKey)) throw new Error('the server ended its response without an answer')
  }

  function headersOf(frame: Frame | null): Record<string, string> {
    const headers: Record<string, string> = { accept: 'application/json, text/event-stream' }
    if (frame !== null) headers['content-type'] = 'application/json'
    if (sessionKey !== null) headers['mcp-session-id'] = sessionKey
    if (version !== null) headers['mcp-protocol-version'] = version
    if (isModern && frame !== null) {
      headers['mcp-protocol-version'] = statelessRevision
      headers['mcp-method'] = mirrored(frame.method ?? '')
      const taskId = frame.message.params?.['taskId']
      const name = frame.name ?? frame.uri ?? (typeof taskId === 'string' ? taskId : null)
      if (name !== null) headers['mcp-name'] = mirrored(name)
    }
    return headers
  }

  /** A JSON body: one message, or several where the revision knows batches. */
  async function whole(body: Body): Promise<void> {
    const bytes = await read(body, bytesMax)
    const parts = isBatch(bytes) ? splitBatch(bytes) : [bytes]
    for (const part of Array.isArray(parts) ? parts : []) await take(part)
  }

  /** An event stream that answers a request; where it breaks off, the rest is asked for. */
  async function follow(body: Body, idKey: string | null): Promise<void> {
    let last = await events(body)
    for (let tries = 0; tries < resumesMax && idKey !== null && open.has(idKey) && last.id !== null; tries++) {
      await world.sleep(pauseOf(last.retryMs, reconnectMs), stopped.signal)
      const response = await get(last.id)
      if (response === null) return
      const next = await events(response)
      last = { id: next.id ?? last.id, retryMs: next.retryMs ?? last.retryMs }
    }
  }

  /** What the server says outside any request. A server that has no such stream says 405, and that is all right. */
  async function listen(): Promise<void> {
    if (isModern) return
    let last: { id: string | null; retryMs: number | null } = { id: null, retryMs: null }
    let pauseMs = reconnectMs
    while (!stopped.signal.aborted) {
      try {
        const body = await get(last.id)
        if (body === null) return
        const startedMs = world.monotonicMs()
        const next = await events(body)
        last = { id: next.id ?? last.id, retryMs: next.retryMs ?? last.retryMs }
        if (world.monotonicMs() - startedMs > reconnectMsMax) pauseMs = reconnectMs
      } catch (cause) {
        if (stopped.signal.aborted) return
        world.log.warn('remote.stream_broken', { deployment: runnable.name, cause: String(cause) })
      }
      await world.sleep(pauseOf(last.retryMs, pauseMs), stopped.signal).catch(() => {})
      pauseMs = Math.min(pauseMs * 2, reconnectMsMax)
    }
  }

  async function get(lastEventId: string | null): Promise<Body | null> {
    const { accept: _, ...headers } = headersOf(null)
    const response = await pool.request({
      path,
      method: 'GET',
      headers: { ...headers, accept: 'text/event-stream', ...(lastEventId === null ? {} : { 'last-event-id': lastEventId }) },
      signal: stopped.signal,
    })
    if (response.statusCode === 200 && String(response.headers['content-type']).startsWith('text/event-stream'))
      return response.body
    await response.body.dump()
    return null
  }

  /** Reads a stream to its end; gives what is needed to take it up again. A break of the connection is an end. */
  async function events(body: Body): Promise<{ id: string | null; retryMs: number | null }> {
    const last: { id: string | null; retryMs: number | null } = { id: null, retryMs: null }
    const frames: Uint8Array[] = []
    const reader = new EventReader(bytesMax, event => {
      if (event.id !== null) last.id = event.id
      if (event.retryMs !== null) last.retryMs = event.retryMs
      if (event.data.length > 0 && (event.type === '' || event.type === 'message')) frames.push(event.data)
    })
    try {
      for await (const chunk of body) {
        reader.push(chunk as Buffer)
        for (const frame of frames.splice(0)) await take(frame)
      }
    } catch (cause) {
      if (cause instanceof RangeError || stopped.signal.aborted || last.id === null) throw cause
    }
    return last
  }

  async function take(bytes: Uint8Array): Promise<void> {
    while (flow !== null) await flow.promise
    if (stopped.signal.aborted) return
    const frame = readFrame(bytes)
    if (frame.kind === 'response' && frame.idKey !== null) {
      open.delete(frame.idKey)
      const result = frame.message['result'] as { protocolVersion?: unknown } | null | undefined
      if (version === null && typeof result?.protocolVersion === 'string') version = result.protocolVersion
    }
    emit(oneLine(bytes))
  }

  function emit(line: Uint8Array): void {
    if (listener === null) early.push(line)
    else listener(line)
  }

  /** An HTTP error. Where its body is the JSON-RPC answer to an open request, that is the answer. */
  async function refused(body: Body, statusCode: number, type: string): Promise<void> {
    const bytes = type.startsWith('application/json') ? await read(body, bytesMax) : null
    if (bytes === null) await body.dump()
    else {
      const frame = readFrame(bytes)
      if (frame.kind === 'response' && frame.idKey !== null && open.has(frame.idKey)) return take(bytes)
    }
    throw new ConductorError('remote_unreachable', `The remote server answered with HTTP ${statusCode}.`, { status: statusCode })
  }

  function failed(frame: Frame, cause: unknown): void {
    const request = frame.idKey === null ? undefined : open.get(frame.idKey)
    if (frame.idKey !== null) open.delete(frame.idKey)
    if (stopped.signal.aborted || request === undefined || request.abort.signal.aborted) return
    const error =
      cause instanceof ConductorError
        ? cause
        : new ConductorError('remote_unreachable', `The remote server could not be asked: ${reasonOf(cause)}.`)
    emit(writeError(request.idText, rpcErrorOf(error)))
  }

  async function stop(exit: Exit): Promise<void> {
    const key = sessionKey
    flow?.resolve()
    flow = null
    stopped.abort(new Error('closed'))
    if (key !== null && exit.reason === 'closed') {
      try {
        const signal = AbortSignal.timeout(deleteMsMax)
        const response = await pool.request({ path, method: 'DELETE', headers: headersOf(null), signal })
        await response.body.dump()
      } catch {
        // The server may be gone, or know no DELETE; there is nothing more to end.
      }
    }
    await pool.destroy()
    exited.resolve(exit)
  }
}

const pauseOf = (saidMs: number | null, usualMs: number): number => Math.max(reconnectMsMin, saidMs ?? usualMs)

/** A bounded body as one piece. */
async function read(body: Body, bytesMax: number): Promise<Uint8Array> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of body) {
    size += (chunk as Buffer).length
    if (size > bytesMax) throw new RangeError('the answer is too large')
    chunks.push(chunk as Buffer)
  }
  const [first] = chunks
  return chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks, size)
}

/** A value fit for a header: plain where it is visible ASCII that cannot be taken for the encoded form. */
function mirrored(value: string): string {
  if (/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(value) && !value.startsWith('=?')) return value
  return `=?base64?${Buffer.from(value).toString('base64')}?=`
}

/** The kind of failure, without what an address or a certificate might tell. */
function reasonOf(cause: unknown): string {
  const code = (cause as { code?: unknown } | null)?.code
  if (typeof code === 'string') return code
  return cause instanceof Error ? cause.message.slice(0, 200) : 'unknown'
}
