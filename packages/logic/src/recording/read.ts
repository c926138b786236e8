import { ConductorError, type EndRecord, type RecordingHeader, recordingVersion, type TapeRecord } from '@maestro/contract'
import { crc32 } from './crc32.ts'
import {
  bodyBytesMax,
  bodyBytesMin,
  directionCodes,
  headBytes,
  jsonBytesMax,
  kindCodes,
  magic,
  preambleBytes,
  type RawRecord,
} from './layout.ts'
import { endOf, eventOf, headerOf } from './shape.ts'
import { isKnownVersion, upgrade } from './upgrade.ts'

export interface Recording {
  /** Format version of the file; what is below is already lifted to this program’s version. */
  version: number
  header: RecordingHeader
  /** Everything behind the header in tape order, the end record included. Frames are views into the file’s bytes. */
  records: TapeRecord[]
  end: EndRecord | null
  /** Whether the tape was sealed and every record of it was read. */
  complete: boolean
  /** Bytes behind the last whole record, where the file was cut off. 0 for a damaged one: see `damage`. */
  tornBytes: number
  /** The first record that is whole but wrong. What lies behind it is not read: its place in the order is unknown. */
  damage: Damage | null
  /** Events of a name this program does not know, left out of `records`. */
  eventsUnknown: number
}

export interface Damage {
  /** Of the record in the file. */
  offset: number
  /** From there to the end of the file. */
  bytes: number
  because: 'head' | 'length' | 'checksum' | 'kind' | 'order' | 'content' | 'after_end'
}

/** One step through the file: a record and where the next begins, or why there is none. */
export type ReadStep = { record: RawRecord; next: number } | { torn: true } | { damage: Damage['because'] }

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Reads a recording, sealed, cut off or still being written. The bytes are untrusted: whatever they are, this
 * returns what can be read or throws `recording_unreadable` (no header, not a recording, or of a newer format).
 */
export function readRecording(bytes: Uint8Array): Recording {
  const version = readVersion(bytes)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const first = readRecord(bytes, preambleBytes, view)
  if ('torn' in first) throw unreadable('It was cut off inside its header.')
  if ('damage' in first) throw unreadable('Its header is damaged.')
  const header = readHeader(upgrade(first.record, version))

  const recording: Recording = {
    version,
    header,
    records: [],
    end: null,
    complete: false,
    tornBytes: 0,
    damage: null,
    eventsUnknown: 0,
  }
  let offset = first.next
  const tally = { ordinal: 0, frames: 0, monotonicUs: 0 }
  while (offset < bytes.length) {
    const step: ReadStep = recording.end ? { damage: 'after_end' } : readRecord(bytes, offset, view)
    if ('torn' in step) {
      recording.tornBytes = bytes.length - offset
      return recording
    }
    const damage = 'damage' in step ? step.damage : accept(recording, upgrade(step.record, version), tally)
    if (damage !== null) {
      recording.damage = { offset, bytes: bytes.length - offset, because: damage }
      return recording
    }
    offset = (step as { next: number }).next
  }
  recording.complete = recording.end !== null
  return recording
}

/** Version of the file, from its first bytes. Throws `recording_unreadable`. */
export function readVersion(bytes: Uint8Array): number {
  if (bytes.length < preambleBytes || magic.some((byte, index) => bytes[index] !== byte)) {
    throw unreadable('It does not begin as a recording does.')
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, preambleBytes)
  const version = view.getUint16(8, true)
  if (!isKnownVersion(version)) {
    throw unreadable(`It is of format version ${version}; this program reads up to ${recordingVersion}.`)
  }
  if (view.getUint16(10, true) !== 0) throw unreadable('It uses a feature that its version does not have.')
  return version
}

