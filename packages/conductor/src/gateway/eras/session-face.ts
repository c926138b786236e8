import type { ServerResponse } from 'node:http'
import { ConductorError, rpcErrorOf } from '@maestro/contract'
import { type Frame, idTextOf, keyOfToken, writeError } from '@maestro/logic'
import type { Session } from '../../session/session.ts'
import type { Capability, Face } from '../../session/stages.ts'
import { EventStream } from '../event-stream.ts'
import { Exchange, type ExchangeOwner } from '../exchange.ts'
import { ResumeLog } from '../resume-log.ts'
import type { Ticker, Ticking } from '../ticker.ts'
import { UnreadAnswers } from '../unread-answers.ts'

/** Most messages, and bytes of them, kept for a client that has no stream open. */
const undeliveredMax = 256
const undeliveredBytesMax = 1024 * 1024
/** Most GET streams of one session; a further one takes the place of the oldest. */
const standingMax = 4

/** What belongs to the session as a whole, and so on the GET stream first. */
const standingMethods: ReadonlySet<string> = new Set([
  'notifications/tools/list_changed',
  'notifications/prompts/list_changed',
  'notifications/resources/list_changed',
  'notifications/resources/updated',
])

/**
 * The client's side of a session of 2025-11-25 and earlier: decides for each message of the server on which one HTTP
 * stream it goes. https://modelcontextprotocol.io/specification/2025-11-25/basic/transports
 */
export class SessionFace implements Face, ExchangeOwner, Ticking {
  readonly #ticker: Ticker
  readonly #log = new ResumeLog()
  /** Open requests of the client. */
  readonly #exchanges = new Map<string, Exchange>()
  /** Open requests that asked for progress: their ids by token, and their tokens by id. */
  readonly #progress = new Map<string, string>()
  readonly #tokens = new Map<string, string>()
  /** Requests of the server and the stream each was sent on. */
  readonly #asked = new Map<string, EventStream>()
  /** GET streams, the newest last. */
  readonly #standing: EventStream[] = []
  readonly #undelivered: Frame[] = []
  #undeliveredBytes = 0
  readonly #unread = new UnreadAnswers(() => this.#pressed())
  #session: Session | null = null
  #initializing: { exchange: Exchange; key: string } | null = null

  constructor(ticker: Ticker) {
    this.#ticker = ticker
  }

  /** Must be called before the first frame is received. */
  bind(session: Session) {
    this.#session = session
    if (!session.isOver) this.#ticker.add(this)
  }

  /** Sends `initialize` on; its answer carries the session key. Without that answer the client could never come back. */
  initialize(frame: Frame, response: ServerResponse, capability: Capability, key: string) {
    const exchange = this.#open(response, 1, false)
    this.#initializing = { exchange, key }
    response.on('close', () => {
      if (!response.headersSent) void this.#session?.close('client')
    })
    this.#request(frame, exchange, capability)
  }

  /** Sends one message or the messages of a batch on. Faults of a batch were answered by the caller, in `answers`. */
  post(frames: readonly Frame[], response: ServerResponse, capability: Capability, batch: { answers: Uint8Array[] } | null) {
    let requests = batch?.answers.length ?? 0
    for (const frame of frames) if (frame.kind === 'request') requests++
    const exchange = requests === 0 ? null : this.#open(response, requests, batch !== null)
    if (exchange !== null) for (const answer of batch?.answers ?? []) exchange.answer(answer)
    for (const frame of frames) {
      if (frame.kind === 'request' && exchange !== null) this.#request(frame, exchange, capability)
      else this.#tell(frame, capability)
    }
    if (exchange === null) response.writeHead(202, ['Content-Length', '0']).end()
  }

