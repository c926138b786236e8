import { ConductorError, rpcErrorOf, type SessionId, type SessionRevision, sessionRevisions } from '@maestro/contract'
import { type Frame, idTextOf, readFrame, splitBatch, writeError } from '@maestro/logic'
import { openSession, type Session } from '../../session/session.ts'
import type { Capability } from '../../session/stages.ts'
import { refuse } from '../answer.ts'
import type { Call, Edge, Post } from '../gateway.ts'
import { idOfSessionKey, isSameKey, secretBytes, writeSessionKey } from '../session-key.ts'
import { SessionFace } from './session-face.ts'

/** Revisions 2025-11-25 and earlier: `initialize` opens a session, which later requests name by `Mcp-Session-Id`. */
export interface SessionEra {
  /** A message outside a session, which must be `initialize`, or within one. */
  post(call: Post): void
  /** An array of messages, which only 2025-03-26 knows. */
  postBatch(call: Call, body: Uint8Array): void
  /** Opens or resumes a stream. */
  get(call: Call): void
  /** Ends a session. */
  delete(call: Call): void
  /** Those that are open. */
  sessions(): Session[]
}

interface Entry {
  session: Session
  face: SessionFace
  key: string
  call: Pick<Call, 'capability' | 'runnable'>
}

export function createSessionEra(edge: Edge): SessionEra {
  const { stages } = edge
  const { world } = stages
  const entries = new Map<SessionId, Entry>()
  /** Sessions that are opened, open or not quite ended, by caller and deployment. */
  const held = new Map<string, number>()

  return {
    post(call) {
      if (call.request.headers['mcp-session-id'] === undefined && call.frame.method === 'initialize') {
        // A chain of its own: it ends in an answer whatever happens.
        open(call).catch(cause => {
          const error =
            cause instanceof ConductorError
              ? cause
              : new ConductorError('internal', 'The session could not be opened.', {}, cause)
          if (error.code === 'internal') world.log.error('session.unopened', cause)
          refuse(world, call.response, error, { idText: idTextOf(call.frame) })
        })
        return
      }
      const entry = entryOf(call, call.frame)
      if (entry === null) return
      if (call.frame.kind === 'request' && edge.isDraining()) {
        return refuse(world, call.response, draining(), { idText: idTextOf(call.frame) })
      }
      entry.face.post([call.frame], call.response, call.capability, null)
    },

    postBatch(call, body) {
      const entry = entryOf(call, null)
      if (entry === null) return
      const batch: SessionRevision = '2025-03-26'
      const parts = splitBatch(body)
      if (!Array.isArray(parts)) return refuse(world, call.response, new ConductorError(parts.code, parts.message))
      if (entry.session.row.protocolVersion !== batch) {
        return refuse(world, call.response, new ConductorError('frame_invalid', `Batches exist in revision ${batch} only.`))
      }
      const frames: Frame[] = []
      const answers: Uint8Array[] = []
      for (const part of parts) {
        const frame = readFrame(part)
        if (frame.kind === 'fault') answers.push(faultAnswer(frame))
        else if (frame.method === 'initialize') answers.push(faultAnswer({ ...noBatchedInitialize, id: frame.id }))
        else frames.push(frame)
      }
      entry.face.post(frames, call.response, call.capability, { answers })
    },

    get(call) {
      const entry = entryOf(call, null)
      if (entry === null) return
      const eventId = call.request.headers['last-event-id']
      if (typeof eventId !== 'string') return entry.face.listen(call.response)
      if (!entry.face.resume(call.response, eventId)) {
        refuse(world, call.response, new ConductorError('request_malformed', 'Last-Event-ID names no event of this session.'))
      }
    },

    delete(call) {
      const entry = entryOf(call, null)
      if (entry === null) return
      entries.delete(entry.session.id)
      void entry.session.close('client')
      call.response.writeHead(200, ['Content-Length', '0']).end()
    },

    sessions: () => Array.from(entries.values(), entry => entry.session),
  }

  async function open(call: Post): Promise<void> {
    if (edge.isDraining()) throw draining()
    const { runnable, capability, firstByteMs } = call
    const giveBack = hold(capability)
    const face = new SessionFace(edge.ticker)
    let session: Session
    try {
      session = await openSession(stages, { era: 'session', runnable, capability, face, firstByteMs })
    } catch (error) {
      giveBack()
      throw error
    }
    session.closed.then(() => {
      entries.delete(session.id)
      giveBack()
    })
    if (edge.isDraining()) {
      void session.close('drain')
      throw draining()
    }
    const key = writeSessionKey(session.id, world.randomBytes(secretBytes))
    face.bind(session)
    entries.set(session.id, { session, face, key, call: { capability, runnable } })
    if (call.response.destroyed) return void session.close('client')
    face.initialize(call.frame, call.response, capability, key)
  }

  /** Takes one of the sessions a caller may have on a deployment: the sandboxes are there for everybody. */
  function hold({ tenant, subject, deployment }: Capability): () => void {
    const caller = JSON.stringify([tenant, subject, deployment])
    const count = held.get(caller) ?? 0
    const max = stages.config.sessionsPerCallerMax
    if (count >= max) throw new ConductorError('session_overloaded', `This caller has ${max} sessions open already.`)
    held.set(caller, count + 1)
    return () => {
      const left = (held.get(caller) ?? 0) - 1
      if (left > 0) held.set(caller, left)
      else held.delete(caller)
    }
  }

  /** The session a request names, or null after it was refused. A stranger learns no more than that it is not there. */
  function entryOf(call: Call, frame: Frame | null): Entry | null {
    const error = check(call)
    if (!(error instanceof ConductorError)) return error
    refuse(world, call.response, error, frame?.kind === 'request' ? { idText: idTextOf(frame) } : {})
    return null
  }

  function check(call: Call): Entry | ConductorError {
    const { headers } = call.request
    const key = headers['mcp-session-id']
    const version = headers['mcp-protocol-version']
    if (typeof key !== 'string') {
      return new ConductorError('session_required', 'The request names no session, and is not initialize.')
    }
    const id = idOfSessionKey(key)
    const entry = id === null ? undefined : entries.get(id)
    const isKnown = version === undefined || sessionRevisions.includes(version as SessionRevision)
    if (!isKnown && version !== entry?.session.row.protocolVersion) return unsupported(String(version))
    const isOurs =
      entry !== undefined &&
      !entry.session.isOver &&
      isSameKey(entry.key, key) &&
      isSameHolder(entry.call.capability, call.capability) &&
      entry.call.runnable.deployment === call.runnable.deployment
    return isOurs ? entry : new ConductorError('session_not_found', 'There is no such session here.')
  }
}

