/**
 * What a call costs on its way through the gateway: the same tool of the same server directly (over the official SDK's
 * HTTP server and over stdio), through Conductor (one sandbox per session), and through two other npm gateways, one
 * after the other in one run on one machine.
 */

import { startConductor } from '../tests/e2e/support/conductor.ts'
import type { Benchmark } from './bench.ts'
import { Connections } from './harness/connections.ts'
import { pssBytesOf } from './harness/cpu.ts'
import { fullPace, load, type Pace, type Phase, quickPace } from './harness/load.ts'
import { describeMachine } from './harness/machine.ts'
import { McpSession, type Revision } from './harness/mcp-session.ts'
import { foreignShareMax, type NoiseWatch, watchNoise, windowMs } from './harness/noise.ts'
import { everything, installPeers, peers, server } from './harness/peers.ts'
import { preparedStart } from './harness/prepared-start.ts'
import { progress } from './harness/progress.ts'
import { figure, rounded, table, writeResults } from './harness/results.ts'
import { startServerProcess } from './harness/server-process.ts'
import { StdioSession } from './harness/stdio-session.ts'

/** Sessions and calls in flight in each of them. */
const shapes = { c1: [1, 1], '16×1': [16, 1], '1×16': [1, 16] } as const
type Shape = keyof typeof shapes

/**
 * At 2025-11-25 the SDK’s HTTP server begins each stream with an event for resuming it, which costs it more than a
 * millisecond a call. The revision before is used for everybody, because it shows direct at its best; direct at
 * 2025-11-25 has a row of its own.
 */
const revision = '2025-06-18'

interface Round {
  target: string
  phases: Partial<Record<Shape, Phase>>
  /** Memory of the process in the middle after its phases, bytes; null where there is none. */
  pssBytes: number | null
}

export const gatewayHop: Benchmark = {
  what: 'latency, calls per second and CPU per call, beside direct and two other gateways',
  async run({ quick }) {
    installPeers()
    const pace = quick ? quickPace : fullPace
    // A quick run measures what its result line holds, and no more.
    // The heavy ones first, so that one call at a time is measured on warm code.
    const wanted: Shape[] = quick ? ['16×1', 'c1'] : ['1×16', '16×1', 'c1']
    const rounds: Round[] = []
    let driver = ''
    await using watch = watchNoise()
    for (let round = 0; round < (quick ? 1 : 3); round++) {
      rounds.push(await direct('direct', revision, watch, pace, wanted), await directStdio(watch, pace, wanted))
      if (!quick) rounds.push(await direct('direct-2025-11-25', '2025-11-25', watch, pace, ['c1']))
      const hop = await throughConductor(watch, pace, wanted)
      driver = hop.driver
      rounds.push(hop)
      for (const peer of peers) {
        await using target = await startServerProcess(peer.command)
        const { url, pid } = target
        rounds.push(await overHttp({ name: peer.name, url, token: async () => null, pid, revision }, watch, pace, wanted))
      }
    }
    const machine = describeMachine()
    await writeResults(
      { name: 'gateway-hop', quick },
      { machine, driver, server, pace, foreignShareMax, windowMs, rounds },
      summarize(rounds, machine, driver),
    )
    return resultOf(rounds)
  },
}

async function direct(name: string, revision: Revision, watch: NoiseWatch, pace: Pace, wanted: readonly Shape[]): Promise<Round> {
  // Its event store never forgets, so each round has a fresh one.
  await using target = await startServerProcess(
    () => [everything, 'streamableHttp'],
    port => ({ PORT: String(port) }),
  )
  return await overHttp({ name, url: target.url, token: async () => null, pid: target.pid, revision }, watch, pace, wanted)
}

async function directStdio(watch: NoiseWatch, pace: Pace, wanted: readonly Shape[]): Promise<Round> {
  progress('direct-stdio')
  await using session = await StdioSession.open(process.execPath, [everything, 'stdio'])
  const call = () => session.echo()
  const pid = session.child.pid ?? null
  const phases: Round['phases'] = {}
  // Sixteen sessions would be sixteen processes with nothing between: no figure anybody would compare.
  for (const shape of wanted.filter(shape => shape !== '16×1')) {
    phases[shape] = await load(Array(shapes[shape][1]).fill(call), watch, pace, pid)
  }
  return { target: 'direct-stdio', phases, pssBytes: null }
}

async function throughConductor(watch: NoiseWatch, pace: Pace, wanted: readonly Shape[]): Promise<Round & { driver: string }> {
  await using conductor = await startConductor({ env: { MAESTRO_LOG: 'off' } })
  const { name } = await conductor.deploy(`${server.package}@${server.version}`, { name: 'bench' })
  await preparedStart(conductor, name)
  const { mcpUrl } = await conductor.mint(name)
  const token = async () => (await conductor.mint(name)).token
  const { driver } = await conductor.api('getStatus')
  const { pid } = conductor
  return { ...(await overHttp({ name: 'gateway', url: mcpUrl, token, pid, revision }, watch, pace, wanted)), driver }
}

interface HttpTarget {
  name: string
  url: string
  token(): Promise<string | null>
  pid: number
  revision: Revision
}

