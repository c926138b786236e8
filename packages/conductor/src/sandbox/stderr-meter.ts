import type { World } from '../world.ts'
import { LineSplitter } from './line-splitter.ts'
import { maskValues } from './mask-values.ts'

/** What is kept for the message a person sees when the server dies, bytes. */
const tailBytesMax = 4096
/** Events are made for so much per second; the rest is counted only. */
const eventBytesPerSecondMax = 64 * 1024
/** Beyond so much per second the reader pauses: a server that floods waits, Conductor does not work for it. */
const readBytesPerSecondMax = 4 * 1024 * 1024
const windowMs = 1000
const lineBytesMax = 8 * 1024

/**
 * Standard error of a server as events by line, bounded in rate. Values of the environment are masked, because servers like to print
 * the key they could not sign in with.
 */
export class StderrMeter {
  readonly #world: World
  readonly #onText: (text: string) => void
  readonly #mask: (text: string) => string
  readonly #throttle: { pause(): void; resume(): void }
  #splitter = this.#newSplitter()
  #tail: Buffer = Buffer.alloc(0)
  #windowEndsMs = 0
  #windowBytes = 0
  #droppedBytes = 0
  #cancelWindow: (() => void) | null = null

  constructor(
    world: World,
    env: Readonly<Record<string, string>>,
    throttle: { pause(): void; resume(): void },
    onText: (text: string) => void,
  ) {
    this.#world = world
    this.#onText = onText
    this.#throttle = throttle
    this.#mask = maskValues(env)
  }

  push(chunk: Buffer): void {
    this.#keepTail(chunk)
    const now = this.#world.monotonicMs()
    if (now >= this.#windowEndsMs) this.#openWindow(now)
    this.#windowBytes += chunk.length
    if (this.#windowBytes <= eventBytesPerSecondMax) {
      if (!this.#splitter.push(chunk)) {
        this.#droppedBytes += chunk.length
        this.#splitter = this.#newSplitter()
      }
    } else {
      this.#droppedBytes += chunk.length
      this.#splitter = this.#newSplitter()
      if (this.#windowBytes > readBytesPerSecondMax && !this.#cancelWindow) {
        this.#throttle.pause()
        this.#cancelWindow = this.#world.after(this.#windowEndsMs - now, () => {
          this.#cancelWindow = null
          this.#throttle.resume()
        })
      }
    }
  }

  end(): void {
    this.#cancelWindow?.()
    this.#cancelWindow = null
    this.#splitter.end()
    this.#reportDropped()
  }

  /** The last of it, at most 4 KiB, values masked. */
  get tail(): string {
    return this.#mask(this.#tail.toString('utf8')).trim()
  }

  #openWindow(now: number): void {
    this.#windowEndsMs = now + windowMs
    this.#windowBytes = 0
    this.#reportDropped()
  }

  #reportDropped(): void {
    if (this.#droppedBytes === 0) return
    this.#onText(`[${this.#droppedBytes} bytes of standard error not kept: more than ${eventBytesPerSecondMax} in a second]`)
    this.#droppedBytes = 0
  }

  #keepTail(chunk: Buffer): void {
    const last = chunk.subarray(-tailBytesMax)
    this.#tail = last.length === tailBytesMax ? Buffer.from(last) : Buffer.concat([this.#tail, last]).subarray(-tailBytesMax)
  }

  #newSplitter(): LineSplitter {
    return new LineSplitter(lineBytesMax, line => this.#onText(this.#mask(line.toString('utf8'))))
  }
}
