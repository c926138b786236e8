/** What the API speaks of: one schema per noun. Types, validation, OpenAPI and docs all come from these. */
import Type, { type Static } from 'typebox'
import { type IdPrefix, idPattern } from './ids.ts'

const id = (prefix: IdPrefix, description: string) => Type.String({ pattern: idPattern(prefix), description })
const instant = (description: string) => Type.Integer({ minimum: 0, description: `${description} Unix ms.` })
const nullable = <T extends Type.TSchema>(schema: T) => Type.Union([schema, Type.Null()])

export const Source = Type.Union(
  [
    Type.Object({ kind: Type.Literal('npm'), package: Type.String(), version: Type.String() }),
    Type.Object({ kind: Type.Literal('pypi'), package: Type.String(), version: Type.String() }),
    Type.Object({ kind: Type.Literal('folder'), path: Type.String() }),
    Type.Object({ kind: Type.Literal('file'), path: Type.String() }),
    Type.Object({ kind: Type.Literal('remote'), url: Type.String() }),
    Type.Object({ kind: Type.Literal('recording'), session: id('ses', 'The recorded session that answers.') }),
  ],
  { description: 'Where a release came from.' },
)
export type Source = Static<typeof Source>

export const Tool = Type.Object(
  { name: Type.String(), description: Type.Optional(Type.String()), inputSchema: Type.Optional(Type.Unknown()) },
  { additionalProperties: true },
)
export type Tool = Static<typeof Tool>

/** What a server said of itself on its first run. Lists are kept as the server sent them, unknown fields included. */
export const Manifest = Type.Object({
  protocolVersion: Type.String(),
  serverInfo: Type.Record(Type.String(), Type.Unknown()),
  capabilities: Type.Record(Type.String(), Type.Unknown()),
  instructions: nullable(Type.String()),
  tools: Type.Array(Tool),
  prompts: Type.Array(Type.Record(Type.String(), Type.Unknown())),
  resources: Type.Array(Type.Record(Type.String(), Type.Unknown())),
  resourceTemplates: Type.Array(Type.Record(Type.String(), Type.Unknown())),
  startupMs: Type.Number({ description: 'From spawn to the answer of initialize, on the first run.' }),
  pingBeforeInitialize: Type.Boolean({
    description: 'Whether the server answers ping before initialize; the pool uses it to know that a sandbox is warm.',
  }),
})
export type Manifest = Static<typeof Manifest>

export const Release = Type.Object({
  id: id('rel', 'Release id.'),
  name: Type.String({ description: 'Name of the server, such as the npm package name.' }),
  version: Type.String(),
  source: Source,
  digest: Type.String({ description: 'sha256:<hex> over the bundle’s files; for remote servers over the URL.' }),
  manifest: Manifest,
  createdAt: instant('When it was installed.'),
})
export type Release = Static<typeof Release>

export const EnvValue = Type.Union([
  Type.Object({ value: Type.String() }),
  Type.Object({ secret: Type.String({ description: 'Name of a secret of the tenant.' }) }),
])
export type EnvValue = Static<typeof EnvValue>

export const Limits = Type.Object(
  {
    memoryMiB: Type.Optional(Type.Integer({ minimum: 16, maximum: 65_536, description: 'Memory of one sandbox.' })),
    pids: Type.Optional(Type.Integer({ minimum: 4, maximum: 32_768, description: 'Processes and threads of one sandbox.' })),
    diskMiB: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 65_536, description: 'Its working folder, /tmp and shared memory.' }),
    ),
  },
  { additionalProperties: false, description: 'What is left out is as the operator set it.' },
)
export type Limits = Static<typeof Limits>
export const StartKind = Type.Union([Type.Literal('plain'), Type.Literal('one-file'), Type.Literal('snapshot')], {
  description: 'As published; all modules joined in one file with compiled code; from a heap with its dependencies loaded.',
})
export type StartKind = Static<typeof StartKind>

