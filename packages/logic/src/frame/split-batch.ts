import type { FrameFault } from './read-frame.ts'
import { itemsOf, skipSpace } from './scan.ts'

/** Most messages one batch may hold. */
export const batchMax = 128

/** Whether the bytes are a JSON array, which only revision 2025-03-26 takes for messages. */
export const isBatch = (bytes: Uint8Array): boolean => bytes[skipSpace(bytes, 0)] === 0x5b

/** The messages of a JSON-RPC batch, byte for byte; each is still to be read by `readFrame`. */
export function splitBatch(bytes: Uint8Array): Uint8Array[] | FrameFault {
  const items = itemsOf(bytes, skipSpace(bytes, 0))
  if (items === 'unbounded') return fault('frame_invalid', 'The batch nests too deep.')
  try {
    JSON.parse(decoder.decode(bytes))
  } catch {
    return fault('frame_malformed', 'The batch is not JSON in UTF-8.')
  }
  if (items === 'garbled') return fault('frame_malformed', 'The batch is not a JSON array.')
  if (items.length === 0) return fault('frame_invalid', 'A batch holds at least one message.')
  if (items.length > batchMax) return fault('frame_invalid', `A batch holds at most ${batchMax} messages.`)
  return items.map(item => bytes.subarray(item.start, item.end))
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

const fault = (code: FrameFault['code'], message: string): FrameFault => ({ kind: 'fault', code, message, id: null })
