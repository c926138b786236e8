import { createHash } from 'node:crypto'
import {
  type Deployment,
  type DeploymentId,
  makeId,
  type PoolView,
  type Release,
  type ReleaseId,
  type Replay,
  type Session,
  type SessionId,
  type Status,
} from '@maestro/contract'
import { crashedTape, longTape, sampleTape, type Tape } from './recordings.ts'

let serial = 0
const random = () => createHash('sha256').update(String(serial++)).digest()
const digestOf = (text: string) => `sha256:${createHash('sha256').update(text).digest('hex')}`

const tools = [
  {
    name: 'search_issues',
    description: 'Searches the issues of a repository. Answers with at most `limit` issues, newest first.',
    inputSchema: {
      type: 'object',
      properties: {
        repo: { type: 'string', description: 'Owner and name, such as acme/app.' },
        query: { type: 'string', description: 'As typed into the search box.' },
        limit: { type: 'integer', minimum: 1, maximum: 100, default: 20 },
        state: { enum: ['open', 'closed', 'all'] },
        labels: { type: 'array', items: { type: 'string' }, description: 'All of them must be there.' },
        exact: { type: 'boolean' },
        range: {
          type: 'object',
          properties: { from: { type: 'string', format: 'date' }, to: { type: 'string', format: 'date' } },
        },
        filter: { description: 'A filter expression, any JSON.' },
      },
      required: ['repo', 'query'],
    },
  },
  {
    name: 'create_issue',
    description: 'Creates an issue.',
    inputSchema: {
      type: 'object',
      properties: { repo: { type: 'string' }, title: { type: 'string' } },
      required: ['repo', 'title'],
    },
  },
  { name: 'ping', description: 'Answers at once.', inputSchema: { type: 'object' } },
]