async function overHttp(
  { name, url, token, pid, revision }: HttpTarget,
  watch: NoiseWatch,
  pace: Pace,
  wanted: readonly Shape[],
): Promise<Round> {
  progress(name)
  const phases: Partial<Record<Shape, Phase>> = {}
  for (const shape of wanted) {
    const [sessions, inFlight] = shapes[shape]
    using connections = new Connections(url)
    const bearer = await token()
    const opened: McpSession[] = []
    for (let index = 0; index < sessions; index++) opened.push((await McpSession.open(connections, bearer, revision)).session)
    const callers = opened.flatMap(session => Array.from({ length: inFlight }, () => () => session.echo()))
    const phase = await load(callers, watch, pace, pid)
    phases[shape] = phase
    progress(
      `  ${shape}: ${figure(phase.callsPerSecond)} calls/s, p50 ${figure(phase.p50Ms)} ms, p99 ${figure(phase.p99Ms)} ms${phase.contended ? ', contended' : ''}`,
    )
    for (const session of opened) await session.end()
  }
  return { target: name, phases, pssBytes: pssBytesOf(pid) }
}

/** The median over the rounds, of the quiet ones where there are any. */
function median(rounds: readonly Round[], target: string, shape: Shape, pick: (phase: Phase) => number | null): number {
  const phases = rounds.filter(round => round.target === target).flatMap(({ phases }) => phases[shape] ?? [])
  const quiet = phases.filter(({ contended }) => !contended)
  const values = (quiet.length > 0 ? quiet : phases).map(pick).filter(value => value !== null)
  return values.sort((a, b) => a - b)[Math.floor((values.length - 1) / 2)] ?? Number.NaN
}

function resultOf(rounds: readonly Round[]): object {
  const of = (target: string) => ({
    p50Ms: rounded(median(rounds, target, 'c1', ({ p50Ms }) => p50Ms)),
    p99Ms: rounded(median(rounds, target, 'c1', ({ p99Ms }) => p99Ms)),
    callsPerSecond1: rounded(median(rounds, target, 'c1', ({ callsPerSecond }) => callsPerSecond)),
    callsPerSecond16: rounded(median(rounds, target, '16×1', ({ callsPerSecond }) => callsPerSecond)),
  })
  return {
    direct: of('direct'),
    gateway: {
      ...of('gateway'),
      cpuMicrosPerCall: rounded(median(rounds, 'gateway', '16×1', ({ cpuMicrosPerCall }) => cpuMicrosPerCall)),
    },
    peers: Object.fromEntries(peers.map(({ name }) => [name, of(name)])),
  }
}

function summarize(rounds: readonly Round[], machine: string, driver: string): string {
  const targets = [...new Set(rounds.map(({ target }) => target))]
  const what: Record<string, string> = {
    direct: 'the server’s own Streamable HTTP (official SDK), one process for all sessions',
    'direct-2025-11-25': 'the same at revision 2025-11-25, where each stream begins with an event for resuming it',
    'direct-stdio': 'the server’s standard streams, nothing between',
    gateway: `Conductor, one ${driver} sandbox per session, every frame recorded`,
    ...Object.fromEntries(peers.map(({ name, version, what }) => [name, `${version}: ${what}`])),
  }
  const cell = (target: string, shape: Shape, pick: (phase: Phase) => number | null) =>
    figure(median(rounds, target, shape, pick))
  const pair = (target: string, shape: Shape) => `${cell(target, shape, p => p.p50Ms)} / ${cell(target, shape, p => p.p99Ms)}`
  const rate = (target: string, shape: Shape) => cell(target, shape, p => p.callsPerSecond)
  const cpu = (target: string) =>
    (['c1', '16×1', '1×16'] as const).map(shape => cell(target, shape, p => p.cpuMicrosPerCall)).join(' / ')
  const memory = (target: string) => {
    const bytes = rounds.findLast(round => round.target === target)?.pssBytes
    return figure(bytes === null || bytes === undefined ? null : bytes / 1e6)
  }
  const added = median(rounds, 'gateway', 'c1', p => p.p50Ms) - median(rounds, 'direct', 'c1', p => p.p50Ms)
  const contended = rounds.flatMap(({ phases }) => Object.values(phases)).filter(phase => phase.contended).length
  const phases = rounds.flatMap(({ phases }) => Object.values(phases)).length
  return `# Gateway hop

Tool \`echo\` of ${server.package} ${server.version}, its answer checked, over loopback; client, gateway and server share the machine.
Revision ${revision} where nothing else is said, because it shows direct at its best.
${machine}.

${table(
  [
    'target',
    'c1 calls/s',
    'c1 p50 / p99 ms',
    '16×1 calls/s',
    '16×1 p50 / p99 ms',
    '1×16 calls/s',
    '1×16 p50 / p99 ms',
    'CPU µs per call, c1 / 16×1 / 1×16',
    'PSS after, MB',
  ],
  targets.map(target => [
    target,
    rate(target, 'c1'),
    pair(target, 'c1'),
    rate(target, '16×1'),
    pair(target, '16×1'),
    rate(target, '1×16'),
    pair(target, '1×16'),
    cpu(target),
    memory(target),
  ]),
)}

${targets.map(target => `- **${target}**: ${what[target]}`).join('\n')}

Against direct, the gateway changes the p50 of one call at a time by ${added >= 0 ? '+' : ''}${figure(added)} ms.
CPU and memory are those of the process that answers HTTP (for direct-stdio, the server). c1: one session, one call in flight; 16×1: 16
sessions, one each; 1×16: one session, 16 in flight; measured in the opposite order. Closed loop. Medians over ${Math.max(...targets.map(target => rounds.filter(round => round.target === target).length))} round(s). Windows of ${windowMs} ms in which others used more than ${foreignShareMax * 100} % of
the CPUs do not count; ${contended} of ${phases} phases had too few quiet ones and count whole.
`
}
