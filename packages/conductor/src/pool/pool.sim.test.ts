/**
 * Goal: the pool keeps its promises whatever sessions, deployments, releases and machines do, and in whatever order.
 * Method: random commands against a pool on a simulated clock, with a driver that starts slowly, fails, crashes and ends slowly.
 * Invariants, looked at after every command: no sandbox is leased twice; never more sandboxes exist than allowed; what the view counts is
 * what exists. At the end: with sound servers every deployment is refilled to its target; after close nothing is left.
 * Replay a failure with SEED=<number>.
 */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ConductorError, type PoolView, type Release, type SandboxId, type TapeEvent } from '@maestro/contract'
import fc from 'fast-check'
import type { Exit, SandboxDriver, SandboxSpec } from '../sandbox/sandbox.ts'
import type { Lease, Pool, Runnable, Upstream } from '../session/stages.ts'
import type { Log } from '../telemetry/log.ts'
import type { World } from '../world.ts'
import { createPool } from './pool.ts'

/** A clock that moves only when told. */
class SimulatedWorld implements World {
  #nowMs = 0
  #random = 0
  #timers: { atMs: number; order: number; callback: () => void }[] = []
  #order = 0
  log: Log = { info: () => {}, warn: () => {}, error: () => {}, with: () => this.log }

