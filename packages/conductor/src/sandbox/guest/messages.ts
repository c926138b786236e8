/**
 * What Conductor and the agent in a guest say to each other over one byte stream (a virtio-serial port or a vsock connection):
 * `[type u8][length u32 LE][payload]`. Output and input flow under credit: the receiver says how many bytes it will take, so that one
 * stream that waits holds neither the others nor memory. `agent.pl` is the other side.
 */

export const toGuest = {
  /** `[credit of stdout u32 LE][credit of stderr u32 LE]`; the agent answers `ready`. The first message of every connection. */
  attach: 1,
  /** Fields: what to run. */
  start: 2,
  stdin: 3,
  stdinEnd: 4,
  /** `[number u8]` to the program. */
  signal: 5,
  /** `[Unix ns u64 LE]` */
  clock: 6,
  /** Bytes that go into the kernel's random state, which is then seeded anew. */
  entropy: 7,
  /** Comes back as `pong` with the same bytes. */
  ping: 8,
  /** `[stream u8][bytes u32 LE]`: so much more may be sent of that stream. */
  credit: 9,
  /** Lets a held program run. */
  resume: 10,
  /** `[connection u32 LE][bytes]`: what came for a connection out of the sandbox. */
  relayData: 11,
  /** `[connection u32 LE]`: nothing more comes for it; it may still send. */
  relayEnd: 12,
  /** `[connection u32 LE]`: it is closed on this side. Once both sides have said so nothing more is said of it. */
  relayClose: 13,
  /** `[connection u32 LE][bytes u32 LE]`: so much more may be sent of it. */
  relayCredit: 14,
} as const

export const fromGuest = {
  /** Fields `state` (booted, held, running) and `stdin` (credit of standard input). */
  ready: 0x81,
  stdout: 0x82,
  stderr: 0x83,
  /** Fields `code` or `signal`, and `limit`. The last message. */
  exit: 0x84,
  pong: 0x85,
  /** Text for our log. */
  log: 0x86,
  /** Fields: the program that was started to be held has come to rest and is stopped. */
  held: 0x87,
  /** `[stream u8][bytes u32 LE]`, of standard input. */
  credit: 0x88,
  /** `[connection u32 LE]`: a program in the sandbox wants out. Numbers only grow. The other four are as above, the other way. */
  relayOpen: 0x89,
  relayData: 0x8a,
  relayEnd: 0x8b,
  relayClose: 0x8c,
  relayCredit: 0x8d,
} as const

/** Streams in `credit`. */
export const streamNumber = { stdin: 0, stdout: 1, stderr: 2 } as const

/** What either side may send of a new connection before it is given credit, and how many there may be at once. */
export const relayWindowBytes = 128 * 1024
export const relayConnectionsMax = 128

export const headerBytes = 5
/** The longest payload either side sends, but for `start`. */
export const payloadBytesMax = 32 * 1024
/** Command line and environment: more than the kernel takes in one exec is no use. */
export const startBytesMax = 2 * 1024 * 1024
const fieldsMax = 64

/** Thrown for what an honest agent does not say. The guest is ended for it. */
export class GuestViolation extends Error {
  override readonly name = 'GuestViolation'
}

export function encodeHeader(type: number, length: number): Buffer {
  const header = Buffer.allocUnsafe(headerBytes)
  header[0] = type
  header.writeUInt32LE(length, 1)
  return header
}

/** Names and values, each `[length u32 LE][bytes]`; a name may come again. */
export function encodeFields(fields: Iterable<readonly [name: string, value: string | Uint8Array]>): Buffer {
  const parts: Uint8Array[] = []
  for (const text of [...fields].flat()) {
    const bytes = typeof text === 'string' ? Buffer.from(text) : text
    const length = Buffer.allocUnsafe(4)
    length.writeUInt32LE(bytes.length)
    parts.push(length, bytes)
  }
  return Buffer.concat(parts)
}

/** Untrusted. The last value of a name counts. */
export function decodeFields(payload: Buffer): Map<string, string> {
  const texts: string[] = []
  for (let at = 0; at < payload.length; ) {
    if (payload.length - at < 4) throw new GuestViolation('a field without its length')
    const length = payload.readUInt32LE(at)
    at += 4
    if (length > payload.length - at) throw new GuestViolation('a field longer than its message')
    if (texts.length >= 2 * fieldsMax) throw new GuestViolation('too many fields')
    texts.push(payload.toString('utf8', at, at + length))
    at += length
  }
  if (texts.length % 2 !== 0) throw new GuestViolation('a name without a value')
  const fields = new Map<string, string>()
  for (let index = 0; index < texts.length; index += 2) fields.set(texts[index]!, texts[index + 1]!)
  return fields
}

export interface MessageHandlers {
  /** Bytes of standard output or error; a message may come in several pieces. Views, not copies. */
  output(type: typeof fromGuest.stdout | typeof fromGuest.stderr, bytes: Buffer): void
  /** Any other message, whole. */
  message(type: number, payload: Buffer): void
}

/** Cuts the guest's byte stream into messages. Untrusted: throws `GuestViolation`, after which nothing more must be pushed. */
export class MessageReader {
  readonly #handlers: MessageHandlers
  /** What came of a header or of a message that is handed over whole. */
  #kept: Buffer = Buffer.alloc(0)
  #type = 0
  /** Bytes of the payload that are still to come; below zero before the header is whole. */
  #left = -1

  constructor(handlers: MessageHandlers) {
    this.#handlers = handlers
  }

  push(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length || this.#left === 0) {
      if (this.#left < 0) at = this.#takeHeader(chunk, at)
      else if (this.#type === fromGuest.stdout || this.#type === fromGuest.stderr) at = this.#takeOutput(this.#type, chunk, at)
      else at = this.#takeMessage(chunk, at)
    }
  }

  #takeHeader(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + headerBytes - this.#kept.length)
    const header = this.#join(chunk.subarray(at, end))
    if (header.length < headerBytes) {
      this.#kept = Buffer.from(header)
      return end
    }
    this.#kept = Buffer.alloc(0)
    this.#type = header[0]!
    this.#left = header.readUInt32LE(1)
    if (!knownTypes.has(this.#type)) throw new GuestViolation(`a message of unknown type ${this.#type}`)
    if (this.#left > payloadBytesMax) throw new GuestViolation(`a message of ${this.#left} bytes`)
    return end
  }

  #takeOutput(type: typeof fromGuest.stdout | typeof fromGuest.stderr, chunk: Buffer, at: number): number {
    // Credit is counted in bytes: messages of none would cost the guest nothing.
    if (this.#left === 0) throw new GuestViolation('output of no bytes')
    const end = Math.min(chunk.length, at + this.#left)
    this.#left -= end - at
    if (this.#left === 0) this.#left = -1
    this.#handlers.output(type, chunk.subarray(at, end))
    return end
  }

  #takeMessage(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + this.#left)
    const payload = this.#join(chunk.subarray(at, end))
    this.#left -= end - at
    if (this.#left > 0) {
      this.#kept = Buffer.from(payload)
      return end
    }
    this.#left = -1
    this.#kept = Buffer.alloc(0)
    this.#handlers.message(this.#type, payload)
    return end
  }

  #join(piece: Buffer): Buffer {
    return this.#kept.length > 0 ? Buffer.concat([this.#kept, piece]) : piece
  }
}

const knownTypes: ReadonlySet<number> = new Set(Object.values(fromGuest))
