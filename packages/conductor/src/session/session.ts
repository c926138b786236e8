import {
  ConductorError,
  type Era,
  makeId,
  rpcErrorOf,
  type SessionId,
  type Session as SessionRow,
  type TapeEvent,
} from '@maestro/contract'
import { type Frame, idTextOf, keyOfToken, type RpcError, readFrame, writeError } from '@maestro/logic'
import type { Config } from '../config.ts'
import type { World } from '../world.ts'
import { clientName } from './client-name.ts'
import { exitError } from './exit-error.ts'
import { filterTools } from './filter-tools.ts'
import { firstRow } from './first-row.ts'
import { createHibernation } from './hibernation.ts'
import { openTape } from './open-tape.ts'
import { platformAnswer } from './platform-answer.ts'
import type { Capability, Face, Journal, Policy, Pool, Rebuilder, Recorder, RequestSpan, Runnable, Telemetry } from './stages.ts'
import { errorTypeOf, startSpan, withTrace } from './trace-request.ts'

/** What stands behind each stage of a session's way. */
export interface Stages {
  config: Pick<Config, 'initializeMsMax' | 'sessionIdleMs' | 'hibernateIdleMs' | 'frameBytesMax' | 'recordingMiBMax'>
  world: World
  policy: Policy
  pool: Pool
  recorder: Recorder
  journal: Journal
  /** Without it no session gives its sandbox back before it ends. */
  rebuilder?: Rebuilder
  telemetry?: Telemetry
  /** Of Conductor, for the recording. */
  version: string
}

export interface Opening {
  era: Era
  runnable: Runnable
  capability: Capability
  face: Face
  /** `World.monotonicMs` at the client's first byte: start-up is measured from there. */
  firstByteMs: number
  /** Whether the server will be sent `initialize`; a modern one is not. */
  handshake?: boolean
  /** Where it is not the server’s answer to `initialize` that says it. */
  protocolVersion?: string
  /** `clientInfo`, where it is not in `initialize` that the client says it. */
  clientInfo?: unknown
  /** Instead of `config.sessionIdleMs`, while no request is open. */
  idleMs?: number
}

/** One client's conversation with a deployment, while it lasts. */
export interface Session {
  readonly id: SessionId
  /** As people see it now. */
  readonly row: Readonly<SessionRow>
  /** Requests of the client that the server has not answered. */
  readonly openRequests: number
  /** Whether it is ending or has ended: it takes nothing more. */
  readonly isOver: boolean
  /**
   * Takes one frame from the client, under the capability it was sent with. Answers null if it went on to the server or
   * had nowhere to go, else what the client is to be told instead. Never throws.
   */
  receive(frame: Frame, capability: Capability): ConductorError | null
  /** Tells how many bytes wait for the client to read them; the server is held back while they are too many. */
  flow(queuedBytes: number): void
  /** Puts what happened at the client's side on the tape. */
  note(event: TapeEvent): void
  /** Answers a request of the server in the client's place. */
  decline(frame: Frame, error: RpcError): void
  /** Settles when the session has ended and nothing of it is left. Never rejects. */
  readonly closed: Promise<void>
  /** Ends it: open requests are answered with `error`, the lease is released, the tape sealed. Settles when all is done. */
  close(reason: string, error?: ConductorError): Promise<void>
}

/** Most requests a client may have open, and a server towards its client. */
export const openRequestsMax = 1024
/** Unread bytes at which the server is held back, and at which it goes on. */
const queueBytesHigh = 1024 * 1024
const queueBytesLow = 256 * 1024
/** Unread bytes, in frames of the largest size, at which the session is given up. */
const queueFramesMax = 8
const saveEveryMs = 1000
/** So much of a refused method and tool goes on the tape. */
const deniedCharsMax = 256

/**
 * The way of a session, top to bottom: authorise, lease, tape, then pump both ways until an end.
 * Throws what policy, pool and recorder throw: a session that cannot be recorded is not opened.
 */
