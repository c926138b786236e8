import type { FrameRecord } from '@maestro/contract'
import type { Row, Timeline } from './timeline.ts'

const utf8 = new TextDecoder()
const strictUtf8 = new TextDecoder('utf-8', { fatal: true })
const texts = new WeakMap<Uint8Array, string>()

/** The frame as text, for search and display; what is no UTF-8 is replaced. */
export function textOf(frame: FrameRecord): string {
  let text = texts.get(frame.bytes)
  if (text === undefined) {
    text = utf8.decode(frame.bytes)
    texts.set(frame.bytes, text)
  }
  return text
}

/** Whether the bytes are text that can be shown as it is. */
export function isText(bytes: Uint8Array): boolean {
  try {
    return !/[\x00-\x08\x0b\x0c\x0e-\x1f]/.test(strictUtf8.decode(bytes))
  } catch {
    return false
  }
}

/** 16 bytes a line, with offsets and the printable characters beside them. */
export function hexOf(bytes: Uint8Array): string {
  const lines: string[] = []
  for (let offset = 0; offset < bytes.length; offset += 16) {
    const part = [...bytes.subarray(offset, offset + 16)]
    const hex = part.map(byte => byte.toString(16).padStart(2, '0')).join(' ')
    const characters = part.map(byte => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '·')).join('')
    lines.push(`${offset.toString(16).padStart(8, '0')}  ${hex.padEnd(47)}  ${characters}`)
  }
  return lines.join('\n')
}

/** Everything of a row that a search looks at. */
export function searchedText(row: Row, timeline: Timeline): string {
  if (row.what.kind === 'event') return JSON.stringify(row.what.record.event)
  if (row.what.kind === 'end') return `end ${row.what.record.reason}`
  const frames = row.what.exchange.frames.map(ordinal => timeline.frames.get(ordinal))
  const { error } = row.what.exchange
  return [row.method, error?.message ?? '', ...frames.map(frame => (frame ? textOf(frame) : ''))].join('\n')
}

/** Ids of the rows that contain the text, in order. Case does not matter. */
export function findRows(timeline: Timeline, text: string): string[] {
  const wanted = text.toLowerCase()
  return timeline.rows.filter(row => searchedText(row, timeline).toLowerCase().includes(wanted)).map(row => row.id)
}

type Json = Record<string, unknown>

/** The JSON-RPC message at a frame of an exchange: in a batch the one with this number. Undefined where there is none. */
function messageAt(frame: FrameRecord | undefined, pick: (message: Json) => boolean): Json | undefined {
  if (!frame) return undefined
  try {
    const json: unknown = JSON.parse(textOf(frame))
    if (!Array.isArray(json)) return json !== null && typeof json === 'object' ? (json as Json) : undefined
    return json.find(part => part !== null && typeof part === 'object' && pick(part))
  } catch {
    return undefined
  }
}

/** What a row's frames say: `input` is what was asked or told, `output` what was answered. */
export interface Said {
  input: unknown
  output: unknown
  error: unknown
}

const saidBefore = new WeakMap<Row, Said>()

export function saidIn(row: Row, timeline: Timeline): Said {
  const known = saidBefore.get(row)
  if (known) return known
  const said = read(row, timeline)
  saidBefore.set(row, said)
  return said
}

function read(row: Row, timeline: Timeline): Said {
  if (row.what.kind === 'event') return { input: row.what.record.event, output: undefined, error: undefined }
  if (row.what.kind === 'end') {
    const { reason, frames } = row.what.record
    return { input: { reason, frames }, output: undefined, error: undefined }
  }
  const { exchange } = row.what
  const [first, second] = exchange.frames.map(ordinal => timeline.frames.get(ordinal))
  if (exchange.kind === 'orphan') {
    const message = messageAt(first, part => part['id'] === exchange.requestId)
    return { input: undefined, output: message?.['result'], error: message?.['error'] }
  }
  // In a batch the ordinal behind the point says which part began the row.
  const part = exchange.id.includes('.') ? Number(exchange.id.split('.')[1]) : 0
  let index = -1
  const asked = messageAt(first, () => ++index === part)
  const answered = messageAt(second, message => message['id'] === exchange.requestId && !('method' in message))
  return { input: asked?.['params'], output: answered?.['result'], error: answered?.['error'] }
}