  now(): number {
    return 1_800_000_000_000 + this.#nowMs
  }
  monotonicMs(): number {
    return this.#nowMs
  }
  randomBytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, (_, index) => (this.#random++ * 7 + index * 13) % 251)
  }
  sleep(ms: number): Promise<void> {
    return new Promise(resolve => this.after(ms, resolve))
  }
  after(ms: number, callback: () => void): () => void {
    const timer = { atMs: this.#nowMs + ms, order: this.#order++, callback }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter(other => other !== timer)
    }
  }
  fetch(): Promise<Response> {
    throw new Error('no network in a simulation')
  }
  /** Moves the clock, calling back on the way, and lets promises settle in between. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms
    for (;;) {
      await settle()
      const next = this.#timers.filter(timer => timer.atMs <= untilMs).sort((a, b) => a.atMs - b.atMs || a.order - b.order)[0]
      if (!next) break
      this.#timers = this.#timers.filter(timer => timer !== next)
      this.#nowMs = Math.max(this.#nowMs, next.atMs)
      next.callback()
    }
    this.#nowMs = untilMs
  }
}

const settle = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

class FakeUpstream implements Upstream {
  readonly driver = 'process'
  readonly pendingBytes = 0
  readonly exited: Promise<Exit>
  readonly id: SandboxId
  readonly env: Readonly<Record<string, string>>
  closing = false
  #exit!: (exit: Exit) => void
  #listener: ((frame: Uint8Array) => void) | null = null
  readonly #world: SimulatedWorld

  constructor(spec: SandboxSpec, world: SimulatedWorld) {
    this.id = spec.id
    this.env = spec.env
    this.#world = world
    this.exited = new Promise(resolve => {
      this.#exit = resolve
    })
  }
  send(frame: Uint8Array): void {
    const { id } = JSON.parse(Buffer.from(frame).toString())
    this.#world.after(20, () => this.#listener?.(Buffer.from(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":{}}`)))
  }
  onFrame(listener: (frame: Uint8Array) => void): void {
    this.#listener = listener
  }
  onEvent(_listener: (event: TapeEvent) => void): void {}
  pause(): void {}
  resume(): void {}
  crash(): void {
    this.#exit({ code: 1, signal: null, reason: 'sandbox_crashed', stderrTail: 'first\nlast words' })
  }
  async close(): Promise<void> {
    if (!this.closing) {
      this.closing = true
      this.#world.after(30, () => this.#exit({ code: 0, signal: null, reason: 'closed', stderrTail: '' }))
    }
    await this.exited
  }
}

class FakeDriver implements SandboxDriver {
  readonly name = 'process'
  readonly alive = new Set<FakeUpstream>()
  starting = 0
  existingMax = 0
  started = 0
  failing = false
  readonly #world: SimulatedWorld

  constructor(world: SimulatedWorld) {
    this.#world = world
  }
  check() {
    return Promise.resolve({ usable: true, detail: '', weaknesses: [] })
  }
  async start(spec: SandboxSpec): Promise<Upstream> {
    this.starting++
    this.started++
    this.existingMax = Math.max(this.existingMax, this.starting + this.alive.size)
    await this.#world.sleep(10)
    this.starting--
    if (this.failing) throw new ConductorError('sandbox_start_failed', 'told to fail')
    const upstream = new FakeUpstream(spec, this.#world)
    this.alive.add(upstream)
    void upstream.exited.then(() => this.alive.delete(upstream))
    return upstream
  }
  close(): Promise<void> {
    return Promise.resolve()
  }
}

const MiB = 1024 * 1024
const runnable = (name: string, changes: { release?: number; ping?: boolean; env?: Record<string, string> } = {}): Runnable => ({
  tenant: 'ten_00000000000000local0' as Runnable['tenant'],
  deployment: `dep_${name}` as Runnable['deployment'],
  name,
  release: {
    id: `rel_${changes.release ?? 0}`,
    digest: `sha256:${changes.release ?? 0}`,
    manifest: { startupMs: 100, pingBeforeInitialize: changes.ping ?? true },
  } as unknown as Release,
  runs: { kind: 'bundle', bundle: '/bundles/x', program: { runtime: 'node', entry: 'index.js' }, args: [] },
  env: changes.env ?? {},
  egress: [],
  limits: { memoryBytesMax: 64 * MiB, pidsMax: 16, cpusMax: 1, diskBytesMax: MiB, lineBytesMax: MiB },
})

interface Setup {
  world: SimulatedWorld
  driver: FakeDriver
  pool: Pool
}

function setup(changes: { sandboxesMax?: number; warmPerDeployment?: number; startsMax?: number } = {}): Setup {
  const world = new SimulatedWorld()
  const driver = new FakeDriver(world)
  const other = () => new FakeUpstream({ id: 'sbx_other', env: {} } as unknown as SandboxSpec, world)
  const starters = { remote: other, recording: other }
  return {
    world,
    driver,
    pool: createPool({ driver, world, starters, sandboxesMax: 10, warmPerDeployment: 2, startsMax: 2, ...changes }),
  }
}

const names = ['alpha', 'beta', 'gamma']
const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))

type Command =
  | { do: 'lease'; name: number; fresh: boolean; env: number }
  | { do: 'release'; which: number }
  | { do: 'crash'; which: number }
  | { do: 'advance'; ms: number }
  | { do: 'serve'; mask: number; env: number }
  | { do: 'fail'; failing: boolean }

const anyCommand: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('lease' as const), name: fc.nat(2), fresh: fc.boolean(), env: fc.nat(1) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('release' as const), which: fc.nat(9) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('crash' as const), which: fc.nat(9) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.nat(300) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('serve' as const), mask: fc.nat(7), env: fc.nat(1) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('fail' as const), failing: fc.boolean() }) },
)

describe('the pool under every order of events', () => {
  it(`keeps its promises (SEED=${seed})`, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(anyCommand, { maxLength: 60 }),
        fc.record({
          sandboxesMax: fc.integer({ min: 1, max: 6 }),
          warmPerDeployment: fc.nat(3),
          startsMax: fc.integer({ min: 1, max: 3 }),
        }),
        simulate,
      ),
      { seed, numRuns: 1000 },
    )
  })
})

async function simulate(
  commands: Command[],
  bounds: { sandboxesMax: number; warmPerDeployment: number; startsMax: number },
): Promise<void> {
  const { world, driver, pool } = setup(bounds)
  const held: Lease[] = []
  const everLeased = new Set<SandboxId>()
  const pending = new Set<Promise<void>>()
  const leaseOne = (command: Extract<Command, { do: 'lease' }>) => {
    const wanted = runnable(names[command.name]!, { env: { V: String(command.env) } })
    const done = pool.lease(wanted, { fresh: command.fresh }).then(
      lease => {
        assert.ok(!everLeased.has(lease.upstream.id), 'leased twice')
        assert.ok(!(lease.warm && command.fresh), 'fresh must not be warm')
        everLeased.add(lease.upstream.id)
        held.push(lease)
      },
      failure => assert.match(failure.code, /^(pool_exhausted|sandbox_start_failed)$/),
    )
    pending.add(done)
    void done.finally(() => pending.delete(done))
  }
  const check = () => {
    assert.ok(driver.existingMax <= bounds.sandboxesMax, `${driver.existingMax} sandboxes existed at once`)
    const view = pool.view()
    const counted = view.starting + view.warm + view.leased + view.draining
    assert.ok(counted <= bounds.sandboxesMax, 'the view counts more than may be')
    assert.ok(driver.alive.size + driver.starting <= counted, 'something runs that the view does not count')
  }

  for (const command of commands) {
    if (command.do === 'lease') leaseOne(command)
    else if (command.do === 'release') void held.splice(command.which % Math.max(1, held.length), 1)[0]?.release()
    else if (command.do === 'crash') [...driver.alive][command.which % Math.max(1, driver.alive.size)]?.crash()
    else if (command.do === 'advance') await world.advance(command.ms)
    else if (command.do === 'fail') driver.failing = command.failing
    else
      pool.serve(
        names.filter((_, index) => command.mask & (1 << index)).map(name => runnable(name, { env: { V: String(command.env) } })),
      )
    await settle()
    check()
  }

  driver.failing = false
  for (const lease of held.splice(0)) void lease.release()
  pool.serve(names.map(name => runnable(name)))
  await world.advance(200_000)
  assert.equal(pending.size, 0, 'a lease never settled')
  for (const lease of held.splice(0)) void lease.release()
  await world.advance(10_000)
  const view = pool.view()
  assert.equal(view.warm, Math.min(bounds.sandboxesMax, names.length * bounds.warmPerDeployment), 'not refilled')
  assert.equal(view.starting + view.leased + view.draining, 0)

  const closed = pool.close()
  await world.advance(1000)
  await closed
  assert.equal(driver.alive.size + driver.starting, 0, 'something outlived the pool')
  await assert.rejects(pool.lease(runnable('alpha')), { code: 'conductor_draining' })
}

describe('the pool', () => {
  const filled = async (parts: Setup, ...runnables: Runnable[]): Promise<PoolView> => {
    parts.pool.serve(runnables)
    await parts.world.advance(1000)
    return parts.pool.view()
  }
  /** Waits for a promise while the clock moves. */
  const during = async <T>(world: SimulatedWorld, promise: Promise<T>): Promise<T> => {
    promise.catch(() => {})
    await world.advance(500)
    return promise
  }

