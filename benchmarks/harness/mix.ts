import { setTimeout as sleep } from 'node:timers/promises'
import { seeded } from '../../tests/e2e/support/churn.ts'
import type { RunningConductor } from '../../tests/e2e/support/conductor.ts'
import { Connections } from './connections.ts'
import { Histogram } from './histogram.ts'
import { McpSession } from './mcp-session.ts'
import { atRest } from './starts.ts'
import { StdioSession } from './stdio-session.ts'

/** The published mix, and how many calls a session makes of it. */
export const mixShares = { fast: 0.4, standard: 0.4, heavy: 0.2, callsPerSession: 5 } as const
type Weight = 'fast' | 'standard' | 'heavy'

export interface MixExtent {
  /** Sessions opened per second, on average. */
  rate: number
  /** Load before anything counts, ms. */
  warmUpMs: number
  windowMs: number
  seed: number
}

/** Time of a call that the server did not take: as the client waited, less what the server says it took. */
export interface Overheads {
  overhead: Histogram
  overheadByWeight: Record<Weight, Histogram>
}

export interface MixResult extends MixExtent, Overheads {
  /** Sessions and calls begun in the window. */
  sessionStart: Histogram
  /** Leases of the window, by the pool's own count. */
  hits: number
  misses: number
  warmHitRatio: number
  memoryBytesPerSandbox: number | null
}

interface MixSession {
  call(weight: Weight): Promise<{ ms: number; serverMs: number }>
  end(): Promise<void>
}

/** The mix through Conductor. */
export async function applyMix(conductor: RunningConductor, deployment: string, extent: MixExtent): Promise<MixResult> {
  const sessionStart = new Histogram()
  const { mcpUrl, token } = await conductor.mint(deployment)
  using connections = new Connections(mcpUrl)
  await atRest(conductor, deployment, 1)
  const counts = async () => {
    const { hits, misses } = await conductor.api('getPool')
    return { hits, misses }
  }
  let before = await counts()
  const overheads = await applyLoad(extent, {
    async windowBegins() {
      before = await counts()
    },
    async open(isCounted) {
      const { session, initializeMs } = await McpSession.open(connections, token, '2025-11-25')
      if (isCounted) sessionStart.add(initializeMs)
      return { call: weight => session.timedCall(weight), end: () => session.end() }
    },
  })
  const after = await conductor.api('getPool')
  const hits = after.hits - before.hits
  const misses = after.misses - before.misses
  const own = after.deployments.find(({ name }) => name === deployment)
  return {
    ...extent,
    ...overheads,
    sessionStart,
    hits,
    misses,
    warmHitRatio: hits / Math.max(1, hits + misses),
    memoryBytesPerSandbox: own?.memoryBytes ?? null,
  }
}

/** The same sessions with a process of the server each and nothing between: what a pipe and the machine cost by themselves. */
export function applyMixStraight(script: string, extent: MixExtent): Promise<Overheads> {
  return applyLoad(extent, {
    windowBegins: async () => {},
    async open() {
      const session = await StdioSession.open(process.execPath, [script])
      return { call: weight => session.timedCall(weight), end: () => session[Symbol.asyncDispose]() }
    },
  })
}

interface Loaded {
  windowBegins(): Promise<void>
  open(isCounted: boolean): Promise<MixSession>
}

/** Sessions come when they like, whether or not the ones before are done: a slow platform gets no rest. */
async function applyLoad(extent: MixExtent, loaded: Loaded): Promise<Overheads> {
  const random = seeded(extent.seed)
  const overheadByWeight = { fast: new Histogram(), standard: new Histogram(), heavy: new Histogram() }
  const running = new Set<Promise<void>>()
  const failures: unknown[] = []
  const begunMs = performance.now()
  const countsFromMs = begunMs + extent.warmUpMs
  const endMs = countsFromMs + extent.windowMs
  const oneSession = async (weights: readonly Weight[]) => {
    const isCounted = performance.now() >= countsFromMs
    const session = await loaded.open(isCounted)
    for (const weight of weights) {
      const { ms, serverMs } = await session.call(weight)
      if (isCounted) overheadByWeight[weight].add(Math.max(0, ms - serverMs))
    }
    await session.end()
  }

  let isWindow = false
  for (let dueMs = begunMs; ; ) {
    dueMs += (-Math.log(1 - random()) / extent.rate) * 1000
    if (dueMs > endMs) break
    if (!isWindow && dueMs >= countsFromMs) {
      isWindow = true
      await sleep(Math.max(0, countsFromMs - performance.now()))
      await loaded.windowBegins()
    }
    await sleep(Math.max(0, dueMs - performance.now()))
    const weights = Array.from({ length: mixShares.callsPerSession }, () => weightOf(random()))
    const one: Promise<void> = oneSession(weights)
      .catch(failure => void failures.push(failure))
      .finally(() => running.delete(one))
    running.add(one)
  }
  await Promise.all(running)
  if (failures.length > 0) throw new Error(`${failures.length} sessions failed under the mix`, { cause: failures[0] })
  if (!isWindow) throw new Error('no session came in the window: it is too short for the rate')
  const overhead = new Histogram()
  for (const histogram of Object.values(overheadByWeight)) overhead.merge(histogram)
  return { overhead, overheadByWeight }
}

function weightOf(share: number): Weight {
  if (share < mixShares.fast) return 'fast'
  return share < mixShares.fast + mixShares.standard ? 'standard' : 'heavy'
}
