import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { ConductorError, statelessRevision } from '@maestro/contract'
import { type Frame, idTextOf, type RpcError, writeError } from '@maestro/logic'
import { openSession, type Session } from '../../session/session.ts'
import { answerJson, refuse } from '../answer.ts'
import type { Edge, Post } from '../gateway.ts'
import { StatelessFace } from './stateless-face.ts'
import { envelopeError, metaKeys, metaOf } from './stateless-headers.ts'

/** Revision 2026-07-28: each request stands alone. Behind them, those of one caller share a session. */
export interface StatelessEra {
  post(call: Post): void
  sessions(): Session[]
}

/** How long a shared session waits for the next request of its caller. */
const idleMs = 60_000
/** Most shared sessions of one caller on one deployment: one for each set of capabilities it declares. */
const sharedMax = 8
/** How long a client may keep what `server/discover` says, ms. */
const discoverTtlMs = 60_000

/** What the revision took away, and what needs a client that can be asked or told outside a request. */
const removed: ReadonlySet<string> = new Set([
  'initialize',
  'ping',
  'logging/setLevel',
  'resources/subscribe',
  'resources/unsubscribe',
  'tasks/list',
  'tasks/result',
])

/** Client capabilities that need a way back to the client, which a request to a session-era server does not have here. */
const unservable: ReadonlySet<string> = new Set(['elicitation', 'sampling', 'roots', 'extensions', 'tasks'])

interface Shared {
  /** Tenant, subject and deployment. */
  caller: string
  face: StatelessFace
  session: Session | null
  ready: Promise<void>
}

/**
 * Whether a message is of this revision. The body decides; the header alone does only where nothing else speaks for a
 * session, as older clients send modern headers too.
 */
export function isStateless(frame: Frame, request: IncomingMessage): boolean {
  if (metaOf(frame)[metaKeys.protocolVersion] !== undefined) return true
  const { headers } = request
  return (
    headers['mcp-protocol-version'] === statelessRevision &&
    headers['mcp-session-id'] === undefined &&
    frame.method !== 'initialize'
  )
}

