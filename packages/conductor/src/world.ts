import { randomBytes } from 'node:crypto'
import type { Log } from './telemetry/log.ts'

/** Everything that is different on the second run. Nothing else may read a clock, a die or the network. */
export interface World {
  /** Wall clock, Unix ms. For people and for records. */
  now(): number
  /** For durations and deadlines, ms with fractions. Never goes back. */
  monotonicMs(): number
  randomBytes(count: number): Uint8Array
  /** Resolves after `ms`; rejects with the signal's reason when aborted. Does not hold the process open. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
  /** Calls back once after `ms` unless the returned function is called first. Does not hold the process open. */
  after(ms: number, callback: () => void): () => void
  fetch(request: Request): Promise<Response>
  log: Log
}

/** The wall clock for what is made before a World is: its log. */
export const wallClock = (): number => Date.now()

export function realWorld(log: Log): World {
  return {
    now: wallClock,
    monotonicMs: () => performance.now(),
    randomBytes: count => randomBytes(count),
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason)
        const abort = () => {
          clearTimeout(timer)
          reject(signal?.reason)
        }
        const timer = setTimeout(() => {
          signal?.removeEventListener('abort', abort)
          resolve()
        }, ms)
        timer.unref()
        signal?.addEventListener('abort', abort, { once: true })
      }),
    after: (ms, callback) => {
      const timer = setTimeout(callback, ms)
      timer.unref()
      return () => clearTimeout(timer)
    },
    fetch: request => fetch(request),
    log,
  }
}
