import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  type BodyOf,
  type Deployment,
  type DeployRequest,
  type ParamsOf,
  type Problem,
  type QueryOf,
  type ReplyOf,
  type Route,
  type RouteName,
  type Routes,
  routes,
  type Session,
  type Token,
  type TokenRequest,
} from '@maestro/contract'
import { eventually } from './eventually.ts'
import { descendantsOf, isAlive, type ProcessFacts, processesOf } from './processes.ts'
import { databaseFolder, type TemporaryFolder, temporaryFolder } from './temporary-folder.ts'

/** The command line, as a person runs it; CONDUCTOR_BIN names that of another install to test. */
export const maestroBin =
  process.env['CONDUCTOR_BIN'] ?? fileURLToPath(new URL('../../../packages/cli/bin/maestro.mjs', import.meta.url))

/** What `maestro up --json` prints when it is ready. */
export interface ReadyLine {
  ready: true
  mcpUrl: string
  token: string
  apiUrl: string
  consoleUrl: string
  deployment: string
}

export interface ConductorOptions {
  /** Data folder to use; a temporary one, removed afterwards, where absent. */
  data?: string
  /** Settings beside those of the test. */
  env?: Record<string, string>
  port?: number
  /** Program and arguments to run it under, such as `unshare --mount`. */
  under?: string[]
  startMsMax?: number
}

interface CallOptions<N extends RouteName> {
  params?: ParamsOf<Routes[N]>
  query?: Partial<QueryOf<Routes[N]>>
  body?: BodyOf<Routes[N]>
}

/** The API answered with a problem. */
export class ApiProblem extends Error {
  readonly problem: Problem
  constructor(problem: Problem) {
    super(`${problem.code}: ${problem.detail}`)
    this.problem = problem
  }
}

/** A running Conductor, as its users see it: a process, an API and MCP URLs. `await using` stops it and looks for orphans. */
export interface RunningConductor extends AsyncDisposable {
  readonly ready: ReadyLine
  readonly data: string
  readonly pid: number
  readonly startMs: number
  /** What it has logged so far. */
  log(): string
  api<N extends RouteName>(name: N, options?: CallOptions<N>): Promise<ReplyOf<Routes[N]>>
  deploy(source: string, options?: Omit<DeployRequest, 'source'>): Promise<Deployment>
  mint(deployment: string, options?: Omit<TokenRequest, 'deployment'>): Promise<Token>
  /** The session once it is closed and its recording sealed. */
  closedSession(id: string): Promise<Session>
  /** The session this client name opened last. */
  sessionOf(client: string): Promise<Session>
  /** SIGTERM; resolves with the exit code, after checking that nothing of it runs any more. */
  stop(): Promise<number | null>
  /** SIGKILL to the process alone; what it started is left to die by itself. */
  kill9(): Promise<void>
  /** Living processes of its data folder. */
  survivors(): ProcessFacts[]
}

