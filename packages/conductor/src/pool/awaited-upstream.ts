import type { SandboxId, TapeEvent } from '@maestro/contract'
import type { Exit } from '../sandbox/sandbox.ts'
import type { Upstream } from '../session/stages.ts'

/**
 * An upstream from which the pool awaits one sign that it is warm. The first frame that is this sign never reaches the session; all else
 * passes, in order.
 */
export abstract class AwaitedUpstream implements Upstream {
  protected readonly inner: Upstream
  readonly #onSign: () => void
  #listener: ((frame: Uint8Array) => void) | null = null
  #early: Uint8Array[] = []
  #hasCome = false

  constructor(inner: Upstream, onSign: () => void) {
    this.inner = inner
    this.#onSign = onSign
    inner.onFrame(frame => this.#take(frame))
  }

  /** Frames are untrusted: what is not plainly the sign belongs to the session. Not asked any more once it has come. */
  protected abstract isSign(frame: Uint8Array): boolean

  get id(): SandboxId {
    return this.inner.id
  }
  get driver(): string {
    return this.inner.driver
  }
  get pendingBytes(): number {
    return this.inner.pendingBytes
  }
  get exited(): Promise<Exit> {
    return this.inner.exited
  }
  send(frame: Uint8Array): void {
    this.inner.send(frame)
  }
  onFrame(listener: (frame: Uint8Array) => void): void {
    this.#listener = listener
    const early = this.#early
    this.#early = []
    for (const frame of early) listener(frame)
    // Once the sign has come nothing is left to do between server and session.
    if (this.#hasCome) this.inner.onFrame(listener)
  }
  onEvent(listener: (event: TapeEvent) => void): void {
    this.inner.onEvent(listener)
  }
  pause(): void {
    this.inner.pause()
  }
  resume(): void {
    this.inner.resume()
  }
  freeze(): boolean {
    return this.inner.freeze?.() ?? false
  }
  thaw(): void {
    this.inner.thaw?.()
  }
  hurry(): void {
    this.inner.hurry?.()
  }
  memoryBytes(): number | null {
    return this.inner.memoryBytes?.() ?? null
  }
  close(): Promise<void> {
    return this.inner.close()
  }

  #take(frame: Uint8Array): void {
    if (!this.#hasCome && this.isSign(frame)) {
      this.#hasCome = true
      if (this.#listener) this.inner.onFrame(this.#listener)
      this.#onSign()
    } else if (this.#listener) this.#listener(frame)
    else this.#early.push(frame)
  }
}
