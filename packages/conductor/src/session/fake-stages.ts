/** Stages in memory, for tests: a server is a function from a message to what it answers. */
import {
  ConductorError,
  type DeploymentId,
  localTenant,
  type RecordingHeader,
  type SessionId,
  type Session as SessionRow,
  type TapeEvent,
} from '@maestro/contract'
import { judge } from '@maestro/logic'
import type { Exit } from '../sandbox/sandbox.ts'
import type { Log } from '../telemetry/log.ts'
import { realWorld } from '../world.ts'
import type { Capability, Directory, Lease, Runnable, Tape, Upstream } from './stages.ts'

export interface Message {
  id?: string | number
  method?: string
  params?: Record<string, unknown>
  result?: Record<string, unknown>
  error?: { code: number; message: string; data?: Record<string, unknown> }
}

/** What a fake server may do beside answering: say something of its own, or end. */
export interface FakeUpstream extends Upstream {
  /** Everything it was sent, parsed. */
  readonly received: Message[]
  readonly sent: string[]
  isPaused: boolean
  isClosed: boolean
  say(message: Message | string): void
  exit(exit: Partial<Exit>): void
}

export type FakeServer = (message: Message, upstream: FakeUpstream) => void

export function fakeUpstream(server: FakeServer, label = 'sbx_fake'): FakeUpstream {
  let listener: ((frame: Uint8Array) => void) | null = null
  const early: Uint8Array[] = []
  const exited = Promise.withResolvers<Exit>()
  const upstream: FakeUpstream = {
    id: label as Upstream['id'],
    driver: 'fake',
    pendingBytes: 0,
    received: [],
    sent: [],
    isPaused: false,
    isClosed: false,
    send(frame) {
      const text = Buffer.from(frame).toString()
      const message = JSON.parse(text) as Message
      upstream.sent.push(text)
      upstream.received.push(message)
      server(message, upstream)
    },
    say(message) {
      const frame = Buffer.from(typeof message === 'string' ? message : JSON.stringify({ jsonrpc: '2.0', ...message }))
      if (listener === null) early.push(frame)
      else listener(frame)
    },
    onFrame(wanted) {
      listener = wanted
      for (const frame of early.splice(0)) wanted(frame)
    },
    onEvent() {},
    pause() {
      upstream.isPaused = true
    },
    resume() {
      upstream.isPaused = false
    },
    exited: exited.promise,
    exit: exit => exited.resolve({ code: null, signal: null, reason: 'sandbox_crashed', stderrTail: '', ...exit }),
    async close() {
      upstream.isClosed = true
      exited.resolve({ code: 0, signal: null, reason: 'closed', stderrTail: '' })
      await exited.promise
    },
  }
  return upstream
}

export const fakeTools = ['echo', 'slow', 'boom'].map(name => ({ name, inputSchema: { type: 'object', properties: {} } }))

/** A small session-era server: echo, progress, questions to the client; `slow` answers only when the test says so. */
export const echoServer: FakeServer = (message, upstream) => {
  const { id, method, params } = message
  if (id === undefined || method === undefined) return
  const meta = params?.['_meta'] as { progressToken?: string | number } | undefined
  if (method === 'initialize') {
    upstream.say({
      id,
      result: {
        protocolVersion: params?.['protocolVersion'] === '1999-01-01' ? '2025-11-25' : params?.['protocolVersion'],
        capabilities: { tools: { listChanged: true }, logging: {}, resources: {}, prompts: {} },
        serverInfo: { name: 'fake', version: '1', vendorField: true },
      },
    })
  } else if (method === 'tools/list') upstream.say({ id, result: { tools: fakeTools, vendorField: 12 } })
  else if (method === 'tools/call' && params?.['name'] === 'echo') {
    if (meta?.progressToken !== undefined) {
      upstream.say({ method: 'notifications/progress', params: { progressToken: meta.progressToken, progress: 1, total: 2 } })
    }
    upstream.say({ id, result: { content: [{ type: 'text', text: JSON.stringify(params['arguments']) }] } })
  } else if (method === 'tools/call' && params?.['name'] === 'boom') {
    upstream.say({ id, result: { isError: true, content: [{ type: 'text', text: 'boom' }] } })
  } else if (method === 'tools/call' && params?.['name'] === 'slow') {
    // Answered by the test.
  } else if (method === 'ping' || method === 'logging/setLevel') upstream.say({ id, result: {} })
  else upstream.say({ id, error: { code: -32601, message: 'Method not found' } })
}