  /** Opens a stream for what belongs to no request. What had to wait for one is sent first. */
  listen(response: ServerResponse) {
    const stream = this.openStream()
    stream.attach(response, this.nowMs(), [], this.#isPrimed())
    this.#standing.push(stream)
    if (this.#standing.length > standingMax) this.#standing.shift()?.end()
    this.#deliverWaiting(stream)
  }

  /** Goes on with a stream whose connection broke. False where the event id is none of this session’s. */
  resume(response: ServerResponse, eventId: string): boolean {
    const resumed = this.#log.after(eventId)
    if (resumed === null) return false
    resumed.stream.attach(response, this.nowMs())
    resumed.stream.replay(resumed.events)
    if (resumed.stream.isEnded) resumed.stream.end()
    else if (this.#standing.includes(resumed.stream)) this.#deliverWaiting(resumed.stream)
    return true
  }

  deliver(frame: Frame) {
    if (frame.kind === 'response') return this.#answer(frame)
    const method = frame.method as string
    if (method === 'notifications/cancelled') {
      const idKey = keyOfToken(frame.message.params?.['requestId'])
      const stream = idKey === null ? undefined : this.#asked.get(idKey)
      if (idKey !== null) this.#asked.delete(idKey)
      if (stream?.isLive) return stream.send(frame.bytes, this.nowMs())
    }
    if (method === 'notifications/progress' && frame.progressKey !== null) {
      const exchange = this.#exchanges.get(this.#progress.get(frame.progressKey) ?? '')
      if (exchange?.isReachable) return this.#sendOn(exchange, frame)
    }
    const standing = this.#standing.findLast(stream => stream.isLive)
    const exchange = this.#newestLive()
    if (standing !== undefined && (exchange === null || standingMethods.has(method))) return this.#send(standing, frame)
    if (exchange !== null) return this.#sendOn(exchange, frame)
    this.#keep(frame)
  }

  ended(): void {
    this.#ticker.delete(this)
    for (const exchange of new Set(this.#exchanges.values())) exchange.end()
    for (const stream of this.#standing) stream.end()
    this.#exchanges.clear()
    this.#progress.clear()
    this.#tokens.clear()
    this.#undelivered.length = 0
  }

  tick(nowMs: number): void {
    for (const exchange of this.#exchanges.values()) exchange.tick(nowMs)
    for (const stream of this.#standing) stream.keepAlive(nowMs)
  }

  nowMs(): number {
    return this.#ticker.nowMs()
  }

  openStream(): EventStream {
    return new EventStream(this.#log, this.#pressed)
  }

  headersOf(exchange: Exchange): readonly string[] {
    return this.#initializing?.exchange === exchange ? ['Mcp-Session-Id', this.#initializing.key] : noHeaders
  }

  primes(exchange: Exchange): boolean {
    return this.#initializing?.exchange !== exchange && this.#isPrimed()
  }

  answering(response: ServerResponse): void {
    this.#unread.add(response)
  }

  /** Events with no data came with 2025-11-25; older clients would try to parse them. */
  #isPrimed(): boolean {
    return (this.#session?.row.protocolVersion ?? '') >= '2025-11-25'
  }

  #open(response: ServerResponse, requests: number, isBatch: boolean): Exchange {
    return new Exchange(this, response, requests, isBatch)
  }

  #request(frame: Frame, exchange: Exchange, capability: Capability): void {
    const idKey = frame.idKey as string
    // Asked before the session is, which would say the same, because the open one must keep its exchange.
    if (this.#exchanges.has(idKey)) {
      exchange.answer(writeError(idTextOf(frame), duplicateId), 400)
      return
    }
    this.#exchanges.set(idKey, exchange)
    if (frame.progressKey !== null) {
      this.#progress.set(frame.progressKey, idKey)
      this.#tokens.set(idKey, frame.progressKey)
    }
    const refused = this.#session?.receive(frame, capability)
    if (refused) {
      this.#forget(idKey)
      exchange.answer(writeError(idTextOf(frame), rpcErrorOf(refused)))
    }
  }

  #tell(frame: Frame, capability: Capability): ConductorError | null {
    if (frame.kind === 'response' && frame.idKey !== null) this.#asked.delete(frame.idKey)
    const refused = this.#session?.receive(frame, capability) ?? null
    if (refused === null && frame.method === 'notifications/cancelled') {
      const idKey = keyOfToken(frame.message.params?.['requestId'])
      const exchange = idKey === null ? undefined : this.#exchanges.get(idKey)
      // Nobody may answer a cancelled request any more, so its response ends here.
      if (idKey !== null && exchange !== undefined && exchange !== this.#initializing?.exchange) {
        this.#forget(idKey)
        exchange.skip()
      }
    }
    return refused
  }

  #answer(frame: Frame): void {
    const idKey = frame.idKey
    const exchange = idKey === null ? undefined : this.#exchanges.get(idKey)
    if (idKey === null || exchange === undefined) return
    this.#forget(idKey)
    if (!exchange.answer(frame.bytes)) this.#session?.note({ name: 'client.gone', request: idTextOf(frame) })
  }

  #forget(idKey: string): void {
    this.#exchanges.delete(idKey)
    const token = this.#tokens.get(idKey)
    if (token === undefined) return
    this.#tokens.delete(idKey)
    if (this.#progress.get(token) === idKey) this.#progress.delete(token)
  }

  #newestLive(): Exchange | null {
    let newest: Exchange | null = null
    for (const exchange of this.#exchanges.values()) if (exchange.isLive) newest = exchange
    return newest
  }

  #sendOn(exchange: Exchange, frame: Frame): void {
    const stream = exchange.becomeStream()
    if (stream === null) this.#keep(frame)
    else this.#send(stream, frame)
  }

  #send(stream: EventStream, frame: Frame): void {
    if (frame.kind === 'request') this.#asked.set(frame.idKey as string, stream)
    stream.send(frame.bytes, this.nowMs())
  }

  #deliverWaiting(stream: EventStream): void {
    this.#undeliveredBytes = 0
    for (const frame of this.#undelivered.splice(0)) this.#send(stream, frame)
  }

  /** Kept until a stream comes. When that takes too long the oldest is given up; a request then fails at the server. */
  #keep(frame: Frame): void {
    this.#undelivered.push(frame)
    this.#undeliveredBytes += frame.bytes.length
    while (this.#undelivered.length > undeliveredMax || this.#undeliveredBytes > undeliveredBytesMax) {
      const lost = this.#undelivered.shift() as Frame
      this.#undeliveredBytes -= lost.bytes.length
      if (lost.kind === 'request') this.#session?.decline(lost, rpcErrorOf(undeliverable))
    }
  }

  readonly #pressed = (): void => {
    let queued = this.#unread.queuedBytes
    for (const exchange of this.#exchanges.values()) queued += exchange.stream?.queuedBytes ?? 0
    for (const stream of this.#standing) queued += stream.queuedBytes
    this.#session?.flow(queued)
  }
}

const undeliverable = new ConductorError('session_overloaded', 'The client has no stream open, and too much waits for one.')

const duplicateId = { code: -32600, message: 'A request with this id is open already.', data: { code: 'frame_invalid' } }

const noHeaders: readonly string[] = []
