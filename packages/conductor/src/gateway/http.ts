import type { IncomingMessage, ServerResponse } from 'node:http'
import { ConductorError, type SessionId, statelessRevision } from '@maestro/contract'
import { isBatch, readFrame } from '@maestro/logic'
import type { Session } from '../session/session.ts'
import type { Capability } from '../session/stages.ts'
import { refuse } from './answer.ts'
import { createSessionEra } from './eras/session-era.ts'
import { createStatelessEra, isStateless } from './eras/stateless.ts'
import type { Call, Edge, Stages } from './gateway.ts'
import { createGuard } from './guard.ts'
import { Arrivals, readBody } from './read-body.ts'
import { createTicker } from './ticker.ts'

/**
 * The MCP face: everything under `/mcp/<deployment name or id>`, for clients of every era. The token is checked on every
 * request; a stream that is open when its token’s time ends stays open, as only new requests can do anything.
 */
export interface Gateway {
  handles(url: string): boolean
  /** Takes over the request. Never throws; every request is answered or its connection ended. */
  handle(request: IncomingMessage, response: ServerResponse): void
  openSessions(): Session[]
  /** Ends a session. False where there is none of this id. */
  close(session: SessionId, reason: string): Promise<boolean>
  /** Takes nothing new, gives open calls `drainMsMax` to end, then ends every session. */
  drain(): Promise<void>
}

const prefix = '/mcp/'
const tickMs = 100
/** Memory that bodies on their way may take together. */
const arrivingBytesMax = 128 * 1024 * 1024
const methods = 'POST, GET, DELETE, OPTIONS'

/** Wires the gateway. It listens on nothing: the caller owns the HTTP server and hands requests over. */
export function createGateway(stages: Stages): Gateway {
  const { world, config, policy, directory } = stages
  const guard = createGuard(config)
  const arrivals = new Arrivals(Math.max(arrivingBytesMax, 4 * config.frameBytesMax))
  let isDraining = false
  const edge: Edge = { stages, ticker: createTicker(world, tickMs), isDraining: () => isDraining }
  const sessionEra = createSessionEra(edge)
  const statelessEra = createStatelessEra(edge)

  const openSessions = () => [...sessionEra.sessions(), ...statelessEra.sessions()]

  return {
    handles: url => url.startsWith(prefix),
    handle(request, response) {
      const firstByteMs = world.monotonicMs()
      // A connection that breaks is the client's affair; without a listener it would be the process's.
      request.on('error', ignore)
      response.on('error', ignore)
      try {
        enter(request, response, firstByteMs)
      } catch (error) {
        fail(response, error)
      }
    },
    openSessions,
    async close(id, reason) {
      const session = openSessions().find(session => session.id === id)
      await session?.close(reason)
      return session !== undefined
    },
    async drain() {
      isDraining = true
      const untilMs = world.monotonicMs() + config.drainMsMax
      while (world.monotonicMs() < untilMs && openSessions().some(session => session.openRequests > 0)) await world.sleep(20)
      const error = () => new ConductorError('conductor_draining', 'Conductor is shutting down; the call was cut off.')
      await Promise.all(openSessions().map(session => session.close('drain', error())))
    },
  }

  /** The checks in their order: host and origin, method, token. Each answers with its own status. */
  function enter(request: IncomingMessage, response: ServerResponse, firstByteMs: number) {
    const denied = guard.check(request)
    if (denied !== null) return refuse(world, response, denied)
    const { method } = request
    const { origin } = request.headers
    if (origin !== undefined) allowOrigin(response, origin)
    if (method === 'OPTIONS') return void response.writeHead(204, { Allow: methods }).end()
    if (method !== 'POST' && method !== 'GET' && method !== 'DELETE') {
      const error = new ConductorError('method_not_allowed', `${method} means nothing here.`)
      return refuse(world, response, error, { headers: ['Allow', methods] })
    }
    const token = tokenOf(request)
    if (token === null) return refuse(world, response, new ConductorError('capability_missing', 'The request carries no token.'))
    policy.verify(token).then(
      capability => {
        try {
          admit(request, response, firstByteMs, capability)
        } catch (error) {
          fail(response, error)
        }
      },
      error => fail(response, error),
    )
  }

  function admit(request: IncomingMessage, response: ServerResponse, firstByteMs: number, capability: Capability) {
    const runnable = directory.find(nameOf(request.url as string))
    if (runnable === null || runnable.tenant !== capability.tenant) {
      return refuse(world, response, new ConductorError('deployment_not_found', 'There is no such deployment.'))
    }
    if (runnable.deployment !== capability.deployment) {
      return refuse(world, response, new ConductorError('capability_insufficient', 'The token is for another deployment.'))
    }
    const call: Call = { request, response, capability, runnable, firstByteMs }
    if (request.method === 'POST') return post(call)
    if (request.headers['mcp-protocol-version'] === statelessRevision) {
      const error = new ConductorError('method_not_allowed', `Revision ${statelessRevision} knows POST only.`)
      return refuse(world, response, error, { headers: ['Allow', 'POST, OPTIONS'] })
    }
    if (request.method === 'DELETE') return sessionEra.delete(call)
    if (!accepts(request, 'text/event-stream')) {
      return refuse(world, response, new ConductorError('accept_unsupported', 'A GET must accept text/event-stream.'))
    }
    sessionEra.get(call)
  }

  function post(call: Call) {
    const { request, response } = call
    if (!isJson(request.headers['content-type'])) {
      return refuse(world, response, new ConductorError('content_type_unsupported', 'The body must be application/json.'))
    }
    if (!accepts(request, 'application/json') || !accepts(request, 'text/event-stream')) {
      return refuse(world, response, new ConductorError('accept_unsupported', 'A POST must accept JSON and event streams.'))
    }
    readBody(request, config.frameBytesMax, { ticker: edge.ticker, arrivals }, (error, body) => {
      if (error !== null) return refuse(world, response, error)
      try {
        received(call, body)
      } catch (error) {
        fail(response, error)
      }
    })
  }

  function received(call: Call, body: Uint8Array) {
    if (isBatch(body)) return sessionEra.postBatch(call, body)
    const frame = readFrame(body)
    if (frame.kind === 'fault') {
      const error = new ConductorError(frame.code, frame.message)
      return refuse(world, call.response, error, { idText: JSON.stringify(frame.id) })
    }
    const post = { ...call, frame }
    if (isStateless(frame, call.request)) statelessEra.post(post)
    else sessionEra.post(post)
  }

  function fail(response: ServerResponse, cause: unknown) {
    if (cause instanceof ConductorError) return refuse(world, response, cause)
    world.log.error('gateway.failed', cause)
    refuse(world, response, new ConductorError('internal', 'The request failed.', {}, cause))
  }
}

