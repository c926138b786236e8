import { oneLine } from './one-line.ts'
import { type Member, membersOf, type Span, skipSpace, skipValue } from './scan.ts'
import { withoutLongStrings } from './without-long-strings.ts'

/** One JSON-RPC message: its bytes as they crossed the wire, and what routing and policy need to know of it. */
export interface Frame {
  readonly kind: 'request' | 'notification' | 'response'
  /** Byte for byte as it came, except that raw line breaks between tokens are spaces. */
  readonly bytes: Uint8Array
  /**
   * The parsed message. No member of the envelope occurs twice, so every parser reads the same envelope. Of a large answer it is made
   * when it is first asked for: most are passed on without.
   */
  readonly message: Message
  /** The members of the envelope and where they are. */
  readonly members: readonly Member[]
  /** Null for notifications, and for an error response to something that had no readable id. */
  readonly id: string | number | null
  /** What requests and responses are matched by: tells 1 from "1", and is exact for integers of any size. */
  readonly idKey: string | null
  /** Where the id is in `bytes`, quotes included. */
  readonly idSpan: Span | null
  readonly method: string | null
  /** `params.name` of tools/call and prompts/get; null where it is no string. */
  readonly name: string | null
  /** `params.uri` of the resources methods; null where it is no string. */
  readonly uri: string | null
  /** Key of `params._meta.progressToken` of a request, or of `params.progressToken` of notifications/progress. */
  readonly progressKey: string | null
  /** Whether a response is an error, or a tool result with `isError`. */
  readonly isError: boolean
}

export type Message = { [member: string]: unknown; params?: { [member: string]: unknown } }

/** What was wrong with bytes that are no frame. `id` is there where the sender can be told which request it was. */
export interface FrameFault {
  readonly kind: 'fault'
  readonly code: 'frame_malformed' | 'frame_invalid'
  readonly message: string
  readonly id: string | number | null
}

/**
 * Reads one JSON-RPC 2.0 message. The bytes are untrusted: whatever they are, the answer is a frame or a fault.
 * `frame_malformed` (-32700) is what is not UTF-8 JSON; `frame_invalid` (-32600) is JSON that is no single message, nests
 * too deep, or says things twice that two parsers could read differently. https://www.jsonrpc.org/specification
 */
export function readFrame(source: Uint8Array): Frame | FrameFault {
  const at = skipSpace(source, 0)
  // Depth and width are bounded before anything is built from them.
  const members = membersOf(source, at)
  if (members === 'unbounded' || (members === 'garbled' && skipValue(source, at) < 0))
    return fault('frame_invalid', 'The message nests too deep or has too many members.')
  const light = members === 'garbled' ? null : lightText(source, members)
  let message: Message
  try {
    message = JSON.parse(light ?? decoder.decode(source)) as Message
  } catch {
    return fault('frame_malformed', 'The message is not JSON in UTF-8.')
  }
  if (members === 'garbled') return fault('frame_invalid', notAnObject(message))
  // Only now: a raw line break inside a string is no JSON, and must not be mended into some. The offsets stay.
  const bytes = oneLine(source)

  let seen = 0
  let idSpan: Member | null = null
  let params: Member | null = null
  for (const member of members) {
    const bit = envelope[member.key]
    if (bit === undefined) {
      if (envelope[folded(member.key)] !== undefined || repeats(members, member)) return ambiguous(member.key)
      continue
    }
    if ((seen & bit) !== 0) return ambiguous(member.key)
    seen |= bit
    if (bit === idBit) idSpan = member
    else if (bit === paramsBit) params = member
  }

  const id = message['id']
  const idKey = idSpan === null ? null : keyOfId(bytes, idSpan, id)
  const knownId = idKey === null ? null : (id as string | number)
  if (message['jsonrpc'] !== '2.0') return fault('frame_invalid', 'The member jsonrpc must be "2.0".', knownId)

  if ((seen & methodBit) !== 0) {
    const method = message['method']
    if (typeof method !== 'string') return fault('frame_invalid', 'The member method must be a string.', knownId)
    if ((seen & (resultBit | errorBit)) !== 0) {
      return fault('frame_invalid', 'A message is a request or a response, not both.', knownId)
    }
    if (idSpan !== null && idKey === null) return fault('frame_invalid', 'The id must be a string or a whole number.')
    if (params !== null) {
      if (typeof message.params !== 'object' || message.params === null || Array.isArray(message.params)) {
        return fault('frame_invalid', 'The member params must be an object.', knownId)
      }
      const twice = ambiguousParameter(bytes, params, method)
      if (twice !== null) return ambiguous(twice, knownId)
    }
    const value = message.params
    return {
      kind: idSpan === null ? 'notification' : 'request',
      bytes,
      message,
      members,
      id: knownId,
      idKey,
      idSpan,
      method,
      name: text(value?.['name']),
      uri: text(value?.['uri']),
      progressKey: value === undefined ? null : progressKeyOf(method, value),
      isError: false,
    }
  }

  const isFailure = (seen & errorBit) !== 0
  if (isFailure === ((seen & resultBit) !== 0)) {
    return fault('frame_invalid', 'A message has a method, a result or an error.', knownId)
  }
  // JSON-RPC lets an error answer have no id where the request could not be read.
  if (idKey === null && !(isFailure && (idSpan === null || id === null))) {
    return fault('frame_invalid', 'A response names the id of its request, a string or a whole number.')
  }
  const result = message['result'] as { isError?: unknown } | null | undefined
  let whole: Message | null = light === null ? message : null
  return {
    kind: 'response',
    bytes,
    get message() {
      whole ??= JSON.parse(decoder.decode(bytes)) as Message
      return whole
    },
    members,
    id: knownId,
    idKey,
    idSpan: idKey === null ? null : idSpan,
    method: null,
    name: null,
    uri: null,
    progressKey: null,
    isError: isFailure || (typeof result === 'object' && result !== null && result.isError === true),
  }
}

