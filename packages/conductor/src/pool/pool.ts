import { availableParallelism } from 'node:os'
import { ConductorError, type DeploymentId, makeId, type PoolView } from '@maestro/contract'
import { planPool } from '@maestro/logic'
import type { SandboxDriver } from '../sandbox/sandbox.ts'
import type { Lease, Pool, Runnable, Upstream } from '../session/stages.ts'
import type { World } from '../world.ts'
import { fingerprintOf, isBundle, Shelf } from './shelf.ts'
import { type BundleRunnable, Standby, type StandbyListener } from './standby.ts'

export interface PoolParts {
  driver: SandboxDriver
  world: World
  /** For deployments that need no sandbox. */
  starters: {
    remote(runnable: Runnable): Upstream | Promise<Upstream>
    recording(runnable: Runnable): Upstream | Promise<Upstream>
  }
  sandboxesMax: number
  warmPerDeployment: number
  /** Starts ahead of demand at the same time; as many as there are cores where it is left out. */
  startsMax?: number
}

/** When to come again after all sandboxes were leased, ms: about the time a short session takes. */
const retryAfterMs = 1000

interface Waiter {
  start(): void
  refuse(failure: ConductorError): void
}

/** Keeps sandboxes started ahead of demand and leases each to one session, once. */
export function createPool(parts: PoolParts): Pool {
  return new WarmPool(parts)
}

class WarmPool implements Pool {
  readonly #parts: PoolParts
  readonly #world: World
  readonly #shelves = new Map<DeploymentId, Shelf>()
  /** Leases of what runs in no sandbox of ours. */
  readonly #others = new Map<Upstream, DeploymentId>()
  /** Leases that wait for the place of a sandbox that ends. */
  readonly #waiters: Waiter[] = []
  #hits = 0
  #misses = 0
  #closed = false
  #balancing = false

  constructor(parts: PoolParts) {
    this.#parts = parts
    this.#world = parts.world
  }

