import { heldLine } from '../sandbox/held.ts'
import type { Upstream } from '../session/stages.ts'
import { AwaitedUpstream } from './awaited-upstream.ts'

const held = Buffer.from(heldLine)

/**
 * An upstream whose program was started and waits for its environment. That it waits tells that it is warm; `release` brings the
 * environment, before any frame.
 */
export class HeldUpstream extends AwaitedUpstream {
  readonly #environment: Uint8Array
  #isReleased = false

  constructor(inner: Upstream, environment: Uint8Array, onHeld: () => void) {
    super(inner, onHeld)
    this.#environment = environment
  }

  /** Somebody leased it: only now does it get what belongs to them. It need not wait yet; the line then waits for it. */
  release(): void {
    if (this.#isReleased) return
    this.#isReleased = true
    this.inner.send(this.#environment)
  }

  protected isSign(frame: Uint8Array): boolean {
    return frame.length === held.length && held.equals(frame)
  }
}
