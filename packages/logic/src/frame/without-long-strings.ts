import { type Span, skipString } from './scan.ts'

/** A shorter string is cheaper to read than to look at. */
const longBytes = 4096

/**
 * JSON text whose long strings within `span` are empty: it is JSON exactly where `bytes` are JSON in UTF-8. To judge a large answer
 * by it costs no copy of a text that nobody here reads. Null where there is nothing to leave out, or what is there must be judged whole.
 */
export function withoutLongStrings(bytes: Uint8Array, span: Span): string | null {
  let text = ''
  let kept = 0
  for (let index = bytes.indexOf(quote, span.start); index >= 0 && index < span.end; index = bytes.indexOf(quote, index)) {
    const end = skipString(bytes, index)
    if (end > span.end) return null
    if (end - index >= longBytes) {
      if (!isStringContent(bytes, index + 1, end - 1)) return null
      const piece = decoded(bytes, kept, index + 1)
      if (piece === null) return null
      text += piece
      kept = end - 1
    }
    index = end
  }
  if (kept === 0) return null
  const last = decoded(bytes, kept, bytes.length)
  return last === null ? null : text + last
}

/** Whether the bytes may stand between two quotes: RFC 8259 section 7, in UTF-8 as of RFC 3629 section 4. */
export function isStringContent(bytes: Uint8Array, start: number, end: number): boolean {
  const aligned = (bytes.byteOffset + 3) & ~3
  const words = new Int32Array(bytes.buffer, aligned, Math.max(0, (bytes.byteOffset + end - aligned) >> 2))
  const lead = aligned - bytes.byteOffset
  let index = start
  while (index < end) {
    // Four bytes at a time, as long as each is a character by itself.
    if (((index - lead) & 3) === 0 && index >= lead) {
      let word = (index - lead) >> 2
      while (word < words.length && isPlainWord(words[word] as number)) word++
      index = lead + word * 4
      if (index >= end) return true
    }
    const length = characterBytes(bytes, index, end)
    if (length === 0) return false
    index += length
  }
  return true
}

/** Whether none of the four bytes is a control character, a quote, a backslash or beyond ASCII. A carry may also say no where it is yes. */
function isPlainWord(word: number): boolean {
  return (((word - 0x20202020) | word | zeroByte(word ^ 0x5c5c5c5c) | zeroByte(word ^ 0x22222222)) & 0x80808080) === 0
}

/** Its high bits show a byte of zero. */
const zeroByte = (word: number): number => (word - 0x01010101) & ~word

/** How many bytes the character at `index` takes; 0 where there is none, or it does not end before `end`. */
function characterBytes(bytes: Uint8Array, index: number, end: number): number {
  const first = bytes[index] as number
  if (first === backslash) return escapeBytes(bytes, index, end)
  if (first < 0x20 || first === quote) return 0
  if (first < 0x80) return 1
  if (first < 0xc2 || first > 0xf4) return 0
  const length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4
  if (index + length > end) return 0
  // The second byte has bounds of its own where the first alone would allow an overlong form, a surrogate or more than U+10FFFF.
  const second = bytes[index + 1] as number
  const low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80
  const high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf
  if (second < low || second > high) return 0
  for (let at = index + 2; at < index + length; at++) if (((bytes[at] as number) & 0xc0) !== 0x80) return 0
  return length
}

function escapeBytes(bytes: Uint8Array, index: number, end: number): number {
  const escaped = bytes[index + 1] as number
  if (index + 2 > end) return 0
  if (escaped !== letterU) return simpleEscapes.includes(escaped) ? 2 : 0
  if (index + 6 > end) return 0
  for (let at = index + 2; at < index + 6; at++) {
    const byte = bytes[at] as number
    const lower = byte | 0x20
    if (!((byte >= 0x30 && byte <= 0x39) || (lower >= 0x61 && lower <= 0x66))) return 0
  }
  return 6
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function decoded(bytes: Uint8Array, start: number, end: number): string | null {
  try {
    return decoder.decode(bytes.subarray(start, end))
  } catch {
    return null
  }
}

const quote = 0x22
const backslash = 0x5c
const letterU = 0x75
/** `"`, `\`, `/`, b, f, n, r, t */
const simpleEscapes: readonly number[] = [0x22, 0x5c, 0x2f, 0x62, 0x66, 0x6e, 0x72, 0x74]
