import type { Manifest } from '@maestro/contract'
import { captureManifest } from '../marketplace/capture-manifest.ts'
import { initialize, readSessionManifest } from '../marketplace/read-manifest.ts'
import { openRpcLink, type RpcLink, RpcRefusal } from '../marketplace/rpc-link.ts'
import type { Upstream } from '../session/stages.ts'
import type { World } from '../world.ts'

/** What a server shows of itself, comparable by value: two starts of it that show the same are taken for the same server. */
export interface Observation {
  manifest: Omit<Manifest, 'startupMs'>
  /** What it answered to requests that do nothing. */
  answers: unknown[]
  /** Its lines on standard error, numbers and places taken out, sorted. */
  stderr: string[]
  /** How it ended when its input ended. */
  exit: { code: number | null; signal: string | null }
}

export interface Observed {
  world: World
  start(): Promise<Upstream>
  initializeMsMax: number
  /** Whether a tool may be called with arguments it should refuse: only where it reaches nobody. */
  callsTools: boolean
}

const answerMsMax = 10_000
const stderrLinesMax = 200

/** Runs a server as its first run does and once more for what only shows in use. Throws what that throws. */
export async function observe(observed: Observed): Promise<Observation> {
  const { startupMs: _, ...manifest } = await captureManifest({ ...observed, secrets: {}, probePing: true })
  return { manifest, ...(await use(observed)) }
}

async function use({ world, start, initializeMsMax, callsTools }: Observed): Promise<Omit<Observation, 'manifest'>> {
  const upstream = await start()
  const stderr: string[] = []
  upstream.onEvent(event => {
    if (event.name === 'server.stderr' && stderr.length < stderrLinesMax) stderr.push(...shapeOf(event.text))
  })
  const link = openRpcLink(world, upstream)
  const answers: unknown[] = []
  try {
    const initialized = await initialize(link, initializeMsMax).catch(refusalOf)
    answers.push(initialized)
    const { tools } = await readSessionManifest(link, initialized as Record<string, unknown>).catch(() => ({ tools: [] }))
    for (const [method, params] of requests(tools, callsTools)) answers.push(await ask(link, method, params))
  } finally {
    await upstream.close()
  }
  const { code, signal } = await upstream.exited
  return { answers, stderr: stderr.sort(), exit: { code, signal } }
}

/** None of them does anything in a server that looks at what it is asked. */
function requests(tools: Manifest['tools'], callsTools: boolean): [method: string, params: object][] {
  const strict = tools.find(tool => requiredOf(tool.inputSchema).length > 0)
  return [
    ['maestro/no-such-method', {}],
    ['tools/call', { name: 'maestro-no-such-tool', arguments: {} }],
    ['prompts/get', { name: 'maestro-no-such-prompt' }],
    ['resources/read', { uri: 'maestro://no-such-resource' }],
    ...(strict && callsTools ? [['tools/call', { name: strict.name, arguments: {} }] as [string, object]] : []),
  ]
}

function requiredOf(schema: unknown): unknown[] {
  const required = (schema as { required?: unknown } | undefined)?.required
  return Array.isArray(required) ? required : []
}

const ask = (link: RpcLink, method: string, params: object): Promise<unknown> =>
  link.request(method, params, answerMsMax).catch(refusalOf)

const refusalOf = (error: unknown): unknown => {
  if (error instanceof RpcRefusal) return { refused: error.message }
  throw error
}

/** Stack traces name other places in a joined file, and so do warnings the process id. */
function shapeOf(text: string): string[] {
  return text
    .split('\n')
    .filter(line => !/^\s+at /.test(line) && line.trim() !== '')
    .map(line => line.replace(/(?:file:\/\/)?\/(?:prepared|bundle)\/\S*/g, '<file>').replace(/\d+/g, '#'))
}
