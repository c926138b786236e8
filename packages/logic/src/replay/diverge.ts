import {
  canonicalText,
  EmbeddedJson,
  ExactNumber,
  isJsonObject,
  type Json,
  type JsonObject,
  keysOf,
  parseFrame,
} from './canonical.ts'

/** One place where two values differ. A side that has nothing there is absent. */
export interface ValueDifference {
  /** RFC 6901. A pointer goes on into JSON that a `text` member holds as text. */
  pointer: string
  recorded?: unknown
  replayed?: unknown
}

/** The first differences between two frames, in the order of their members; none when they are the same canonical JSON. */
export function frameDifferences(recorded: Uint8Array, replayed: Uint8Array, max: number): ValueDifference[] {
  if (isSameBytes(recorded, replayed)) return []
  const left = parseFrame(recorded)
  const right = parseFrame(replayed)
  if (left === undefined || right === undefined) {
    return [{ pointer: '', recorded: excerptOf(textOf(recorded)), replayed: excerptOf(textOf(replayed)) }]
  }
  return valueDifferences(left, right, max)
}

export function valueDifferences(recorded: Json, replayed: Json, max: number): ValueDifference[] {
  const found: ValueDifference[] = []
  compare(recorded, replayed, '', found, max)
  return found
}

/** Small enough to keep and to show: a value beyond 2,000 characters becomes the beginning of its text. */
export function excerptOf(value: Json): unknown {
  const text = canonicalText(value)
  return text.length > excerptCharsMax ? `${text.slice(0, excerptCharsMax).toWellFormed()}…` : plain(value)
}

const excerptCharsMax = 2000

function compare(left: Json, right: Json, pointer: string, found: ValueDifference[], max: number): void {
  if (found.length >= max) return
  if (left instanceof EmbeddedJson && right instanceof EmbeddedJson) {
    compare(left.value, right.value, pointer, found, max)
    return
  }
  if (Array.isArray(left) && Array.isArray(right)) {
    for (let index = 0; index < Math.max(left.length, right.length); index++) {
      compareMember(left[index], right[index], `${pointer}/${index}`, found, max)
    }
    return
  }
  if (isJsonObject(left) && isJsonObject(right)) {
    for (const key of new Set([...keysOf(left), ...keysOf(right)])) {
      compareMember(left[key], right[key], `${pointer}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`, found, max)
    }
    return
  }
  if (!isSameLeaf(left, right)) found.push({ pointer, recorded: excerptOf(left), replayed: excerptOf(right) })
}

function compareMember(
  left: Json | undefined,
  right: Json | undefined,
  pointer: string,
  found: ValueDifference[],
  max: number,
): void {
  if (found.length >= max) return
  if (left === undefined) found.push({ pointer, replayed: excerptOf(right!) })
  else if (right === undefined) found.push({ pointer, recorded: excerptOf(left) })
  else compare(left, right, pointer, found, max)
}

function isSameLeaf(left: Json, right: Json): boolean {
  if (left instanceof ExactNumber) return right instanceof ExactNumber && left.decimal === right.decimal
  return left === right
}

/** The value as ordinary JSON, for records and screens: exact numbers as text, embedded JSON as what it holds. */
function plain(value: Json): unknown {
  if (value instanceof ExactNumber) return value.decimal
  if (value instanceof EmbeddedJson) return plain(value.value)
  if (Array.isArray(value)) return value.map(plain)
  if (isJsonObject(value)) {
    // Defined, not assigned: a member named `__proto__` stays a member.
    const object: JsonObject = {}
    for (const key of Object.keys(value)) {
      Object.defineProperty(object, key, { value: plain(value[key]!), enumerable: true, writable: true, configurable: true })
    }
    return object
  }
  return value
}

export function isSameBytes(left: Uint8Array, right: Uint8Array): boolean {
  if (left.length !== right.length) return false
  for (let index = 0; index < left.length; index++) if (left[index] !== right[index]) return false
  return true
}

const lenientUtf8 = new TextDecoder()
const textOf = (bytes: Uint8Array): string => lenientUtf8.decode(bytes.subarray(0, 2 * excerptCharsMax))
