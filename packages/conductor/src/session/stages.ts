/** The ports of a session's way. Stages import these and never each other; `wire.ts` decides what stands behind them. */
import type {
  CapabilityId,
  DeploymentId,
  Direction,
  LeaseId,
  PoolView,
  RecordingHeader,
  Release,
  SandboxId,
  SessionId,
  Session as SessionRow,
  TapeEvent,
  TenantId,
} from '@maestro/contract'
import type { Frame } from '@maestro/logic'
import type { Exit, Program, SandboxLimits } from '../sandbox/sandbox.ts'

/** What a verified token allows. */
export interface Capability {
  id: CapabilityId
  tenant: TenantId
  subject: string
  deployment: DeploymentId
  tools: '*' | ReadonlySet<string>
  /** Unix ms. */
  expiresAt: number
  /** Whether it may also use the API as the operator. */
  operator: boolean
}

/** A deployment resolved to what running it takes: the snapshot the data path reads instead of the store. */
export interface Runnable {
  tenant: TenantId
  deployment: DeploymentId
  name: string
  release: Release
  runs:
    | { kind: 'bundle'; bundle: string; program: Program; args: string[]; prepared?: PreparedStart | null }
    | { kind: 'remote'; url: string }
    | { kind: 'recording'; session: SessionId }
  /** Secrets already put in. */
  env: Record<string, string>
  /** Names in `env` whose values are secrets: no sandbox gets them before it is leased. */
  secretEnv?: string[]
  egress: string[]
  /** Whether the HTTP exchanges of its connections go on the tape. */
  egressRecord?: boolean
  limits: SandboxLimits
}

/** Faster starts of a release that were found to behave as the plain one. */
export interface PreparedStart {
  folder: string
  /** The best first. */
  kinds: readonly ('one-file' | 'snapshot')[]
  /** Whether it may load its dependencies and then wait for its environment. */
  holds: boolean
  /** Variables of the environment that dependencies read while they load, `*` for all: those of the snapshot, and all of them. */
  reads: { snapshot: readonly string[]; ahead: readonly string[] }
}

/** Who may do what. `verify` throws `capability_invalid` or `capability_expired`. */
export interface Policy {
  verify(token: string): Promise<Capability>
  /** Judges one inward frame. A denial is a value: the session answers the client with it. */
  judge(capability: Capability, method: string, tool: string | null): Decision
}

export type Decision =
  | { verdict: 'allow' }
  | { verdict: 'deny'; code: 'capability_insufficient' | 'capability_expired'; rule: string; message: string }

/** One running server, exclusively ours: a sandbox, a remote server, or a recording that answers. */
export interface Upstream {
  readonly id: SandboxId
  /** Driver name for records: bubblewrap, process, remote, recording. */
  readonly driver: string
  /** Takes one JSON-RPC message without its newline; the bytes are not kept or changed. Never blocks, never throws. */
  send(frame: Uint8Array): void
  /** Bytes taken by `send` that the server has not read yet. */
  readonly pendingBytes: number
  /** One listener; set before the first `send`. Frames that came before are handed over at once, in order. */
  onFrame(listener: (frame: Uint8Array) => void): void
  onEvent(listener: (event: TapeEvent) => void): void
  /** Stops and resumes reading from the server, so that a slow client cannot fill memory. */
  pause(): void
  resume(): void
  /** Stops all of it where it stands, so that waiting takes no CPU; what is sent meanwhile waits too. False where that cannot be done. */
  freeze?(): boolean
  /** Lets it go on. Safe to call when it is not frozen. */
  thaw?(): void
  /** Somebody waits for it now: it gets its full share of the CPU. Safe to call twice. */
  hurry?(): void
  /** Memory it holds itself, bytes, files that could be read again left out; null where nobody counts. */
  memoryBytes?(): number | null
  /** Settles once, when nothing of it runs any more. */
  readonly exited: Promise<Exit>
  /** Asks, then kills the whole tree; settles with `exited`. Safe to call twice. */
  close(): Promise<void>
}

