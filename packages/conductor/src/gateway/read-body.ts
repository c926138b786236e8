import type { IncomingMessage } from 'node:http'
import { ConductorError } from '@maestro/contract'
import type { Ticker } from './ticker.ts'

/** How long a client may take to send a whole body. */
export const bodyMsMax = 30_000

/** A body that is on its way. */
interface Arriving {
  bytes: number
  giveUp(): void
}

/**
 * The bodies that are on their way, which together may take so much memory and no more. Where they take more the oldest is given up:
 * an honest body is whole within moments, and who sends slowly on many connections must not fill the memory of all.
 */
export class Arrivals {
  readonly #bytesMax: number
  readonly #arriving = new Set<Arriving>()
  #bytes = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get bytes(): number {
    return this.#bytes
  }

  grow(body: Arriving, bytes: number): void {
    this.#arriving.add(body)
    this.#bytes += bytes - body.bytes
    body.bytes = bytes
    for (const oldest of this.#arriving) {
      if (this.#bytes <= this.#bytesMax) break
      oldest.giveUp()
    }
  }

  delete(body: Arriving): void {
    if (this.#arriving.delete(body)) this.#bytes -= body.bytes
  }
}

/**
 * Reads a body of at most `bytesMax` and calls back once: with its bytes, or with `frame_too_large` as soon as that is
 * known (from Content-Length before anything is read), `request_malformed` when it comes too slowly, or `session_overloaded`
 * when too much else is on its way. Where the client goes away first, it never calls back. A body of one chunk is handed over
 * without a copy.
 */
export function readBody(
  request: IncomingMessage,
  bytesMax: number,
  { ticker, arrivals }: { ticker: Ticker; arrivals: Arrivals },
  done: (error: ConductorError | null, body: Uint8Array) => void,
) {
  const announced = request.headers['content-length']
  if (announced !== undefined && Number(announced) > bytesMax) return done(tooLarge(bytesMax), none)
  let body: Buffer = none
  let size = 0
  let isSettled = false
  const startedMs = ticker.nowMs()
  const arriving: Arriving = { bytes: 0, giveUp: () => settle(overloaded(), none) }
  const slow = {
    tick(nowMs: number) {
      if (nowMs - startedMs > bodyMsMax) settle(new ConductorError('request_malformed', 'The body did not arrive in time.'), none)
    },
  }
  ticker.add(slow)
  request.on('data', (chunk: Buffer) => {
    if (size + chunk.length > bytesMax) return settle(tooLarge(bytesMax), none)
    if (size === 0) body = chunk
    else {
      // Copied together as they come: a body sent as millions of chunks of a byte would take a hundred times its size as a list.
      if (size + chunk.length > body.length) body = larger(body.subarray(0, size), size + chunk.length, bytesMax)
      body.set(chunk, size)
    }
    size += chunk.length
    if (body.length !== arriving.bytes) arrivals.grow(arriving, body.length)
  })
  request.on('end', () => settle(null, size === body.length ? body : body.subarray(0, size)))
  request.on('close', () => {
    isSettled = true
    release()
  })

  function settle(error: ConductorError | null, whole: Uint8Array): void {
    if (isSettled) return
    isSettled = true
    release()
    if (error !== null) {
      request.removeAllListeners('data')
      request.pause()
    }
    done(error, whole)
  }

  function release(): void {
    ticker.delete(slow)
    arrivals.delete(arriving)
    body = none
  }
}

const chunkBytesMin = 64 * 1024

/** Room for at least `bytes`, and as much again for what may follow, with the first bytes in it. */
function larger(first: Buffer, bytes: number, bytesMax: number): Buffer {
  const room = Buffer.allocUnsafeSlow(Math.max(bytes, Math.min(bytesMax, Math.max(chunkBytesMin, 2 * bytes))))
  room.set(first)
  return room
}

const overloaded = () => new ConductorError('session_overloaded', 'Too much is being sent at a time; this body took the longest.')

const none: Buffer = Buffer.alloc(0)

const tooLarge = (bytesMax: number) => new ConductorError('frame_too_large', `A message may have at most ${bytesMax} bytes.`)
