/** A pool on a simulated clock, with a driver that starts slowly, fails, crashes and ends slowly. */
import { ConductorError, type Release, type SandboxId, type TapeEvent } from '@maestro/contract'
import type { Exit, SandboxDriver, SandboxSpec } from '../../sandbox/sandbox.ts'
import type { Pool, Runnable, Upstream } from '../../session/stages.ts'
import type { Log } from '../../telemetry/log.ts'
import type { World } from '../../world.ts'
import { createPool, type PoolParts } from '../pool.ts'

/** A clock that moves only when told. */
export class SimulatedWorld implements World {
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

export const settle = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

export class FakeUpstream implements Upstream {
  readonly driver = 'process'
  readonly pendingBytes = 0
  readonly exited: Promise<Exit>
  readonly id: SandboxId
  readonly env: Readonly<Record<string, string>>
  closing = false
  frozen = false
  /** Whether others go first on the CPU. */
  unhurried: boolean
  #exit!: (exit: Exit) => void
  #listener: ((frame: Uint8Array) => void) | null = null
  readonly #world: SimulatedWorld

  constructor(spec: SandboxSpec, world: SimulatedWorld) {
    this.id = spec.id
    this.env = spec.env
    this.unhurried = spec.unhurried ?? false
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
  freeze(): boolean {
    this.frozen = !this.closing
    return this.frozen
  }
  thaw(): void {
    this.frozen = false
  }
  hurry(): void {
    this.unhurried = false
  }
  memoryBytes(): number {
    return 40 * MiB
  }
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

export class FakeDriver implements SandboxDriver {
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

export const MiB = 1024 * 1024
export const runnable = (
  name: string,
  changes: { release?: number; ping?: boolean; env?: Record<string, string>; tenant?: string; egress?: string[] } = {},
): Runnable => ({
  tenant: (changes.tenant ?? 'ten_00000000000000local0') as Runnable['tenant'],
  deployment: `dep_${name}` as Runnable['deployment'],
  name,
  release: {
    id: `rel_${changes.release ?? 0}`,
    digest: `sha256:${changes.release ?? 0}`,
    manifest: { startupMs: 100, pingBeforeInitialize: changes.ping ?? true },
  } as unknown as Release,
  runs: { kind: 'bundle', bundle: '/bundles/x', program: { runtime: 'node', entry: 'index.js' }, args: [] },
  env: changes.env ?? {},
  egress: changes.egress ?? [],
  limits: { memoryBytesMax: 64 * MiB, pidsMax: 16, cpusMax: 1, diskBytesMax: MiB, lineBytesMax: MiB },
})

export interface Setup {
  world: SimulatedWorld
  driver: FakeDriver
  pool: Pool
}

export function setup(
  changes: Partial<Pick<PoolParts, 'sandboxesMax' | 'memoryBytesMax' | 'warmAtFirst' | 'startsMax'>> = {},
): Setup {
  const world = new SimulatedWorld()
  const driver = new FakeDriver(world)
  const other = () => new FakeUpstream({ id: 'sbx_other', env: {} } as unknown as SandboxSpec, world)
  const starters = { remote: other, recording: other }
  return {
    world,
    driver,
    pool: createPool({
      driver,
      world,
      starters,
      sandboxesMax: 10,
      memoryBytesMax: 1024 * MiB,
      warmAtFirst: 2,
      startsMax: 2,
      ...changes,
    }),
  }
}