/** How a deployment's sandboxes start, and why they do so. */
export const Start = Type.Object({
  state: Type.Union([Type.Literal('preparing'), Type.Literal('ready')], {
    description: 'While a faster start is prepared and compared with the plain one, the plain one is used.',
  }),
  kind: StartKind,
  measuredMs: Type.Record(Type.String(), Type.Number(), {
    description: 'By kind: from spawn to the answer of initialize, the median of a few starts.',
  }),
  refused: Type.Array(Type.Object({ kind: StartKind, why: Type.String() }), { description: 'Kinds that are not used.' }),
  preparationMs: nullable(Type.Number({ description: 'How long it took to prepare and compare.' })),
})
export type Start = Static<typeof Start>

export const Deployment = Type.Object({
  id: id('dep', 'Deployment id.'),
  name: Type.String({ pattern: '^[a-z0-9][a-z0-9-]{0,62}$' }),
  release: Release,
  env: Type.Record(Type.String(), EnvValue),
  args: Type.Array(Type.String()),
  egress: Type.Array(Type.String(), { description: 'Host names the server may reach; empty means none.' }),
  limits: Limits,
  start: Type.Optional(nullable(Start)),
  egressRecord: Type.Boolean({ description: 'Whether the HTTP exchanges of its connections go on the tape.' }),
  mcpUrl: Type.String(),
  createdAt: instant('When it was deployed.'),
  updatedAt: instant('When it last changed.'),
})
export type Deployment = Static<typeof Deployment>

