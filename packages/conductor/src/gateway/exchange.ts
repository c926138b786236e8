import type { ServerResponse } from 'node:http'
import { answerJson } from './answer.ts'
import type { EventStream } from './event-stream.ts'

/** After so long without an answer a request’s response becomes an event stream, so that no proxy takes it for dead. */
export const quietMsMax = 500

/** What an exchange needs of the side it belongs to. */
export interface ExchangeOwner {
  nowMs(): number
  /** Makes the event stream that an exchange becomes when one JSON answer is not enough. */
  openStream(): EventStream
  /** Headers for the first bytes of the answer. */
  headersOf(exchange: Exchange): readonly string[]
  /** Whether a stream begins with an empty event that only carries an id. */
  primes(exchange: Exchange): boolean
  /** A big answer was handed to the network. */
  answering(response: ServerResponse): void
}

/**
 * One POST and its response: a single JSON body when the answer is the first message for it and comes soon, else an event
 * stream. The decision is taken once, by whichever comes first: the answer, another message, or 500 ms.
 */
export class Exchange {
  readonly response: ServerResponse
  readonly startedMs: number
  readonly #owner: ExchangeOwner
  readonly #isBatch: boolean
  readonly #answers: Uint8Array[] = []
  #waiting: number
  #stream: EventStream | null = null
  isDone = false

  /** `requests` is how many answers it waits for. */
  constructor(owner: ExchangeOwner, response: ServerResponse, requests: number, isBatch: boolean) {
    this.#owner = owner
    this.response = response
    this.startedMs = owner.nowMs()
    this.#waiting = requests
    this.#isBatch = isBatch
  }

  /** Whether what is sent here can still reach the client, now or by resuming. */
  get isReachable(): boolean {
    return !this.isDone && (!this.response.destroyed || (this.#stream !== null && this.#stream.id !== ''))
  }

  get isLive(): boolean {
    return !this.isDone && (this.#stream === null ? !this.response.destroyed : this.#stream.isLive)
  }

  get stream(): EventStream | null {
    return this.#stream
  }

  /** Takes one of the answers it waits for; the last one ends it. Gives whether the client was there to take it. */
  answer(line: Uint8Array, status = 200): boolean {
    if (this.isDone) return false
    const isLast = --this.#waiting <= 0
    if (this.#stream !== null) {
      this.#stream.send(line, this.#owner.nowMs())
      if (isLast) this.end()
      return true
    }
    if (!this.#isBatch) {
      this.#finish(line, status)
    } else {
      this.#answers.push(line)
      if (isLast) this.#finish(joined(this.#answers), status)
    }
    return !this.response.destroyed
  }

  /** Sends another message that belongs to this request. */
  push(line: Uint8Array): void {
    this.becomeStream()?.send(line, this.#owner.nowMs())
  }

  /** Turns the response into an event stream, if it is not one; null where the client went away before it could be. */
  becomeStream(): EventStream | null {
    if (this.#stream !== null) return this.#stream
    if (this.isDone || this.response.destroyed) return null
    this.#stream = this.#owner.openStream()
    const nowMs = this.#owner.nowMs()
    this.#stream.attach(this.response, nowMs, this.#owner.headersOf(this), this.#owner.primes(this))
    for (const line of this.#answers) this.#stream.send(line, nowMs)
    return this.#stream
  }

  /** One of the answers it waits for will not come: its request was cancelled. */
  skip(): void {
    if (--this.#waiting > 0 || this.isDone) return
    if (this.#stream === null && this.#answers.length > 0) this.#finish(joined(this.#answers), 200)
    else this.end()
  }

  tick(nowMs: number): void {
    if (this.#stream !== null) this.#stream.keepAlive(nowMs)
    else if (nowMs - this.startedMs >= quietMsMax) this.becomeStream()
  }

  /** Ends it without the answers that are still missing: nobody waits for them. */
  end(): void {
    if (this.isDone) return
    // An empty event stream is the one answer to a request that has none.
    if (this.#stream === null && !this.response.headersSent) this.becomeStream()
    this.isDone = true
    this.#stream?.end()
  }

  #finish(body: Uint8Array, status: number): void {
    this.isDone = true
    if (this.response.destroyed) return
    answerJson(this.response, status, body, this.#owner.headersOf(this))
    this.#owner.answering(this.response)
  }
}

function joined(answers: readonly Uint8Array[]): Uint8Array {
  const parts: Uint8Array[] = []
  for (const answer of answers) parts.push(parts.length === 0 ? openBracket : comma, answer)
  return Buffer.concat([...parts, closeBracket])
}

const openBracket = Buffer.from('[')
const comma = Buffer.from(',')
const closeBracket = Buffer.from(']')
