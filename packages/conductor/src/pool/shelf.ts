import { createHash } from 'node:crypto'
import { restMs, type ShelfState } from '@maestro/logic'
import type { Runnable } from '../session/stages.ts'
import type { World } from '../world.ts'
import type { BundleRunnable, Standby } from './standby.ts'
import { StartTimes } from './start-times.ts'

/** A sandbox that stayed warm for so long shows that its release works, ms. */
const soundMs = 10_000

/** What the pool holds for one deployment, and how that went so far. */
export class Shelf {
  runnable: Runnable
  fingerprint: string
  served = false
  hits = 0
  misses = 0
  target = 0
  lastError: string | null = null
  readonly standbys = new Set<Standby>()
  readonly startTimes = new StartTimes()
  readonly #world: World
  #failures = 0
  #restsUntilMs = 0

  constructor(runnable: Runnable, world: World) {
    this.runnable = runnable
    this.fingerprint = fingerprintOf(runnable)
    this.#world = world
  }

  /** Takes on a newer state of the deployment. Returns the sandboxes that are of an older one and held by nobody. */
  update(runnable: Runnable): Standby[] {
    this.runnable = runnable
    this.fingerprint = fingerprintOf(runnable)
    return this.idle().filter(standby => standby.fingerprint !== this.fingerprint)
  }

  get state(): ShelfState {
    return {
      key: this.runnable.deployment,
      served: this.served && isBundle(this.runnable),
      starting: this.count('starting'),
      warm: this.count('warm'),
      leased: this.count('leased'),
      resting: this.#world.monotonicMs() < this.#restsUntilMs,
    }
  }

  count(state: Standby['state']): number {
    let count = 0
    for (const standby of this.standbys) if (standby.state === state) count++
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