export const DeployRequest = Type.Object(
  {
    source: Type.String({
      minLength: 1,
      maxLength: 4096,
      description: 'npm-package[@version], pypi:package[@version], folder, program file, https URL or session id.',
    }),
    name: Type.Optional(Type.String({ pattern: '^[a-z0-9][a-z0-9-]{0,62}$' })),
    env: Type.Optional(Type.Record(Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]*$' }), EnvValue)),
    args: Type.Optional(Type.Array(Type.String({ maxLength: 4096 }), { maxItems: 64 })),
    egress: Type.Optional(
      Type.Array(
        Type.String({
          pattern: '^((\\*\\.)?[\\p{L}\\p{M}\\p{N}._-]+(:[0-9]{1,5})?|\\[[0-9A-Fa-f:.]+\\](:[0-9]{1,5})?)$',
          maxLength: 300,
        }),
        { maxItems: 256 },
      ),
    ),
    egressRecord: Type.Optional(
      Type.Boolean({
        description:
          'Put the HTTP exchanges of its connections on the tape. TLS then ends with Conductor, whose certificate the server is given.',
      }),
    ),
    limits: Type.Optional(Limits),
    bin: Type.Optional(
      Type.String({
        maxLength: 512,
        description: 'Which program of the package or folder to run: a script, a Python module, or a file.',
      }),
    ),
    allowScripts: Type.Optional(Type.Boolean({ description: 'Run the packages’ install scripts. Off unless asked for.' })),
  },
  { additionalProperties: false },
)
export type DeployRequest = Static<typeof DeployRequest>

export const SessionState = Type.Union(
  [Type.Literal('opening'), Type.Literal('ready'), Type.Literal('hibernated'), Type.Literal('closed')],
  {
    description: 'hibernated: nobody spoke for a while, so its sandbox was given back; the next frame brings it up again.',
  },
)
export type SessionState = Static<typeof SessionState>

export const Session = Type.Object({
  id: id('ses', 'Session id.'),
  deployment: id('dep', 'Deployment it ran on.'),
  deploymentName: Type.String(),
  release: id('rel', 'Release it ran.'),
  era: Type.Union([Type.Literal('session'), Type.Literal('stateless')]),
  protocolVersion: nullable(Type.String()),
  client: nullable(Type.String({ description: 'clientInfo name and version, as the client gave them.' })),
  subject: Type.String({ description: 'Who opened it, from the capability token.' }),
  driver: Type.String({ description: 'Sandbox driver, or remote, or recording.' }),
  warm: Type.Boolean({ description: 'Whether the lease was served from the warm pool.' }),
  state: SessionState,
  closeReason: nullable(Type.String({ description: 'client, idle, drain, or an error code.' })),
  startupMs: nullable(Type.Number({ description: 'From the first byte of initialize to its answer.' })),
  frames: Type.Integer(),
  calls: Type.Integer(),
  errors: Type.Integer(),
  openedAt: instant('When it was opened.'),
  closedAt: nullable(instant('When it ended.')),
  replay: nullable(Type.Object({ id: id('rpl', 'Newest replay.'), identical: Type.Boolean(), fidelity: Type.Number() })),
})
export type Session = Static<typeof Session>

export const Difference = Type.Object({
  kind: Type.Union([Type.Literal('value'), Type.Literal('missing'), Type.Literal('extra'), Type.Literal('order')]),
  key: Type.String({ description: 'Causal key: which output of which request this is.' }),
  frame: nullable(Type.Integer({ description: 'Ordinal of the frame in the recording; null for an extra frame.' })),
  pointer: nullable(Type.String({ description: 'JSON pointer to the first differing value.' })),
  recorded: Type.Optional(Type.Unknown()),
  replayed: Type.Optional(Type.Unknown()),
})
export type Difference = Static<typeof Difference>

export const Replay = Type.Object({
  id: id('rpl', 'Replay id.'),
  session: id('ses', 'Session that was replayed.'),
  kind: Type.Literal('re-execution'),
  state: Type.Union([Type.Literal('running'), Type.Literal('done'), Type.Literal('failed')]),
  frames: Type.Object({ matched: Type.Integer(), total: Type.Integer(), fidelity: Type.Number() }),
  identical: Type.Boolean({
    description: 'Strict session fidelity: every output frame equal, none missing, none extra, in order.',
  }),
  firstDivergence: nullable(Difference),
  differences: Type.Array(Difference, { description: 'The first 20.' }),
  error: nullable(Type.Object({ code: Type.String(), message: Type.String() })),
  driver: Type.String(),
  durationMs: Type.Number(),
  createdAt: instant('When it was started.'),
})
export type Replay = Static<typeof Replay>

export const Leaks = Type.Object(
  {
    processes: Type.Integer(),
    mounts: Type.Integer(),
    cgroups: Type.Integer(),
    files: Type.Integer({ description: 'Sockets and folders.' }),
  },
  {
    description:
      'What of ours is on the machine now and belongs to no sandbox that runs, by looking. All 0, or there is a mistake.',
  },
)
export type Leaks = Static<typeof Leaks>

export const PoolView = Type.Object({
  driver: Type.String(),
  sandboxesMax: Type.Integer(),
  memoryBytesMax: Type.Integer({ description: 'Memory that all sandboxes should take; what is warm yields to what is leased.' }),
  memoryBytes: Type.Integer({ description: 'Memory of all sandboxes there are, by what was measured of their releases.' }),
  starting: Type.Integer(),
  warm: Type.Integer(),
  frozen: Type.Integer({ description: 'How many of the warm ones stand still and take no CPU.' }),
  leased: Type.Integer(),
  draining: Type.Integer(),
  waiting: Type.Integer({ description: 'Sessions that wait for a place.' }),
  hits: Type.Integer({ description: 'Leases served by a warm sandbox since start.' }),
  misses: Type.Integer({ description: 'Leases that had to start one.' }),
  hitRatio: nullable(Type.Number({ description: 'Hits among hits and misses; null before the first.' })),
  evictions: Type.Integer({ description: 'Warm sandboxes ended to make room for others, though they were worth keeping.' }),
  orphans: Type.Integer({ description: 'Processes that ever outlived their sandbox.' }),
  leaks: nullable(Leaks),
  tenants: Type.Array(
    Type.Object({
      tenant: id('ten', 'Tenant.'),
      leased: Type.Integer(),
      leasedMax: Type.Integer({ description: 'How many it may lease, so that no tenant takes all places.' }),
      idle: Type.Integer({ description: 'Warm and starting ones.' }),
      waiting: Type.Integer(),
      memoryBytes: Type.Integer(),
    }),
  ),
  deployments: Type.Array(
    Type.Object({
      deployment: id('dep', 'Deployment.'),
      tenant: id('ten', 'Tenant.'),
      name: Type.String(),
      wish: Type.Integer({ description: 'How many warm sandboxes its use is worth.' }),
      target: Type.Integer({ description: 'How many of them the pool keeps; fewer than the wish where room is short.' }),
      starting: Type.Integer(),
      warm: Type.Integer(),
      frozen: Type.Integer(),
      leased: Type.Integer(),
      hits: Type.Integer(),
      misses: Type.Integer(),
      hitRatio: nullable(Type.Number()),
      evictions: Type.Integer(),
      ratePerMinute: Type.Number({ description: 'Sessions per minute that the pool reckons with.' }),
      burst: Type.Number({ description: 'How many come together.' }),
      refillMs: Type.Number({ description: 'How long it takes to replace a leased sandbox.' }),
      missProbability: Type.Number({ description: 'Where one more warm sandbox would cost more than the waiting it saves.' }),
      memoryBytes: nullable(Type.Integer({ description: 'Of one sandbox, measured; null before the first was.' })),
      startMsP50: nullable(Type.Number()),
      startMsP95: nullable(Type.Number()),
      lastError: nullable(Type.String()),
    }),
  ),
})
export type PoolView = Static<typeof PoolView>

export const Status = Type.Object({
  ready: Type.Boolean(),
  version: Type.String(),
  revisions: Type.Array(Type.String()),
  pid: Type.Integer(),
  startedAt: instant('When Conductor started.'),
  apiUrl: Type.String(),
  consoleUrl: Type.String({ description: 'Without the sign-in key.' }),
  dataFolder: Type.String(),
  driver: Type.String(),
  database: Type.String({ description: 'url, system or embedded, with the server version.' }),
  rssBytes: Type.Integer(),
  sessionsOpen: Type.Integer(),
})
export type Status = Static<typeof Status>

export const TokenRequest = Type.Object(
  {
    deployment: Type.String({ description: 'Deployment id or name.' }),
    tools: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 128 }), {
        maxItems: 512,
        description: 'Tools that may be called; absent means all.',
      }),
    ),
    subject: Type.Optional(Type.String({ maxLength: 128 })),
    ttlMs: Type.Optional(Type.Integer({ minimum: 1000, maximum: 900_000 })),
  },
  { additionalProperties: false },
)
export type TokenRequest = Static<typeof TokenRequest>

export const Token = Type.Object({ token: Type.String(), mcpUrl: Type.String(), expiresAt: instant('When it stops working.') })
export type Token = Static<typeof Token>

export const Secret = Type.Object({
  name: Type.String({ pattern: '^[A-Za-z0-9_.-]{1,128}$' }),
  updatedAt: instant('When it was last set.'),
})
export type Secret = Static<typeof Secret>

export const LogEntry = Type.Object(
  {
    at: instant('When.'),
    level: Type.Union([Type.Literal('info'), Type.Literal('warn'), Type.Literal('error')]),
    event: Type.String(),
  },
  { additionalProperties: true },
)
export type LogEntry = Static<typeof LogEntry> & Record<string, unknown>

export const ChangeEvent = Type.Object({
  kind: Type.Union([Type.Literal('session'), Type.Literal('deployment'), Type.Literal('pool'), Type.Literal('replay')]),
  id: Type.String(),
})
/** A hint that something changed; the console fetches again what it shows. */
export type ChangeEvent = Static<typeof ChangeEvent>
