import { setTimeout as sleep } from 'node:timers/promises'
import type { RunningConductor } from '../../tests/e2e/support/conductor.ts'
import { Connections } from './connections.ts'
import { Histogram } from './histogram.ts'
import { McpSession } from './mcp-session.ts'

export interface Starts {
  samples: { startedMs: number; ms: number }[]
  /** Leases the pool served warm and cold meanwhile, by its own count. */
  hits: number
  misses: number
  histogram: Histogram
}

/**
 * Opens sessions one at a time, each when the pool is at rest; the connection is open before. `warm`: how many sandboxes wait then, 0 for
 * cold starts; `frozen`: they have waited so long that they stand still. Throws where the pool says that a start was not what was to be
 * measured.
 */
export async function measureStarts(
  conductor: RunningConductor,
  deployment: string,
  wanted: number,
  warm: number,
  frozen = false,
): Promise<Starts> {
  const { mcpUrl } = await conductor.mint(deployment)
  const sample = async () => {
    const { token } = await conductor.mint(deployment)
    await atRest(conductor, deployment, warm, frozen)
    using connections = new Connections(mcpUrl)
    await connections.prepare()
    const { session, startedMs, initializeMs } = await McpSession.open(connections, token, '2025-11-25')
    await session.end()
    return { startedMs, ms: initializeMs }
  }
  // The first session pays for what Conductor itself has not loaded or compiled yet; it is opened and not counted.
  await sample()
  const before = await conductor.api('getPool')
  const samples: Starts['samples'] = []
  while (samples.length < wanted) samples.push(await sample())
  const after = await conductor.api('getPool')
  const counts = { hits: after.hits - before.hits, misses: after.misses - before.misses }
  const wrong = warm > 0 ? counts.misses : counts.hits
  if (wrong > 0) throw new Error(`${wrong} of ${wanted} sessions were not ${warm > 0 ? 'warm' : 'cold'}; nothing was measured`)
  const histogram = new Histogram()
  for (const { ms } of samples) histogram.add(ms)
  return { samples, ...counts, histogram }
}

/** Waits until nothing starts or ends and, where anything is to be warm, something is; `frozen`: and all of it stands still. */
export async function atRest(conductor: RunningConductor, deployment: string, warm: number, frozen = false): Promise<void> {
  const deadline = performance.now() + 120_000
  for (;;) {
    const pool = await conductor.api('getPool')
    const own = pool.deployments.find(({ name }) => name === deployment)
    const isWarm = warm === 0 || (own !== undefined && own.warm >= Math.min(warm, own.target) && own.warm > 0)
    const isStill = !frozen || (own !== undefined && own.frozen === own.warm)
    if (isWarm && isStill && pool.starting === 0 && pool.leased === 0 && pool.draining === 0) return
    if (performance.now() > deadline) throw new Error(`the pool does not come to rest: ${JSON.stringify(pool)}`)
    await sleep(20)
  }
}