export function createStatelessEra(edge: Edge): StatelessEra {
  const { stages } = edge
  const { world, policy } = stages
  const shared = new Map<string, Shared>()

  return {
    post(call) {
      const { frame, response, runnable } = call
      if (frame.kind === 'response') {
        return refuse(world, response, new ConductorError('frame_invalid', 'Stateless clients send requests and notifications.'))
      }
      // The revision knows no notification from client to server over HTTP that would need doing.
      if (frame.kind === 'notification') return void response.writeHead(202, ['Content-Length', '0']).end()
      const wrong = envelopeError(frame, call.request.headers, runnable.release.manifest.tools)
      if (wrong !== null) return fault(call, wrong, 400)
      const method = frame.method as string
      if (removed.has(method) || (method === 'subscriptions/listen' && !isModern(call))) {
        return fault(call, { code: -32601, message: `There is no method ${JSON.stringify(method.slice(0, 64))}.` }, 404)
      }
      if (edge.isDraining()) {
        return refuse(world, response, new ConductorError('conductor_draining', 'Conductor is shutting down.'), {
          idText: idTextOf(frame),
        })
      }
      if (method === 'server/discover') discover(call)
      else send(call)
    },
    sessions: () => Array.from(shared.values(), entry => entry.session).filter(session => session !== null),
  }

  function fault(call: Post, error: RpcError, status: number): void {
    answerJson(call.response, status, writeError(idTextOf(call.frame), error))
  }

  /** Says what the release said of itself when it was installed; no sandbox is needed for that. */
  function discover(call: Post) {
    const decision = policy.judge(call.capability, 'server/discover', null)
    if (decision.verdict === 'deny') {
      const denied = new ConductorError(decision.code, decision.message, { rule: decision.rule })
      return refuse(world, call.response, denied, { idText: idTextOf(call.frame), status: 200 })
    }
    const { manifest } = call.runnable.release
    const result = {
      resultType: 'complete',
      supportedVersions: [statelessRevision],
      capabilities: isModern(call) ? manifest.capabilities : servable(manifest.capabilities),
      ...(manifest.instructions === null ? {} : { instructions: manifest.instructions }),
      ttlMs: discoverTtlMs,
      cacheScope: 'private',
      _meta: { [metaKeys.serverInfo]: manifest.serverInfo },
    }
    const body = `{"jsonrpc":"2.0","id":${idTextOf(call.frame)},"result":${JSON.stringify(result)}}`
    answerJson(call.response, 200, Buffer.from(body))
  }

  function send(call: Post) {
    const capabilities = declared(call)
    const caller = JSON.stringify([call.capability.tenant, call.capability.subject, call.runnable.deployment])
    const key = `${caller}${call.runnable.release.id}${digestOf(capabilities)}`
    let entry = shared.get(key)
    if (entry?.face.isReady && entry.face.request(call)) return
    if (entry === undefined || entry.face.isEnded || entry.face.isReady) {
      if (sharedBy(caller) >= sharedMax) {
        const error = new ConductorError(
          'session_overloaded',
          `One caller may declare ${sharedMax} sets of capabilities at a time.`,
        )
        return refuse(world, call.response, error, { idText: idTextOf(call.frame) })
      }
      entry = share(call, key, caller, capabilities)
    }
    const { face } = entry
    entry.ready
      .then(() => {
        if (call.response.destroyed) return
        if (!face.request(call)) refuseClosed(call)
      })
      // Also for what goes wrong after it was ready: nobody else would answer this request.
      .catch(cause => {
        const error = cause instanceof ConductorError ? cause : new ConductorError('internal', 'The request failed.', {}, cause)
        if (error.code === 'internal') world.log.error('session.unopened', cause)
        refuse(world, call.response, error, { idText: idTextOf(call.frame) })
      })
  }

  function share(call: Post, key: string, caller: string, capabilities: Record<string, unknown>): Shared {
    const { release } = call.runnable
    const face = new StatelessFace(edge.ticker, isModern(call), release.manifest.serverInfo)
    const entry: Shared = { caller, face, session: null, ready: Promise.resolve() }
    entry.ready = open(call, entry, capabilities).catch(cause => {
      if (shared.get(key) === entry) shared.delete(key)
      void entry.session?.close(cause instanceof ConductorError ? cause.code : 'internal')
      throw cause
    })
    // Each request that waits has a handler of its own; this one is for when none does.
    entry.ready.catch(() => {})
    shared.set(key, entry)
    return entry
  }

  function sharedBy(caller: string): number {
    let count = 0
    for (const entry of shared.values()) if (entry.caller === caller && !entry.face.isEnded) count++
    return count
  }

  async function open(call: Post, entry: Shared, capabilities: Record<string, unknown>): Promise<void> {
    const { runnable, capability, firstByteMs } = call
    const { face } = entry
    entry.session = await openSession(stages, {
      era: 'stateless',
      runnable,
      capability,
      face,
      firstByteMs,
      handshake: !isModern(call),
      protocolVersion: statelessRevision,
      clientInfo: metaOf(call.frame)[metaKeys.clientInfo],
      idleMs,
    })
    if (edge.isDraining()) {
      void entry.session.close('drain')
      throw new ConductorError('conductor_draining', 'Conductor is shutting down.')
    }
    entry.session.closed.then(() => {
      for (const [key, other] of shared) if (other === entry) shared.delete(key)
    })
    await face.bind(entry.session, metaOf(call.frame), capabilities, capability)
  }

  function refuseClosed(call: Post): void {
    const error = new ConductorError('session_closed', 'The server ended before the request reached it.')
    refuse(world, call.response, error, { idText: idTextOf(call.frame), status: 503 })
  }
}

const isModern = (call: Post): boolean => call.runnable.release.manifest.protocolVersion === statelessRevision

/** What a session-era server is told the client can do. A modern one reads it in each request. */
function declared(call: Post): Record<string, unknown> {
  const capabilities = metaOf(call.frame)[metaKeys.clientCapabilities]
  if (isModern(call) || typeof capabilities !== 'object' || capabilities === null) return {}
  return Object.fromEntries(Object.entries(capabilities).filter(([name]) => !unservable.has(name)))
}

function digestOf(capabilities: Record<string, unknown>): string {
  const text = JSON.stringify(capabilities)
  return text === '{}' ? '' : createHash('sha256').update(text).digest('hex')
}

/** Capabilities of a session-era server without those that need a stream beside requests. */
function servable(capabilities: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const kept: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(capabilities)) {
    if (name === 'tasks') continue
    const isGroup = typeof value === 'object' && value !== null && !Array.isArray(value)
    kept[name] = isGroup ? Object.fromEntries(Object.entries(value).filter(([key]) => !streamed.has(key))) : value
  }
  return kept
}

const streamed: ReadonlySet<string> = new Set(['listChanged', 'subscribe'])