  async lease(runnable: Runnable, options: { fresh?: boolean } = {}): Promise<Lease> {
    if (this.#closed) throw draining()
    const askedMs = this.#world.monotonicMs()
    if (!isBundle(runnable)) return this.#leaseOther(runnable, askedMs)

    const shelf = this.#shelfOf(runnable)
    const fingerprint = fingerprintOf(runnable)
    if (!options.fresh) {
      const found = shelf.find(fingerprint)
      if (found) {
        const granted = await this.#leaseFound(shelf, found, askedMs)
        if (granted) return granted
      } else this.#count(shelf, 'misses')
    }
    const standby = await this.#startLeased(shelf, runnable, fingerprint)
    return this.#grant(standby, await standby.started, false, askedMs)
  }

  serve(runnables: readonly Runnable[]): void {
    if (this.#closed) return
    const deployments = new Set(runnables.map(runnable => runnable.deployment))
    for (const shelf of this.#shelves.values()) shelf.served = deployments.has(shelf.runnable.deployment)
    for (const runnable of runnables) {
      const shelf = this.#shelfOf(runnable)
      shelf.served = true
      for (const standby of shelf.update(runnable)) void standby.end()
    }
    this.#balanceSoon()
  }

  view(): PoolView {
    const shelves = [...this.#shelves.values()]
    const total = (state: Standby['state']) => shelves.reduce((sum, shelf) => sum + shelf.count(state), 0)
    const others = (deployment: DeploymentId) => [...this.#others.values()].filter(other => other === deployment).length
    return {
      driver: this.#parts.driver.name,
      sandboxesMax: this.#parts.sandboxesMax,
      starting: total('starting'),
      warm: total('warm'),
      leased: total('leased') + this.#others.size,
      draining: total('draining'),
      hits: this.#hits,
      misses: this.#misses,
      orphans: this.#parts.driver.orphans ?? 0,
      deployments: shelves
        .filter(shelf => shelf.served || shelf.standbys.size > 0 || others(shelf.runnable.deployment) > 0)
        .map(shelf => ({
          deployment: shelf.runnable.deployment,
          name: shelf.runnable.name,
          target: shelf.target,
          starting: shelf.count('starting'),
          warm: shelf.count('warm'),
          leased: shelf.count('leased') + others(shelf.runnable.deployment),
          hits: shelf.hits,
          misses: shelf.misses,
          startMsP50: shelf.startTimes.percentile(0.5),
          startMsP95: shelf.startTimes.percentile(0.95),
          lastError: shelf.lastError,
        })),
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const waiter of this.#waiters.splice(0)) waiter.refuse(draining())
    await Promise.all([
      ...this.#standbys().map(standby => standby.end()),
      ...[...this.#others.keys()].map(upstream => upstream.close()),
    ])
  }

  async #leaseOther(runnable: Runnable, askedMs: number): Promise<Lease> {
    const { starters } = this.#parts
    const upstream = await (runnable.runs.kind === 'remote' ? starters.remote(runnable) : starters.recording(runnable))
    if (this.#closed) {
      await upstream.close()
      throw draining()
    }
    this.#shelfOf(runnable)
    this.#others.set(upstream, runnable.deployment)
    void upstream.exited.then(() => {
      this.#others.delete(upstream)
      this.#forgetEmpty()
    })
    return this.#leaseOf(upstream, false, 0, askedMs, () => upstream.close())
  }

  /** Takes a sandbox that is there. Null where it was still starting and did not come up. */
  async #leaseFound(shelf: Shelf, standby: Standby, askedMs: number): Promise<Lease | null> {
    const warm = standby.state === 'warm'
    standby.lease()
    this.#count(shelf, warm ? 'hits' : 'misses')
    if (warm) shelf.sound()
    this.#balanceSoon()
    try {
      return this.#grant(standby, await standby.started, warm, askedMs)
    } catch (failure) {
      if (this.#closed) throw failure
      return null
    }
  }

  /** Starts a sandbox for somebody who waits. Throws `pool_exhausted` where every place is held. */
  #startLeased(shelf: Shelf, runnable: BundleRunnable, fingerprint: string): Promise<Standby> {
    const start = () => this.#start(runnable, fingerprint, true)
    if (this.#closed) return Promise.reject(draining())
    if (this.#existing() < this.#parts.sandboxesMax) return Promise.resolve(start())
    const ending = this.#standbys().filter(standby => standby.state === 'draining').length
    if (ending <= this.#waiters.length) {
      const victim = this.#findVictim(shelf)
      if (!victim) {
        throw new ConductorError('pool_exhausted', `All ${this.#parts.sandboxesMax} sandboxes are leased.`, {
          retry_after_ms: retryAfterMs,
        })
      }
      void victim.end()
    }
    return new Promise((resolve, reject) => {
      this.#waiters.push({ start: () => resolve(start()), refuse: reject })
    })
  }

  /** What is given up first: the last of the fullest shelf of others, then of one's own. */
  #findVictim(own: Shelf): Standby | null {
    const others = [...this.#shelves.values()].filter(shelf => shelf !== own)
    const fullest = others.toSorted((a, b) => b.idle().length - a.idle().length)
    for (const shelf of [...fullest, own]) {
      const victim = shelf.idle().at(-1)
      if (victim) return victim
    }
    return null
  }

  #start(runnable: BundleRunnable, fingerprint: string, leased: boolean): Standby {
    const { driver, world } = this.#parts
    // Looked up anew: while somebody waited the shelf may have been emptied and forgotten.
    const shelf = this.#shelfOf(runnable)
    const standby = new Standby(driver, world, runnable, fingerprint, leased, this.#listenerOf(shelf))
    shelf.standbys.add(standby)
    return standby
  }

  #listenerOf(shelf: Shelf): StandbyListener {
    return {
      warmed: standby => {
        shelf.warmed(standby)
        this.#balanceSoon()
      },
      failed: (standby, why) => {
        const ms = shelf.failed(why)
        this.#world.log.warn('pool.start_failed', { deployment: shelf.runnable.name, sandbox: standby.id, why, restMs: ms })
        this.#world.after(ms, () => this.#balanceSoon())
      },
      gone: standby => {
        shelf.standbys.delete(standby)
        this.#admit()
        this.#forgetEmpty()
        this.#balanceSoon()
      },
    }
  }

  #grant(standby: Standby, upstream: Upstream, warm: boolean, askedMs: number): Lease {
    if (this.#closed) throw draining()
    return this.#leaseOf(upstream, warm, standby.startMs, askedMs, () => standby.end())
  }

  #leaseOf(upstream: Upstream, warm: boolean, startMs: number, askedMs: number, release: () => Promise<void>): Lease {
    const id = makeId('lea', this.#world.now(), this.#world.randomBytes(11))
    return { id, upstream, warm, waitMs: this.#world.monotonicMs() - askedMs, startMs, release }
  }

  /** Lets those in who wait, in the order they came. */
  #admit(): void {
    while (this.#waiters.length > 0 && this.#existing() < this.#parts.sandboxesMax) this.#waiters.shift()?.start()
  }

  /** Once for all changes of this turn. */
  #balanceSoon(): void {
    if (this.#balancing || this.#closed) return
    this.#balancing = true
    queueMicrotask(() => {
      this.#balancing = false
      if (!this.#closed) this.#balance()
    })
  }

  #balance(): void {
    const { sandboxesMax, warmPerDeployment, startsMax = availableParallelism() } = this.#parts
    const shelves = [...this.#shelves.values()]
    const ending = this.#standbys().filter(standby => standby.state === 'draining').length
    const plan = planPool(
      shelves.map(shelf => shelf.state),
      { sandboxesMax, warmPerDeployment, startsMax, draining: ending, waiting: this.#waiters.length },
    )
    shelves.forEach((shelf, index) => {
      shelf.target = plan.targets[index] ?? 0
    })
    for (const { key, count } of plan.drop) {
      const idle = this.#shelves.get(key as DeploymentId)?.idle() ?? []
      for (const standby of idle.slice(-count)) void standby.end()
    }
    for (const key of plan.start) {
      const shelf = this.#shelves.get(key as DeploymentId)
      if (shelf && isBundle(shelf.runnable)) this.#start(shelf.runnable, shelf.fingerprint, false)
    }
  }

  #shelfOf(runnable: Runnable): Shelf {
    let shelf = this.#shelves.get(runnable.deployment)
    if (!shelf) {
      shelf = new Shelf(runnable, this.#world)
      this.#shelves.set(runnable.deployment, shelf)
    }
    return shelf
  }

  #forgetEmpty(): void {
    const held = new Set(this.#others.values())
    for (const [deployment, shelf] of this.#shelves) {
      if (!shelf.served && shelf.standbys.size === 0 && !held.has(deployment)) this.#shelves.delete(deployment)
    }
  }

  #count(shelf: Shelf, what: 'hits' | 'misses'): void {
    shelf[what]++
    if (what === 'hits') this.#hits++
    else this.#misses++
  }

  #standbys(): Standby[] {
    return [...this.#shelves.values()].flatMap(shelf => [...shelf.standbys])
  }

  #existing(): number {
    return this.#standbys().length
  }
}

const draining = (): ConductorError => new ConductorError('conductor_draining', 'The pool is closing.')