/** What the mock knows: deployments, sessions with tapes, replays. Made anew for each start, relative to now. */
export function makeWorld(now: number, origin: string, isEmpty: boolean) {
  const release = (name: string, version: string): Release => ({
    id: makeId('rel', now - 86_400_000, random()) as ReleaseId,
    name,
    version,
    source: name.startsWith('pypi:')
      ? { kind: 'pypi', package: name.slice('pypi:'.length), version }
      : { kind: 'npm', package: name, version },
    digest: digestOf(name + version),
    manifest: {
      protocolVersion: '2025-11-25',
      serverInfo: { name: name.split('/').at(-1) ?? name, version },
      capabilities: { tools: { listChanged: true } },
      instructions: 'Use search_issues before create_issue.',
      tools,
      prompts: [],
      resources: [],
      resourceTemplates: [],
      startupMs: 131.4,
      pingBeforeInitialize: true,
    },
    createdAt: now - 86_400_000,
  })
  const deployment = (name: string, of: Release, part: Partial<Deployment> = {}): Deployment => ({
    id: makeId('dep', now - 80_000_000, random()) as DeploymentId,
    name,
    release: of,
    env: { GITHUB_TOKEN: { secret: 'github' }, LOG_LEVEL: { value: 'warn' } },
    args: ['stdio'],
    egress: ['api.github.com'],
    limits: { memoryMiB: 1024 },
    egressRecord: false,
    mcpUrl: `${origin}/mcp/${name}`,
    createdAt: now - 80_000_000,
    updatedAt: now - 3_600_000,
    ...part,
  })
  const github = deployment('github', release('@modelcontextprotocol/server-github', '2025.4.8'), {
    start: {
      state: 'ready',
      kind: 'one-file',
      measuredMs: { plain: 161.2, 'one-file': 88.4 },
      refused: [{ kind: 'snapshot', why: 'its dependencies open a socket while they load' }],
      preparationMs: 5_240,
    },
  })
  const everything = deployment('everything', release('@modelcontextprotocol/server-everything', '2025.9.25'), {
    env: {},
    egress: [],
    egressRecord: false,
    start: { state: 'preparing', kind: 'plain', measuredMs: {}, refused: [], preparationMs: null },
  })
  const broken = deployment('broken', release('mcp-server-broken', '0.3.1'), { env: {}, egress: [], args: [] })
  const deployments = isEmpty ? [] : [github, everything, broken]

  const sessions: Session[] = []
  const tapes = new Map<string, Tape>()
  const replays = new Map<string, Replay[]>()

  function addSession(of: Deployment, agoMs: number, part: Partial<Session> = {}, make: typeof sampleTape = sampleTape): Session {
    const openedAt = now - agoMs
    const session: Session = {
      id: makeId('ses', openedAt, random()) as SessionId,
      deployment: of.id,
      deploymentName: of.name,
      release: of.release.id,
      era: 'session',
      protocolVersion: '2025-11-25',
      client: 'claude-code 2.1.3',
      subject: 'local',
      driver: 'bubblewrap',
      warm: true,
      state: 'closed',
      closeReason: 'client',
      startupMs: 9.6 + (serial % 7),
      frames: 0,
      calls: 0,
      errors: 0,
      openedAt,
      closedAt: openedAt + 8_400,
      replay: null,
      ...part,
    }
    const tape = make({
      session: session.id as SessionId,
      deployment: of.id as DeploymentId,
      deploymentName: of.name,
      release: of.release.id as ReleaseId,
      releaseName: of.release.name,
      releaseVersion: of.release.version,
      digest: of.release.digest,
      openedAt,
    })
    if (session.state === 'closed' && tape.records.at(-1)?.kind !== 'end') tape.end(session.closeReason ?? 'client')
    if (session.closedAt != null) session.closedAt = openedAt + Math.round((tape.records.at(-1)?.monotonicUs ?? 0) / 1000)
    session.frames = tape.records.filter(record => record.kind === 'frame').length
    session.calls = Math.ceil(session.frames / 3)
    tapes.set(session.id, tape)
    sessions.unshift(session)
    return session
  }

  if (!isEmpty) {
    for (let index = 130; index > 8; index--) {
      addSession(index % 3 ? github : everything, index * 310_000, {
        client: index % 4 ? 'claude-code 2.1.3' : index % 8 ? 'cursor-vscode 1.0.0' : null,
        subject: index % 5 ? 'local' : 'ci',
        warm: index % 9 !== 0,
        startupMs: index % 9 ? 8 + (index % 11) : 164 + index,
        closeReason: index % 6 ? 'client' : 'idle',
      })
    }
    addSession(everything, 900_000, { subject: 'load', client: 'soak-test 0.1', warm: false, startupMs: 171 }, ran =>
      longTape(ran, 4_000),
    )
    addSession(broken, 420_000, { closeReason: 'sandbox_crashed', errors: 2, warm: false, startupMs: 212 }, crashedTape)
    const diverged = addSession(everything, 330_000, { errors: 0, client: 'inspector 2.12.0' })
    const identical = addSession(github, 95_000, { errors: 2 })
    addSession(github, 40_000, { state: 'ready', closeReason: null, closedAt: null, errors: 1, client: 'cursor-vscode 1.0.0' })
    addReplay(identical, true)
    addReplay(diverged, false)
    addReplay(diverged, true)
    addReplay(diverged, false)
  }

  function addReplay(session: Session, identical: boolean): Replay {
    const total = session.frames - 8
    const difference = {
      kind: 'value' as const,
      key: 'request 2 tools/call search_issues → result',
      frame: 6,
      pointer: '/result/structuredContent/issues/1/assignee',
      recorded: 'rosa',
      replayed: null,
    }
    const replay: Replay = {
      id: makeId('rpl', now + serial, random()),
      session: session.id,
      kind: 're-execution',
      state: 'done',
      frames: identical ? { matched: total, total, fidelity: 1 } : { matched: total - 2, total, fidelity: (total - 2) / total },
      identical,
      firstDivergence: identical ? null : difference,
      differences: identical
        ? []
        : [
            difference,
            {
              kind: 'missing',
              key: 'notification notifications/message 0',
              frame: 17,
              pointer: null,
              recorded: { level: 'info', data: 'all steps queued' },
            },
          ],
      error: null,
      driver: 'bubblewrap',
      durationMs: 412,
      createdAt: now - 60_000 + (replays.get(session.id)?.length ?? 0) * 20_000,
    }
    replays.set(session.id, [replay, ...(replays.get(session.id) ?? [])])
    session.replay = { id: replay.id, identical, fidelity: replay.frames.fidelity }
    return replay
  }

  const open = () => sessions.filter(session => session.state !== 'closed').length
  const pool = (): PoolView => {
    const lines = deployments.map(item => poolLine(item, sessions.filter(isOpenOn(item.id)).length))
    const total = (of: (line: PoolView['deployments'][number]) => number) => lines.reduce((sum, line) => sum + of(line), 0)
    const memoryBytes = total(line => (line.leased + line.warm + line.starting) * (line.memoryBytes ?? 0))
    return {
      driver: 'bubblewrap',
      sandboxesMax: 64,
      memoryBytesMax: 12 * 1024 ** 3,
      memoryBytes,
      starting: total(line => line.starting),
      warm: total(line => line.warm),
      frozen: total(line => line.frozen),
      leased: open(),
      draining: 0,
      waiting: 0,
      hits: isEmpty ? 0 : 412,
      misses: isEmpty ? 0 : 23,
      hitRatio: isEmpty ? null : 412 / 435,
      evictions: isEmpty ? 0 : 3,
      orphans: 0,
      leaks: { processes: 0, mounts: 0, cgroups: 0, files: 0 },
      tenants: isEmpty
        ? []
        : [
            {
              tenant: 'ten_00000000000000local0',
              leased: open(),
              leasedMax: 64,
              idle: total(line => line.warm + line.starting),
              waiting: 0,
              memoryBytes,
            },
          ],
      deployments: lines,
    }
  }
  const status = (): Status => ({
    ready: true,
    version: '0.1.0',
    revisions: ['2026-07-28', '2025-11-25', '2025-06-18', '2025-03-26'],
    pid: 4711,
    startedAt: now - 5_400_000,
    apiUrl: origin,
    consoleUrl: `${origin}/console/`,
    dataFolder: '/home/ada/project/.maestro',
    driver: 'bubblewrap',
    database: 'none: this is sample data',
    rssBytes: 126 * 1024 * 1024,
    sessionsOpen: open(),
  })
  return { deployments, sessions, tapes, replays, addSession, addReplay, pool, status, deployment, release, github }
}

