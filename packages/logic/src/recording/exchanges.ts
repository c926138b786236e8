import type { Direction, TapeEvent } from '@maestro/contract'
import { type Message, messagesOf, progressTokenOf, subscriptionOf } from './message.ts'
import { createOpenRequests, type OpenRequests } from './open-requests.ts'
import type { Recording } from './read.ts'
import { isObject } from './shape.ts'

/**
 * One row of a session’s timeline: a request with its answer and what happened because of it, a notification,
 * a response that nobody asked for, or a call that policy denied. Times are microseconds since the tape was opened.
 */
export interface Exchange {
  /** `f<ordinal>` of the frame it began with (`f<ordinal>.<n>` inside a batch), `e<ordinal>` of an event: the same at every reading. */
  id: string
  kind: 'request' | 'notification' | 'orphan' | 'garbled' | 'denied'
  /** Of the frame it began with: who asked or told. */
  direction: Direction
  /** JSON-RPC method; empty for an orphan response and a frame that is not JSON-RPC. */
  method: string
  /** Tool of a `tools/call`. */
  tool: string | null
  /** JSON-RPC id as it stands in the frame. */
  requestId: string | number | null
  state: ExchangeState
  startUs: number
  /** Of the answer; of the frame itself where none is due; null while open. */
  endUs: number | null
  /** Ordinals: the first frame and, once there, the answer; none for a denied call, which never reached the tape as a frame. */
  frames: number[]
  /** JSON-RPC error of the answer, or the code of the denial. */
  error: { code: number | null; message: string } | null
  /**
   * What the time went on, as far as the tape shows. In order, without overlap. A session waits for its sandbox before
   * the tape is there, so that the first request’s `waiting` may begin before its `startUs`, and before 0.
   */
  spans: ExchangeSpan[]
  /** Progress, notifications and requests of the other side while this one was open. */
  children: Exchange[]
}

export type ExchangeState = 'ok' | 'error' | 'tool_error' | 'open' | 'cancelled'

export interface ExchangeSpan {
  /**
   * `waiting`: for a sandbox. `working`: the server had it. `asking`: the server waited for the client’s answer.
   * `delivering`: from the answer until the client had it.
   */
  kind: 'waiting' | 'working' | 'asking' | 'delivering'
  startUs: number
  endUs: number
}

type Open = Readonly<Record<Direction, OpenRequests<Exchange>>>

/** Pairs the frames of a tape into timeline rows, oldest first. Pure: viewer, command line and replay see the same rows. */
export function exchangesOf(recording: Recording): Exchange[] {
  const rows: Exchange[] = []
  /** By the direction they were asked in. */
  const open: Open = { inward: createOpenRequests(), outward: createOpenRequests() }
  let granted: { atUs: number; waitUs: number } | null = null
  const receivedUs = new Map<number, number>()
  let lastUs = 0

  for (const record of recording.records) {
    lastUs = record.monotonicUs
    if (record.kind === 'end') continue
    if (record.kind === 'event') {
      const { event, monotonicUs } = record
      if (event.name === 'lease.granted') granted ??= { atUs: monotonicUs, waitUs: event.waitMs * 1000 }
      if (event.name === 'client.received') receivedUs.set(event.frame, monotonicUs)
      if (event.name === 'client.gone') markGone(open.inward, event)
      if (event.name === 'policy.denied') rows.push(deniedRow(event, record.ordinal, monotonicUs))
      continue
    }
    const { direction, ordinal, monotonicUs } = record
    const messages = messagesOf(record.bytes)
    if (messages.length === 0) rows.push(rowOf(`f${ordinal}`, 'garbled', direction, ordinal, monotonicUs))
    for (const [index, message] of messages.entries()) {
      const id = messages.length === 1 ? `f${ordinal}` : `f${ordinal}.${index}`
      if (message.type === 'response') {
        const asked = open[opposite(direction)].answer(message.id)
        if (asked) answer(asked, message, ordinal, monotonicUs)
        else {
          const row = rowOf(id, 'orphan', direction, ordinal, monotonicUs)
          row.requestId = message.id
          row.error = message.error
          if (message.error) row.state = 'error'
          rows.push(row)
        }
        continue
      }
      const row = rowOf(id, message.type, direction, ordinal, monotonicUs)
      row.method = message.method
      const parent = parentOf(message, direction, open)
      ;(parent?.children ?? rows).push(row)
      if (message.type === 'request') {
        row.requestId = message.id
        row.state = 'open'
        row.endUs = null
        row.tool = toolOf(message)
        open[direction].ask(message.id, message.params, row)
      }
      if (message.method === 'notifications/cancelled') markCancelled(open[direction], message.params)
    }
  }
  for (const row of rows) addSpans(row, { receivedUs, lastUs })
  const first = rows.find(row => row.kind === 'request' && row.direction === 'inward')
  if (granted && first) addWait(first, granted)
  return rows
}

