/**
 * What the warm pool promises, for each sandbox driver that runs here: how long a client waits for its session with an empty pool
 * (cold), with a warm sandbox (warm), and under a load of sessions that come when they like (session start); what the platform adds to a
 * call; how often a sandbox was warm; what a waiting one holds of memory.
 */
import { spawnSync } from 'node:child_process'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type RunningConductor, startConductor } from '../tests/e2e/support/conductor.ts'
import { eventually } from '../tests/e2e/support/eventually.ts'
import { temporaryFolder } from '../tests/e2e/support/temporary-folder.ts'
import type { Benchmark } from './bench.ts'
import type { Histogram } from './harness/histogram.ts'
import { describeMachine } from './harness/machine.ts'
import { applyMix, applyMixStraight, type MixExtent, type MixResult, mixShares, type Overheads } from './harness/mix.ts'
import { preparedStart } from './harness/prepared-start.ts'
import { progress } from './harness/progress.ts'
import { figure, rounded, table, writeResults } from './harness/results.ts'
import { measureStarts, type Starts } from './harness/starts.ts'
import { lendImages, usableDrivers } from './harness/usable-drivers.ts'

const workload = fileURLToPath(new URL('./workload', import.meta.url))

/** How many starts of each kind; 0 where a quick look leaves it out. */
interface Extent {
  cold: number
  warm: number
  frozen: number
  secret: number
  mix: MixExtent
}

/** Sessions that are opened per second under the mix: about half of what two cores can start of each kind. */
const sessionsPerSecond: Record<string, number> = { process: 2, bubblewrap: 2, gvisor: 0.5, microvm: 0.2, firecracker: 1 }

const extentOf = (driver: string, quick: boolean): Extent => {
  const rate = sessionsPerSecond[driver] ?? 1
  const slow = rate < 1
  if (quick) {
    const few = slow ? 3 : 8
    return { cold: few, warm: few, frozen: 0, secret: 0, mix: { rate, warmUpMs: 2_000, windowMs: slow ? 6_000 : 5_000, seed: 1 } }
  }
  return slow
    ? { cold: 20, warm: 20, frozen: 15, secret: 10, mix: { rate, warmUpMs: 15_000, windowMs: 120_000, seed: 1 } }
    : { cold: 120, warm: 120, frozen: 20, secret: 60, mix: { rate, warmUpMs: 30_000, windowMs: 120_000, seed: 1 } }
}

const straightExtent = (quick: boolean): MixExtent => ({
  rate: 2,
  seed: 1,
  ...(quick ? { warmUpMs: 500, windowMs: 4_000 } : { warmUpMs: 5_000, windowMs: 90_000 }),
})

/** What one driver showed. */
interface Measured {
  detail: string
  cold: Starts
  warm: Starts
  /** Warm ones that stand still; null where the driver cannot stop them, or a quick look left it out. */
  frozen: Starts | null
  /** Warm ones whose secrets come with the lease. */
  secret: Starts | null
  mix: MixResult
}

export const pooler: Benchmark = {
  what: 'the warm pool under the published mix, for each driver that runs here',
  async run({ quick, drivers: wanted }) {
    const drivers = await usableDrivers(quick, wanted)
    const machine = describeMachine()
    const measured: Record<string, Measured> = {}
    await using data = await temporaryFolder('bench')
    lendImages(data.path)
    const serverScript = await installWorkload(data.path)
    progress('the mix straight to the server, for comparison')
    const straight = await applyMixStraight(serverScript, straightExtent(quick))
    for (const { name, detail } of drivers.usable) {
      const { cold, warm, frozen, secret, mix } = extentOf(name, quick)
      const conductorWith = (warmMax: number) =>
        startConductor({ data: data.path, env: { MAESTRO_DRIVER: name, MAESTRO_WARM: String(warmMax), MAESTRO_LOG: 'off' } })
      const withConductor = async <T>(
        warmMax: number,
        use: (conductor: Awaited<ReturnType<typeof conductorWith>>) => Promise<T>,
      ) => {
        await using conductor = await conductorWith(warmMax)
        await conductor.deploy(workload, { name: 'workload' })
        await preparedStart(conductor, 'workload')
        return await use(conductor)
      }
      progress(`${name}: ${cold} cold starts`)
      const coldStarts = await withConductor(0, conductor => measureStarts(conductor, 'workload', cold, 0))
      progress(`${name}: ${warm} warm starts`)
      const [warmStarts, frozenStarts] = await withConductor(2, async conductor => {
        const starts = await measureStarts(conductor, 'workload', warm, 2)
        if (frozen === 0 || !(await standsStill(conductor))) return [starts, null]
        progress(`${name}: ${frozen} starts of what stands still`)
        return [starts, await measureStarts(conductor, 'workload', frozen, 2, true)]
      })
      progress(`${name}: ${secret} warm starts with a secret`)
      const secretStarts =
        secret === 0
          ? null
          : await withConductor(2, async conductor => {
              await conductor.api('putSecret', { params: { name: 'workload' }, body: { value: 'a-secret-of-the-workload' } })
              const { id } = await conductor.deploy(workload, {
                name: 'with-secret',
                env: { WORKLOAD_KEY: { secret: 'workload' } },
              })
              await preparedStart(conductor, 'with-secret')
              const starts = await measureStarts(conductor, 'with-secret', secret, 2)
              await conductor.api('removeDeployment', { params: { id } })
              return starts
            })
      progress(`${name}: the mix, ${mix.rate} sessions/s, ${(mix.warmUpMs + mix.windowMs) / 1000} s`)
      const mixed = await withConductor(16, conductor => applyMix(conductor, 'workload', mix))
      const starts = { cold: coldStarts, warm: warmStarts, frozen: frozenStarts, secret: secretStarts }
      measured[name] = { detail, ...starts, mix: mixed }
    }
    const raw = { machine, mix: mixShares, straight, drivers: measured, left: drivers.left }
    await writeResults(
      { name: 'pooler', quick, drivers: wanted, folder: 'runtime', summary: 'pooler-baseline' },
      raw,
      summarize(measured, straight, drivers.left, machine),
    )
    return { ...Object.fromEntries(Object.entries(measured).map(([name, one]) => [name, figuresOf(one, straight)])), machine }
  },
}