/** The deployment's name or id in the path; what is not one finds nothing. */
function nameOf(url: string): string {
  const end = url.indexOf('?')
  return url.slice(prefix.length, end < 0 ? url.length : end)
}

/** RFC 6750 section 2.1; the scheme’s name is not case-sensitive. */
function tokenOf(request: IncomingMessage): string | null {
  const header = request.headers.authorization
  if (header === undefined || header.length < 8 || header.slice(0, 7).toLowerCase() !== 'bearer ') return null
  return header.slice(7).trim() || null
}

function isJson(contentType: string | undefined): boolean {
  if (contentType === 'application/json') return true
  return contentType !== undefined && contentType.split(';', 1)[0]?.trim().toLowerCase() === 'application/json'
}

function accepts(request: IncomingMessage, type: string): boolean {
  const header = request.headers.accept
  if (header === undefined) return false
  if (header.includes(type)) return true
  const family = `${type.slice(0, type.indexOf('/'))}/*`
  return header.split(',').some(part => {
    const range = part.split(';', 1)[0]?.trim().toLowerCase()
    return range === type || range === '*/*' || range === family
  })
}

/** What a page of an allowed origin needs to call and to read the answer. */
function allowOrigin(response: ServerResponse, origin: string): void {
  response.setHeader('Access-Control-Allow-Origin', origin)
  response.setHeader('Vary', 'Origin')
  response.setHeader('Access-Control-Allow-Methods', methods)
  response.setHeader(
    'Access-Control-Allow-Headers',
    'Authorization, Content-Type, Accept, Last-Event-ID, Mcp-Session-Id, MCP-Protocol-Version, Mcp-Method, Mcp-Name',
  )
  response.setHeader('Access-Control-Expose-Headers', 'Mcp-Session-Id, WWW-Authenticate, Retry-After')
}

const ignore = () => {}