function rowOf(id: string, kind: Exchange['kind'], direction: Direction, ordinal: number, atUs: number): Exchange {
  return {
    id,
    kind,
    direction,
    method: '',
    tool: null,
    requestId: null,
    state: kind === 'garbled' ? 'error' : 'ok',
    startUs: atUs,
    endUs: atUs,
    frames: [ordinal],
    error: null,
    spans: [],
    children: [],
  }
}

function deniedRow(event: TapeEvent & { name: 'policy.denied' }, ordinal: number, atUs: number): Exchange {
  const row = rowOf(`e${ordinal}`, 'denied', 'inward', ordinal, atUs)
  return {
    ...row,
    method: event.method,
    tool: event.tool,
    state: 'error',
    frames: [],
    error: { code: null, message: event.code },
  }
}

const opposite = (direction: Direction): Direction => (direction === 'inward' ? 'outward' : 'inward')

function toolOf(message: Message & { type: 'request' }): string | null {
  if (message.method !== 'tools/call' || !isObject(message.params)) return null
  return typeof message.params['name'] === 'string' ? message.params['name'] : null
}

function answer(row: Exchange, response: Message & { type: 'response' }, ordinal: number, atUs: number): void {
  row.frames.push(ordinal)
  row.endUs = atUs
  row.error = response.error
  // An answer that crossed its cancellation is no use to who cancelled.
  if (row.state === 'cancelled') return
  if (response.error) row.state = 'error'
  else row.state = isObject(response.result) && response.result['isError'] === true ? 'tool_error' : 'ok'
}

/**
 * Whose child this is: the request that gave its progress token, the subscription it serves, the
 * request it cancels, else, for what a server says,
 * the newest request that is open. What a client says while a request runs stands for itself.
 */
function parentOf(message: Message, direction: Direction, open: Open): Exchange | undefined {
  if (message.type === 'response') return undefined
  const asked = open[opposite(direction)]
  if (message.method === 'notifications/progress') {
    const owner = asked.ownerOf(progressTokenOf(message.params))
    if (owner) return owner
  }
  const subscription = subscriptionOf(message.params)
  const listener = subscription === undefined ? undefined : asked.find(subscription)
  if (listener) return listener
  if (message.method === 'notifications/cancelled') return cancelledBy(open[direction], message.params)
  return direction === 'outward' ? asked.newest() : undefined
}

const cancelledBy = (open: OpenRequests<Exchange>, params: unknown): Exchange | undefined =>
  open.find(isObject(params) ? params['requestId'] : undefined)

function markCancelled(open: OpenRequests<Exchange>, params: unknown): void {
  const cancelled = cancelledBy(open, params)
  if (cancelled) cancelled.state = 'cancelled'
}

/** The event names the request by its id as JSON (`7`, `"a"`); a bare string is taken for a string id. */
function markGone(open: OpenRequests<Exchange>, { request }: TapeEvent & { name: 'client.gone' }): void {
  const gone = open.find(request) ?? open.find(jsonOr(request))
  if (gone) gone.state = 'cancelled'
}

function jsonOr(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

interface Clock {
  receivedUs: ReadonlyMap<number, number>
  lastUs: number
}

function addSpans(row: Exchange, clock: Clock): void {
  for (const child of row.children) addSpans(child, clock)
  if (row.kind !== 'request') return
  const endUs = row.endUs ?? clock.lastUs
  let atUs = row.startUs
  const until = (kind: ExchangeSpan['kind'], stopUs: number) => {
    const stop = Math.min(Math.max(stopUs, atUs), endUs)
    if (stop > atUs) row.spans.push({ kind, startUs: atUs, endUs: stop })
    atUs = stop
  }
  if (row.direction === 'inward') {
    for (const child of row.children) {
      if (child.kind !== 'request' || child.direction !== 'outward') continue
      until('working', child.startUs)
      until('asking', child.endUs ?? endUs)
    }
    until('working', endUs)
  } else {
    until('asking', endUs)
  }
  const receivedUs = row.frames[1] === undefined ? undefined : clock.receivedUs.get(row.frames[1])
  if (receivedUs !== undefined && receivedUs > endUs) row.spans.push({ kind: 'delivering', startUs: endUs, endUs: receivedUs })
}

/** The lease is the session’s, so its wait is the first request’s. What ran before the grant was no work of the server. */
function addWait(row: Exchange, granted: { atUs: number; waitUs: number }): void {
  if (!(granted.waitUs > 0)) return
  const later = row.spans
    .filter(span => span.endUs > granted.atUs)
    .map(span => ({ ...span, startUs: Math.max(span.startUs, granted.atUs) }))
  row.spans = [{ kind: 'waiting', startUs: Math.round(granted.atUs - granted.waitUs), endUs: granted.atUs }, ...later]
}
