/**
 * Finds where things are in JSON bytes without building values. It does not validate: what it is given must be judged
 * by `JSON.parse` as well. On anything else than JSON it gives a wrong span or `garbled`, never reads outside the bytes.
 */

/** Byte offsets of a value: from its first byte up to, not including, `end`. */
export interface Span {
  readonly start: number
  readonly end: number
}

/** One member of an object. `key` is unescaped; `keyStart` is where its opening quote is. */
export interface Member {
  readonly key: string
  readonly keyStart: number
  readonly start: number
  readonly end: number
}

/** Deepest nesting of arrays and objects below the value that is looked into. */
export const depthMax = 256
/** Most members one object may have where its members are listed. */
export const membersMax = 1024
/** Most items one array may have where its items are listed. */
export const itemsMax = 65_536

const quote = 0x22
const comma = 0x2c
const colon = 0x3a
const openArray = 0x5b
const backslash = 0x5c
const closeArray = 0x5d
const openObject = 0x7b
const closeObject = 0x7d

/** The first byte at or after `at` that is not JSON white space. */
export function skipSpace(bytes: Uint8Array, at: number): number {
  for (;;) {
    const byte = bytes[at]
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return at
    at++
  }
}

/** The byte after the string whose opening quote is at `at`. */
export function skipString(bytes: Uint8Array, at: number): number {
  let index = at + 1
  const near = Math.min(index + 32, bytes.length)
  while (index < near) {
    const byte = bytes[index]
    if (byte === quote) return index + 1
    index += byte === backslash ? 2 : 1
  }
  // Long strings are searched natively; a quote ends one unless an odd number of backslashes is before it.
  for (;;) {
    const found = bytes.indexOf(quote, index)
    if (found < 0) return bytes.length
    let before = found
    while (before > index && bytes[before - 1] === backslash) before--
    if ((found - before) % 2 === 0) return found + 1
    index = found + 1
  }
}

/** The byte after the value that starts at `at`, or -1 if it nests deeper than `depthMax`. */
export function skipValue(bytes: Uint8Array, at: number): number {
  const first = bytes[at]
  if (first === quote) return skipString(bytes, at)
  const length = bytes.length
  let index = at
  if (first !== openObject && first !== openArray) {
    for (; index < length; index++) {
      const byte = bytes[index] as number
      if (byte === comma || byte === closeObject || byte === closeArray || byte <= 0x20) break
    }
    return index
  }
  let depth = 1
  index++
  while (index < length) {
    const byte = bytes[index]
    if (byte === quote) {
      index = skipString(bytes, index)
      continue
    }
    index++
    if (byte === openObject || byte === openArray) {
      if (++depth > depthMax) return -1
    } else if (byte === closeObject || byte === closeArray) {
      if (--depth === 0) return index
    }
  }
  return length
}

/** The members of the object at `at`, in order, doubles included; or why they cannot be listed. */
export function membersOf(bytes: Uint8Array, at: number): Member[] | 'garbled' | 'unbounded' {
  if (bytes[at] !== openObject) return 'garbled'
  const members: Member[] = []
  let index = skipSpace(bytes, at + 1)
  if (bytes[index] === closeObject) return members
  for (;;) {
    if (bytes[index] !== quote) return 'garbled'
    const keyStart = index
    const keyEnd = skipString(bytes, index)
    const separator = skipSpace(bytes, keyEnd)
    if (bytes[separator] !== colon) return 'garbled'
    const start = skipSpace(bytes, separator + 1)
    const end = skipValue(bytes, start)
    if (end < 0 || members.length === membersMax) return 'unbounded'
    const key = keyOf(bytes, keyStart, keyEnd)
    if (key === null) return 'garbled'
    members.push({ key, keyStart, start, end })
    index = skipSpace(bytes, end)
    if (bytes[index] === closeObject) return members
    if (bytes[index] !== comma) return 'garbled'
    index = skipSpace(bytes, index + 1)
  }
}

/** The items of the array at `at`, in order; or why they cannot be listed. */
export function itemsOf(bytes: Uint8Array, at: number): Span[] | 'garbled' | 'unbounded' {
  if (bytes[at] !== openArray) return 'garbled'
  const items: Span[] = []
  let start = skipSpace(bytes, at + 1)
  if (bytes[start] === closeArray) return items
  for (;;) {
    const end = skipValue(bytes, start)
    if (end < 0 || items.length === itemsMax) return 'unbounded'
    if (end === start) return 'garbled'
    items.push({ start, end })
    const index = skipSpace(bytes, end)
    if (bytes[index] === closeArray) return items
    if (bytes[index] !== comma) return 'garbled'
    start = skipSpace(bytes, index + 1)
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Null where the key is not a JSON string in UTF-8. */
function keyOf(bytes: Uint8Array, start: number, end: number): string | null {
  let key = ''
  for (let index = start + 1; index < end - 1; index++) {
    const byte = bytes[index] as number
    // An escaped key means the same as the plain one, and is a way to slip a double past a naive reader.
    if (byte === backslash || byte > 0x7e || byte < 0x20) return decodedKey(bytes, start, end)
    key += String.fromCharCode(byte)
  }
  return key
}

function decodedKey(bytes: Uint8Array, start: number, end: number): string | null {
  try {
    return JSON.parse(decoder.decode(bytes.subarray(start, end))) as string
  } catch {
    return null
  }
}
