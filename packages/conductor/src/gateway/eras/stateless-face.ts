import type { ServerResponse } from 'node:http'
import { ConductorError, type ErrorCode, errorTable, rpcErrorOf } from '@maestro/contract'
import {
  type Edit,
  editMeta,
  editObject,
  type Frame,
  idTextOf,
  membersOf,
  readFrame,
  replaceValue,
  splice,
  writeError,
} from '@maestro/logic'
import type { Session } from '../../session/session.ts'
import type { Capability, Face } from '../../session/stages.ts'
import { EventStream } from '../event-stream.ts'
import { Exchange, type ExchangeOwner } from '../exchange.ts'
import type { Post } from '../gateway.ts'
import type { Ticker, Ticking } from '../ticker.ts'
import { UnreadAnswers } from '../unread-answers.ts'
import { type Meta, metaKeys, metaOf } from './stateless-headers.ts'

/** The revision we speak with a server of the session era. */
const innerRevision = '2025-11-25'

/** From the least to the most serious, RFC 5424. */
const logLevels = ['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency']

/** Results that say how long they may be kept. */
const cacheable: ReadonlySet<string> = new Set([
  'tools/list',
  'prompts/list',
  'resources/list',
  'resources/templates/list',
  'resources/read',
])

/** Members of `_meta` that a server of the session era has no use for. */
const modernKeys: ReadonlySet<string> = new Set([
  metaKeys.protocolVersion,
  metaKeys.clientCapabilities,
  metaKeys.clientInfo,
  metaKeys.logLevel,
])

const methodNotFound = -32601
const resourceNotFoundThen = -32002
const resourceNotFoundNow = -32602

/** One request on its way, under the id we gave it towards the server. */
interface Pending {
  exchange: Exchange
  method: string
  /** Id and progress token as the client wrote them, in JSON. */
  idText: string
  tokenText: string | null
  /** Index in `logLevels` of the least serious message it wants; infinite for none. */
  logLevel: number
  capability: Capability
}

/**
 * The client's side of a session that stateless requests of one caller share. Ids and progress tokens are ours towards
 * the server, as those of two requests may be the same; everything else is spliced, not rewritten. A server of the
 * session era is initialized by us, its answers get what 2026-07-28 adds; a modern server is spoken to as the client did.
 */
export class StatelessFace implements Face, ExchangeOwner, Ticking {
  readonly #ticker: Ticker
  readonly #isModern: boolean
  readonly #serverInfo: string
  /** By the key of the id we gave. */
  readonly #pending = new Map<string, Pending>()
  readonly #unread = new UnreadAnswers(() => this.#pressed())
  readonly #ready = Promise.withResolvers<void>()
  #session: Session | null = null
  /** Under which we say what no request of the client stands behind. */
  #opener: Capability | null = null
  #lastId = 0
  #canLog = false
  #logLevel = Number.POSITIVE_INFINITY
  /** Whether requests can be sent on without waiting. */
  isReady = false
  isEnded = false

  constructor(ticker: Ticker, isModern: boolean, serverInfo: Readonly<Record<string, unknown>>) {
    this.#ticker = ticker
    this.#isModern = isModern
    this.#serverInfo = JSON.stringify(serverInfo)
    // Whoever waits hears of a failure; that nobody waits is none.
    this.#ready.promise.catch(() => {})
  }

