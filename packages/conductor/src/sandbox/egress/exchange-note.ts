import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { brotliDecompressSync, gunzipSync, inflateSync } from 'node:zlib'
import type { EgressBody, EgressExchange } from '@maestro/contract'
import type { World } from '../../world.ts'
import { masked, maskFields, maskQuery, secretNames } from './mask-named.ts'

/** Of a body so much is kept, bytes. The digest and the count are of all of it. */
const keptBytesMax = 64 * 1024
/** Of its text and of one header so much is on the tape, characters. */
const textLengthMax = 32 * 1024
const headerLengthMax = 4096
const headersLengthMax = 32 * 1024
const urlLengthMax = 8192

/** Puts an HTTP exchange together for the tape while it passes. */
export class ExchangeNote {
  readonly requestBody = new BodyNote()
  readonly responseBody = new BodyNote()
  readonly #world: World
  readonly #beganMs: number
  readonly #request: IncomingMessage
  readonly #url: string
  readonly #connection: number
  readonly #mask: (text: string) => string
  readonly #report: (event: EgressExchange) => void
  #answer: IncomingMessage | null = null
  #isOver = false

  constructor(parts: {
    world: World
    request: IncomingMessage
    url: string
    connection: number
    mask(text: string): string
    report(event: EgressExchange): void
  }) {
    this.#world = parts.world
    this.#beganMs = parts.world.monotonicMs()
    this.#request = parts.request
    this.#url = parts.url
    this.#connection = parts.connection
    this.#mask = parts.mask
    this.#report = parts.report
  }

  answer(answer: IncomingMessage): void {
    this.#answer = answer
  }

  end(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#report({
      name: 'egress.exchange',
      connection: this.#connection,
      method: this.#request.method ?? '',
      url: this.#mask(maskQuery(this.#url)).slice(0, urlLengthMax),
      status: this.#answer?.statusCode ?? 0,
      ms: Math.round(this.#world.monotonicMs() - this.#beganMs),
      requestHeaders: this.#headersOf(this.#request),
      responseHeaders: this.#answer ? this.#headersOf(this.#answer) : [],
      requestBody: this.requestBody.summary(this.#request, this.#mask),
      responseBody: this.responseBody.summary(this.#answer, this.#mask),
    })
  }

  #headersOf({ rawHeaders }: IncomingMessage): [string, string][] {
    const pairs: [string, string][] = []
    let length = 0
    for (let index = 0; index + 1 < rawHeaders.length && length < headersLengthMax; index += 2) {
      const name = rawHeaders[index]!.slice(0, headerLengthMax)
      const value = secretNames.test(name) ? masked : this.#mask(rawHeaders[index + 1]!).slice(0, headerLengthMax)
      pairs.push([name, value])
      length += name.length + value.length
    }
    return pairs
  }
}

class BodyNote {
  readonly #hash = createHash('sha256')
  #bytes = 0
  #kept: Buffer[] = []
  #keptBytes = 0

  push(chunk: Buffer): void {
    this.#hash.update(chunk)
    this.#bytes += chunk.length
    if (this.#keptBytes >= keptBytesMax) return
    const part = Buffer.from(chunk.subarray(0, keptBytesMax - this.#keptBytes))
    this.#kept.push(part)
    this.#keptBytes += part.length
  }

  summary(message: IncomingMessage | null, mask: (text: string) => string): EgressBody {
    const isWhole = this.#keptBytes === this.#bytes
    const text = textOf(Buffer.concat(this.#kept), message, isWhole)
    this.#kept = []
    const shown = text === null ? null : mask(maskFields(text)).slice(0, textLengthMax)
    return {
      bytes: this.#bytes,
      digest: `sha256:${this.#hash.digest('hex')}`,
      text: shown,
      cut: text !== null && (!isWhole || text.length > textLengthMax),
    }
  }
}

const decoders: Readonly<Record<string, (bytes: Buffer, options: { maxOutputLength: number }) => Buffer>> = {
  gzip: gunzipSync,
  deflate: inflateSync,
  br: brotliDecompressSync,
}

function textOf(bytes: Buffer, message: IncomingMessage | null, isWhole: boolean): string | null {
  const type = message?.headers['content-type'] ?? ''
  if (!/^(?:text\/|application\/(?:[\w.+-]*\+)?(?:json|xml|x-www-form-urlencoded|javascript|x-ndjson))/i.test(type)) return null
  const coding = message?.headers['content-encoding'] ?? 'identity'
  if (coding === 'identity') return bytes.toString('utf8')
  const decode = Object.hasOwn(decoders, coding) ? decoders[coding] : undefined
  if (!decode || !isWhole) return null
  try {
    return decode(bytes, { maxOutputLength: 16 * keptBytesMax }).toString('utf8')
  } catch {
    return null
  }
}
