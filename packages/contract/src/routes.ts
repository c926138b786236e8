/** Every path of the API, by noun. */
import Type from 'typebox'
import {
  ChangeEvent,
  Deployment,
  DeployRequest,
  LogEntry,
  PoolView,
  Replay,
  Secret,
  Session,
  Status,
  Token,
  TokenRequest,
} from './resources.ts'
import { route } from './route.ts'

const byId = Type.Object({ id: Type.String({ description: 'Id; for deployments also the name.' }) })
const byName = Type.Object({ name: Type.String({ pattern: '^[A-Za-z0-9_.-]{1,128}$' }) })
const nothing = Type.Object({})

export const routes = {
  getHealth: route({
    method: 'GET',
    path: '/healthz',
    summary: 'Whether the process answers',
    access: 'public',
    reply: Type.Object({ ok: Type.Boolean() }),
  }),
  getStatus: route({ method: 'GET', path: '/v1/status', summary: 'What runs, where, since when', reply: Status }),
  getOpenApi: route({
    method: 'GET',
    path: '/v1/openapi.json',
    summary: 'This description',
    access: 'public',
    reply: Type.Unknown(),
  }),

  listDeployments: route({
    method: 'GET',
    path: '/v1/deployments',
    summary: 'All deployments',
    reply: Type.Object({ items: Type.Array(Deployment) }),
  }),
  getDeployment: route({
    method: 'GET',
    path: '/v1/deployments/:id',
    summary: 'One deployment',
    params: byId,
    reply: Deployment,
    errors: ['deployment_not_found'],
  }),
  deploy: route({
    method: 'POST',
    path: '/v1/deployments',
    summary: 'Install a release where it is missing and deploy it; the same request again changes nothing',
    body: DeployRequest,
    reply: Type.Object({ deployment: Deployment, installed: Type.Boolean(), changed: Type.Boolean() }),
    errors: [
      'source_invalid',
      'package_not_found',
      'package_integrity_failed',
      'package_not_runnable',
      'install_failed',
      'runtime_missing',
      'manifest_failed',
      'remote_unreachable',
      'secret_not_found',
      'session_not_found',
      'conflict',
      'sandbox_unavailable',
    ],
  }),
  removeDeployment: route({
    method: 'DELETE',
    path: '/v1/deployments/:id',
    summary: 'Close its sessions and remove it; recordings stay',
    params: byId,
    reply: nothing,
    errors: ['deployment_not_found'],
  }),

  getPool: route({ method: 'GET', path: '/v1/pool', summary: 'Warm, starting and leased sandboxes', reply: PoolView }),
  getMetrics: route({
    method: 'GET',
    path: '/metrics',
    summary: 'Gauges and counters in the text format of Prometheus',
    reply: Type.String(),
    produces: 'text',
  }),

  listSessions: route({
    method: 'GET',
    path: '/v1/sessions',
    summary: 'Sessions, newest first',
    query: Type.Object({
      deployment: Type.Optional(Type.String()),
      state: Type.Optional(Type.String()),
      search: Type.Optional(Type.String({ description: 'Part of id, client, subject or deployment name.' })),
      before: Type.Optional(Type.String({ description: 'Session id; only older ones follow.' })),
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500, default: 50 })),
    }),
    reply: Type.Object({ items: Type.Array(Session), next: Type.Union([Type.String(), Type.Null()]), open: Type.Integer() }),
  }),
  getSession: route({
    method: 'GET',
    path: '/v1/sessions/:id',
    summary: 'One session',
    params: byId,
    reply: Session,
    errors: ['session_not_found'],
  }),
  closeSession: route({
    method: 'DELETE',
    path: '/v1/sessions/:id',
    summary: 'End a session now',
    params: byId,
    reply: Session,
    errors: ['session_not_found'],
  }),
  getRecording: route({
    method: 'GET',
    path: '/v1/sessions/:id/recording',
    summary: 'The recording as a file, also while the session runs',
    params: byId,
    reply: Type.Unknown(),
    produces: 'bytes',
    errors: ['session_not_found'],
  }),

  replaySession: route({
    method: 'POST',
    path: '/v1/sessions/:id/replays',
    summary: 'Re-execute the session in a fresh sandbox and compare; answers when done',
    params: byId,
    reply: Replay,
    errors: ['session_not_found', 'replay_impossible', 'recording_unreadable', 'pool_exhausted'],
  }),
  listReplays: route({
    method: 'GET',
    path: '/v1/sessions/:id/replays',
    summary: 'Replays of a session, newest first',
    params: byId,
    reply: Type.Object({ items: Type.Array(Replay) }),
    errors: ['session_not_found'],
  }),
  getReplay: route({
    method: 'GET',
    path: '/v1/replays/:id',
    summary: 'One replay',
    params: byId,
    reply: Replay,
    errors: ['replay_not_found'],
  }),

  mintToken: route({
    method: 'POST',
    path: '/v1/tokens',
    summary: 'A capability token for one deployment',
    body: TokenRequest,
    reply: Token,
    errors: ['deployment_not_found'],
  }),

  listSecrets: route({
    method: 'GET',
    path: '/v1/secrets',
    summary: 'Names of the secrets, never values',
    reply: Type.Object({ items: Type.Array(Secret) }),
  }),
  putSecret: route({
    method: 'PUT',
    path: '/v1/secrets/:name',
    summary: 'Set a secret',
    params: byName,
    body: Type.Object({ value: Type.String({ maxLength: 65_536 }) }, { additionalProperties: false }),
    reply: Secret,
  }),
  removeSecret: route({
    method: 'DELETE',
    path: '/v1/secrets/:name',
    summary: 'Forget a secret',
    params: byName,
    reply: nothing,
    errors: ['secret_not_found'],
  }),

  signIn: route({
    method: 'POST',
    path: '/v1/sign-in',
    summary: 'Exchange the operator key for a console cookie',
    access: 'public',
    body: Type.Object({ key: Type.String() }, { additionalProperties: false }),
    reply: nothing,
    errors: ['operator_required'],
  }),
  getLogs: route({
    method: 'GET',
    path: '/v1/logs',
    summary: 'Log entries, oldest first',
    query: Type.Object({
      follow: Type.Optional(Type.Boolean()),
      session: Type.Optional(Type.String()),
      limit: Type.Optional(Type.Integer({ minimum: 0, maximum: 10_000, default: 200 })),
    }),
    reply: LogEntry,
    produces: 'ndjson',
  }),
  getEvents: route({
    method: 'GET',
    path: '/v1/events',
    summary: 'Hints that something changed',
    reply: ChangeEvent,
    produces: 'sse',
  }),
  stop: route({ method: 'POST', path: '/v1/stop', summary: 'Drain and exit', reply: nothing, status: 202 }),
} as const

export type Routes = typeof routes
export type RouteName = keyof Routes
