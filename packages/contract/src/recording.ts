/**
 * Words of the recording format, version 1. The bytes are specified in `spec/recording/v1.md`;
 * `logic/recording` encodes and reads them on server, command line and browser alike.
 */
import type { DeploymentId, ReleaseId, SandboxId, SessionId, TenantId } from './ids.ts'
import type { Direction, Era } from './protocol.ts'

export const recordingVersion = 1

/** The first record of a tape: what the server was when it was recorded, so that it can be run again. */
export interface RecordingHeader {
  session: SessionId
  tenant: TenantId
  deployment: DeploymentId
  deploymentName: string
  release: ReleaseId
  releaseName: string
  releaseVersion: string
  /** sha256:<hex> of the bundle. */
  digest: string
  era: Era
  driver: string
  sandbox: SandboxId | null
  args: string[]
  /** Names only: values may be secret. */
  envNames: string[]
  egress: string[]
  /** Runtime that ran the server, such as `node v24.21.0`, or null where unknown. */
  runtime: string | null
  conductorVersion: string
  openedAt: number
}

/** One JSON-RPC message, byte for byte as it crossed between Conductor and the server. */
export interface FrameRecord {
  kind: 'frame'
  /** Ordinal on the tape, from 0, over frames and events together. */
  ordinal: number
  /** Unix microseconds. */
  wallUs: number
  /** Microseconds since the tape was opened. Never goes back. */
  monotonicUs: number
  direction: Direction
  bytes: Uint8Array
}

/** Something that happened beside the frames: lease, standard error, exit, a client that went away. */
export interface EventRecord {
  kind: 'event'
  ordinal: number
  wallUs: number
  monotonicUs: number
  event: TapeEvent
}

export type TapeEvent =
  | { name: 'lease.granted'; warm: boolean; waitMs: number; startMs: number }
  | { name: 'session.hibernated'; how: 'handshake' | 'whole' | 'frozen' }
  | { name: 'session.resumed'; how: 'handshake' | 'whole' | 'frozen'; warm: boolean; ms: number }
  | { name: 'server.stderr'; text: string }
  | { name: 'server.garbled'; text: string; bytes: number }
  | { name: 'server.exited'; code: number | null; signal: string | null; reason: string }
  | { name: 'client.received'; frame: number }
  | { name: 'client.gone'; request: string }
  | { name: 'policy.denied'; code: string; method: string; tool: string | null }
  /** A connection to the network was asked for. `connection` numbers those that came to be, from 1. */
  | { name: 'egress'; host: string; port: number; outcome: string; connection?: number }
  | {
      name: 'egress.closed'
      connection: number
      host: string
      port: number
      upBytes: number
      downBytes: number
      ms: number
      reason: string
    }
  | EgressExchange

/** One HTTP exchange over a connection of the server, where the deployment asks for its recording. Secrets are masked. */
export interface EgressExchange {
  name: 'egress.exchange'
  connection: number
  method: string
  url: string
  /** 0 where there was no answer. */
  status: number
  ms: number
  requestHeaders: [name: string, value: string][]
  responseHeaders: [name: string, value: string][]
  requestBody: EgressBody
  responseBody: EgressBody
}

export interface EgressBody {
  bytes: number
  /** sha256:<hex> of all of it, as it went over the connection. */
  digest: string
  /** The beginning of it, decoded, or null where it is no text. */
  text: string | null
  /** Whether `text` is not all of it. */
  cut: boolean
}

/** The last record. A tape without one was cut off: by a crash, or because the session still runs. */
export interface EndRecord {
  kind: 'end'
  ordinal: number
  wallUs: number
  monotonicUs: number
  reason: string
  frames: number
}

export type TapeRecord = FrameRecord | EventRecord | EndRecord
