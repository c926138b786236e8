import type { Direction } from '@maestro/contract'
import { type Message, messagesOf, progressTokenOf, subscriptionOf } from '../recording/message.ts'
import { createOpenRequests } from '../recording/open-requests.ts'
import type { Recording } from '../recording/read.ts'

/** One frame of a run, recorded or replayed, in the order it was seen. */
export interface TraceFrame {
  direction: Direction
  bytes: Uint8Array
  /** On the tape; null in a replay. */
  ordinal: number | null
}

/** The frames of a tape. What a server printed beside JSON-RPC is an output of it too: a replay must garble the same. */
export function traceOf(recording: Recording): TraceFrame[] {
  const trace: TraceFrame[] = []
  for (const record of recording.records) {
    if (record.kind === 'frame') trace.push({ direction: record.direction, bytes: record.bytes, ordinal: record.ordinal })
    else if (record.kind === 'event' && record.event.name === 'server.garbled') {
      trace.push({ direction: 'outward', bytes: utf8.encode(record.event.text), ordinal: record.ordinal })
    }
  }
  return trace
}

const utf8 = new TextEncoder()

/** What a frame is, independent of when it came: the same thing in two runs has the same key. */
export interface CausalKey {
  /**
   * Of an output: `tools/call#3 response`, `tools/call#3 notifications/progress[0]`, `notifications/message[2]`,
   * `sampling/createMessage[0]`. Of an input: `tools/call#3`, `notifications/initialized[0]`, `answer to roots/list[0]`.
   */
  key: string
  /** Outputs of one stream have an order: those of one request, and those that belong to none. */
  stream: string
  /** Of an output that belongs to no request: the request during which it came, where only one was open. */
  during: string | null
  /** Of an answer of the client: the key of the server’s question. */
  answers?: string
}

export interface Keyer {
  /** Call for every frame of a run in order. */
  keyOf(direction: Direction, bytes: Uint8Array): CausalKey
}

/** The stream of outputs that name no request. */
export const sessionStream = 'session'

/**
 * Gives every frame its causal key: a response belongs to its request; progress to the request that gave the token;
 * a notification of a subscription to the request that opened it; everything else to the session, by method and count.
 * Requests are numbered in the order they were sent, so keys do not depend on ids.
 */
export function createKeyer(): Keyer {
  const asked = createOpenRequests<string>()
  const askedOfClient = createOpenRequests<string>()
  const counts = new Map<string, number>()
  let requests = 0

  const nth = (name: string): number => {
    const count = counts.get(name) ?? 0
    counts.set(name, count + 1)
    return count
  }
  const numbered = (name: string): string => `${name}[${nth(name)}]`

  const inward = (message: Message): CausalKey => {
    if (message.type === 'request') {
      const label = `${message.method}#${requests++}`
      asked.ask(message.id, message.params, label)
      return { key: label, stream: label, during: null }
    }
    if (message.type === 'notification') return { key: numbered(message.method), stream: sessionStream, during: null }
    const question = askedOfClient.answer(message.id)
    if (question === undefined) return { key: numbered('answer to nothing'), stream: sessionStream, during: null }
    return { key: `answer to ${question}`, stream: sessionStream, during: null, answers: question }
  }

  const outward = (message: Message): CausalKey => {
    if (message.type === 'response') {
      const label = asked.answer(message.id)
      if (label !== undefined) return { key: `${label} response`, stream: label, during: null }
      return { key: numbered('response to nothing'), stream: sessionStream, during: asked.only() ?? null }
    }
    const owner = ownerOf(message)
    const key = numbered(owner === undefined ? message.method : `${owner} ${message.method}`)
    if (message.type === 'request') askedOfClient.ask(message.id, message.params, key)
    return { key, stream: owner ?? sessionStream, during: owner === undefined ? (asked.only() ?? null) : null }
  }

  const ownerOf = (message: Message & { type: 'request' | 'notification' }): string | undefined => {
    if (message.method === 'notifications/progress') return asked.ownerOf(progressTokenOf(message.params))
    const subscription = subscriptionOf(message.params)
    return subscription === undefined ? undefined : asked.find(subscription)
  }

  return {
    keyOf(direction, bytes) {
      const keys = messagesOf(bytes).map(direction === 'inward' ? inward : outward)
      // The frame is the unit: a batch is known by its first message.
      return keys[0] ?? { key: numbered(`unreadable ${direction}`), stream: sessionStream, during: null }
    },
  }
}
