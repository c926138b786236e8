/**
 * How long a client waits for its session: from the first byte of `initialize` to its answer, through the real gateway,
 * with an empty pool (cold) and with a warm sandbox in it (warm). The connection is open before.
 */
import type { Start } from '@maestro/contract'
import { startConductor } from '../tests/e2e/support/conductor.ts'
import { temporaryFolder } from '../tests/e2e/support/temporary-folder.ts'
import type { Benchmark } from './bench.ts'
import { describeMachine } from './harness/machine.ts'
import { server } from './harness/peers.ts'
import { preparedStart } from './harness/prepared-start.ts'
import { progress } from './harness/progress.ts'
import { figure, rounded, table, writeResults } from './harness/results.ts'
import { measureStarts, type Starts } from './harness/starts.ts'

/** How many sessions are measured. */
const extents = { full: { cold: 200, warm: 400 }, quick: { cold: 15, warm: 25 } }

export const sessionStart: Benchmark = {
  what: 'initialize as a client sees it, with an empty and with a warm pool',
  async run({ quick }) {
    const extent = quick ? extents.quick : extents.full
    await using data = await temporaryFolder('bench')
    let driver = ''
    let start: Start | null = null
    const measure = async (kind: 'cold' | 'warm', warmPerDeployment: number) => {
      await using conductor = await startConductor({
        data: data.path,
        env: { MAESTRO_WARM: String(warmPerDeployment), MAESTRO_LOG: 'off' },
      })
      await conductor.deploy(`${server.package}@${server.version}`, { name: 'bench' })
      start = await preparedStart(conductor, 'bench')
      driver = (await conductor.api('getStatus')).driver
      progress(`${kind}: ${extent[kind]} sessions`)
      return await measureStarts(conductor, 'bench', extent[kind], warmPerDeployment)
    }
    const cold = await measure('cold', 0)
    const warm = await measure('warm', 2)
    const machine = describeMachine()
    await writeResults(
      { name: 'session-start', quick },
      { machine, driver, server, start, cold, warm },
      summarize(cold, warm, machine, driver),
    )
    return { cold: figuresOf(cold), warm: figuresOf(warm), start, driver, machine }
  },
}

const figuresOf = ({ histogram }: Starts) => ({
  p50Ms: rounded(histogram.percentileMs(0.5)),
  p95Ms: rounded(histogram.percentileMs(0.95)),
  p99Ms: rounded(histogram.percentileMs(0.99)),
  n: histogram.total,
})

function summarize(cold: Starts, warm: Starts, machine: string, driver: string): string {
  const row = (name: string, { histogram }: Starts) => [
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