/** What judges a large answer in the place of all its text; null for any other message. */
function lightText(source: Uint8Array, members: readonly Member[]): string | null {
  if (source.length < largeBytes || members.some(({ key }) => key === 'method')) return null
  const result = members.find(({ key }) => key === 'result')
  return result === undefined ? null : withoutLongStrings(source, result)
}

const largeBytes = 16 * 1024

/** The key under which an id or a progress token is looked up: numbers as they are written, strings behind a quote. */
export function keyOfToken(token: unknown): string | null {
  if (typeof token === 'string') return `"${token}`
  return typeof token === 'number' ? String(token) : null
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const latin = new TextDecoder('latin1')

const idBit = 2
const methodBit = 4
const paramsBit = 8
const resultBit = 16
const errorBit = 32
const envelope: Readonly<Record<string, number>> = Object.assign(Object.create(null), {
  jsonrpc: 1,
  id: idBit,
  method: methodBit,
  params: paramsBit,
  result: resultBit,
  error: errorBit,
})

/** Parameters that decide where a request goes and whether it may. */
const routing: Readonly<Record<string, readonly string[]>> = Object.assign(Object.create(null), {
  'tools/call': ['name', 'arguments', '_meta'],
  'prompts/get': ['name', 'arguments', '_meta'],
  'resources/read': ['uri', '_meta'],
  'resources/subscribe': ['uri', '_meta'],
  'resources/unsubscribe': ['uri', '_meta'],
})

/**
 * The first parameter of `method` that two parsers could read differently: written twice, or in another case, which
 * some (Go's encoding/json among them) take for the same.
 */
function ambiguousParameter(bytes: Uint8Array, params: Span, method: string): string | null {
  const routed = routing[method]
  if (routed === undefined) return null
  const members = membersOf(bytes, params.start)
  if (typeof members === 'string') return 'params'
  let seen = 0
  for (const { key } of members) {
    const at = routed.indexOf(key)
    if (at < 0) {
      if (routed.includes(folded(key))) return key
      continue
    }
    if ((seen & (1 << at)) !== 0) return key
    seen |= 1 << at
  }
  return null
}

// Upper case first: it also folds the letters that only some parsers fold, such as ſ to s and the Kelvin sign to k.
const folded = (key: string): string => key.toUpperCase().toLowerCase()

function repeats(members: readonly Member[], member: Member): boolean {
  for (const other of members) if (other !== member && other.key === member.key) return true
  return false
}

function keyOfId(bytes: Uint8Array, span: Span, id: unknown): string | null {
  if (typeof id === 'string') return `"${id}`
  if (typeof id !== 'number' || !Number.isInteger(id)) return null
  if (Number.isSafeInteger(id)) return String(id)
  // Beyond 2^53 the number has lost digits: its text is the key, and it must be written as an integer.
  const digits = latin.decode(bytes.subarray(span.start, span.end))
  return /^-?[0-9]{1,64}$/.test(digits) ? digits : null
}

function progressKeyOf(method: string, params: { [member: string]: unknown }): string | null {
  if (method === 'notifications/progress') return keyOfToken(params['progressToken'])
  const meta = params['_meta']
  return typeof meta === 'object' && meta !== null ? keyOfToken((meta as { progressToken?: unknown }).progressToken) : null
}

const text = (value: unknown): string | null => (typeof value === 'string' ? value : null)

const notAnObject = (value: unknown): string =>
  Array.isArray(value) ? 'Batches exist in revision 2025-03-26 only.' : 'A message is a JSON object.'

const fault = (code: FrameFault['code'], message: string, id: string | number | null = null): FrameFault => ({
  kind: 'fault',
  code,
  message,
  id,
})

const ambiguous = (key: string, id: string | number | null = null): FrameFault =>
  fault('frame_invalid', `The member ${JSON.stringify(key.slice(0, 64))} can be read in two ways.`, id)