  it('starts what is served, no more at once than it may, and times it', async () => {
    const parts = setup()
    parts.pool.serve([runnable('alpha'), runnable('beta')])
    await parts.world.advance(5)
    assert.equal(parts.driver.starting, 2)
    await parts.world.advance(1000)
    const view = parts.pool.view()
    assert.equal(view.warm, 4)
    assert.deepEqual(
      view.deployments.map(one => [one.name, one.target, one.startMsP50]),
      [
        ['alpha', 2, 30],
        ['beta', 2, 30],
      ],
    )
  })

  it('leases a warm sandbox at once, counts the hit and refills', async () => {
    const parts = setup()
    await filled(parts, runnable('alpha'))
    const lease = await parts.pool.lease(runnable('alpha'))
    assert.deepEqual([lease.warm, lease.waitMs, lease.startMs], [true, 0, 30])
    await parts.world.advance(1000)
    const { warm, leased, hits, misses } = parts.pool.view()
    assert.deepEqual({ warm, leased, hits, misses }, { warm: 2, leased: 1, hits: 1, misses: 0 })
  })

  it('takes one that is still starting rather than start another, and counts a miss', async () => {
    const parts = setup()
    parts.pool.serve([runnable('alpha')])
    await parts.world.advance(5)
    const lease = await during(parts.world, parts.pool.lease(runnable('alpha')))
    assert.deepEqual([lease.warm, lease.waitMs, parts.pool.view().misses], [false, 5, 1])
  })

  it('never hands the answer of its own ping to the session, not even when it comes after the lease', async () => {
    const parts = setup()
    parts.pool.serve([runnable('alpha')])
    await parts.world.advance(12)
    const lease = await parts.pool.lease(runnable('alpha'))
    const frames: string[] = []
    lease.upstream.onFrame(frame => frames.push(Buffer.from(frame).toString()))
    lease.upstream.send(Buffer.from('{"jsonrpc":"2.0","id":1,"method":"initialize"}'))
    await parts.world.advance(100)
    assert.deepEqual(frames, ['{"jsonrpc":"2.0","id":1,"result":{}}'])
  })

