import { availableParallelism } from 'node:os'
import { ConductorError, type DeploymentId, makeId, type TenantId } from '@maestro/contract'
import { chooseVictim, placesOfTenantMax, planPool } from '@maestro/logic'
import type { SandboxDriver } from '../sandbox/sandbox.ts'
import type { Lease, Pool, PoolCounts, PoolState, Runnable, Upstream } from '../session/stages.ts'
import type { World } from '../world.ts'
import { Refills } from './refills.ts'
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
  /** Memory that all sandboxes should take, bytes; leases are never refused for it. */
  memoryBytesMax: number
  /** Sandboxes to hold for a release that is new; afterwards its use decides. 0: none is ever started ahead of demand. */
  warmAtFirst: number
  /** Starts ahead of demand at the same time; as many as there are cores where it is left out. */
  startsMax?: number
}

/** When to come again after all sandboxes were leased, ms: about the time a short session takes. */
const retryAfterMs = 1000

/** Use that ends is no event, so plans are made anew this often while anything waits, ms. */
const replanMs = 5000
/** A start takes a core from the session that was just given its sandbox: its first answer comes first, ms. */
const refillPauseMs = 25
/** A warm sandbox that nobody took for so long is frozen, ms. */
const freezeAfterMs = 2000
/** Planning takes no larger share of the time than one in so many. */
const planRest = 20

interface Waiter {
  tenant: TenantId
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
  #evictions = 0
  #starts = 0
  #startFailures = 0
  readonly #refills = new Refills()
  #closed = false
  #balancing = false
  #balancingAfterLease = false
  #planMs = 0
  #cancelReplan: (() => void) | null = null

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
    this.#checkShare(runnable.tenant)
    if (!options.fresh) {
      shelf.demand.arrived(askedMs)
      this.#balanceAfterLease()
      const found = shelf.find(fingerprint)
      if (found) {
        const granted = await this.#leaseFound(shelf, found, askedMs)
        if (granted) return granted
      } else this.#count(shelf, 'misses')
    }
    const standby = await this.#startLeased(runnable, fingerprint)
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

