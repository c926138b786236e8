/** What the JSON parts of a recording must look like. A recording is untrusted: nothing is believed before it was looked at. */
import { parseId, type RecordingHeader, type TapeEvent } from '@maestro/contract'

type Check = (value: unknown) => boolean
type Shape = Readonly<Record<string, Check>>

const text: Check = value => typeof value === 'string'
const count: Check = value => Number.isSafeInteger(value) && (value as number) >= 0
const number: Check = value => typeof value === 'number'
const flag: Check = value => typeof value === 'boolean'
const orNull =
  (check: Check): Check =>
  value =>
    value === null || check(value)
const listOf =
  (check: Check): Check =>
  value =>
    Array.isArray(value) && value.every(check)
const idOf =
  (prefix: Parameters<typeof parseId>[0]): Check =>
  value =>
    typeof value === 'string' && parseId(prefix, value) !== null

/** A member that may be left out. */
const optional =
  (check: Check): Check =>
  value =>
    value === undefined || check(value)
const pair: Check = value => Array.isArray(value) && value.length === 2 && value.every(text)
const body: Check = value => firstWrong(value, { bytes: count, digest: text, text: orNull(text), cut: flag }) === null

const headerShape: Shape = {
  session: idOf('ses'),
  tenant: idOf('ten'),
  deployment: idOf('dep'),
  deploymentName: text,
  release: idOf('rel'),
  releaseName: text,
  releaseVersion: text,
  digest: text,
  era: value => value === 'session' || value === 'stateless',
  driver: text,
  sandbox: orNull(idOf('sbx')),
  args: listOf(text),
  envNames: listOf(text),
  egress: listOf(text),
  runtime: orNull(text),
  conductorVersion: text,
  openedAt: count,
}

const eventShapes: Readonly<Record<TapeEvent['name'], Shape>> = {
  'lease.granted': { warm: flag, waitMs: number, startMs: number },
  'session.hibernated': { how: text },
  'session.resumed': { how: text, warm: flag, ms: number },
  'server.stderr': { text },
  'server.garbled': { text, bytes: count },
  'server.exited': { code: orNull(number), signal: orNull(text), reason: text },
  'client.received': { frame: count },
  'client.gone': { request: text },
  'policy.denied': { code: text, method: text, tool: orNull(text) },
  egress: { host: text, port: count, outcome: text, connection: optional(count) },
  'egress.closed': { connection: count, host: text, port: count, upBytes: count, downBytes: count, ms: count, reason: text },
  'egress.exchange': {
    connection: count,
    method: text,
    url: text,
    status: count,
    ms: count,
    requestHeaders: listOf(pair),
    responseHeaders: listOf(pair),
    requestBody: body,
    responseBody: body,
  },
}

/** The header, or the name of the first member that is not as it must be. */
export function headerOf(value: unknown): RecordingHeader | { wrong: string } {
  const wrong = firstWrong(value, headerShape)
  return wrong === null ? (value as RecordingHeader) : { wrong }
}

/** The event, `unknown` for a name this version does not have, or null where it is not an event at all. */
export function eventOf(value: unknown): TapeEvent | 'unknown' | null {
  const name = isObject(value) ? value['name'] : undefined
  if (typeof name !== 'string') return null
  if (!Object.hasOwn(eventShapes, name)) return 'unknown'
  return firstWrong(value, eventShapes[name as TapeEvent['name']]) === null ? (value as TapeEvent) : null
}

export function endOf(value: unknown): { reason: string; frames: number } | null {
  return firstWrong(value, { reason: text, frames: count }) === null ? (value as { reason: string; frames: number }) : null
}

function firstWrong(value: unknown, shape: Shape): string | null {
  if (!isObject(value)) return 'itself'
  for (const [name, check] of Object.entries(shape)) {
    if (!check(Object.hasOwn(value, name) ? value[name] : undefined)) return name
  }
  return null
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
