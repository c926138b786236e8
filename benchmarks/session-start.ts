/**
 * How long a client waits for its session: from the first byte of `initialize` to its answer, through the real gateway,
 * with an empty pool (cold) and with a warm sandbox in it (warm). The connection is open before.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type RunningConductor, startConductor } from '../tests/e2e/support/conductor.ts'
import { temporaryFolder } from '../tests/e2e/support/temporary-folder.ts'
import type { Benchmark } from './bench.ts'
import { Connections } from './harness/connections.ts'
import { Histogram } from './harness/histogram.ts'
import { describeMachine } from './harness/machine.ts'
import { McpSession } from './harness/mcp-session.ts'
import { server } from './harness/peers.ts'
import { progress } from './harness/progress.ts'
import { figure, rounded, table, writeResults } from './harness/results.ts'

interface Sample {
  startedMs: number
  ms: number
}

interface Series {
  samples: Sample[]
  /** Leases the pool served warm and cold meanwhile, by its own count. */
  hits: number
  misses: number
  histogram: Histogram
}

/** How many sessions are measured. */
const extents = { full: { cold: 200, warm: 400 }, quick: { cold: 15, warm: 25 } }

export const sessionStart: Benchmark = {
  what: 'initialize as a client sees it, with an empty and with a warm pool',
  async run({ quick }) {
    const extent = quick ? extents.quick : extents.full
    await using data = await temporaryFolder('bench')
    let driver = ''
    const measure = async (kind: 'cold' | 'warm', warmPerDeployment: number) => {
      await using conductor = await startConductor({
        data: data.path,
        env: { MAESTRO_WARM: String(warmPerDeployment), MAESTRO_LOG: 'off' },
      })
      await conductor.deploy(`${server.package}@${server.version}`, { name: 'bench' })
      driver = (await conductor.api('getStatus')).driver
      progress(`${kind}: ${extent[kind]} sessions`)
      return await series(conductor, extent[kind], warmPerDeployment)
    }
    const cold = await measure('cold', 0)
    const warm = await measure('warm', 2)
    const machine = describeMachine()
    await writeResults(
      { name: 'session-start', quick },
      { machine, driver, server, cold, warm },
      summarize(cold, warm, machine, driver),
    )
    return { cold: figuresOf(cold), warm: figuresOf(warm), driver, machine }
  },
}

async function series(conductor: RunningConductor, wanted: number, warm: number): Promise<Series> {
  const { mcpUrl } = await conductor.mint('bench')
  // The first session pays for what Conductor itself has not loaded or compiled yet; it is opened and not counted.
  await sample(conductor, mcpUrl, warm)
  const before = await conductor.api('getPool')
  const samples: Sample[] = []
  while (samples.length < wanted) samples.push(await sample(conductor, mcpUrl, warm))
  const after = await conductor.api('getPool')
  const histogram = new Histogram()
  for (const { ms } of samples) histogram.add(ms)
  const counts = { hits: after.hits - before.hits, misses: after.misses - before.misses }
  const wrong = warm > 0 ? counts.misses : counts.hits
  if (wrong > 0) throw new Error(`${wrong} of ${wanted} sessions were not ${warm > 0 ? 'warm' : 'cold'}; nothing was measured`)
  return { samples, ...counts, histogram }
}

/** One session, when the pool is as it should be and at rest. */
async function sample(conductor: RunningConductor, mcpUrl: string, warm: number): Promise<Sample> {
  const { token } = await conductor.mint('bench')
  await atRest(conductor, warm)
  using connections = new Connections(mcpUrl)
  await connections.prepare()
  const { session, startedMs, initializeMs } = await McpSession.open(connections, token, '2025-11-25')
  await session.end()
  return { startedMs, ms: initializeMs }
}

async function atRest(conductor: RunningConductor, warm: number): Promise<void> {
  const deadline = performance.now() + 60_000
  for (;;) {
    const pool = await conductor.api('getPool')
    const bench = pool.deployments.find(({ name }) => name === 'bench')
    const isWarm = warm === 0 || (bench !== undefined && bench.warm >= Math.min(warm, bench.target) && bench.warm > 0)
    if (isWarm && pool.starting === 0 && pool.leased === 0 && pool.draining === 0) return
    if (performance.now() > deadline) throw new Error(`the pool does not come to rest: ${JSON.stringify(pool)}`)
    await sleep(20)
  }
}

const figuresOf = ({ histogram }: Series) => ({
  p50Ms: rounded(histogram.percentileMs(0.5)),
  p95Ms: rounded(histogram.percentileMs(0.95)),
  p99Ms: rounded(histogram.percentileMs(0.99)),
  n: histogram.total,
})

function summarize(cold: Series, warm: Series, machine: string, driver: string): string {
  const row = (name: string, { histogram }: Series) => [
    name,
    ...[0.5, 0.95, 0.99, 1].map(share => figure(histogram.percentileMs(share))),
    String(histogram.total),
  ]
  return `# Session start

From a client’s first byte of \`initialize\` to its whole answer, over loopback through the gateway, ${server.package} ${server.version}, driver ${driver}.
${machine}.

${table(['', 'p50 ms', 'p95 ms', 'p99 ms', 'most ms', 'n'], [row('cold: nothing warm, the sandbox is started for this session', cold), row('warm: the pool had a sandbox ready', warm)])}

One session at a time, begun when the pool is at rest; the connection is open before. That each was cold or warm is the pool’s own
count. Every sample counts: sandboxes that start and end beside the one measured are too short-lived to be told from other work on the machine.
`
}
