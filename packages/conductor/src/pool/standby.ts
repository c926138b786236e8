import { ConductorError, makeId, type SandboxId } from '@maestro/contract'
import { environmentLine } from '../sandbox/held.ts'
import type { SandboxDriver } from '../sandbox/sandbox.ts'
import type { Runnable, Upstream } from '../session/stages.ts'
import type { World } from '../world.ts'
import { chooseStart } from './choose-start.ts'
import { HeldUpstream } from './held-upstream.ts'
import { PingedUpstream } from './pinged-upstream.ts'

export type BundleRunnable = Runnable & { runs: Extract<Runnable['runs'], { kind: 'bundle' }> }

/** A server that gives no sign of life for so long does not come up, ms. */
const warmMsMax = 60_000

export interface StandbyListener {
  warmed(standby: Standby): void
  /** It never came up, or it died before anybody leased it. */
  failed(standby: Standby, why: string): void
  /** Nothing of it exists any more. Called once, last. */
  gone(standby: Standby): void
}

/** One sandbox on its way: starting → warm → leased → draining → gone, any step but forward left out, none taken back. */
export class Standby {
  readonly id: SandboxId
  readonly deployment: Runnable['deployment']
  readonly fingerprint: string
  /** The process tree exists. Rejects with what the driver threw. */
  readonly started: Promise<Upstream>
  state: 'starting' | 'warm' | 'leased' | 'draining' | 'gone' = 'starting'
  /** From spawn until warm, ms; 0 while it is not warm. */
  startMs = 0
  /** Whether it stands still and takes no CPU. */
  frozen = false
  readonly #world: World
  readonly #listener: StandbyListener
  readonly #begunMs: number
  /** A server with connections of its own must answer them, or they break while it waits. */
  readonly #mayFreeze: boolean
  #upstream: Upstream | null = null
  #held: HeldUpstream | null = null
  #cancelTimer: () => void = () => {}
  #ended: Promise<void> | null = null

  /** `leased`: somebody waits for it already, so that it is not asked whether it is warm. */
  constructor(
    driver: SandboxDriver,
    world: World,
    runnable: BundleRunnable,
    fingerprint: string,
    leased: boolean,
    listener: StandbyListener,
  ) {
    this.id = makeId('sbx', world.now(), world.randomBytes(11))
    this.deployment = runnable.deployment
    this.fingerprint = fingerprint
    this.#world = world
    this.#listener = listener
    this.#begunMs = world.monotonicMs()
    this.#mayFreeze = runnable.egress.length === 0
    if (leased) this.state = 'leased'
    this.started = this.#start(driver, runnable)
    this.started.catch(() => {})
  }

  /** Somebody takes it; it belongs to nobody else ever after. */
  lease(): void {
    this.state = 'leased'
    this.#cancelTimer()
    this.#upstream?.hurry?.()
    if (this.frozen) this.#upstream?.thaw?.()
    this.frozen = false
    this.#held?.release()
  }

  /** Nobody takes it for now: it stands still until somebody does. */
  freeze(): void {
    if (this.state === 'warm' && this.#mayFreeze) this.frozen = this.#upstream?.freeze?.() ?? false
  }

  /** Memory it holds, bytes, or null where nobody counts. */
  get memoryBytes(): number | null {
    return this.#upstream?.memoryBytes?.() ?? null
  }

  /** Ends it; settles when nothing of it exists. */
  end(): Promise<void> {
    this.#ended ??= this.#end()
    return this.#ended
  }

  async #start(driver: SandboxDriver, runnable: BundleRunnable): Promise<Upstream> {
    const { runs, egress, egressRecord, limits } = runnable
    const { late, ...chosen } = chooseStart(runnable, this.state === 'leased')
    let upstream: Upstream
    let environment: Uint8Array | null
    const unhurried = this.state === 'starting'
    try {
      environment = late && environmentLine(runs.program, late)
      upstream = await driver.start({
        id: this.id,
        bundle: runs.bundle,
        program: runs.program,
        args: runs.args,
        ...chosen,
        egress,
        egressRecord: egressRecord ?? false,
        limits,
        unhurried,
      })
    } catch (cause) {
      const known = cause instanceof ConductorError ? cause : null
      const failure = known ?? new ConductorError('sandbox_start_failed', `sandbox ${this.id} did not start`, {}, cause)
      this.#fail(`${failure.code}: ${failure.message}`)
      this.#leave()
      throw failure
    }
    this.#upstream = upstream
    // Leased while it was being made.
    if (unhurried && this.state === 'leased') upstream.hurry?.()
    void upstream.exited.then(exit => {
      const lastWords = exit.stderrTail.slice(exit.stderrTail.lastIndexOf('\n') + 1).slice(0, 200)
      this.#fail(`${exit.reason}: ${exit.signal ?? `exit code ${exit.code}`}${lastWords ? `: ${lastWords}` : ''}`)
      this.#leave()
    })
    if (environment) return this.#hold(upstream, environment)
    return this.state === 'starting' ? this.#awaitWarmth(upstream, runnable) : upstream
  }

  /** Warm once it waits for its environment, which it is sent when somebody leases it. */
  #hold(upstream: Upstream, environment: Uint8Array): Upstream {
    this.#cancelTimer = this.#world.after(warmMsMax, () =>
      this.#giveUp(`it was not ready for its environment within ${warmMsMax} ms`),
    )
    this.#held = new HeldUpstream(upstream, environment, () => this.#warm(this.#world.monotonicMs() - this.#begunMs))
    if (this.state === 'leased') this.#held.release()
    return this.#held
  }

  /** By a sign of life where the server gives one before initialize, else by the time its first run took. */
  #awaitWarmth(upstream: Upstream, runnable: BundleRunnable): Upstream {
    const { pingBeforeInitialize, startupMs } = runnable.release.manifest
    const elapsedMs = () => this.#world.monotonicMs() - this.#begunMs
    if (!pingBeforeInitialize) {
      this.#cancelTimer = this.#world.after(Math.max(0, startupMs - elapsedMs()), () => this.#warm(startupMs))
      return upstream
    }
    this.#cancelTimer = this.#world.after(warmMsMax, () => this.#giveUp(`no answer to ping within ${warmMsMax} ms`))
    return new PingedUpstream(upstream, () => this.#warm(elapsedMs()))
  }

  #giveUp(why: string): void {
    this.#fail(`server_timeout: ${why}`)
    void this.end()
  }

  #warm(startMs: number): void {
    if (this.state !== 'starting') return
    this.#cancelTimer()
    this.startMs = startMs
    this.state = 'warm'
    this.#listener.warmed(this)
  }

  #fail(why: string): void {
    if (this.state === 'starting' || this.state === 'warm') this.#listener.failed(this, why)
  }

  #leave(): void {
    if (this.state === 'gone') return
    this.#cancelTimer()
    this.state = 'gone'
    this.#listener.gone(this)
  }

  async #end(): Promise<void> {
    if (this.state === 'gone') return
    this.#cancelTimer()
    this.state = 'draining'
    this.frozen = false
    await this.started.catch(() => {})
    await this.#upstream?.close()
    this.#leave()
  }
}