/** Whether what waits is stopped where it stands, for which the pool takes about two seconds. */
const standsStill = (conductor: RunningConductor): Promise<boolean> =>
  eventually('what waits stands still', async () => (await conductor.api('getPool')).frozen > 0, 8_000).then(
    () => true,
    () => false,
  )

/** The workload with what it needs, outside of any platform; returns its script. */
async function installWorkload(folder: string): Promise<string> {
  const place = join(folder, 'straight')
  await cp(workload, place, { recursive: true })
  const { status, stderr } = spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], {
    cwd: place,
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`npm ci of the workload exited with ${status}: ${stderr}`)
  return join(place, 'server.js')
}

const percentiles = (histogram: Histogram) => ({
  p50Ms: rounded(histogram.percentileMs(0.5)),
  p95Ms: rounded(histogram.percentileMs(0.95)),
  p99Ms: rounded(histogram.percentileMs(0.99)),
})

const figuresOf = ({ cold, warm, frozen, secret, mix }: Measured, straight: Overheads) => ({
  coldStart: percentiles(cold.histogram),
  warmStart: percentiles(warm.histogram),
  frozenStart: frozen && percentiles(frozen.histogram),
  secretStart: secret && percentiles(secret.histogram),
  sessionStart: percentiles(mix.sessionStart),
  overhead: percentiles(mix.overhead),
  straightOverhead: percentiles(straight.overhead),
  warmHitRatio: rounded(mix.warmHitRatio),
  memoryBytesPerSandbox: mix.memoryBytesPerSandbox,
})

function summarize(
  measured: Record<string, Measured>,
  straight: Overheads,
  left: readonly { name: string; why: string }[],
  machine: string,
): string {
  const cells = (histogram: Histogram) => [0.5, 0.95, 0.99].map(share => figure(histogram.percentileMs(share))).join(' / ')
  const rows = Object.entries(measured).map(([name, { cold, warm, mix }]) => [
    name,
    `${cells(cold.histogram)} (${cold.histogram.total})`,
    `${cells(warm.histogram)} (${warm.histogram.total})`,
    `${cells(mix.sessionStart)} (${mix.sessionStart.total})`,
    `${cells(mix.overhead)} (${mix.overhead.total})`,
    `${figure(mix.warmHitRatio * 100)} %`,
    mix.memoryBytesPerSandbox === null ? '–' : `${figure(mix.memoryBytesPerSandbox / 2 ** 20)} MiB`,
  ])
  const waited = Object.entries(measured).map(([name, { frozen, secret }]) => [
    name,
    ...[frozen, secret].map(starts => (starts === null ? '–' : `${cells(starts.histogram)} (${starts.histogram.total})`)),
  ])
  const weights = ['fast', 'standard', 'heavy'] as const
  const overheadRow = (name: string, { overhead, overheadByWeight }: Overheads) => [
    name,
    ...[overhead, ...weights.map(weight => overheadByWeight[weight])].map(one => `${cells(one)} (${one.total})`),
  ]
  const overheads = [
    overheadRow('straight to the server', straight),
    ...Object.entries(measured).map(([name, { mix }]) => overheadRow(name, mix)),
  ]
  const details = Object.entries(measured).map(([name, { detail, mix }]) => `- **${name}**: ${detail}; ${mix.rate} sessions/s`)
  const notRun = left.map(({ name, why }) => `- **${name}** was not run: ${why}`)
  return `# Runtime pooler

${machine}.

${table(['driver', 'cold start ms', 'warm start ms', 'session start under the mix ms', 'overhead per call ms', 'warm hits', 'memory of a waiting sandbox'], rows)}

p50 / p95 / p99, in brackets how many. *Start*: from a client’s first byte of \`initialize\` to its whole answer, over loopback through the gateway, policy and
recording on. *Cold*: the pool keeps nothing warm; *warm*: a sandbox waits; both one session at a time. *Under the mix*: sessions come at random (Poisson, fixed seed) to
a pool that starts with what it keeps for a new deployment and learns; each makes ${mixShares.callsPerSession} calls of the published mix (40 % fast, ≤ 25 ms; 40 % standard, 100 ms and 64 KB; 20 % heavy,
400 ms and 256 KB) and ends. *Overhead*: the client’s time from the first byte of a call to its whole answer, less the time the server says it took from the bytes of
the request to those of its answer; so piping, recording, HTTP and waking whoever sleeps count as overhead. No sample is left out.

Two more warm starts, one session at a time: of sandboxes that stood still, because nobody took them for two seconds (processes frozen, machines paused), and of a deployment
with a secret, which its sandbox is given with the lease and not before:

${table(['driver', 'stood still ms', 'secret at lease ms'], waited)}

Overhead by weight of the call. *Straight to the server*: the same calls at 2 sessions/s over a pipe to a process of the server with nothing between; no platform can be
below that on this machine, and what a driver adds is its difference to it:

${table(['', 'all ms', ...weights.map(weight => `${weight} ms`)], overheads)}

The server is \`benchmarks/workload\`, on the official SDK.

${[...details, ...notRun].join('\n')}
`
}