export async function openSession(stages: Stages, opening: Opening): Promise<Session> {
  const { world, policy, journal, telemetry, config } = stages
  const { runnable, face, era } = opening

  const decision = policy.judge(opening.capability, 'initialize', null)
  if (decision.verdict === 'deny') throw new ConductorError(decision.code, decision.message, { rule: decision.rule })

  const lease = await stages.pool.lease(runnable)
  const id = makeId('ses', world.now(), world.randomBytes(11))
  const log = world.log.with({ session: id, deployment: runnable.name })
  const openedAt = world.now()
  const openedMs = world.monotonicMs()
  const tape = await openTape(stages, opening, lease, id, openedAt)
  tape.event({ name: 'lease.granted', warm: lease.warm, waitMs: lease.waitMs, startMs: lease.startMs })

  const row = firstRow(opening, lease, id, openedAt)
  /** Requests of the client, by id, that wait for the server. */
  const open = new Map<string, OpenRequest>()
  /** Requests of the server that wait for the client. */
  const asked = new Set<string>()
  let lastFrameMs = openedMs
  /** Bytes that may still go on the tape. */
  let tapeBytesLeft = config.recordingMiBMax * 1024 * 1024
  let isPaused = false
  let ending: Promise<void> | null = null
  let cancelSave: (() => void) | null = null
  let exitTaped = false
  const closed = Promise.withResolvers<void>()

  const hibernation = createHibernation(stages, {
    id,
    runnable,
    lease,
    tape,
    row,
    log,
    isAtRest: () => ending === null && open.size === 0 && asked.size === 0,
    lastFrameMs: () => lastFrameMs,
    refuseAll,
    close,
    save,
  })
  const { upstream } = hibernation
  upstream.onEvent(event => {
    // Connections to the network end with the sandbox, after the session began to end and before the tape is sealed.
    if (ending === null || event.name.startsWith('egress')) tape.event(event)
    if (event.name === 'egress.exchange') spend(JSON.stringify(event).length)
    if (event.name === 'server.exited') exitTaped = true
  })
  upstream.onFrame(outward)
  upstream.exited.then(
    exit => {
      if (!exitTaped) tape.event({ name: 'server.exited', code: exit.code, signal: exit.signal, reason: exit.reason })
      exitTaped = true
      const error = exitError(exit, runnable)
      void close(exit.reason === 'closed' ? 'closed' : exit.reason, error)
    },
    cause => void close('internal', new ConductorError('internal', 'The server was lost.', {}, cause)),
  )
  tape.onFailure(cause => {
    log.error('session.unrecorded', cause)
    void close('recording_unavailable', new ConductorError('recording_unavailable', 'The session can no longer be recorded.'))
  })
  const cancelInitialize = world.after(config.initializeMsMax, () => {
    if (row.state !== 'opening') return
    const seconds = config.initializeMsMax / 1000
    void close('server_timeout', new ConductorError('server_timeout', `The server did not answer initialize in ${seconds} s.`))
  })
  let cancelIdle = world.after(opening.idleMs ?? config.sessionIdleMs, endIfIdle)
  journal.save({ ...row })
  log.info('session.opened', { lease: lease.id, warm: lease.warm, waitMs: lease.waitMs, driver: upstream.driver })

  return {
    id,
    row,
    get openRequests() {
      return open.size
    },
    get isOver() {
      return ending !== null
    },
    receive,
    flow,
    note: event => {
      if (ending === null) tape.event(event)
    },
    decline,
    closed: closed.promise,
    close,
  }

  /** Client to server. */
  function receive(frame: Frame, capability: Capability): ConductorError | null {
    if (ending !== null) return new ConductorError('session_closed', `Session ${id} has ended.`)
    if (frame.kind === 'response') {
      // What answers nothing the server asked is not passed on: it could only confuse the server.
      if (frame.idKey === null || !asked.delete(frame.idKey)) return null
      return send(frame.bytes)
    }
    const method = frame.method as string
    const tool = method === 'tools/call' ? frame.name : null
    const denial = judge(capability, method, tool)
    if (denial !== null) return denial
    if (frame.kind === 'notification') {
      if (method === 'notifications/cancelled') forget(frame)
      return send(frame.bytes)
    }

    const idKey = frame.idKey as string
    if (open.has(idKey)) return new ConductorError('frame_invalid', 'A request with this id is open already.')
    if (open.size >= openRequestsMax) return overloaded(`${openRequestsMax} requests are open.`)
    if (method === 'tools/call') row.calls++
    else if (method === 'initialize') row.client = clientName(frame.message.params?.['clientInfo'])
    const span = telemetry ? startSpan(telemetry, frame, { session: id, runnable, protocolVersion: row.protocolVersion }) : null
    const bytes = span === null ? frame.bytes : withTrace(frame, span)
    open.set(idKey, {
      idText: idTextOf(frame),
      method,
      tools: method === 'tools/list' && capability.tools !== '*' ? capability.tools : null,
      span,
    })
    const refused = send(bytes)
    if (refused !== null) settle(idKey, refused.code)
    return refused
  }

  function judge(capability: Capability, method: string, tool: string | null): ConductorError | null {
    const decision = policy.judge(capability, method, tool)
    if (decision.verdict === 'allow') return null
    row.errors++
    // The frame itself is not on the tape, so this is all a client can make it grow by for nothing.
    const [said, named] = [method.slice(0, deniedCharsMax), tool?.slice(0, deniedCharsMax) ?? null]
    tape.event({ name: 'policy.denied', code: decision.code, method: said, tool: named })
    saveSoon()
    return new ConductorError(decision.code, decision.message, { rule: decision.rule })
  }

  function send(bytes: Uint8Array): ConductorError | null {
    if (upstream.pendingBytes + bytes.length > queueFramesMax * config.frameBytesMax) {
      return overloaded('The server does not read what it is sent.')
    }
    row.frames++
    lastFrameMs = world.monotonicMs()
    record('inward', bytes)
    upstream.send(bytes)
    saveSoon()
    return null
  }

  function record(direction: 'inward' | 'outward', bytes: Uint8Array): void {
    tape.frame(direction, bytes)
    spend(bytes.length)
  }

  function spend(bytes: number): void {
    tapeBytesLeft -= bytes
    if (tapeBytesLeft < 0) {
      void close('session_overloaded', overloaded(`More was said than one recording may hold, ${config.recordingMiBMax} MiB.`))
    }
  }

  /** Server to client. The bytes are untrusted. A failure here ends this session and touches no other. */
  function outward(bytes: Uint8Array) {
    if (ending !== null) return
    try {
      const frame = readFrame(bytes)
      if (frame.kind === 'fault') return garbled(bytes, frame.id)
      row.frames++
      lastFrameMs = world.monotonicMs()
      record('outward', frame.bytes)
      saveSoon()
      if (frame.kind === 'response') return answered(frame)
      if (frame.kind === 'request') {
        if (asked.size >= openRequestsMax)
          return decline(frame, rpcErrorOf(overloaded('The client has too many requests to answer.')))
        asked.add(frame.idKey as string)
      } else if (frame.method === 'notifications/cancelled') {
        asked.delete(keyOfToken(frame.message.params?.['requestId']) ?? '')
      }
      face.deliver(frame)
    } catch (error) {
      log.error('session.failed', error)
      void close('internal', new ConductorError('internal', 'The session failed.', {}, error))
    }
  }

  function decline(frame: Frame, error: RpcError): void {
    asked.delete(frame.idKey as string)
    if (ending === null) send(writeError(idTextOf(frame), error))
  }

  function answered(frame: Frame): void {
    const request = frame.idKey === null ? undefined : open.get(frame.idKey)
    // Cancelled meanwhile, or never asked: it stays on the tape and goes nowhere.
    if (frame.idKey === null || request === undefined) return
    if (frame.isError) row.errors++
    else if (row.startupMs === null && (request.method === 'initialize' || opening.handshake === false)) ready(frame)
    settle(frame.idKey, errorTypeOf(frame))
    face.deliver(request.tools === null || frame.isError ? frame : scoped(request, frame, request.tools))
    if (request.method === 'initialize' && frame.isError) {
      void close('server_refused', new ConductorError('server_refused', 'The server refused to initialize.'))
    }
  }

  function ready(frame: Frame): void {
    const version = (frame.message['result'] as { protocolVersion?: unknown } | null)?.protocolVersion
    if (row.protocolVersion === null && typeof version === 'string') row.protocolVersion = version.slice(0, 32)
    row.startupMs = Math.round((world.monotonicMs() - opening.firstByteMs) * 1000) / 1000
    row.state = 'ready'
    cancelInitialize()
    save()
  }

  /** Not a message, or one that two parsers could read differently: it is noted and, where it answers something, said so. */
  function garbled(bytes: Uint8Array, answering: string | number | null): void {
    tape.event({ name: 'server.garbled', text: new TextDecoder().decode(bytes.subarray(0, 200)), bytes: bytes.length })
    row.errors++
    saveSoon()
    const idKey = keyOfToken(answering)
    if (idKey !== null) refuse(idKey, new ConductorError('server_garbled', 'The server’s answer is no JSON-RPC message.'))
  }

  function scoped(request: OpenRequest, frame: Frame, tools: ReadonlySet<string>): Frame {
    try {
      return filterTools(frame, tools)
    } catch (error) {
      const refused =
        error instanceof ConductorError ? error : new ConductorError('internal', 'The list cannot be filtered.', {}, error)
      return platformAnswer(request.idText, refused)
    }
  }

  /** Answers one open request in the server's place. */
  function refuse(idKey: string, error: ConductorError): void {
    const request = open.get(idKey)
    if (request === undefined) return
    settle(idKey, error.code)
    face.deliver(platformAnswer(request.idText, error))
  }

  function refuseAll(error: ConductorError): void {
    for (const idKey of [...open.keys()]) guarded(() => refuse(idKey, error))
  }

  function settle(idKey: string, errorType: string | null): void {
    open.get(idKey)?.span?.end(errorType)
    open.delete(idKey)
  }

  function forget(cancellation: Frame): void {
    const idKey = keyOfToken(cancellation.message.params?.['requestId'])
    if (idKey !== null && open.get(idKey)?.method !== 'initialize') settle(idKey, 'cancelled')
  }

  function flow(queuedBytes: number): void {
    if (ending !== null) return
    if (queuedBytes > queueFramesMax * config.frameBytesMax) {
      void close('session_overloaded', overloaded('The client does not read what it is sent.'))
    } else if (!isPaused && queuedBytes > queueBytesHigh) {
      isPaused = true
      upstream.pause()
    } else if (isPaused && queuedBytes <= queueBytesLow) {
      isPaused = false
      upstream.resume()
    }
  }

  function close(reason: string, error = new ConductorError('session_closed', `Session ${id} has ended.`)): Promise<void> {
    ending ??= finish(reason, error).then(closed.resolve, failure => {
      log.error('session.end_failed', failure)
      closed.resolve()
    })
    return ending
  }

  async function finish(reason: string, error: ConductorError): Promise<void> {
    // `ending` is set only when this returns to close(): everything up to the first await must not call back into it.
    await null
    cancelInitialize()
    cancelIdle()
    hibernation.stop()
    cancelSave?.()
    refuseAll(error)
    guarded(() => face.ended(reason))
    try {
      await upstream.close()
      const exit = await upstream.exited
      if (!exitTaped) tape.event({ name: 'server.exited', code: exit.code, signal: exit.signal, reason: exit.reason })
    } catch (failure) {
      log.error('lease.unreleased', failure, { lease: lease.id })
    }
    try {
      await tape.seal(reason)
    } catch (failure) {
      log.error('recording.unsealed', failure)
    }
    row.state = 'closed'
    row.closeReason = reason
    row.closedAt = world.now()
    journal.save({ ...row })
    const durationMs = world.monotonicMs() - openedMs
    const isFailure = error.code !== 'session_closed' && reason === error.code
    telemetry?.sessionEnded({ era, protocolVersion: row.protocolVersion, durationMs, errorType: isFailure ? reason : null })
    log.info('session.closed', { reason, frames: row.frames, calls: row.calls, errors: row.errors })
  }

  function guarded(act: () => void): void {
    try {
      act()
    } catch (failure) {
      log.error('session.end_failed', failure)
    }
  }

  function endIfIdle(): void {
    const idleMs = (open.size === 0 ? opening.idleMs : undefined) ?? config.sessionIdleMs
    const leftMs = lastFrameMs + idleMs - world.monotonicMs()
    if (leftMs > 0) cancelIdle = world.after(leftMs, endIfIdle)
    else void close('idle', new ConductorError('session_closed', `Nothing was said for ${Math.round(idleMs / 1000)} s.`))
  }

  function save(): void {
    journal.save({ ...row })
  }

  /** Counts reach the journal at most once a second; saving costs the frame path nothing but this. */
  function saveSoon(): void {
    cancelSave ??= world.after(saveEveryMs, () => {
      cancelSave = null
      save()
    })
  }
}

interface OpenRequest {
  /** The id as the client wrote it. */
  idText: string
  method: string
  /** The tools an answer may show, where the token names some. */
  tools: ReadonlySet<string> | null
  span: RequestSpan | null
}

const overloaded = (message: string) => new ConductorError('session_overloaded', message)
