/** Ten thousand sessions opened and closed under load, with random kills, Conductor's own included: what stays on the machine. */
import { serverFolders } from '@maestro/testkit'
import { type ChurnResult, churn, type Footprint, footprintOf, seeded } from '../tests/e2e/support/churn.ts'
import { type RunningConductor, startConductor } from '../tests/e2e/support/conductor.ts'
import { eventually } from '../tests/e2e/support/eventually.ts'
import { temporaryFolder } from '../tests/e2e/support/temporary-folder.ts'
import type { Benchmark } from './bench.ts'
import { describeMachine } from './harness/machine.ts'
import { preparedStart } from './harness/prepared-start.ts'
import { progress } from './harness/progress.ts'
import { figure, table, writeResults } from './harness/results.ts'

/** Sessions of one Conductor's life; between lives it is killed in the middle of its work. */
const extents = {
  full: { lives: 5, sessions: 2000, warmUp: 500 },
  quick: { lives: 2, sessions: 100, warmUp: 30 },
}
const parallel = 8
const killShare = 0.05
const seed = 1

interface Life {
  before: Footprint
  /** Each tenth of the way. */
  rssBytes: number[]
  after: Footprint
  result: ChurnResult
  orphans: number
  /** Of the life before, killed in the middle: what bore its name once this one had started. */
  leftOfKilled: Omit<Footprint, 'descriptors' | 'rssBytes' | 'processes'> | null
  seconds: number
}

export const churnBench: Benchmark = {
  what: 'ten thousand sessions under load with random kills: what they leave behind',
  async run({ quick }) {
    const extent = quick ? extents.quick : extents.full
    const random = seeded(seed)
    const machine = describeMachine()
    await using data = await temporaryFolder('bench')
    const lives: Life[] = []
    let driver = ''
    let killed: number | null = null
    for (let number = 0; number < extent.lives; number++) {
      await using conductor = await startConductor({ data: data.path, env: { MAESTRO_LOG: 'off', MAESTRO_SANDBOXES_MAX: '16' } })
      await conductor.deploy(serverFolders.echo, { name: 'echo' })
      await preparedStart(conductor, 'echo')
      driver = (await conductor.api('getStatus')).driver
      const leftOfKilled = killed === null ? null : await whatIsLeftOf(killed)
      lives.push({ ...(await live(conductor, extent, random, number)), leftOfKilled })
      const load = churn(conductor, { sessions: 200, parallel, killShare, random }).catch(() => null)
      await eventually('sessions run', async () => (await conductor.api('getPool')).leased > 2)
      if (number === extent.lives - 1) await load
      else {
        killed = conductor.pid
        await conductor.kill9()
        await load
      }
    }
    const totals = totalsOf(lives)
    await writeResults(
      { name: 'churn', quick, folder: 'runtime', summary: 'churn' },
      { machine, driver, parallel, killShare, seed, lives },
      summarize(lives, totals, machine, driver),
    )
    return { ...totals, machine }
  },
}

async function live(
  conductor: RunningConductor,
  extent: { sessions: number; warmUp: number },
  random: () => number,
  number: number,
): Promise<Omit<Life, 'leftOfKilled'>> {
  await churn(conductor, { sessions: extent.warmUp, parallel, killShare, random })
  await atRest(conductor)
  const before = footprintOf(conductor.pid)
  const rssBytes: number[] = []
  const begunMs = performance.now()
  const result = await churn(conductor, {
    sessions: extent.sessions,
    parallel,
    killShare,
    random,
    onProgress(done) {
      if (done < (extent.sessions / 10) * (rssBytes.length + 1)) return
      rssBytes.push(footprintOf(conductor.pid).rssBytes)
      progress(`life ${number + 1}: ${done} of ${extent.sessions} sessions`)
    },
  })
  const seconds = (performance.now() - begunMs) / 1000
  await atRest(conductor)
  const { orphans } = await conductor.api('getPool')
  return { before, rssBytes, after: footprintOf(conductor.pid), result, orphans, seconds }
}

/** Until nothing is leased and the pool holds as many warm sandboxes as it wants: only then do two counts compare. */
const atRest = (conductor: RunningConductor) =>
  eventually(
    'the pool is at rest',
    async () => {
      const { leased, starting, draining, deployments } = await conductor.api('getPool')
      return leased + starting + draining === 0 && deployments.every(({ warm, target }) => warm === target)
    },
    60_000,
  )

const whatIsLeftOf = (pid: number) =>
  eventually('nothing of the killed one is left', () => {
    const { mounts, cgroups, files } = footprintOf(pid)
    return mounts + cgroups + files === 0 && { mounts, cgroups, files }
  })

function totalsOf(lives: readonly Life[]) {
  const sum = (of: (life: Life) => number) => lives.reduce((total, life) => total + of(life), 0)
  const grown = (what: keyof Footprint) => Math.max(...lives.map(({ before, after }) => after[what] - before[what]))
  return {
    sessions: sum(({ result }) => result.opened),
    ended: sum(({ result }) => result.ended),
    cutOff: sum(({ result }) => result.cutOff),
    kills: sum(({ result }) => result.kills) + lives.length - 1,
    orphans: sum(({ orphans }) => orphans),
    leaked: {
      processes: grown('processes'),
      mounts: grown('mounts'),
      cgroups: grown('cgroups'),
      files: grown('files'),
      descriptors: grown('descriptors'),
    },
    rssGrowthBytesMost: grown('rssBytes'),
    sessionsPerSecond: Math.round((10 * sum(({ result }) => result.opened)) / sum(({ seconds }) => seconds)) / 10,
  }
}

function summarize(lives: readonly Life[], totals: ReturnType<typeof totalsOf>, machine: string, driver: string): string {
  const MiB = (bytes: number) => figure(bytes / 2 ** 20)
  const rows = lives.map(({ before, after, rssBytes, result, orphans }, index) => [
    String(index + 1),
    `${result.opened} / ${result.ended} / ${result.cutOff}`,
    String(result.kills),
    ...(['processes', 'mounts', 'cgroups', 'files', 'descriptors'] as const).map(what => `${before[what]} → ${after[what]}`),
    String(orphans),
    `${MiB(before.rssBytes)} → ${MiB(after.rssBytes)} (most ${MiB(Math.max(...rssBytes))})`,
  ])
  return `# Churn

${totals.sessions} sessions, ${parallel} at a time, of a small server; during ${killShare * 100} % of them a random process of a random sandbox is killed (SIGKILL), and at the end of each life
but the last Conductor itself, in the middle of its work. Driver ${driver}. ${machine}.

${table(['life', 'opened / ended / cut off', 'kills', 'processes', 'mounts', 'control groups', 'files', 'descriptors', 'orphans', 'RSS MiB'], rows)}

Counted from outside, after a warm-up and at the end, each time with nothing leased and the pool as full as it wants to be. *Files* are sockets and folders of Conductor in the
temporary folder. After each start on the data of a killed Conductor nothing bore the name of the dead one. ${totals.sessionsPerSecond} sessions per second, each with a sandbox of its own.
`
}
