import { createHash } from 'node:crypto'
import { Demand, restMs, type ShelfPlan, type ShelfState } from '@maestro/logic'
import type { Runnable } from '../session/stages.ts'
import type { World } from '../world.ts'
import type { BundleRunnable, Standby } from './standby.ts'
import { StartTimes } from './start-times.ts'

/** A sandbox that stayed warm for so long shows that its release works, ms. */
const soundMs = 10_000
/** For so long a new release is held warm whatever its use, so that its first session need not wait, ms. */
const newMs = 15 * 60_000
/** What a sandbox is taken to hold before one was measured. */
const memoryGuessBytes = 64 * 1024 * 1024
/** How much the newest measurement counts. */
const memoryWeight = 0.2

/** What the pool holds for one deployment, and how that went so far. */
export class Shelf {
  runnable: Runnable
  fingerprint: string
  served = false
  hits = 0
  misses = 0
  evictions = 0
  plan: ShelfPlan = { wish: 0, target: 0, refillMs: 0, missProbability: 0 }
  /** Memory of one sandbox as measured, bytes. */
  memoryBytes: number | null = null
  lastError: string | null = null
  readonly standbys = new Set<Standby>()
  readonly startTimes = new StartTimes()
  readonly demand = new Demand()
  /** When places became empty that were not filled again so far. */
  readonly #vacantMs: number[] = []
  readonly #newPerRelease: number
  #newUntilMs: number
  readonly #world: World
  #failures = 0
  #restsUntilMs = 0

  /** `newPerRelease`: how many to hold for a release that is new. */
  constructor(runnable: Runnable, world: World, newPerRelease: number) {
    this.runnable = runnable
    this.fingerprint = fingerprintOf(runnable)
    this.#world = world
    this.#newPerRelease = newPerRelease
    this.#newUntilMs = world.monotonicMs() + newMs
  }

  /** Takes on a newer state of the deployment. Returns the sandboxes that are of an older one and held by nobody. */
  update(runnable: Runnable): Standby[] {
    const fingerprint = fingerprintOf(runnable)
    if (fingerprint !== this.fingerprint) this.#newUntilMs = this.#world.monotonicMs() + newMs
    this.runnable = runnable
    this.fingerprint = fingerprint
    return this.idle().filter(standby => standby.fingerprint !== this.fingerprint)
  }

  /** Everything a plan needs to know of it. One look at each sandbox. */
  get state(): ShelfState {
    const nowMs = this.#world.monotonicMs()
    const counts = { starting: 0, warm: 0, leased: 0, draining: 0, gone: 0 }
    for (const { state } of this.standbys) counts[state]++
    return {
      key: this.runnable.deployment,
      tenant: this.runnable.tenant,
      served: this.served && isBundle(this.runnable),
      starting: counts.starting,
      warm: counts.warm,
      leased: counts.leased,
      resting: nowMs < this.#restsUntilMs,
      ratePerSecond: this.demand.ratePerSecond(nowMs),
      burst: this.demand.burst(nowMs),
      startMs: this.startTimes.meanMs ?? this.runnable.release.manifest.startupMs,
      memoryBytes: this.memoryBytesEach,
      floor: nowMs < this.#newUntilMs ? this.#newPerRelease : 0,
      lastUsedMs: this.demand.lastMs ?? 0,
    }
  }

  /** Measured, or a guess before that. */
  get memoryBytesEach(): number {
    return this.memoryBytes ?? Math.min(memoryGuessBytes, this.runnable.limits.memoryBytesMax)
  }

  /** Memory of all there are, bytes. */
  get memoryBytesOfAll(): number {
    return this.standbys.size * this.memoryBytesEach
  }

  /** Looks how much a sandbox of the release holds. */
  weigh(standby: Standby): void {
    const bytes = standby.memoryBytes
    if (bytes === null || bytes <= 0) return
    this.memoryBytes = this.memoryBytes === null ? bytes : this.memoryBytes + memoryWeight * (bytes - this.memoryBytes)
  }

  /** One that waited was taken: its place is empty from now on. */
  vacated(): void {
    this.#vacantMs.push(this.#world.monotonicMs())
  }

  /** How long the place that is filled now was empty, ms; null where it is a new one. */
  refilled(): number | null {
    const sinceMs = this.#vacantMs.shift()
    return sinceMs === undefined ? null : this.#world.monotonicMs() - sinceMs
  }

  /** Places that will not be filled again need no one to remember since when they are empty. */
  forgetVacant(): void {
    const wanted = Math.max(0, this.plan.target - this.count('warm'))
    this.#vacantMs.splice(0, Math.max(0, this.#vacantMs.length - wanted))
  }

  count(state: Standby['state']): number {
    let count = 0
    for (const standby of this.standbys) if (standby.state === state) count++
    return count
  }

  get frozen(): number {
    let count = 0
    for (const { frozen } of this.standbys) if (frozen) count++
    return count
  }

  /** Warm first, each kind oldest first: the ones nobody holds. */
  idle(): Standby[] {
    const all = [...this.standbys]
    return [...all.filter(standby => standby.state === 'warm'), ...all.filter(standby => standby.state === 'starting')]
  }

  /** The best sandbox for this state of the deployment, or null. */
  find(fingerprint: string): Standby | null {
    return this.idle().find(standby => standby.fingerprint === fingerprint) ?? null
  }

  warmed(standby: Standby): void {
    this.startTimes.add(standby.startMs)
    this.weigh(standby)
    this.#world.after(soundMs, () => {
      if (standby.state === 'warm') this.sound()
    })
  }

  /** The release works: earlier failures are forgotten. */
  sound(): void {
    this.#failures = 0
    this.lastError = null
  }

  /** Counts a failure. Returns how long nothing will be started, ms. */
  failed(why: string): number {
    this.#failures++
    const ms = restMs(this.#failures)
    this.#restsUntilMs = this.#world.monotonicMs() + ms
    this.lastError = this.#failures > 1 ? `${why} (${this.#failures} times, next try in ${ms} ms)` : why
    return ms
  }
}

export const isBundle = (runnable: Runnable): runnable is BundleRunnable => runnable.runs.kind === 'bundle'

/** Names everything a started sandbox depends on. A digest, because the environment holds secrets. */
export function fingerprintOf(runnable: Runnable): string {
  const { release, runs, env, egress, egressRecord, limits } = runnable
  const parts = [release.id, release.digest, runs, Object.entries(env).sort(), egress, egressRecord, limits]
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
}