  it('takes a server that answers no ping before initialize as warm after the time its first run took', async () => {
    const parts = setup()
    parts.pool.serve([runnable('alpha', { ping: false })])
    await parts.world.advance(99)
    assert.equal(parts.pool.view().warm, 0)
    await parts.world.advance(2)
    assert.equal(parts.pool.view().warm, 2)
  })

  it('starts a new one for a fresh lease and counts neither hit nor miss', async () => {
    const parts = setup()
    await filled(parts, runnable('alpha'))
    const lease = await during(parts.world, parts.pool.lease(runnable('alpha'), { fresh: true }))
    assert.equal(lease.warm, false)
    const { warm, hits, misses } = parts.pool.view()
    assert.deepEqual({ warm, hits, misses }, { warm: 2, hits: 0, misses: 0 })
  })

  it('ends what is warm for others before it refuses, and refuses with a time to come back', async () => {
    const parts = setup({ sandboxesMax: 2 })
    await filled(parts, runnable('alpha'))
    assert.equal(parts.pool.view().warm, 2)
    await during(parts.world, parts.pool.lease(runnable('beta')))
    await during(parts.world, parts.pool.lease(runnable('beta')))
    assert.deepEqual([parts.pool.view().warm, parts.pool.view().leased], [0, 2])
    await assert.rejects(parts.pool.lease(runnable('alpha')), { code: 'pool_exhausted', facts: { retry_after_ms: 1000 } })
  })

  it('drops what is warm of an older release or environment', async () => {
    const parts = setup()
    await filled(parts, runnable('alpha'))
    const before = new Set(parts.driver.alive)
    await filled(parts, runnable('alpha', { env: { KEY: 'new' } }))
    assert.ok([...parts.driver.alive].every(upstream => !before.has(upstream) && upstream.env['KEY'] === 'new'))
    assert.equal(parts.pool.view().warm, 2)
  })

  it('drops what is not served any more', async () => {
    const parts = setup()
    await filled(parts, runnable('alpha'))
    const view = await filled(parts)
    assert.deepEqual([view.warm, view.deployments, parts.driver.alive.size], [0, [], 0])
  })

  it('leaves a release that fails again and again alone for longer and longer, says so, and forgets it when it works', async () => {
    const parts = setup({ startsMax: 1, warmPerDeployment: 1 })
    parts.driver.failing = true
    parts.pool.serve([runnable('alpha')])
    await parts.world.advance(60_000)
    assert.ok(parts.driver.started < 12, `${parts.driver.started} starts in a minute`)
    assert.match(
      parts.pool.view().deployments[0]?.lastError ?? '',
      /^sandbox_start_failed: told to fail \(\d times, next try in \d+ ms\)$/,
    )
    parts.driver.failing = false
    await parts.world.advance(120_000)
    assert.deepEqual([parts.pool.view().warm, parts.pool.view().deployments[0]?.lastError], [1, null])
  })

  it('replaces a warm sandbox that crashes and tells its last words', async () => {
    const parts = setup()
    await filled(parts, runnable('alpha'))
    for (const upstream of parts.driver.alive) upstream.crash()
    await settle()
    assert.match(parts.pool.view().deployments[0]?.lastError ?? '', /sandbox_crashed: exit code 1: last words/)
    await parts.world.advance(2000)
    assert.equal(parts.pool.view().warm, 2)
  })

  it('leases remote servers and recordings through their starters, outside of the bound', async () => {
    const parts = setup({ sandboxesMax: 1 })
    const remote: Runnable = { ...runnable('alpha'), runs: { kind: 'remote', url: 'https://example.com/mcp' } }
    const leases = [await parts.pool.lease(remote), await parts.pool.lease(remote)]
    assert.equal(parts.pool.view().deployments[0]?.leased, 2)
    assert.equal(parts.driver.started, 0)
    await during(parts.world, Promise.all(leases.map(lease => lease.release())))
    assert.equal(parts.pool.view().leased, 0)
  })

  it('gives a place back when a leased server dies before its lease is released', async () => {
    const parts = setup({ sandboxesMax: 1, warmPerDeployment: 0 })
    const lease = await during(parts.world, parts.pool.lease(runnable('alpha')))
    for (const upstream of parts.driver.alive) upstream.crash()
    await settle()
    await during(parts.world, parts.pool.lease(runnable('beta')))
    await lease.release()
    assert.equal(parts.pool.view().leased, 1)
  })
})