export type MockWorld = ReturnType<typeof makeWorld>

const isOpenOn = (deployment: string) => (session: Session) => session.deployment === deployment && session.state !== 'closed'

/** What the pool holds for a deployment: one in daily use, one that never starts, the rest seldom used. */
function poolLine({ id, name }: Deployment, leased: number): PoolView['deployments'][number] {
  const MiB = 1024 ** 2
  const usual = {
    deployment: id,
    tenant: 'ten_00000000000000local0',
    name,
    wish: 1,
    target: 1,
    starting: 0,
    warm: 1,
    frozen: 1,
    leased,
    hits: 111,
    misses: 12,
    hitRatio: 111 / 123,
    evictions: 0,
    ratePerMinute: 0.12,
    burst: 1,
    refillMs: 121,
    missProbability: 0.000_19,
    memoryBytes: 58 * MiB,
    startMsP50: 118.2,
    startMsP95: 163.9,
    lastError: null,
  }
  if (name === 'github') {
    const busy = { wish: 4, target: 4, warm: 3, starting: 1, frozen: 2, hits: 301, misses: 11, hitRatio: 301 / 312 }
    return { ...usual, ...busy, ratePerMinute: 6.4, burst: 2.3, memoryBytes: 71 * MiB, evictions: 3 }
  }
  if (name === 'broken') {
    const failing = { wish: 2, target: 2, warm: 0, starting: 1, frozen: 0, hits: 0, misses: 0, hitRatio: null, ratePerMinute: 0 }
    const lastError = 'sandbox_crashed: the server ended with code 1 before it answered initialize'
    return { ...usual, ...failing, memoryBytes: null, startMsP50: null, startMsP95: null, lastError }
  }
  return usual
}
