export type FirstBytes =
  /** It may still become a ClientHello. */
  | { kind: 'more' }
  /** `serverName` null where the client names none. */
  | { kind: 'tls'; serverName: string | null }
  | { kind: 'other' }
  /** It begins as TLS and then breaks its rules. */
  | { kind: 'broken' }

/** Largest ClientHello that is waited for. Those of browsers with post-quantum keys are under 3 KiB. */
export const helloBytesMax = 16 * 1024

const handshakeRecord = 22
const clientHello = 1
const serverNameExtension = 0
const hostNameType = 0
const recordHead = 5
const handshakeHead = 4

/**
 * Reads the server name out of the first bytes of a TLS connection, RFC 8446 §4.1.2 and RFC 6066 §3, however they are cut into records.
 * The bytes are hostile: nothing is read beyond what is there, and what has two meanings is broken.
 */
export function readClientHello(bytes: Uint8Array): FirstBytes {
  if (bytes.length === 0) return { kind: 'more' }
  if (bytes[0] !== handshakeRecord) return { kind: 'other' }
  const message: number[] = []
  let needed = handshakeHead
  for (let at = 0; message.length < needed; ) {
    if (at + recordHead > bytes.length) return incomplete(bytes, at)
    const length = u16(bytes, at + 3)
    if (!isHandshakeHead(bytes, at) || length === 0 || length > 16_384) return { kind: 'broken' }
    const end = at + recordHead + length
    for (const byte of bytes.subarray(at + recordHead, Math.min(end, bytes.length))) message.push(byte)
    if (message.length > 0 && message[0] !== clientHello) return { kind: 'broken' }
    if (message.length >= handshakeHead) needed = handshakeHead + ((message[1]! << 16) | (message[2]! << 8) | message[3]!)
    if (needed > helloBytesMax) return { kind: 'broken' }
    if (end > bytes.length && message.length < needed) return { kind: bytes.length > 2 * helloBytesMax ? 'broken' : 'more' }
    at = end
  }
  return serverNameOf(Uint8Array.from(message.slice(handshakeHead, needed)))
}

/** A head that is not whole yet is looked at as far as it goes. */
function incomplete(bytes: Uint8Array, at: number): FirstBytes {
  const isRight = isHandshakeHead(bytes, at) && bytes.length <= 2 * helloBytesMax
  return { kind: isRight ? 'more' : 'broken' }
}

function isHandshakeHead(bytes: Uint8Array, at: number): boolean {
  return (bytes[at] ?? handshakeRecord) === handshakeRecord && (bytes[at + 1] ?? 3) === 3 && (bytes[at + 2] ?? 1) <= 4
}

const u16 = (bytes: Uint8Array, at: number): number => (bytes[at]! << 8) | bytes[at + 1]!

function serverNameOf(body: Uint8Array): FirstBytes {
  const reader = new Reader(body)
  reader.skip(2 + 32)
  reader.vector(1)
  reader.vector(2)
  reader.vector(1)
  // Extensions may be missing altogether, as in the oldest clients.
  if (reader.isBroken) return { kind: 'broken' }
  if (reader.isAtEnd) return { kind: 'tls', serverName: null }
  const extensions = new Reader(reader.vector(2))
  if (!reader.isAtEnd || reader.isBroken) return { kind: 'broken' }
  let serverName: string | null = null
  while (!extensions.isAtEnd) {
    const type = extensions.number(2)
    const content = extensions.vector(2)
    if (extensions.isBroken) return { kind: 'broken' }
    if (type !== serverNameExtension) continue
    const name = nameIn(content)
    // Two names could be read differently by us and by the server.
    if (name === null || serverName !== null) return { kind: 'broken' }
    serverName = name
  }
  return { kind: 'tls', serverName }
}

function nameIn(extension: Uint8Array): string | null {
  const outer = new Reader(extension)
  const list = new Reader(outer.vector(2))
  const type = list.number(1)
  const name = list.vector(2)
  if (outer.isBroken || !outer.isAtEnd || list.isBroken || !list.isAtEnd || type !== hostNameType || name.length === 0)
    return null
  const text = String.fromCharCode(...name)
  return /^[\x21-\x7e]+$/.test(text) ? text : null
}

/** Reads numbers and length-prefixed vectors. Past the end it gives zeros and empty vectors, and is broken from then on. */
class Reader {
  isBroken = false
  #at = 0
  readonly #bytes: Uint8Array

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get isAtEnd(): boolean {
    return this.isBroken || this.#at === this.#bytes.length
  }

  number(size: number): number {
    return this.#take(size).reduce((sum, byte) => sum * 256 + byte, 0)
  }

  vector(lengthSize: number): Uint8Array {
    return this.#take(this.number(lengthSize))
  }

  skip(size: number): void {
    this.#take(size)
  }

  #take(size: number): Uint8Array {
    const taken = this.#bytes.subarray(this.#at, this.#at + size)
    if (taken.length < size) {
      this.isBroken = true
      this.#at = this.#bytes.length
      return new Uint8Array(0)
    }
    this.#at += size
    return taken
  }
}
