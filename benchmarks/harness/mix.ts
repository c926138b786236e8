import { setTimeout as sleep } from 'node:timers/promises'
import { seeded } from '../../tests/e2e/support/churn.ts'
import type { RunningConductor } from '../../tests/e2e/support/conductor.ts'
import { Connections } from './connections.ts'
import { Histogram } from './histogram.ts'
import { McpSession } from './mcp-session.ts'
import { atRest } from './starts.ts'

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

export interface MixResult extends MixExtent {
  /** Sessions and calls begun in the window. */
  sessionStart: Histogram
  overhead: Histogram
  overheadByWeight: Record<Weight, Histogram>
  /** Leases of the window, by the pool's own count. */
  hits: number
  misses: number
  warmHitRatio: number
  memoryBytesPerSandbox: number | null
}

/** Sessions come when they like, whether or not the ones before are done: a slow platform gets no rest. */
export async function applyMix(conductor: RunningConductor, deployment: string, extent: MixExtent): Promise<MixResult> {
  const random = seeded(extent.seed)
  const { mcpUrl } = await conductor.mint(deployment)
  const sessionStart = new Histogram()
  const overheadByWeight = { fast: new Histogram(), standard: new Histogram(), heavy: new Histogram() }
  const running = new Set<Promise<void>>()
  const failures: unknown[] = []
  using connections = new Connections(mcpUrl)
  const { token } = await conductor.mint(deployment)
  await atRest(conductor, deployment, 1)

  const begunMs = performance.now()
  const countsFromMs = begunMs + extent.warmUpMs
  const endMs = countsFromMs + extent.windowMs
  const oneSession = async (weights: readonly Weight[]) => {
    const isCounted = performance.now() >= countsFromMs
    const { session, initializeMs } = await McpSession.open(connections, token, '2025-11-25')
    if (isCounted) sessionStart.add(initializeMs)
    for (const weight of weights) {
      const { ms, serverMs } = await session.timedCall(weight)
      if (isCounted) overheadByWeight[weight].add(Math.max(0, ms - serverMs))
    }
    await session.end()
  }

  let before: { hits: number; misses: number } | null = null
  for (let dueMs = begunMs; ; ) {
    dueMs += (-Math.log(1 - random()) / extent.rate) * 1000
    if (dueMs > endMs) break
    if (before === null && dueMs >= countsFromMs) {
      await sleep(Math.max(0, countsFromMs - performance.now()))
      before = await conductor.api('getPool')
    }
    await sleep(Math.max(0, dueMs - performance.now()))
    const weights = Array.from({ length: mixShares.callsPerSession }, () => weightOf(random()))
    const one: Promise<void> = oneSession(weights)
      .catch(failure => void failures.push(failure))
      .finally(() => running.delete(one))
    running.add(one)
  }
  const after = await conductor.api('getPool')
  await Promise.all(running)
  if (failures.length > 0) throw new Error(`${failures.length} sessions failed under the mix`, { cause: failures[0] })
  if (before === null) throw new Error('no session came in the window: it is too short for the rate')

  const hits = after.hits - before.hits
  const misses = after.misses - before.misses
  const overhead = new Histogram()
  for (const histogram of Object.values(overheadByWeight)) overhead.merge(histogram)
  const own = after.deployments.find(({ name }) => name === deployment)
  return {
    ...extent,
    sessionStart,
    overhead,
    overheadByWeight,
    hits,
    misses,
    warmHitRatio: hits / Math.max(1, hits + misses),
    memoryBytesPerSandbox: own?.memoryBytes ?? null,
  }
}

function weightOf(share: number): Weight {
  if (share < mixShares.fast) return 'fast'
  return share < mixShares.fast + mixShares.standard ? 'standard' : 'heavy'
}
