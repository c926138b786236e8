import { createReadStream } from 'node:fs'
import {
  ConductorError,
  type Leaks,
  type LogEntry,
  localTenant,
  parseId,
  type Replay,
  type Session,
  type SessionId,
  type Status,
  type Token,
  type TokenRequest,
} from '@maestro/contract'
import type { Deployments } from '../deployment/deployments.ts'
import type { Gateway } from '../gateway/http.ts'
import type { Journal, Pool, Recorder } from '../session/stages.ts'
import type { Store } from '../store/store.ts'
import type { Changes } from '../telemetry/changes.ts'
import type { LogFeed } from '../telemetry/log-feed.ts'
import { metricsMediaType } from '../telemetry/write-metrics.ts'
import type { ConsoleSessions } from '../tenancy/console-sessions.ts'
import type { Secrets } from '../tenancy/secrets.ts'
import type { World } from '../world.ts'
import type { Handlers } from './api.ts'
import { cookieName } from './auth.ts'
import { describeApi } from './openapi.ts'
import { openStream } from './stream.ts'

export interface HandlerParts {
  version: string
  world: World
  store: Store
  journal: Journal
  deployments: Deployments
  pool: Pool
  leaks(): Promise<Leaks | null>
  metrics(): Promise<string>
  recorder: Recorder
  changes: Changes
  logs: LogFeed
  gateway: Pick<Gateway, 'close' | 'openSessions'>
  replays: { run(session: Session): Promise<Replay> }
  secrets: Pick<Secrets, 'set' | 'list' | 'remove'>
  consoleSessions: Pick<ConsoleSessions, 'open'>
  mintToken(request: TokenRequest): Promise<Token>
  status(): Status
  stop(reason: string): void
}

/** Proxies and browsers drop a stream that says nothing for long. */
function keepAlive(world: World, closed: AbortSignal, write: () => void): void {
  const again = () => {
    if (closed.aborted) return
    write()
    world.after(15_000, again)
  }
  world.after(15_000, again)
}

/** What each route does. Everything here may wait for the store; the frame path never comes by. */
export function createHandlers(parts: HandlerParts): Handlers {
  const { store, journal, deployments } = parts

  /** Sessions in progress as they are now: the journal writes them only every so often. */
  const upToDate = (rows: Session[]): Session[] => {
    const live = new Map(parts.gateway.openSessions().map(session => [session.row.id, session.row]))
    return rows.map(row => (live.has(row.id) ? { ...live.get(row.id)!, replay: row.replay } : row))
  }

  /** The newest row, the unsaved part of it included. Throws `session_not_found`. */
  async function findSession(text: string): Promise<Session> {
    const id = parseId('ses', text)
    await journal.flush()
    const session = id && (await store.findSession(localTenant, id))
    if (!session) throw new ConductorError('session_not_found', `There is no session ${JSON.stringify(text)}.`)
    return upToDate([session])[0]!
  }

  return {
    getHealth: async () => ({ ok: true }),
    getStatus: async () => parts.status(),
    getOpenApi: async () => describeApi(parts.version),

    listDeployments: async () => ({ items: await deployments.list() }),
    getDeployment: ({ params }) => deployments.get(params.id),
    deploy: ({ body }) => deployments.deploy(body),
    removeDeployment: async ({ params }) => {
      const id = await deployments.remove(params.id)
      const theirs = parts.gateway.openSessions().filter(({ row }) => row.deployment === id)
      await Promise.all(theirs.map(session => parts.gateway.close(session.id, 'deployment_removed')))
      return {}
    },

    getPool: async () => ({ ...parts.pool.view(), leaks: await parts.leaks() }),
    getMetrics: async ({ reply }) => reply.type(metricsMediaType).send(await parts.metrics()),

    listSessions: async ({ query }) => {
      await journal.flush()
      const before = query.before === undefined ? null : parseId('ses', query.before)
      const deployment = query.deployment === undefined ? null : await deployments.get(query.deployment)
      const limit = query.limit ?? 50
      const items = await store.listSessions(localTenant, {
        limit,
        ...(before ? { before } : {}),
        ...(deployment ? { deployment: deployment.id as never } : {}),
        ...(query.state === undefined ? {} : { state: query.state }),
        ...(query.search === undefined ? {} : { search: query.search }),
      })
      return {
        items: upToDate(items),
        next: items.length === limit ? items.at(-1)!.id : null,
        open: parts.gateway.openSessions().length,
      }
    },
    getSession: ({ params }) => findSession(params.id),
    closeSession: async ({ params }) => {
      const session = await findSession(params.id)
      await parts.gateway.close(session.id as SessionId, 'operator')
      return findSession(params.id)
    },
    getRecording: async ({ params, reply }) => {
      const session = await findSession(params.id)
      return reply
        .type('application/octet-stream')
        .header('content-disposition', `attachment; filename="${session.id}.mcrec"`)
        .send(createReadStream(parts.recorder.pathOf(session.id as SessionId)))
    },

    replaySession: async ({ params }) => parts.replays.run(await findSession(params.id)),
    listReplays: async ({ params }) => ({
      items: await store.listReplays(localTenant, (await findSession(params.id)).id as SessionId),
    }),
    getReplay: async ({ params }) => {
      const id = parseId('rpl', params.id)
      const replay = id && (await store.findReplay(localTenant, id))
      if (!replay) throw new ConductorError('replay_not_found', `There is no replay ${JSON.stringify(params.id)}.`)
      return replay
    },

    mintToken: ({ body }) => parts.mintToken(body),

    listSecrets: async () => ({ items: await parts.secrets.list(localTenant) }),
    putSecret: async ({ params, body }) => {
      const secret = await parts.secrets.set(localTenant, params.name, body.value)
      // Deployments hold their environment resolved; the next session must see the new value.
      await deployments.load()
      return secret
    },
    removeSecret: async ({ params }) => {
      if (!(await parts.secrets.remove(localTenant, params.name))) {
        throw new ConductorError('secret_not_found', `There is no secret ${JSON.stringify(params.name)}.`)
      }
      await deployments.load()
      return {}
    },

    signIn: async ({ body, reply }) => {
      const { cookie } = parts.consoleSessions.open(body.key)
      reply.header('set-cookie', `${cookieName}=${cookie}; Path=/; HttpOnly; SameSite=Strict; Max-Age=43200`)
      return {}
    },

    getLogs: async ({ query, reply }) => {
      const wanted = (entry: Record<string, unknown>) => query.session === undefined || entry['session'] === query.session
      const closed = new AbortController()
      const stream = openStream(reply, 'application/x-ndjson', () => closed.abort())
      const write = (entry: LogEntry) => {
        if (wanted(entry)) stream.write(`${JSON.stringify(entry)}\n`)
      }
      for (const entry of parts.logs.recent(query.limit ?? 200)) write(entry)
      if (query.follow) closed.signal.addEventListener('abort', parts.logs.follow(write))
      else stream.end()
      return reply
    },
    getEvents: async ({ reply }) => {
      const closed = new AbortController()
      const stream = openStream(reply, 'text/event-stream', () => closed.abort())
      stream.write(': connected\n\n')
      const stopFollowing = parts.changes.follow(event =>
        stream.write(`event: ${event.kind}\ndata: ${JSON.stringify(event)}\n\n`),
      )
      closed.signal.addEventListener('abort', stopFollowing)
      keepAlive(parts.world, closed.signal, () => stream.write(': alive\n\n'))
      return reply
    },
    stop: async () => {
      parts.stop('operator')
      return {}
    },
  }
}
