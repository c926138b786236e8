import { close, fdatasync, ftruncate, write, writeSync } from 'node:fs'
import { promisify } from 'node:util'
import { crc32 as zlibCrc32 } from 'node:zlib'
import type { RecordingHeader, TapeEvent } from '@maestro/contract'
import {
  bodyBytesMax,
  bodyBytesMin,
  crc32,
  directionCodes,
  encodePreamble,
  headerRecord,
  jsonBytesMax,
  kindCodes,
  preambleBytes,
  type RawRecord,
  recordBytesOf,
  writeRecord,
} from '@maestro/logic'
import type { Tape } from '../session/stages.ts'
import type { World } from '../world.ts'
import type { Flushable, Flusher } from './flusher.ts'

const writeFile = promisify(write)
const syncFile = promisify(fdatasync)
const truncateFile = promisify(ftruncate)
const closeFile = promisify(close)

/** More than this waiting for the disk means that the disk does not keep up: the tape fails rather than fill memory. */
const pendingBytesMax = 64 * 1024 * 1024
/** Kept between writes; a larger one is given back, so that a thousand quiet tapes cost little. */
const bufferBytesKept = 8 * 1024

// The runtime’s checksum is faster for long bytes; the call into it costs more than ours takes for short ones.
const checksum = (bytes: Uint8Array): number => (bytes.length < 256 ? crc32(bytes) : zlibCrc32(bytes))

const utf8 = new TextEncoder()

interface TapeOptions {
  /** Opened for appending; the tape closes it. */
  fd: number
  header: RecordingHeader
  world: World
  flusher: Flusher
  /** Called once, with whether the file ends as a recording should. */
  onClosed(sealed: boolean): Promise<void>
}

/** How far a tape has come: in memory, or on the file. */
interface Mark {
  bytes: number
  records: number
  frames: number
}

/**
 * A tape that writes behind: `frame` copies into memory, one write is in flight, the next gathers what comes meanwhile.
 * Only its head is written at once: a disk that refuses it throws here, before the session is answered anything.
 */
