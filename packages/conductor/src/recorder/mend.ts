import { type FileHandle, open, unlink } from 'node:fs/promises'
import { ConductorError } from '@maestro/contract'
import { directionCodes, encodeRecord, kindCodes, preambleBytes, type ReadStep, readRecord, readVersion } from '@maestro/logic'

export type MendOutcome =
  | { state: 'sealed' }
  | { state: 'mended'; frames: number; tornBytes: number }
  /** A record in the middle is wrong. Nothing was touched: what lies behind it may still be of use to somebody. */
  | { state: 'damaged'; offset: number }
  /** The crash came before the header was written: there is nothing to keep. */
  | { state: 'empty' }

const windowBytes = 1024 * 1024

/** Ends a tape that a crash left open: cuts off a half-written record and appends an end record, reason `crash`. */
export async function mendTape(path: string, nowUs: number): Promise<MendOutcome> {
  let file: FileHandle
  try {
    file = await open(path, 'r+')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return { state: 'empty' }
    throw cause
  }
  try {
    const found = await scan(file)
    if (found === null) {
      await unlink(path)
      return { state: 'empty' }
    }
    if (found.damaged) return { state: 'damaged', offset: found.goodBytes }
    if (found.ended) return { state: 'sealed' }
    await file.truncate(found.goodBytes)
    const end = encodeRecord({
      kind: kindCodes.end,
      direction: directionCodes.none,
      ordinal: found.records,
      // When it was noticed; when it happened, nobody knows.
      wallUs: nowUs,
      monotonicUs: found.monotonicUs,
      payload: new TextEncoder().encode(JSON.stringify({ reason: 'crash', frames: found.frames })),
    })
    await file.write(end, 0, end.length, found.goodBytes)
    await file.sync()
    return { state: 'mended', frames: found.frames, tornBytes: found.fileBytes - found.goodBytes }
  } finally {
    await file.close()
  }
}

interface Found {
  fileBytes: number
  goodBytes: number
  records: number
  frames: number
  monotonicUs: number
  ended: boolean
  damaged: boolean
}

/** Walks the records with a window over the file. Null where not even the header is whole. */
async function scan(file: FileHandle): Promise<Found | null> {
  const { size: fileBytes } = await file.stat()
  const found: Found = { fileBytes, goodBytes: 0, records: 0, frames: 0, monotonicUs: 0, ended: false, damaged: false }
  let window = await readAt(file, 0, Math.min(windowBytes, fileBytes))
  try {
    readVersion(window)
  } catch (error) {
    if (!(error instanceof ConductorError)) throw error
    if (fileBytes < preambleBytes || window.every(byte => byte === 0)) return null
    return { ...found, damaged: true }
  }
  let inWindow = preambleBytes
  found.goodBytes = preambleBytes
  let headers = 0
  while (found.goodBytes < fileBytes) {
    let step: ReadStep = readRecord(window, inWindow)
    if ('torn' in step && found.goodBytes - inWindow + window.length < fileBytes) {
      // The record runs out of the window: look again from its beginning, twice as far when it was there already.
      const bytes = inWindow === 0 ? window.length * 2 : windowBytes
      window = await readAt(file, found.goodBytes, Math.min(bytes, fileBytes - found.goodBytes))
      inWindow = 0
      continue
    }
    if ('damage' in step && isLast(window, inWindow, fileBytes - found.goodBytes)) step = { torn: true }
    if ('torn' in step) break
    if ('damage' in step || found.ended) {
      found.damaged = true
      break
    }
    const { kind, ordinal, monotonicUs } = step.record
    if (headers === 0 && kind !== kindCodes.header) return { ...found, damaged: true }
    if (headers === 0) headers = 1
    else {
      if (ordinal !== found.records) return { ...found, damaged: true }
      found.records++
      if (kind === kindCodes.frame) found.frames++
      found.monotonicUs = Math.max(found.monotonicUs, monotonicUs)
      found.ended = kind === kindCodes.end
    }
    found.goodBytes += step.next - inWindow
    inWindow = step.next
  }
  return headers === 0 && !found.damaged ? null : found
}

/** Whether a record with a wrong checksum is the file’s last: then it was half written when the power went, not damaged. */
function isLast(window: Uint8Array, offset: number, left: number): boolean {
  const view = new DataView(window.buffer, window.byteOffset + offset)
  return view.byteLength >= 4 && view.getUint32(0, true) + 12 === left
}

async function readAt(file: FileHandle, position: number, bytes: number): Promise<Uint8Array> {
  const buffer = new Uint8Array(bytes)
  let filled = 0
  while (filled < bytes) {
    const { bytesRead } = await file.read(buffer, filled, bytes - filled, position + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return buffer.subarray(0, filled)
}
