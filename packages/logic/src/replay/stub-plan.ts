import { type Frame, keyOfToken, readFrame } from '../frame/read-frame.ts'
import { isBatch, splitBatch } from '../frame/split-batch.ts'
import type { Recording } from '../recording/read.ts'
import { canonicalText, isJsonObject, type Json, parseFrame } from './canonical.ts'

/** What the server did because of one thing the client said, in the order it did it. */
export interface Cue {
  kind: 'request' | 'notification'
  method: string
  /** Tool or prompt name. */
  name: string | null
  /** Parameters without `_meta`, as they are compared. */
  params: Json
  /** Method and canonical parameters: what makes two calls the same call. */
  key: string
  /** Among the requests (or the notifications) of the tape. */
  position: number
  /** Of the frame on the tape. */
  ordinal: number
  steps: CueStep[]
}

export type CueStep =
  | { do: 'say'; frame: Frame }
  /** The server waited here for the client’s answer to a question it had asked. */
  | { do: 'await'; question: string; answer: Json | undefined }
  /** The tape ends, or the server did, before the answer came. */
  | { do: 'fail' }

export interface StubPlan {
  /** What the server said before it was asked anything. */
  opening: Frame[]
  requests: Cue[]
  notifications: Cue[]
}

/** Who is asked, not what: a client other than the recorded one introduces itself in its own words. */
const methodsWithoutKey = new Set(['initialize'])

/** Reads from a tape what a stub is to say when. Frames that are no JSON-RPC are left out: nobody could have understood them. */
export function planStub(recording: Recording): StubPlan {
  const plan: StubPlan = { opening: [], requests: [], notifications: [] }
  const open = new Map<string, Cue>()
  const newestOpen: Cue[] = []
  const closed = new Set<Cue>()
  const byProgress = new Map<string, Cue>()
  const questions = new Map<string, { cue: Cue; question: string }>()
  let latest: Cue | null = null

  const hear = (frame: Frame, ordinal: number) => {
    if (frame.kind === 'response') {
      const asked = questions.get(frame.idKey ?? '')
      if (!asked) return
      questions.delete(frame.idKey!)
      asked.cue.steps.push({ do: 'await', question: asked.question, answer: answerOf(frame) })
      return
    }
    const list = frame.kind === 'request' ? plan.requests : plan.notifications
    const cue = cueOf(frame, list.length, ordinal)
    list.push(cue)
    latest = cue
    if (frame.kind === 'request') {
      open.set(frame.idKey!, cue)
      newestOpen.push(cue)
      if (frame.progressKey !== null) byProgress.set(frame.progressKey, cue)
    } else if (frame.method === 'notifications/cancelled') {
      close(keyOfToken(frame.message.params?.['requestId']))
    }
  }

  const close = (idKey: string | null) => {
    const cue = open.get(idKey ?? '')
    if (!cue) return
    open.delete(idKey!)
    closed.add(cue)
  }

  const say = (frame: Frame) => {
    const cue = ownerOf(frame)
    // Progress of nothing, an answer to nothing: the client could not have used it.
    if (cue === undefined) return
    if (cue === null) {
      plan.opening.push(frame)
      return
    }
    cue.steps.push({ do: 'say', frame })
    if (frame.kind === 'response') close(frame.idKey)
    if (frame.kind === 'request') questions.set(frame.idKey!, { cue, question: frame.idKey! })
  }

  /** The request it names, else the newest that is open, else what the client said last; null before it said anything. */
  const ownerOf = (frame: Frame): Cue | null | undefined => {
    if (frame.kind === 'response') return open.get(frame.idKey ?? '')
    if (frame.method === 'notifications/progress') return byProgress.get(frame.progressKey ?? '')
    while (newestOpen.length > 0 && closed.has(newestOpen.at(-1)!)) newestOpen.pop()
    return newestOpen.at(-1) ?? latest
  }

  for (const record of recording.records) {
    if (record.kind !== 'frame') continue
    for (const frame of framesOf(record.bytes)) {
      if (record.direction === 'inward') hear(frame, record.ordinal)
      else say(frame)
    }
  }
  // A listener has no answer while it listens; anything else that was left open met the end of the tape.
  for (const cue of open.values()) if (cue.method !== 'subscriptions/listen') cue.steps.push({ do: 'fail' })
  return plan
}

/** A request or notification as it is looked up by. */
export function cueOf(frame: Frame, position: number, ordinal: number): Cue {
  const method = frame.method!
  const params = methodsWithoutKey.has(method) ? null : paramsOf(frame)
  return {
    kind: frame.kind === 'request' ? 'request' : 'notification',
    method,
    name: frame.name,
    params,
    key: `${method} ${canonicalText(params)}`,
    position,
    ordinal,
    steps: [],
  }
}

/** Result or error of a client’s answer, without `_meta`. */
export function answerOf(frame: Frame): Json | undefined {
  const message = parseFrame(frame.bytes)
  if (!isJsonObject(message)) return undefined
  const result = message['result']
  return isJsonObject(result) ? withoutMeta(result) : (result ?? message['error'])
}

function framesOf(bytes: Uint8Array): Frame[] {
  const parts = isBatch(bytes) ? splitBatch(bytes) : [bytes]
  if (!Array.isArray(parts)) return []
  return parts.map(readFrame).filter(frame => frame.kind !== 'fault')
}

function paramsOf(frame: Frame): Json {
  const message = parseFrame(frame.bytes)
  // What has no canonical form (doubled keys) is the same only when its bytes are.
  if (!isJsonObject(message)) return new TextDecoder('latin1').decode(frame.bytes)
  const params = message['params']
  return isJsonObject(params) ? withoutMeta(params) : (params ?? null)
}

function withoutMeta(object: { [key: string]: Json }): Json {
  const copy: { [key: string]: Json } = Object.create(null)
  for (const key of Object.keys(object)) if (key !== '_meta') copy[key] = object[key]!
  return copy
}
