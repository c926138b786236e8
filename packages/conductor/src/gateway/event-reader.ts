/** One server-sent event as it was read. `id` is null where it had none. */
export interface ReadEvent {
  id: string | null
  type: string
  data: Uint8Array
  /** How long to wait before reconnecting, ms, where the server said. */
  retryMs: number | null
}

const lineFeed = 0x0a
const carriageReturn = 0x0d
const colon = 0x3a
const space = 0x20

/**
 * Reads an event stream from untrusted bytes, chunk by chunk, and calls back for each whole event. Throws `RangeError` when
 * one event has more than `bytesMax`. https://html.spec.whatwg.org/multipage/server-sent-events.html
 */
export class EventReader {
  readonly #onEvent: (event: ReadEvent) => void
  readonly #bytesMax: number
  #rest: Buffer = none
  #data: Uint8Array[] = []
  #dataBytes = 0
  #id: string | null = null
  #type = ''
  #retryMs: number | null = null

  constructor(bytesMax: number, onEvent: (event: ReadEvent) => void) {
    this.#bytesMax = bytesMax
    this.#onEvent = onEvent
  }

  push(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    let at = 0
    for (;;) {
      const end = endOfLine(bytes, at)
      if (end < 0) break
      const isPair = bytes[end] === carriageReturn && bytes[end + 1] === lineFeed
      // A carriage return at the very end may be half of a pair.
      if (bytes[end] === carriageReturn && end + 1 === bytes.length) break
      this.#line(bytes.subarray(at, end))
      at = end + (isPair ? 2 : 1)
    }
    this.#rest = bytes.subarray(at)
    if (this.#rest.length + this.#dataBytes > this.#bytesMax) throw new RangeError('an event is too large')
  }

  #line(line: Buffer): void {
    if (line.length === 0) {
      this.#dispatch()
      return
    }
    const separator = line.indexOf(colon)
    if (separator === 0) return
    const field = line.toString('latin1', 0, separator < 0 ? line.length : separator)
    const start = separator < 0 ? line.length : separator + (line[separator + 1] === space ? 2 : 1)
    if (field === 'data') {
      this.#data.push(line.subarray(start))
      this.#dataBytes += line.length
      if (this.#dataBytes > this.#bytesMax) throw new RangeError('an event is too large')
    } else if (field === 'id') {
      const id = line.toString('utf8', start)
      if (!id.includes('\0')) this.#id = id
    } else if (field === 'event') this.#type = line.toString('utf8', start)
    else if (field === 'retry') {
      const text = line.toString('latin1', start)
      if (/^[0-9]{1,9}$/.test(text)) this.#retryMs = Number(text)
    }
  }

  #dispatch(): void {
    const parts = this.#data
    const hasSomething = parts.length > 0 || this.#id !== null || this.#retryMs !== null
    const event = { id: this.#id, type: this.#type, data: joinedLines(parts), retryMs: this.#retryMs }
    this.#data = []
    this.#dataBytes = 0
    this.#id = null
    this.#type = ''
    this.#retryMs = null
    if (hasSomething) this.#onEvent(event)
  }
}

function endOfLine(bytes: Buffer, at: number): number {
  const feed = bytes.indexOf(lineFeed, at)
  const carriage = bytes.subarray(at, feed < 0 ? bytes.length : feed).indexOf(carriageReturn)
  return carriage < 0 ? feed : at + carriage
}

function joinedLines(parts: readonly Uint8Array[]): Uint8Array {
  const [first] = parts
  if (first === undefined) return none
  if (parts.length === 1) return first
  return Buffer.concat(parts.flatMap((part, index) => (index === 0 ? [part] : [newline, part])))
}

const none: Buffer = Buffer.alloc(0)
const newline = Buffer.from('\n')