export function fakeRunnable(changes: Partial<Runnable> = {}): Runnable {
  return {
    tenant: localTenant,
    deployment: 'dep_0000000000000000fake' as DeploymentId,
    name: 'fake',
    release: {
      id: 'rel_0000000000000000fake',
      name: 'fake',
      version: '1.0.0',
      source: { kind: 'folder', path: 'fake' },
      digest: 'sha256:00',
      manifest: {
        protocolVersion: '2025-11-25',
        serverInfo: { name: 'fake', version: '1' },
        capabilities: { tools: { listChanged: true }, logging: {} },
        instructions: 'Be kind.',
        tools: fakeTools,
        prompts: [],
        resources: [],
        resourceTemplates: [],
        startupMs: 1,
        pingBeforeInitialize: true,
      },
      createdAt: 0,
    },
    runs: { kind: 'bundle', bundle: 'fake', program: { runtime: 'node', entry: 'fake.mjs' }, args: ['--fake'] },
    env: { API_KEY: 'hunter2-secret' },
    egress: [],
    limits: { memoryBytesMax: 1, pidsMax: 1, cpusMax: 1, diskBytesMax: 1, lineBytesMax: 1 },
    ...changes,
  }
}

export function fakeCapability(changes: Partial<Capability> = {}): Capability {
  return {
    id: 'cap_0000000000000000fake' as Capability['id'],
    tenant: localTenant,
    subject: 'ada',
    deployment: 'dep_0000000000000000fake' as DeploymentId,
    tools: '*',
    expiresAt: Number.MAX_SAFE_INTEGER,
    operator: false,
    ...changes,
  }
}

/** One fake tape: what was put on it, in order. */
export interface FakeTape extends Tape {
  header: RecordingHeader
  frames: { direction: string; text: string }[]
  events: TapeEvent[]
  seals: string[]
  fail(cause: unknown): void
}

export const quietLog: Log = { info() {}, warn() {}, error() {}, with: () => quietLog }

/** All stages. Tokens are the keys of `capabilities`; each lease runs a server of its own. */
export function fakeStages(server: FakeServer = echoServer, runnables: Runnable[] = [fakeRunnable()]) {
  const capabilities: Record<string, Capability> = {
    all: fakeCapability(),
    scoped: fakeCapability({ tools: new Set(['echo']) }),
    other: fakeCapability({ subject: 'eve' }),
    foreign: fakeCapability({ deployment: 'dep_000000000000000other' as DeploymentId }),
  }
  const upstreams: FakeUpstream[] = []
  const tapes: FakeTape[] = []
  const rows = new Map<string, SessionRow>()
  let released = 0
  const directory: Directory = {
    find: idOrName => runnables.find(runnable => runnable.name === idOrName || runnable.deployment === idOrName) ?? null,
  }
  return {
    world: realWorld(quietLog),
    version: '0.0.0-test',
    config: {
      host: '127.0.0.1',
      hosts: ['conductor.example'],
      origins: ['https://app.example'],
      frameBytesMax: 256 * 1024,
      initializeMsMax: 5_000,
      sessionIdleMs: 60_000,
      hibernateIdleMs: 0,
      recordingMiBMax: 1024,
      sessionsPerCallerMax: 48,
      drainMsMax: 200,
    },
    directory,
    capabilities,
    upstreams,
    tapes,
    rows,
    get released() {
      return released
    },
    policy: {
      async verify(token: string): Promise<Capability> {
        const capability = capabilities[token]
        if (!capability) throw new ConductorError('capability_invalid', 'The token is not known.')
        return capability
      },
      // The real rule: it is pure, and a second one here would only say what this one should.
      judge: (capability: Capability, method: string, tool: string | null) => judge(capability, method, tool, 0),
    },
    pool: {
      async lease(): Promise<Lease> {
        const upstream = fakeUpstream(server, `sbx_${upstreams.length}`)
        upstreams.push(upstream)
        return {
          id: `lea_${upstreams.length}` as Lease['id'],
          upstream,
          warm: true,
          waitMs: 1,
          startMs: 2,
          async release() {
            released++
            await upstream.close()
          },
        }
      },
      serve() {},
      view: () => {
        throw new Error('not part of the fake')
      },
      counts: () => {
        throw new Error('not part of the fake')
      },
      async close() {},
    },
    recorder: {
      open(header: RecordingHeader): Tape {
        let onFailure: (cause: unknown) => void = () => {}
        const tape: FakeTape = {
          header,
          frames: [],
          events: [],
          seals: [],
          frame(direction, bytes) {
            tape.frames.push({ direction, text: Buffer.from(bytes).toString() })
            return tape.frames.length + tape.events.length - 1
          },
          event: event => void tape.events.push(event),
          onFailure(listener) {
            onFailure = listener
          },
          flush: async () => {},
          async seal(reason) {
            tape.seals.push(reason)
          },
          fail: cause => onFailure(cause),
        }
        tapes.push(tape)
        return tape
      },
      pathOf: (session: SessionId): string => session,
      recover: async () => [],
    },
    journal: { save: (row: SessionRow) => void rows.set(row.id, row), flush: async () => {} },
  }
}

export type FakeStages = ReturnType<typeof fakeStages>

/** Polls until a condition holds; fails after `withinMs`. */
export async function until(condition: () => boolean, what: string, withinMs = 3_000): Promise<void> {
  const endsAt = performance.now() + withinMs
  while (!condition()) {
    if (performance.now() > endsAt) throw new Error(`waited in vain until ${what}`)
    await new Promise(resolve => setTimeout(resolve, 2))
  }
}