/** Reads the record at `offset`. Judges bytes only: lengths, checksums, ranges. */
export function readRecord(
  bytes: Uint8Array,
  offset: number,
  view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
): ReadStep {
  const left = bytes.length - offset
  if (left < headBytes) return { torn: true }
  const length = view.getUint32(offset, true)
  if (crc32(bytes.subarray(offset, offset + 8)) !== view.getUint32(offset + 8, true)) {
    // A file system that lost power may show a longer file with zeros where the data never arrived.
    return isZero(bytes, offset) ? { torn: true } : { damage: 'head' }
  }
  if (length < bodyBytesMin || length > bodyBytesMax) return { damage: 'length' }
  if (left < headBytes + length) return { torn: true }
  const start = offset + headBytes
  const next = start + length
  if (crc32(bytes.subarray(start, next)) !== view.getUint32(offset + 4, true)) return { damage: 'checksum' }
  const wallUs = getUint64(view, start + 8)
  const monotonicUs = getUint64(view, start + 16)
  if (!Number.isSafeInteger(wallUs) || !Number.isSafeInteger(monotonicUs)) return { damage: 'content' }
  if (view.getUint16(start + 2, true) !== 0) return { damage: 'content' }
  const record = {
    kind: bytes[start]!,
    direction: bytes[start + 1]!,
    ordinal: view.getUint32(start + 4, true),
    wallUs,
    monotonicUs,
    payload: bytes.subarray(start + bodyBytesMin, next),
  }
  return { record, next }
}

function readHeader(raw: RawRecord): RecordingHeader {
  if (raw.kind !== kindCodes.header) throw unreadable('Its first record is not a header.')
  const header = headerOf(parseJson(raw.payload))
  if ('wrong' in header) throw unreadable(`Its header is wrong in \`${header.wrong}\`.`)
  return header
}

/** Puts one record on the recording, or says what is wrong with it. */
function accept(
  recording: Recording,
  raw: RawRecord,
  tally: { ordinal: number; frames: number; monotonicUs: number },
): Damage['because'] | null {
  // A missing, doubled or moved record shows here: its own checksum is right.
  if (raw.ordinal !== tally.ordinal || raw.monotonicUs < tally.monotonicUs) return 'order'
  tally.ordinal++
  tally.monotonicUs = raw.monotonicUs
  const { ordinal, wallUs, monotonicUs } = raw
  if (raw.kind === kindCodes.frame) {
    if (raw.direction !== directionCodes.inward && raw.direction !== directionCodes.outward) return 'content'
    const direction = raw.direction === directionCodes.inward ? 'inward' : 'outward'
    tally.frames++
    recording.records.push({ kind: 'frame', ordinal, wallUs, monotonicUs, direction, bytes: raw.payload })
    return null
  }
  if (raw.kind !== kindCodes.event && raw.kind !== kindCodes.end) return 'kind'
  if (raw.direction !== directionCodes.none) return 'content'
  const json = parseJson(raw.payload)
  if (raw.kind === kindCodes.event) {
    const event = eventOf(json)
    if (event === null) return 'content'
    if (event === 'unknown') recording.eventsUnknown++
    else recording.records.push({ kind: 'event', ordinal, wallUs, monotonicUs, event })
    return null
  }
  const end = endOf(json)
  if (end === null || end.frames !== tally.frames) return 'content'
  recording.end = { kind: 'end', ordinal, wallUs, monotonicUs, reason: end.reason, frames: end.frames }
  recording.records.push(recording.end)
  return null
}

function parseJson(payload: Uint8Array): unknown {
  if (payload.length > jsonBytesMax) return undefined
  try {
    return JSON.parse(strictUtf8.decode(payload))
  } catch {
    return undefined
  }
}

function isZero(bytes: Uint8Array, from: number): boolean {
  for (let index = from; index < bytes.length; index++) if (bytes[index] !== 0) return false
  return true
}

const getUint64 = (view: DataView, offset: number): number =>
  view.getUint32(offset + 4, true) * 2 ** 32 + view.getUint32(offset, true)

const unreadable = (because: string): ConductorError =>
  new ConductorError('recording_unreadable', `This is no recording that can be read. ${because}`)