  /** Starts the conversation with the server; settles when requests can be sent. Rejects where the server refuses. */
  bind(session: Session, meta: Meta, capabilities: Readonly<Record<string, unknown>>, capability: Capability): Promise<void> {
    this.#session = session
    this.#opener = capability
    if (!session.isOver) this.#ticker.add(this)
    if (this.#isModern) this.#becomeReady()
    else {
      const clientInfo = meta[metaKeys.clientInfo] ?? { name: 'unknown', version: '0' }
      const params = { protocolVersion: innerRevision, capabilities, clientInfo }
      const refused = session.receive(frameOf({ jsonrpc: '2.0', id: initializeId, method: 'initialize', params }), capability)
      if (refused !== null) this.#ready.reject(refused)
    }
    return this.#ready.promise
  }

  /**
   * Sends a request on. Its answer, its progress and its errors go to the call’s response, which closing cancels.
   * False where the session has ended and nothing was done: another one can take the request.
   */
  request(call: Post): boolean {
    if (this.isEnded) return false
    const { frame, response, capability } = call
    const meta = metaOf(frame)
    const level = levelOf(meta[metaKeys.logLevel])
    const id = ++this.#lastId
    const pending: Pending = {
      exchange: new Exchange(this, response, 1, false),
      method: frame.method as string,
      idText: idTextOf(frame),
      tokenText: frame.progressKey === null ? null : JSON.stringify(meta['progressToken']),
      logLevel: level < 0 ? Number.POSITIVE_INFINITY : level,
      capability,
    }
    if (level >= 0) this.#hearFrom(level, capability)
    this.#pending.set(String(id), pending)
    const refused = this.#session?.receive(this.#inward(frame, id, pending), capability)
    if (refused) {
      this.#pending.delete(String(id))
      if (refused.code === 'session_closed') return false
      pending.exchange.answer(writeError(pending.idText, rpcErrorOf(refused)))
    } else response.on('close', () => this.#cancelled(id))
    return true
  }

  deliver(frame: Frame): void {
    if (frame.kind === 'response') this.#answer(frame)
    else if (frame.kind === 'request') {
      // A stateless client cannot be asked in the middle of its request.
      this.#session?.decline(frame, { code: methodNotFound, message: 'The client of this request takes no requests.' })
    } else this.#notify(frame)
  }

  ended(): void {
    this.isEnded = true
    this.isReady = false
    this.#ticker.delete(this)
    for (const { exchange } of this.#pending.values()) exchange.end()
    this.#pending.clear()
    this.#ready.reject(new ConductorError('session_closed', 'The session ended before it was ready.'))
  }

  tick(nowMs: number): void {
    for (const { exchange } of this.#pending.values()) exchange.tick(nowMs)
  }

  nowMs(): number {
    return this.#ticker.nowMs()
  }

  openStream(): EventStream {
    return new EventStream(null, this.#pressed)
  }

  headersOf(): readonly string[] {
    return noHeaders
  }

  primes(): boolean {
    return false
  }

  answering(response: ServerResponse): void {
    this.#unread.add(response)
  }

  #becomeReady(): void {
    this.isReady = true
    this.#ready.resolve()
  }

  /** The request as the server gets it: our id and token, and to a session-era server none of the modern `_meta`. */
  #inward(frame: Frame, id: number, pending: Pending): Frame {
    const edits: Edit[] = [replaceValue(frame.idSpan as NonNullable<Frame['idSpan']>, String(id))]
    const isRemoved = (key: string) => !this.#isModern && modernKeys.has(key)
    edits.push(
      ...editMeta(frame, { remove: isRemoved, ...(pending.tokenText === null ? {} : { set: { progressToken: String(id) } }) }),
    )
    return reread(splice(frame.bytes, edits))
  }

  #answer(frame: Frame) {
    if (frame.id === initializeId) return this.#initialized(frame)
    const pending = frame.idKey === null ? undefined : this.#pending.get(frame.idKey)
    if (frame.idKey === null || pending === undefined) return
    this.#pending.delete(frame.idKey)
    const error = frame.message['error'] as { code?: unknown } | undefined
    const line = splice(frame.bytes, this.#outward(frame, pending, error?.code))
    if (!pending.exchange.answer(line, error?.code === methodNotFound ? 404 : 200)) {
      this.#session?.note({ name: 'client.gone', request: pending.idText })
    }
  }

  /** What the answer of the server lacks, or says otherwise, towards this client. */
  #outward(frame: Frame, pending: Pending, errorCode: unknown): Edit[] {
    const edits: Edit[] = [replaceValue(frame.idSpan as NonNullable<Frame['idSpan']>, pending.idText)]
    if (this.#isModern) return edits
    for (const member of frame.members) {
      if (member.key === 'error' && errorCode === resourceNotFoundThen) {
        edits.push(...editObject(frame.bytes, member.start, { set: { code: String(resourceNotFoundNow) } }))
      }
      const result = frame.message['result']
      if (member.key !== 'result' || !isObject(result)) continue
      const set: Record<string, string> = {}
      if (!Object.hasOwn(result, 'resultType')) set['resultType'] = '"complete"'
      if (cacheable.has(pending.method)) {
        if (!Object.hasOwn(result, 'ttlMs')) set['ttlMs'] = '0'
        if (!Object.hasOwn(result, 'cacheScope')) set['cacheScope'] = '"private"'
      }
      const meta = result['_meta']
      if (!isObject(meta)) set['_meta'] = `{${JSON.stringify(metaKeys.serverInfo)}:${this.#serverInfo}}`
      else if (!Object.hasOwn(meta, metaKeys.serverInfo)) {
        const at = startOfMember(frame.bytes, member.start, '_meta')
        if (at !== null) edits.push(...editObject(frame.bytes, at, { set: { [metaKeys.serverInfo]: this.#serverInfo } }))
      }
      edits.push(...editObject(frame.bytes, member.start, { set }))
    }
    return edits
  }

  #initialized(frame: Frame) {
    const session = this.#session
    if (session === null || this.#opener === null) return
    if (frame.isError) return this.#ready.reject(refusalOf(frame))
    const result = frame.message['result'] as { capabilities?: { logging?: unknown } } | null
    this.#canLog = isObject(result?.capabilities?.logging)
    session.receive(frameOf({ jsonrpc: '2.0', method: 'notifications/initialized' }), this.#opener)
    this.#becomeReady()
  }

  #notify(frame: Frame): void {
    const params = frame.message.params
    if (frame.method === 'notifications/progress') {
      const pending = frame.progressKey === null ? undefined : this.#pending.get(frame.progressKey)
      if (pending === undefined || pending.tokenText === null) return
      const at = startOfMember(frame.bytes, frame.bytes.indexOf(openObject), 'params')
      if (at !== null) this.#push(pending, frame, editObject(frame.bytes, at, { set: { progressToken: pending.tokenText } }))
    } else if (frame.method === 'notifications/message') {
      // A server of the session era does not say whose request a message is about: the newest that wants it gets it.
      const level = levelOf(params?.['level'])
      let newest: Pending | null = null
      for (const pending of this.#pending.values()) if (level >= pending.logLevel && pending.exchange.isLive) newest = pending
      if (newest !== null) this.#push(newest, frame, [])
    } else {
      const id = metaOf(frame)[metaKeys.subscriptionId]
      const pending = typeof id === 'number' ? this.#pending.get(String(id)) : undefined
      if (pending !== undefined)
        this.#push(pending, frame, editMeta(frame, { set: { [metaKeys.subscriptionId]: pending.idText } }))
    }
  }

  #push(pending: Pending, frame: Frame, edits: Edit[]): void {
    pending.exchange.push(splice(frame.bytes, edits))
  }

  /** The level of a session-era server holds for all: it is only ever lowered, and what a request did not want is left out. */
  #hearFrom(level: number, capability: Capability): void {
    if (this.#isModern || !this.#canLog || level >= this.#logLevel) return
    this.#logLevel = level
    const params = { level: logLevels[level] }
    this.#session?.receive(frameOf({ jsonrpc: '2.0', id: ++this.#lastId, method: 'logging/setLevel', params }), capability)
  }

  /** In this revision a client that goes away cancels. */
  #cancelled(id: number): void {
    const pending = this.#pending.get(String(id))
    if (pending === undefined) return
    this.#pending.delete(String(id))
    pending.exchange.end()
    this.#session?.note({ name: 'client.gone', request: pending.idText })
    const params = { requestId: id, reason: 'The client closed the response.' }
    this.#session?.receive(frameOf({ jsonrpc: '2.0', method: 'notifications/cancelled', params }), pending.capability)
  }

  readonly #pressed = (): void => {
    let queued = this.#unread.queuedBytes
    for (const { exchange } of this.#pending.values()) queued += exchange.stream?.queuedBytes ?? 0
    this.#session?.flow(queued)
  }
}

const initializeId = 0
const noHeaders: readonly string[] = []

const openObject = 0x7b

/** Where the value of a member of the object at `at` starts; of doubled ones the last, which is the one that counts. */
function startOfMember(bytes: Uint8Array, at: number, key: string): number | null {
  const members = membersOf(bytes, at)
  return typeof members === 'string' ? null : (members.findLast(member => member.key === key)?.start ?? null)
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Index in `logLevels`, or -1. Not `String(value)`: an object from outside may have a `toString` that is no function. */
const levelOf = (value: unknown): number => (typeof value === 'string' ? logLevels.indexOf(value) : -1)

/** Why initialize failed: our own reason where the answer is ours, else that the server refused. */
function refusalOf(frame: Frame): ConductorError {
  const error = frame.message['error'] as { message?: unknown; data?: { code?: unknown } | null }
  const code = error.data?.code
  const known = typeof code === 'string' && Object.hasOwn(errorTable, code) ? (code as ErrorCode) : 'server_refused'
  return new ConductorError(known, typeof error.message === 'string' ? error.message.slice(0, 500) : 'The server refused.')
}

const encoder = new TextEncoder()

const frameOf = (message: object): Frame => reread(encoder.encode(JSON.stringify(message)))

function reread(bytes: Uint8Array): Frame {
  const frame = readFrame(bytes)
  if (frame.kind === 'fault') throw new Error(`invariant: a frame of our own is no frame: ${frame.message}`)
  return frame
}
