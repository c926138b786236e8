/**
 * Where every byte of a recording is. Normative prose: `spec/recording/v1.md`. All integers are little-endian.
 *
 *     file    = preamble record*
 *     preamble= magic[8] version:u16 flags:u16
 *     record  = length:u32 bodyCrc:u32 headCrc:u32 body[length]
 *     body    = kind:u8 direction:u8 zero:u16 ordinal:u32 wallUs:u64 monotonicUs:u64 payload
 */

/** 0x89 keeps it from being taken for text; CR LF shows a transfer that changed line ends. */
export const magic = Uint8Array.of(0x89, 0x4d, 0x43, 0x52, 0x45, 0x43, 0x0d, 0x0a)
export const preambleBytes = 12

/** Length, CRC of the body, CRC of those two: so that a damaged length is not taken for a file that was cut off. */
export const headBytes = 12
export const bodyBytesMin = 24
/** The largest frame a deployment may be allowed, and the fixed part of its body. */
export const bodyBytesMax = 256 * 1024 * 1024 + bodyBytesMin
/** For header, event and end: they are ours, and short. */
export const jsonBytesMax = 1024 * 1024

export const kindCodes = { header: 1, frame: 2, event: 3, end: 4 } as const
export const directionCodes = { none: 0, inward: 1, outward: 2 } as const

/** One record as the bytes say it, before anything is believed of its payload. */
export interface RawRecord {
  kind: number
  direction: number
  ordinal: number
  wallUs: number
  monotonicUs: number
  payload: Uint8Array
}
