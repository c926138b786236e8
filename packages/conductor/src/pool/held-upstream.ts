import type { SandboxId, TapeEvent } from '@maestro/contract'
import { heldLine } from '../sandbox/held.ts'
import type { Exit } from '../sandbox/sandbox.ts'
import type { Upstream } from '../session/stages.ts'

const held = Buffer.from(heldLine)

/**
 * An upstream whose program was started and waits for its environment. That it waits tells that it is warm, and never reaches the
 * session; `release` brings the environment, before any frame.
 */
export class HeldUpstream implements Upstream {
  readonly #inner: Upstream
  readonly #onHeld: () => void
  readonly #environment: Uint8Array
  #listener: ((frame: Uint8Array) => void) | null = null
  #early: Uint8Array[] = []
  #isHeld = false
  #isReleased = false

  constructor(inner: Upstream, environment: Uint8Array, onHeld: () => void) {
    this.#inner = inner
    this.#environment = environment
    this.#onHeld = onHeld
    inner.onFrame(frame => this.#take(frame))
  }

  /** Somebody leased it: only now does it get what belongs to them. It need not wait yet; the line then waits for it. */
  release(): void {
    if (this.#isReleased) return
    this.#isReleased = true
    this.#inner.send(this.#environment)
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
    // Once it is held nothing is left to do between server and session.
    if (this.#isHeld) this.#inner.onFrame(listener)
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
  close(): Promise<void> {
    return this.#inner.close()
  }

  #take(frame: Uint8Array): void {
    if (!this.#isHeld && frame.length === held.length && held.equals(frame)) {
      this.#isHeld = true
      if (this.#listener) this.#inner.onFrame(this.#listener)
      this.#onHeld()
    } else if (this.#listener) this.#listener(frame)
    else this.#early.push(frame)
  }
}
