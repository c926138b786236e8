import type { IncomingMessage } from 'node:http'
import { ConductorError } from '@maestro/contract'
import type { Ticker } from './ticker.ts'

/** How long a client may take to send a whole body. */
export const bodyMsMax = 30_000

/**
 * Reads a body of at most `bytesMax` and calls back once: with its bytes, or with `frame_too_large` as soon as that is
 * known (from Content-Length before anything is read), or `request_malformed` when it comes too slowly. Where the client
 * goes away first, it never calls back. A body of one chunk is handed over without a copy.
 */
export function readBody(
  request: IncomingMessage,
  bytesMax: number,
  ticker: Ticker,
  done: (error: ConductorError | null, body: Uint8Array) => void,
) {
  const announced = request.headers['content-length']
  if (announced !== undefined && Number(announced) > bytesMax) return done(tooLarge(bytesMax), none)
  let first: Buffer | null = null
  let rest: Buffer[] | null = null
  let size = 0
  let isSettled = false
  const startedMs = ticker.nowMs()
  const slow = {
    tick(nowMs: number) {
      if (nowMs - startedMs > bodyMsMax) settle(new ConductorError('request_malformed', 'The body did not arrive in time.'), none)
    },
  }
  ticker.add(slow)
  request.on('data', (chunk: Buffer) => {
    size += chunk.length
    if (size > bytesMax) return settle(tooLarge(bytesMax), none)
    if (first === null) first = chunk
    else if (rest === null) rest = [first, chunk]
    else rest.push(chunk)
  })
  request.on('end', () => settle(null, rest === null ? (first ?? none) : Buffer.concat(rest, size)))
  request.on('close', () => {
    isSettled = true
    ticker.delete(slow)
  })

  function settle(error: ConductorError | null, body: Uint8Array): void {
    if (isSettled) return
    isSettled = true
    ticker.delete(slow)
    if (error !== null) {
      request.removeAllListeners('data')
      request.pause()
    }
    done(error, body)
  }
}

const none = new Uint8Array(0)

const tooLarge = (bytesMax: number) => new ConductorError('frame_too_large', `A message may have at most ${bytesMax} bytes.`)
