import { type EndRecord, invariant, type RecordingHeader, recordingVersion, type TapeRecord } from '@maestro/contract'
import { type Crc32, crc32 } from './crc32.ts'
import {
  bodyBytesMax,
  bodyBytesMin,
  directionCodes,
  headBytes,
  kindCodes,
  magic,
  preambleBytes,
  type RawRecord,
} from './layout.ts'

const utf8 = new TextEncoder()

/** The first bytes of every recording: magic, version, flags (none in version 1). */
export function encodePreamble(): Uint8Array {
  const bytes = new Uint8Array(preambleBytes)
  bytes.set(magic)
  new DataView(bytes.buffer).setUint16(8, recordingVersion, true)
  return bytes
}

/** Bytes that a record with this much payload takes in the file. */
export const recordBytesOf = (payloadBytes: number): number => headBytes + bodyBytesMin + payloadBytes

/**
 * Writes one record into `target` at `offset` and returns the offset behind it. `target` must have room.
 * The recorder passes the checksum of its runtime; everybody else uses ours.
 */
export function writeRecord(target: Uint8Array, offset: number, record: RawRecord, checksum: Crc32 = crc32): number {
  const length = bodyBytesMin + record.payload.length
  invariant(length <= bodyBytesMax, `a record of ${length} bytes is larger than the format allows`)
  const view = new DataView(target.buffer, target.byteOffset + offset, headBytes + length)
  view.setUint32(0, length, true)
  view.setUint8(12, record.kind)
  view.setUint8(13, record.direction)
  view.setUint16(14, 0, true)
  view.setUint32(16, record.ordinal, true)
  setUint64(view, 20, record.wallUs)
  setUint64(view, 28, record.monotonicUs)
  const start = offset + headBytes
  target.set(record.payload, start + bodyBytesMin)
  view.setUint32(4, checksum(target.subarray(start, start + length)), true)
  view.setUint32(8, checksum(target.subarray(offset, offset + 8)), true)
  return start + length
}

export const headerRecord = (header: RecordingHeader): RawRecord => ({
  kind: kindCodes.header,
  direction: directionCodes.none,
  ordinal: 0,
  wallUs: header.openedAt * 1000,
  monotonicUs: 0,
  payload: utf8.encode(JSON.stringify(header)),
})

/** What a record of the tape is in bytes. A frame’s bytes are taken as they are. */
export function rawRecordOf(record: TapeRecord): RawRecord {
  const { ordinal, wallUs, monotonicUs } = record
  const raw = { ordinal, wallUs, monotonicUs, direction: directionCodes.none }
  switch (record.kind) {
    case 'frame':
      return { ...raw, kind: kindCodes.frame, direction: directionCodes[record.direction], payload: record.bytes }
    case 'event':
      return { ...raw, kind: kindCodes.event, payload: utf8.encode(JSON.stringify(record.event)) }
    case 'end':
      return { ...raw, kind: kindCodes.end, payload: encodeEnd(record) }
  }
}

const encodeEnd = ({ reason, frames }: Pick<EndRecord, 'reason' | 'frames'>): Uint8Array =>
  utf8.encode(JSON.stringify({ reason, frames }))

/** One record by itself, as the recorder appends it when it mends a tape. */
export function encodeRecord(record: RawRecord): Uint8Array {
  const bytes = new Uint8Array(recordBytesOf(record.payload.length))
  writeRecord(bytes, 0, record)
  return bytes
}

/** A whole recording at once: for exports, samples and tests. The recorder writes the same bytes piece by piece. */
export function encodeRecording(header: RecordingHeader, records: readonly TapeRecord[]): Uint8Array {
  const raw = [headerRecord(header), ...records.map(rawRecordOf)]
  const bytes = new Uint8Array(raw.reduce((sum, record) => sum + recordBytesOf(record.payload.length), preambleBytes))
  bytes.set(encodePreamble())
  let offset = preambleBytes
  for (const record of raw) offset = writeRecord(bytes, offset, record)
  return bytes
}

function setUint64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value % 2 ** 32, true)
  view.setUint32(offset + 4, Math.floor(value / 2 ** 32), true)
}
