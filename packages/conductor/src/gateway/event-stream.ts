import type { ServerResponse } from 'node:http'
import type { ResumeLog } from './resume-log.ts'

/** How long an event stream stays silent before a comment shows the network that it lives. */
export const keepAliveMs = 15_000

/**
 * One stream of server-sent events, which may outlive the connection that carries it: with a log, its events are numbered
 * and kept, and a later connection goes on where the first broke off.
 * https://html.spec.whatwg.org/multipage/server-sent-events.html
 */
export class EventStream {
  readonly id: string
  readonly #log: ResumeLog | null
  readonly #pressed: () => void
  #response: ServerResponse | null = null
  #count = 0
  #lastWriteMs = 0
  isEnded = false

  /** `pressed` is called when a client stops reading and when it reads again. */
  constructor(log: ResumeLog | null, pressed: () => void) {
    this.#log = log
    this.#pressed = pressed
    this.id = log === null ? '' : log.open(this)
  }

  /** Sends the head at once, then whatever comes. A primed stream begins with an empty event that only carries an id. */
  attach(response: ServerResponse, nowMs: number, headers: readonly string[] = [], primed = false): void {
    this.#response?.end()
    this.#response = response
    this.#lastWriteMs = nowMs
    response.writeHead(200, [...streamHeaders, ...headers])
    response.on('drain', this.#pressed)
    response.on('close', this.#pressed)
    if (primed && this.#log !== null) response.write(`id: ${this.id}-${this.#count}\ndata: \n\n`)
    else response.flushHeaders()
  }

  /** Events that were missed, as they were first sent. */
  replay(events: readonly Uint8Array[]): void {
    for (const event of events) this.#response?.write(event)
    this.#pressed()
  }

  /** Whether somebody listens right now. */
  get isLive(): boolean {
    return this.#response !== null && !this.#response.destroyed
  }

  /** Bytes the client has not taken from us yet. */
  get queuedBytes(): number {
    return this.isLive ? (this.#response?.writableLength ?? 0) : 0
  }

  /** Sends a message, which must be on one line. */
  send(line: Uint8Array, nowMs: number): void {
    if (this.isEnded) return
    const number = ++this.#count
    const head = this.#log === null ? 'data: ' : `id: ${this.id}-${number}\ndata: `
    const event = Buffer.allocUnsafe(head.length + line.length + 2)
    event.write(head, 0, 'latin1')
    event.set(line, head.length)
    event.write('\n\n', head.length + line.length, 'latin1')
    this.#log?.append(this, number, event)
    if (!this.isLive) return
    this.#lastWriteMs = nowMs
    if (this.#response?.write(event) === false) this.#pressed()
  }

  keepAlive(nowMs: number): void {
    if (!this.isLive || this.isEnded || nowMs - this.#lastWriteMs < keepAliveMs) return
    this.#lastWriteMs = nowMs
    this.#response?.write(': keep-alive\n\n')
  }

  /** Nothing more will come. Safe to call twice. */
  end(): void {
    this.isEnded = true
    this.#response?.end()
  }

  /** Ends the connection that carries it; the stream itself goes on in the log. */
  detach(): void {
    this.#response?.end()
    this.#response = null
  }
}

const streamHeaders = ['Content-Type', 'text/event-stream', 'Cache-Control', 'no-cache, no-transform', 'X-Accel-Buffering', 'no']