/**
 * Whether the tokens are of one holder with the same rights. Fewer tools are not enough: what the session's streams carry,
 * and give again to whoever resumes them, are answers that were allowed to the token they were asked with.
 */
function isSameHolder(a: Capability, b: Capability): boolean {
  return a.tenant === b.tenant && a.subject === b.subject && isSameTools(a.tools, b.tools)
}

function isSameTools(a: Capability['tools'], b: Capability['tools']): boolean {
  if (a === '*' || b === '*') return a === b
  return a.size === b.size && [...a].every(tool => b.has(tool))
}

const draining = () => new ConductorError('conductor_draining', 'Nothing new is begun: Conductor is shutting down.')

function unsupported(version: string): ConductorError {
  const shown = JSON.stringify(version.slice(0, 32))
  return new ConductorError(
    'protocol_version_unsupported',
    `MCP-Protocol-Version ${shown} is not supported in a session; ${sessionRevisions.join(', ')} are.`,
  )
}

const noBatchedInitialize = { code: 'frame_invalid', message: 'initialize must not be part of a batch.' } as const

function faultAnswer(fault: {
  code: 'frame_malformed' | 'frame_invalid'
  message: string
  id: string | number | null
}): Uint8Array {
  return writeError(JSON.stringify(fault.id), rpcErrorOf(new ConductorError(fault.code, fault.message)))
}