  view(): PoolState {
    const shelves = [...this.#shelves.values()]
    const total = (state: Standby['state']) => shelves.reduce((sum, shelf) => sum + shelf.count(state), 0)
    const others = (deployment: DeploymentId) => [...this.#others.values()].filter(other => other === deployment).length
    const nowMs = this.#world.monotonicMs()
    return {
      driver: this.#parts.driver.name,
      sandboxesMax: this.#parts.sandboxesMax,
      memoryBytesMax: this.#parts.memoryBytesMax,
      memoryBytes: Math.round(shelves.reduce((sum, shelf) => sum + shelf.memoryBytesOfAll, 0)),
      starting: total('starting'),
      warm: total('warm'),
      frozen: shelves.reduce((sum, shelf) => sum + shelf.frozen, 0),
      leased: total('leased') + this.#others.size,
      draining: total('draining'),
      waiting: this.#waiters.length,
      hits: this.#hits,
      misses: this.#misses,
      hitRatio: ratioOf(this.#hits, this.#misses),
      evictions: this.#evictions,
      orphans: this.#parts.driver.orphans ?? 0,
      tenants: this.#tenants().map(tenant => {
        const theirs = shelves.filter(shelf => shelf.runnable.tenant === tenant)
        const count = (state: Standby['state']) => theirs.reduce((sum, shelf) => sum + shelf.count(state), 0)
        return {
          tenant,
          leased: count('leased'),
          leasedMax: this.#leasedMax,
          idle: count('warm') + count('starting'),
          waiting: this.#waiters.filter(waiter => waiter.tenant === tenant).length,
          memoryBytes: Math.round(theirs.reduce((sum, shelf) => sum + shelf.memoryBytesOfAll, 0)),
        }
      }),
      deployments: shelves
        .filter(shelf => shelf.served || shelf.standbys.size > 0 || others(shelf.runnable.deployment) > 0)
        .map(shelf => ({
          deployment: shelf.runnable.deployment,
          tenant: shelf.runnable.tenant,
          name: shelf.runnable.name,
          wish: shelf.plan.wish,
          target: shelf.plan.target,
          starting: shelf.count('starting'),
          warm: shelf.count('warm'),
          frozen: shelf.frozen,
          leased: shelf.count('leased') + others(shelf.runnable.deployment),
          hits: shelf.hits,
          misses: shelf.misses,
          hitRatio: ratioOf(shelf.hits, shelf.misses),
          evictions: shelf.evictions,
          ratePerMinute: 60 * shelf.demand.ratePerSecond(nowMs),
          burst: shelf.demand.burst(nowMs),
          refillMs: shelf.plan.refillMs,
          missProbability: shelf.plan.missProbability,
          memoryBytes: shelf.memoryBytes === null ? null : Math.round(shelf.memoryBytes),
          startMsP50: shelf.startTimes.percentile(0.5),
          startMsP95: shelf.startTimes.percentile(0.95),
          lastError: shelf.lastError,
        })),
    }
  }

  counts(): PoolCounts {
    return { starts: this.#starts, startFailures: this.#startFailures, ...this.#refills.view }
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#cancelReplan?.()
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
    shelf.vacated()
    this.#count(shelf, warm ? 'hits' : 'misses')
    if (warm) shelf.sound()
    try {
      return this.#grant(standby, await standby.started, warm, askedMs)
    } catch (failure) {
      if (this.#closed) throw failure
      return null
    }
  }

  /** Starts a sandbox for somebody who waits. Throws `pool_exhausted` where every place is held. */
  #startLeased(runnable: BundleRunnable, fingerprint: string): Promise<Standby> {
    const start = () => this.#start(runnable, fingerprint, true)
    if (this.#closed) return Promise.reject(draining())
    if (this.#existing() < this.#parts.sandboxesMax) return Promise.resolve(start())
    const ending = this.#standbys().filter(standby => standby.state === 'draining').length
    if (ending <= this.#waiters.length) {
      const victim = this.#findVictim()
      if (!victim) {
        throw new ConductorError('pool_exhausted', `All ${this.#parts.sandboxesMax} sandboxes are leased.`, {
          retry_after_ms: retryAfterMs,
        })
      }
      this.#evict(victim.shelf, victim.standby)
    }
    return new Promise((resolve, reject) => {
      this.#waiters.push({ tenant: runnable.tenant, start: () => resolve(start()), refuse: reject })
    })
  }

  /** What is given up first for somebody who needs a place now. */
  #findVictim(): { shelf: Shelf; standby: Standby } | null {
    const shelves = [...this.#shelves.values()]
    const index = chooseVictim(
      shelves.map(shelf => {
        const { tenant, starting, warm, leased, lastUsedMs } = shelf.state
        return { tenant, idle: starting + warm, leased, target: shelf.plan.target, lastUsedMs }
      }),
    )
    const shelf = index === null ? undefined : shelves[index]
    const standby = shelf?.idle().at(-1)
    return shelf && standby ? { shelf, standby } : null
  }

  /** Ends what would be worth keeping, because its room is worth more to another. */
  #evict(shelf: Shelf, standby: Standby): void {
    shelf.evictions++
    this.#evictions++
    void standby.end()
  }

  /** Throws `pool_exhausted` where a tenant would take what is set aside for others. */
  #checkShare(tenant: TenantId): void {
    const max = this.#leasedMax
    if (max >= this.#parts.sandboxesMax || this.#leasedBy(tenant) < max) return
    throw new ConductorError('pool_exhausted', `This tenant’s share of ${max} sandboxes is leased.`, {
      retry_after_ms: retryAfterMs,
    })
  }

  /** Sandboxes the tenant holds, and places it waits for. */
  #leasedBy(tenant: TenantId): number {
    let count = this.#waiters.filter(waiter => waiter.tenant === tenant).length
    for (const shelf of this.#shelves.values()) if (shelf.runnable.tenant === tenant) count += shelf.count('leased')
    return count
  }

  #tenants(): TenantId[] {
    return [...new Set([...this.#shelves.values()].map(shelf => shelf.runnable.tenant))]
  }

  get #leasedMax(): number {
    return placesOfTenantMax(this.#parts.sandboxesMax, this.#tenants().length)
  }

  #start(runnable: BundleRunnable, fingerprint: string, leased: boolean): Standby {
    const { driver, world } = this.#parts
    // Looked up anew: while somebody waited the shelf may have been emptied and forgotten.
    const shelf = this.#shelfOf(runnable)
    const standby = new Standby(driver, world, runnable, fingerprint, leased, this.#listenerOf(shelf))
    shelf.standbys.add(standby)
    standby.started.then(
      () => this.#starts++,
      () => this.#startFailures++,
    )
    return standby
  }

  #listenerOf(shelf: Shelf): StandbyListener {
    return {
      warmed: standby => {
        shelf.warmed(standby)
        const emptyMs = shelf.refilled()
        if (emptyMs !== null) this.#refills.add(emptyMs)
        this.#world.after(freezeAfterMs, () => {
          if (standby.state === 'warm') shelf.weigh(standby)
          standby.freeze()
        })
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

  /** Lets those in who wait: of the tenant that holds least whoever came first. */
  #admit(): void {
    while (this.#waiters.length > 0 && this.#existing() < this.#parts.sandboxesMax) {
      const tenants = [...new Set(this.#waiters.map(({ tenant }) => tenant))]
      const least = tenants.length > 1 ? tenants.toSorted((a, b) => this.#heldBy(a) - this.#heldBy(b))[0] : tenants[0]
      const next = this.#waiters.findIndex(({ tenant }) => tenant === least)
      this.#waiters.splice(next, 1)[0]?.start()
    }
  }

  #heldBy(tenant: TenantId): number {
    return this.#leasedBy(tenant) - this.#waiters.filter(waiter => waiter.tenant === tenant).length
  }

  #balanceAfterLease(): void {
    if (this.#balancingAfterLease) return
    this.#balancingAfterLease = true
    this.#world.after(refillPauseMs, () => {
      this.#balancingAfterLease = false
      this.#balanceSoon()
    })
  }

  /** Once for all changes of this turn, and not so often that planning for very many deployments would take the time of their sessions. */
  #balanceSoon(): void {
    if (this.#balancing || this.#closed) return
    this.#balancing = true
    const balance = () => {
      this.#balancing = false
      if (this.#closed) return
      const beganMs = this.#world.monotonicMs()
      this.#balance()
      this.#planMs = this.#world.monotonicMs() - beganMs
    }
    if (this.#planMs < 1) queueMicrotask(balance)
    else this.#world.after(this.#planMs * planRest, balance)
  }

  #balance(): void {
    const { sandboxesMax, memoryBytesMax, warmAtFirst, startsMax = availableParallelism() } = this.#parts
    const shelves = [...this.#shelves.values()]
    let draining = 0
    let drainingBytes = 0
    for (const shelf of shelves) {
      const ending = shelf.count('draining')
      draining += ending
      drainingBytes += ending * shelf.memoryBytesEach
    }
    const plan = planPool(
      shelves.map(shelf => shelf.state),
      {
        sandboxesMax,
        memoryBytesMax,
        startsMax,
        ahead: warmAtFirst > 0,
        draining,
        drainingBytes,
        waiting: this.#waiters.length,
      },
    )
    shelves.forEach((shelf, index) => {
      shelf.plan = plan.shelves[index]!
      shelf.forgetVacant()
    })
    for (const { key, count, forRoom } of plan.drop) {
      const shelf = this.#shelves.get(key as DeploymentId)!
      const idle = shelf.idle().slice(-count)
      for (const [index, standby] of idle.entries()) {
        if (index < forRoom) this.#evict(shelf, standby)
        else void standby.end()
      }
    }
    for (const key of plan.start) {
      const shelf = this.#shelves.get(key as DeploymentId)
      if (shelf && isBundle(shelf.runnable)) this.#start(shelf.runnable, shelf.fingerprint, false)
    }
    this.#replanLater()
  }

  /** What nobody uses any more is given up though nothing happens. */
  #replanLater(): void {
    if (this.#cancelReplan || this.#standbys().length === 0) return
    this.#cancelReplan = this.#world.after(replanMs, () => {
      this.#cancelReplan = null
      this.#balanceSoon()
    })
  }

  #shelfOf(runnable: Runnable): Shelf {
    let shelf = this.#shelves.get(runnable.deployment)
    if (!shelf) {
      shelf = new Shelf(runnable, this.#world, this.#parts.warmAtFirst)
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

const ratioOf = (hits: number, misses: number): number | null => (hits + misses === 0 ? null : hits / (hits + misses))
const draining = (): ConductorError => new ConductorError('conductor_draining', 'The pool is closing.')