export async function startConductor(options: ConductorOptions = {}): Promise<RunningConductor> {
  const folder: TemporaryFolder | null = options.data === undefined ? await temporaryFolder('data') : null
  const data = options.data ?? folder!.path
  const command = [...(options.under ?? []), process.execPath, maestroBin, 'up', '--json']
  const [program = process.execPath, ...args] = [...command, '--port', String(options.port ?? 0), '--data', data]
  const startedAt = performance.now()
  const child = spawn(program, args, { env: environment(options.env), stdio: ['ignore', 'pipe', 'pipe'] })
  const output = gather(child)
  const exited = once(child, 'exit').then(([code]) => code as number | null)

  let ready: ReadyLine
  try {
    ready = await readyLine(child, output, options.startMsMax ?? 120_000)
  } catch (error) {
    child.kill('SIGKILL')
    await exited
    await folder?.[Symbol.asyncDispose]()
    throw error
  }
  const startMs = performance.now() - startedAt
  // Read as Conductor sees it: a wrapper may have given it mounts of its own.
  const runtime = join(`/proc/${child.pid}/root`, data, 'run', 'conductor.json')
  const { pid } = JSON.parse(readFileSync(runtime, 'utf8')) as { pid: number }
  let over = false

  async function api<N extends RouteName>(name: N, { params, query, body }: CallOptions<N> = {}): Promise<ReplyOf<Routes[N]>> {
    const route = routes[name] as Route
    const path = route.path.replace(/:(\w+)/g, (_, key) => encodeURIComponent(String((params as Record<string, unknown>)[key])))
    const url = new URL(path, ready.apiUrl)
    for (const [key, value] of Object.entries(query ?? {})) url.searchParams.set(key, String(value))
    const response = await fetch(url, {
      method: route.method,
      headers: {
        authorization: `Bearer ${ready.token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const raw = Buffer.from(await response.arrayBuffer())
    if (!response.ok) throw new ApiProblem(JSON.parse(raw.toString()) as Problem)
    if (route.produces === 'bytes') return raw as never
    return (raw.length === 0 ? {} : JSON.parse(raw.toString())) as never
  }

  const conductor: RunningConductor = {
    ready,
    data,
    pid,
    startMs,
    log: () => output.stderr,
    api,
    deploy: async (source, more = {}) => (await api('deploy', { body: { source, ...more } })).deployment,
    mint: (deployment, more = {}) => api('mintToken', { body: { deployment, ...more } }),
    closedSession: id =>
      eventually(`session ${id} is closed`, async () => {
        const session = await api('getSession', { params: { id } })
        return session.state === 'closed' && session
      }),
    sessionOf: client =>
      eventually(`a session of ${client}`, async () => {
        const { items } = await api('listSessions', { query: { search: client } })
        return items.find(session => session.client?.startsWith(client))
      }),
    survivors: () => survivorsOf(data),
    async stop() {
      const before = descendantsOf(child.pid!)
      over = true
      process.kill(pid, 'SIGTERM')
      const code = await exited
      await noneLeft(before, data)
      return code
    },
    async kill9() {
      over = true
      process.kill(pid, 'SIGKILL')
      await exited
    },
    async [Symbol.asyncDispose]() {
      try {
        if (!over && child.exitCode === null && child.signalCode === null) await conductor.stop()
        else await noneLeft([], data)
      } finally {
        await folder?.[Symbol.asyncDispose]()
      }
    },
  }
  return conductor
}

function survivorsOf(data: string): ProcessFacts[] {
  const found = [data, databaseFolder(data)].flatMap(folder => (folder === null ? [] : processesOf(folder)))
  return [...new Map(found.map(facts => [facts.pid, facts])).values()]
}

/** Orphans are a failure of the test, whatever else it asserts. */
async function noneLeft(before: readonly ProcessFacts[], data: string): Promise<void> {
  const left = () => {
    const known = before.filter(({ pid }) => isAlive(pid))
    return [...known, ...survivorsOf(data).filter(({ pid }) => !known.some(other => other.pid === pid))]
  }
  await eventually('nothing of Conductor runs any more', () => left().length === 0, 10_000).catch(() => {})
  assert.deepEqual(left(), [], 'processes outlived their Conductor')
}

/** The environment of a user, without settings that would change what is tested. */
function environment(more: Record<string, string> = {}): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) =>
      !name.startsWith('MAESTRO_') &&
      !name.startsWith('OTEL_') &&
      name !== 'NODE_OPTIONS' &&
      name !== 'NODE_TEST_CONTEXT' &&
      name !== 'DATABASE_URL',
  )
  return { ...Object.fromEntries(kept), MAESTRO_LOG: 'json', ...more }
}

function gather(child: ChildProcess): { stdout: string; stderr: string } {
  const output = { stdout: '', stderr: '' }
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    output.stdout += chunk
  })
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    output.stderr += chunk
  })
  return output
}

async function readyLine(child: ChildProcess, output: { stdout: string; stderr: string }, msMax: number): Promise<ReadyLine> {
  const line = await eventually(
    'Conductor is ready',
    () => output.stdout.includes('\n') || child.exitCode !== null || child.signalCode !== null,
    msMax,
  ).then(
    () => output.stdout.split('\n', 1)[0] ?? '',
    () => '',
  )
  if (!line.startsWith('{')) {
    const ended = child.exitCode ?? child.signalCode ?? 'still running'
    throw new Error(`Conductor did not become ready (${ended}):\n${output.stdout}\n${output.stderr.slice(-4000)}`)
  }
  return JSON.parse(line) as ReadyLine
}
