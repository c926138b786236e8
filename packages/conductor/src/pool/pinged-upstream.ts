import type { SandboxId, TapeEvent } from '@maestro/contract'
import type { Exit } from '../sandbox/sandbox.ts'
import type { Upstream } from '../session/stages.ts'

const pingId = 'maestro-warm'
const pingFrame = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: pingId, method: 'ping' }))
const pingMark = Buffer.from(`"${pingId}"`)
/** An answer to ping is small; a larger frame is not looked into. */
const answerBytesMax = 4096

/**
 * An upstream that was asked for a sign of life before anybody leased it (`ping`, MCP revision 2025-11-25, may come before initialize).
 * The answer, error or not, tells that the server reads and writes; it never reaches the session. All else passes.
 */
export class PingedUpstream implements Upstream {
  readonly #inner: Upstream
  readonly #onAnswer: () => void
  #listener: ((frame: Uint8Array) => void) | null = null
  #early: Uint8Array[] = []
  #answered = false

  constructor(inner: Upstream, onAnswer: () => void) {
    this.#inner = inner
    this.#onAnswer = onAnswer
    inner.onFrame(frame => this.#take(frame))
    inner.send(pingFrame)
  }

  get id(): SandboxId {
    return this.#inner.id
  }
  get driver(): string {
    return this.#inner.driver
  }
  get pendingBytes(): number {
    return this.#inner.pendingBytes
  }
  get exited(): Promise<Exit> {
    return this.#inner.exited
  }
  send(frame: Uint8Array): void {
    this.#inner.send(frame)
  }
  onFrame(listener: (frame: Uint8Array) => void): void {
    this.#listener = listener
    const early = this.#early
    this.#early = []
    for (const frame of early) listener(frame)
    // Once the answer has come nothing is left to do between server and session.
    if (this.#answered) this.#inner.onFrame(listener)
  }
  onEvent(listener: (event: TapeEvent) => void): void {
    this.#inner.onEvent(listener)
  }
  pause(): void {
    this.#inner.pause()
  }
  resume(): void {
    this.#inner.resume()
  }
  freeze(): boolean {
    return this.#inner.freeze?.() ?? false
  }
  thaw(): void {
    this.#inner.thaw?.()
  }
  memoryBytes(): number | null {
    return this.#inner.memoryBytes?.() ?? null
  }
  close(): Promise<void> {
    return this.#inner.close()
  }

  #take(frame: Uint8Array): void {
    if (!this.#answered && isAnswer(frame)) {
      this.#answered = true
      if (this.#listener) this.#inner.onFrame(this.#listener)
      this.#onAnswer()
    } else if (this.#listener) this.#listener(frame)
    else this.#early.push(frame)
  }
}

/** Frames are untrusted: what is not plainly our answer belongs to the session. */
function isAnswer(frame: Uint8Array): boolean {
  const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength)
  if (bytes.length > answerBytesMax || !bytes.includes(pingMark)) return false
  try {
    const message: unknown = JSON.parse(bytes.toString('utf8'))
    return typeof message === 'object' && message !== null && 'id' in message && message.id === pingId && !('method' in message)
  } catch {
    return false
  }
}
