/**
 * JSON as two runs are compared by: RFC 8785 (JCS), with JSON that stands embedded in a `text` member parsed, and
 * nothing else done to it. What JCS cannot say exactly (a number beyond a double) keeps its own digits; what is no
 * I-JSON at all (doubled keys, broken UTF-8, too deep) has no canonical form and is compared byte by byte.
 */

export type Json = null | boolean | number | string | ExactNumber | EmbeddedJson | Json[] | JsonObject
export type JsonObject = { [key: string]: Json }

/** A number that a double does not hold: `9007199254740993`, `1e400`, a 30-digit fraction. */
export class ExactNumber {
  /** Decimal digits without leading or trailing zeros, and the exponent of the last: `9007199254740993e0`. */
  readonly decimal: string
  constructor(decimal: string) {
    this.decimal = decimal
  }
}

/** The object or array that a `text` member held as text, as tools without structured content answer. */
export class EmbeddedJson {
  readonly value: JsonObject | Json[]
  constructor(value: JsonObject | Json[]) {
    this.value = value
  }
}

/** Deeper than any protocol message; recursion stays far from the end of the stack. */
const depthMax = 256

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The value of a frame, or undefined where the bytes are no I-JSON. */
export function parseFrame(bytes: Uint8Array): Json | undefined {
  let text: string
  try {
    text = strictUtf8.decode(bytes)
  } catch {
    return undefined
  }
  return parseJson(text)
}

/** The value of a JSON text, or undefined where it is no I-JSON. */
export function parseJson(text: string, depth = 0): Json | undefined {
  const source = { text, at: 0 }
  try {
    const value = readValue(source, depth)
    skipSpace(source)
    return source.at === text.length ? value : undefined
  } catch (error) {
    if (error === notJson) return undefined
    throw error
  }
}

/** The canonical text: equal for two values exactly when they are the same JSON. */
export function canonicalText(value: Json): string {
  if (value instanceof ExactNumber) return value.decimal
  if (value instanceof EmbeddedJson) return JSON.stringify(canonicalText(value.value))
  if (Array.isArray(value)) return `[${value.map(canonicalText).join(',')}]`
  if (typeof value === 'object' && value !== null) {
    const members = keysOf(value).map(key => `${JSON.stringify(key)}:${canonicalText(value[key]!)}`)
    return `{${members.join(',')}}`
  }
  // JSON.stringify writes numbers and strings as RFC 8785 wants them; -0 becomes 0.
  return JSON.stringify(value)
}

/** Member names in the order of RFC 8785: by UTF-16 code units, which is how JavaScript compares strings. */
export const keysOf = (value: JsonObject): string[] => Object.keys(value).sort()

export const isJsonObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  !(value instanceof ExactNumber) &&
  !(value instanceof EmbeddedJson)

interface Source {
  readonly text: string
  at: number
}

const notJson = Symbol('not JSON')

function readValue(source: Source, depth: number): Json {
  if (depth > depthMax) throw notJson
  skipSpace(source)
  switch (source.text.charCodeAt(source.at)) {
    case 0x7b:
      return readObject(source, depth)
    case 0x5b:
      return readArray(source, depth)
    case 0x22:
      return readString(source)
    case 0x74:
      return readWord(source, 'true', true)
    case 0x66:
      return readWord(source, 'false', false)
    case 0x6e:
      return readWord(source, 'null', null)
    default:
      return readNumber(source)
  }
}

function readObject(source: Source, depth: number): JsonObject {
  // Without a prototype `__proto__` is a member like any other.
  const object: JsonObject = Object.create(null)
  source.at++
  skipSpace(source)
  if (source.text[source.at] === '}') {
    source.at++
    return object
  }
  for (;;) {
    skipSpace(source)
    if (source.text[source.at] !== '"') throw notJson
    const key = readString(source)
    if (key in object) throw notJson
    skipSpace(source)
    if (source.text[source.at++] !== ':') throw notJson
    const value = readValue(source, depth + 1)
    object[key] = key === 'text' && typeof value === 'string' ? embedded(value, depth + 1) : value
    skipSpace(source)
    const mark = source.text[source.at++]
    if (mark === '}') return object
    if (mark !== ',') throw notJson
  }
}

function embedded(text: string, depth: number): string | EmbeddedJson {
  if (!/^\s*[[{]/.test(text)) return text
  const value = parseJson(text, depth)
  return isJsonObject(value) || Array.isArray(value) ? new EmbeddedJson(value) : text
}

function readArray(source: Source, depth: number): Json[] {
  const array: Json[] = []
  source.at++
  skipSpace(source)
  if (source.text[source.at] === ']') {
    source.at++
    return array
  }
  for (;;) {
    array.push(readValue(source, depth + 1))
    skipSpace(source)
    const mark = source.text[source.at++]
    if (mark === ']') return array
    if (mark !== ',') throw notJson
  }
}

function readString(source: Source): string {
  const { text } = source
  const start = source.at
  for (let at = start + 1; ; at++) {
    const code = text.charCodeAt(at)
    if (code === 0x22) {
      source.at = at + 1
      return text.slice(start + 1, at)
    }
    // An escape, a control character or the end of the text.
    if (code === 0x5c || !(code >= 0x20)) return readEscaped(source, at)
  }
}

function readEscaped(source: Source, from: number): string {
  const { text } = source
  const start = source.at
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === 0x5c) at++
    else if (code === 0x22) {
      source.at = at + 1
      try {
        return JSON.parse(text.slice(start, at + 1))
      } catch {
        throw notJson
      }
    }
  }
  throw notJson
}

function readWord<T>(source: Source, word: string, value: T): T {
  if (!source.text.startsWith(word, source.at)) throw notJson
  source.at += word.length
  return value
}

const numberPattern = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y

function readNumber(source: Source): number | ExactNumber {
  numberPattern.lastIndex = source.at
  const text = numberPattern.exec(source.text)?.[0]
  if (text === undefined) throw notJson
  source.at += text.length
  const value = Number(text)
  if (text.length <= 15 && Number.isInteger(value)) return value
  const decimal = decimalOf(text)
  return Number.isFinite(value) && decimalOf(String(value)) === decimal ? value : new ExactNumber(decimal)
}

/** One writing for every way to write a decimal: `1.50`, `15e-1` and `0.15e1` are all `15e-1`. */
function decimalOf(text: string): string {
  const [mantissa = '', exponentText = '0'] = text.toLowerCase().split('e')
  // An exponent of so many digits is no quantity; its own text is the only exact thing to say of it.
  if (exponentText.length > 15) return text
  const negative = mantissa.startsWith('-')
  const [whole = '', fraction = ''] = (negative ? mantissa.slice(1) : mantissa).split('.')
  const digits = (whole + fraction).replace(/^0+/, '')
  if (digits === '') return '0e0'
  const significant = trimZeros(digits)
  const exponent = Number(exponentText) - fraction.length + (digits.length - significant.length)
  return `${negative ? '-' : ''}${significant}e${exponent}`
}

// Not /0+$/: on a long run of zeros inside the digits that takes quadratic time.
function trimZeros(digits: string): string {
  let end = digits.length
  while (digits[end - 1] === '0') end--
  return digits.slice(0, end)
}

function skipSpace(source: Source): void {
  for (;;) {
    const code = source.text.charCodeAt(source.at)
    if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return
    source.at++
  }
}
