/** Rows for the tests of this folder, whole and typed; a test names only what it is about. */
import {
  type DeploymentId,
  localTenant,
  type Manifest,
  makeId,
  type ReleaseId,
  type Replay,
  type ReplayId,
  type Session,
  type SessionId,
} from '@maestro/contract'
import type { Log } from '../../telemetry/log.ts'
import type { DeploymentRow, ReleaseRow } from '../store.ts'

export const silent: Log = { info() {}, warn() {}, error() {}, with: () => silent }

let made = 0
const bytes = () => {
  made += 1
  return Buffer.from(String(made).padStart(11, '0'))
}
export const releaseId = (at = 1): ReleaseId => makeId('rel', at, bytes())
export const deploymentId = (at = 1): DeploymentId => makeId('dep', at, bytes())
export const sessionId = (at = 1): SessionId => makeId('ses', at, bytes())
export const replayId = (at = 1): ReplayId => makeId('rpl', at, bytes())

export const manifest: Manifest = {
  protocolVersion: '2025-11-25',
  serverInfo: { name: 'echo', version: '1.0.0' },
  capabilities: { tools: {} },
  instructions: null,
  tools: [{ name: 'echo', inputSchema: { type: 'object' } }],
  prompts: [],
  resources: [],
  resourceTemplates: [],
  startupMs: 12.5,
  pingBeforeInitialize: true,
}

export function release(change: Partial<ReleaseRow> = {}): ReleaseRow {
  return {
    id: releaseId(),
    tenant: localTenant,
    name: '@acme/echo',
    version: '1.0.0',
    source: { kind: 'npm', package: '@acme/echo', version: '1.0.0' },
    digest: 'sha256:00',
    manifest,
    bundle: 'acme-echo-1.0.0',
    program: { runtime: 'node', entry: 'dist/index.js' },
    ranWith: '',
    createdAt: 1_790_000_000_000,
    ...change,
  }
}

export function deployment(change: Partial<DeploymentRow> & { release: ReleaseRow }): DeploymentRow {
  return {
    id: deploymentId(),
    tenant: localTenant,
    name: 'echo',
    env: { MODE: { value: 'fast' }, TOKEN: { secret: 'github' } },
    args: ['--quiet'],
    egress: ['*.example.com:443'],
    limits: { memoryMiB: 1024, pids: 200 },
    egressRecord: true,
    createdAt: 1_790_000_000_000,
    updatedAt: 1_790_000_000_001,
    ...change,
  }
}

export function session(change: Partial<Session> = {}): Session {
  const openedAt = change.openedAt ?? 1_790_000_000_000
  return {
    id: sessionId(openedAt),
    deployment: 'dep_00000000000000000one',
    deploymentName: 'echo',
    release: 'rel_00000000000000000one',
    era: 'session',
    protocolVersion: '2025-11-25',
    client: 'inspector 1.0',
    subject: 'operator',
    driver: 'bubblewrap',
    warm: true,
    state: 'ready',
    closeReason: null,
    startupMs: 8.25,
    frames: 3,
    calls: 1,
    errors: 0,
    openedAt,
    closedAt: null,
    replay: null,
    ...change,
  }
}

export function replay(change: Partial<Replay> & { session: string }): Replay {
  return {
    id: replayId(change.createdAt),
    kind: 're-execution',
    state: 'done',
    frames: { matched: 9, total: 10, fidelity: 0.9 },
    identical: false,
    firstDivergence: { kind: 'value', key: 'call 1', frame: 4, pointer: '/result', recorded: 1, replayed: { deep: [null] } },
    differences: [{ kind: 'extra', key: 'call 2', frame: null, pointer: null }],
    error: null,
    driver: 'bubblewrap',
    durationMs: 123.5,
    createdAt: 1_790_000_000_000,
    ...change,
  }
}