export function openTape({ fd, header, world, flusher, onClosed }: TapeOptions): Tape {
  const openedMs = world.monotonicMs()
  const listeners: ((cause: unknown) => void)[] = []
  let failure: { cause: unknown } | null = null
  let buffer: Uint8Array<ArrayBuffer> = new Uint8Array(2 * 1024)
  let length = 0
  let spare: Uint8Array<ArrayBuffer> | null = null
  let lastUs = 0
  const taken: Mark = { bytes: 0, records: 0, frames: 0 }
  let written: Mark = { ...taken }
  let writing: Promise<void> | null = null
  let scheduled = false
  let sealing: Promise<void> | null = null

  const reserve = (bytes: number) => {
    if (length + bytes <= buffer.length) return
    const larger = flusher.buffers.take(Math.max(buffer.length * 2, length + bytes))
    larger.set(buffer.subarray(0, length))
    flusher.buffers.giveBack(buffer)
    buffer = larger
  }

  const fail = (cause: unknown) => {
    if (failure) return
    failure = { cause }
    flusher.count({ pending: -length, failed: 1 })
    length = 0
    buffer = new Uint8Array(0)
    for (const listener of listeners) listener(cause)
  }

  const append = (record: RawRecord) => {
    const bytes = recordBytesOf(record.payload.length)
    if (length > pendingBytesMax) return fail(new Error('the disk does not keep up with the session'))
    if (record.payload.length > bodyBytesMax - bodyBytesMin) return fail(new Error('a frame is larger than a recording can hold'))
    reserve(bytes)
    length = writeRecord(buffer, length, record, checksum)
    taken.bytes += bytes
    flusher.count({ pending: bytes })
    if (!scheduled && !writing) {
      scheduled = true
      flusher.schedule(flushable)
    }
  }

  const stamp = () => {
    // Whole microseconds of one clock, so that a tape can be read with integers and never goes back.
    lastUs = Math.max(lastUs, Math.floor((world.monotonicMs() - openedMs) * 1000))
    return { ordinal: taken.records, wallUs: Math.floor(world.now() * 1000), monotonicUs: lastUs }
  }

  const put = (kind: number, direction: number, payload: Uint8Array): number => {
    const ordinal = taken.records
    if (failure || sealing) return ordinal
    const record = { ...stamp(), kind, direction, payload }
    taken.records++
    if (kind === kindCodes.frame) taken.frames++
    append(record)
    return ordinal
  }

  const writeAll = async (bytes: Uint8Array) => {
    for (let offset = 0; offset < bytes.length; ) {
      const { bytesWritten } = await writeFile(fd, bytes, offset, bytes.length - offset, null)
      offset += bytesWritten
    }
  }

  const drain = async () => {
    while (length > 0 && !failure) {
      const full = buffer
      const batch = full.subarray(0, length)
      const upTo = { ...taken }
      buffer = spare ?? new Uint8Array(bufferBytesKept)
      spare = null
      length = 0
      try {
        await writeAll(batch)
        written = upTo
        flusher.count({ written: batch.length })
        flusher.scheduleSync(flushable)
      } catch (cause) {
        fail(cause)
      } finally {
        flusher.count({ pending: -batch.length })
      }
      if (full.length <= bufferBytesKept) spare = full
      else flusher.buffers.giveBack(full)
    }
  }

  const sync = async () => {
    if (failure) return
    try {
      await syncFile(fd)
    } catch (cause) {
      // What the system lost once it does not report twice: after a failed sync the tape cannot be trusted further.
      fail(cause)
    }
  }

  const flushable: Flushable = {
    write() {
      scheduled = false
      writing ??= drain().finally(() => {
        writing = null
      })
      return writing
    },
    sync,
  }

  const endRecord = (reason: string, { records, frames }: Mark): RawRecord => ({
    ...stamp(),
    ordinal: records,
    kind: kindCodes.end,
    direction: directionCodes.none,
    payload: utf8.encode(JSON.stringify({ reason, frames })),
  })

  /** After a failure: cuts off what was half written and ends the tape behind what is whole, if the disk lets us. */
  const endShort = async (reason: string) => {
    await truncateFile(fd, written.bytes)
    if (written.records === 0 && written.bytes === 0) return false
    const record = endRecord(reason, written)
    const bytes = new Uint8Array(recordBytesOf(record.payload.length))
    writeRecord(bytes, 0, record, checksum)
    await writeAll(bytes)
    await syncFile(fd)
    return true
  }

  const finish = async (reason: string) => {
    await flushable.write()
    await sync()
    const sealed = failure ? await endShort(reason).catch(() => false) : true
    flusher.forget(flushable)
    await closeFile(fd).catch(() => undefined)
    await onClosed(sealed)
  }

  const head = new Uint8Array(preambleBytes + recordBytesOf(headerRecord(header).payload.length))
  head.set(encodePreamble())
  writeRecord(head, preambleBytes, headerRecord(header), checksum)
  for (let offset = 0; offset < head.length; ) offset += writeSync(fd, head, offset)
  taken.bytes = head.length
  written = { ...taken }
  flusher.count({ written: head.length })
  flusher.scheduleSync(flushable)

  return {
    frame: (direction, bytes) => put(kindCodes.frame, directionCodes[direction], bytes),
    event: event => void put(kindCodes.event, directionCodes.none, encodeEvent(event)),
    onFailure(listener) {
      listeners.push(listener)
      if (failure) listener(failure.cause)
    },
    flush: () => flushable.write(),
    seal(reason) {
      if (sealing) return sealing
      if (!failure) append(endRecord(reason, taken))
      sealing = finish(reason)
      return sealing
    },
  }
}

/** An event’s texts are for people to read; a reader refuses an event beyond `jsonBytesMax`, so longer ones are cut. */
function encodeEvent(event: TapeEvent): Uint8Array {
  const bytes = utf8.encode(JSON.stringify(event))
  if (bytes.length <= jsonBytesMax) return bytes
  // A character takes at most six bytes as escaped JSON, and no event has more than three texts, but for an exchange, which keeps bounds of its own.
  const charsMax = Math.floor(jsonBytesMax / 24)
  const cut = (_key: string, value: unknown) => (typeof value === 'string' ? value.slice(0, charsMax) : value)
  return utf8.encode(JSON.stringify(event, cut))
}