export interface Lease {
  id: LeaseId
  upstream: Upstream
  warm: boolean
  /** From the request to the grant. */
  waitMs: number
  /** How long the sandbox took from spawn until it was warm; 0 where it was not warm yet. */
  startMs: number
  /** Ends the sandbox. A lease is exclusive and final: nothing is ever leased twice. */
  release(): Promise<void>
}

export interface Pool {
  /** Throws `pool_exhausted`, `sandbox_start_failed`, `sandbox_unavailable`, `conductor_draining`. */
  lease(runnable: Runnable, options?: { fresh?: boolean }): Promise<Lease>
  /** Keeps warm what these deployments need and drops the rest. */
  serve(runnables: readonly Runnable[]): void
  view(): PoolState
  /** What only ever grows, for metrics. */
  counts(): PoolCounts
  close(): Promise<void>
}

/** Everything of the view that the pool itself knows. */
export type PoolState = Omit<PoolView, 'leaks'>

export interface PoolCounts {
  starts: number
  startFailures: number
  /** From a lease until another warm sandbox stood in its place. */
  refills: { secondsMax: number; count: number }[]
  refillCount: number
  refillSeconds: number
}

/** The tape of one session. Writing never blocks and never throws; `onFailure` tells when the disk refused. */
export interface Tape {
  /** Returns the ordinal of the record. The bytes are copied before return. */
  frame(direction: Direction, bytes: Uint8Array): number
  event(event: TapeEvent): void
  onFailure(listener: (cause: unknown) => void): void
  /** Settles once everything put so far is in the file. */
  flush(): Promise<void>
  /** Writes the end record, flushes to disk, closes. */
  seal(reason: string): Promise<void>
}

export interface Recorder {
  /** Throws `recording_unavailable`. */
  open(header: RecordingHeader): Tape
  /** Where the session's file is, whether or not it exists. */
  pathOf(session: SessionId): string
  /** Seals what a crash left open. Returns the sessions it mended. */
  recover(): Promise<SessionId[]>
}

/** Makes the server of a session again after its sandbox was given back. */
export interface Rebuilder {
  /**
   * How the session's server can be made again, from what is on its tape. Where everything has to be said again, that was tried once in
   * a sandbox of its own and gave the same answers. `frozen` where it cannot be made again but may stand still meanwhile; `null` where
   * neither. Never throws.
   */
  prepare(session: SessionId, runnable: Runnable): Promise<Rebuild | 'frozen' | null>
}

export interface Rebuild {
  readonly how: 'handshake' | 'whole'
  /** Says to a fresh server what the tape says it was told. False where it answers otherwise than before. */
  run(upstream: Upstream): Promise<boolean>
}

/** Keeps the rows people look at. Called outside the frame path; writes are gathered. */
export interface Journal {
  save(session: SessionRow): void
  flush(): Promise<void>
}

/** The deployments as the data path knows them: from memory, never from the store. */
export interface Directory {
  find(idOrName: string): Runnable | null
}

/** Spans and metrics of the frame path. Absent when nothing is exported: the path then pays nothing. */
export interface Telemetry {
  /** Starts the SERVER span of one request from a client; its parent is the client's own trace context, where it sent one. */
  startRequest(facts: RequestFacts): RequestSpan
  sessionEnded(facts: { era: string; protocolVersion: string | null; durationMs: number; errorType: string | null }): void
}

export interface RequestFacts {
  session: SessionId
  deployment: string
  method: string
  /** Tool or prompt name. */
  name: string | null
  requestId: string
  protocolVersion: string | null
  /** `params._meta.traceparent` as the client sent it. */
  traceparent: string | null
  transport: 'pipe' | 'tcp'
}

export interface RequestSpan {
  /** To be carried on to the server in `params._meta.traceparent`. */
  readonly traceparent: string
  /** `errorType`: a JSON-RPC code, `tool_error`, one of our codes, or null for success. */
  end(errorType: string | null): void
}

/** The client's side of a session: takes what the server says. One implementation per protocol era. */
export interface Face {
  /** Takes one message of the server, or our answer in its place. Never blocks, never throws. */
  deliver(frame: Frame): void
  /** The session is over, every open request was answered: streams end. Called once, last. */
  ended(reason: string): void
}
