import type { SandboxId, TapeEvent } from '@maestro/contract'
import type { Exit } from '../sandbox/sandbox.ts'
import type { Lease, Rebuild, Upstream } from './stages.ts'

export interface SleepingParts {
  lease: Lease
  /** Leases another sandbox of the same release. */
  leaseAgain(): Promise<Lease>
  now(): number
  /** The server is there again and was told everything that was kept for it. */
  onWoken(facts: { how: Rebuild['how'] | 'frozen'; warm: boolean; ms: number }): void
  /** No sandbox could be had: what was kept for the server is dropped, and the next frame tries again. */
  onNotWoken(cause: unknown): void
  /** The server answered otherwise than before: what it knew is gone. */
  onLost(): void
}

type State =
  | { is: 'awake' }
  | { is: 'frozen' }
  | { is: 'asleep'; rebuild: Rebuild }
  | { is: 'waking'; rebuild: Rebuild; done: Promise<void> }
  | { is: 'ended' }

const closedExit: Exit = { code: null, signal: null, reason: 'closed', stderrTail: '' }

/**
 * The server of a session as the session sees it: one and the same as long as the session lasts, although its sandbox may be given back
 * while nobody speaks and another be brought to where it was when somebody does.
 */
export class SleepingUpstream implements Upstream {
  readonly driver: string
  readonly exited: Promise<Exit>
  readonly #parts: SleepingParts
  readonly #settleExited: (exit: Exit) => void
  #lease: Lease
  #state: State = { is: 'awake' }
  #kept: Uint8Array[] = []
  #keptBytes = 0
  #onFrame: (frame: Uint8Array) => void = () => {}
  #onEvent: (event: TapeEvent) => void = () => {}
  #isPaused = false

  constructor(parts: SleepingParts) {
    this.#parts = parts
    this.#lease = parts.lease
    this.driver = parts.lease.upstream.driver
    const exited = Promise.withResolvers<Exit>()
    this.exited = exited.promise
    this.#settleExited = exited.resolve
    this.#watch(parts.lease)
  }

  get id(): SandboxId {
    return this.#lease.upstream.id
  }
  get pendingBytes(): number {
    return this.#state.is === 'awake' || this.#state.is === 'frozen' ? this.#lease.upstream.pendingBytes : this.#keptBytes
  }

  send(frame: Uint8Array): void {
    if (this.#state.is === 'awake') {
      this.#lease.upstream.send(frame)
      return
    }
    if (this.#state.is === 'ended') return
    if (this.#state.is === 'frozen') {
      this.#thaw(frame)
      return
    }
    // The caller's bytes are not ours to keep.
    this.#kept.push(Uint8Array.from(frame))
    this.#keptBytes += frame.length
    if (this.#state.is === 'asleep') this.#wake(this.#state.rebuild)
  }

  onFrame(listener: (frame: Uint8Array) => void): void {
    this.#onFrame = listener
    this.#lease.upstream.onFrame(listener)
  }
  onEvent(listener: (event: TapeEvent) => void): void {
    this.#onEvent = listener
    this.#lease.upstream.onEvent(listener)
  }
  pause(): void {
    this.#isPaused = true
    if (this.#state.is === 'awake') this.#lease.upstream.pause()
  }
  resume(): void {
    this.#isPaused = false
    if (this.#state.is === 'awake') this.#lease.upstream.resume()
  }

  get isAsleep(): boolean {
    return this.#state.is === 'asleep' || this.#state.is === 'frozen'
  }

  /** Stops its processes where they stand. False where that cannot be done. Call it when no request of either side is open. */
  freeze(): boolean {
    if (this.#state.is !== 'awake' || !this.#lease.upstream.freeze?.()) return false
    this.#state = { is: 'frozen' }
    return true
  }

  /** Gives the sandbox back. Call it when no request of either side is open. Settles when nothing of the sandbox is left. */
  async sleep(rebuild: Rebuild): Promise<void> {
    if (this.#state.is !== 'awake') return
    this.#state = { is: 'asleep', rebuild }
    const { upstream } = this.#lease
    upstream.onFrame(() => {})
    upstream.onEvent(() => {})
    await this.#lease.release()
  }

  /** Ends it for good, asleep or awake. */
  async close(): Promise<void> {
    const before = this.#state
    this.#state = { is: 'ended' }
    this.#kept = []
    this.#keptBytes = 0
    if (before.is === 'waking') await before.done
    await this.#lease.release()
    this.#settleExited(closedExit)
  }

  #watch(lease: Lease): void {
    const settle = (exit: Exit) => {
      if (this.#lease === lease && ['awake', 'frozen', 'ended'].includes(this.#state.is)) this.#settleExited(exit)
    }
    lease.upstream.exited.then(settle, cause => settle({ ...closedExit, reason: 'sandbox_crashed', stderrTail: String(cause) }))
  }

  #thaw(frame: Uint8Array): void {
    const begunMs = this.#parts.now()
    const { upstream } = this.#lease
    upstream.thaw?.()
    this.#state = { is: 'awake' }
    this.#parts.onWoken({ how: 'frozen', warm: true, ms: this.#parts.now() - begunMs })
    upstream.send(frame)
  }

  #wake(rebuild: Rebuild): void {
    const done = this.#rebuild(rebuild)
    // It ran up to its first wait, which cannot have been the end.
    this.#state = { is: 'waking', rebuild, done }
  }

  async #rebuild(rebuild: Rebuild): Promise<void> {
    const begunMs = this.#parts.now()
    let lease: Lease | null = null
    try {
      await null
      lease = await this.#parts.leaseAgain()
      const isSame = this.#state.is === 'waking' && (await rebuild.run(lease.upstream))
      if (this.#state.is !== 'waking') return await lease.release()
      if (!isSame) {
        await lease.release()
        this.#parts.onLost()
        return
      }
    } catch (cause) {
      await lease?.release()
      if (this.#state.is !== 'waking') return
      this.#state = { is: 'asleep', rebuild }
      this.#kept = []
      this.#keptBytes = 0
      this.#parts.onNotWoken(cause)
      return
    }
    this.#lease = lease
    this.#state = { is: 'awake' }
    this.#watch(lease)
    const { upstream } = lease
    this.#parts.onWoken({ how: rebuild.how, warm: lease.warm, ms: this.#parts.now() - begunMs })
    upstream.onEvent(this.#onEvent)
    upstream.onFrame(this.#onFrame)
    if (this.#isPaused) upstream.pause()
    const kept = this.#kept
    this.#kept = []
    this.#keptBytes = 0
    for (const frame of kept) upstream.send(frame)
  }
}
