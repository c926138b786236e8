/** The port of what must survive: one SQL implementation, three ways to reach a PostgreSQL (see `postgres/`). */
import type {
  DeploymentId,
  EnvValue,
  Limits,
  Release,
  ReleaseId,
  Replay,
  ReplayId,
  Session,
  SessionId,
  TenantId,
} from '@maestro/contract'
import type { Program } from '../sandbox/sandbox.ts'

export interface ReleaseRow extends Release {
  id: ReleaseId
  tenant: TenantId
  /** Folder name under `bundles/`, or null where nothing is unpacked. */
  bundle: string | null
  /** What runs of it, or null where nothing does. */
  program: Program | null
  /**
   * Keyed digest of the arguments, environment and egress its manifest was captured with, or empty where that does not matter.
   * Another deployment of the same files with other ones is another release: it may offer other tools.
   */
  ranWith: string
}

export interface DeploymentRow {
  id: DeploymentId
  tenant: TenantId
  name: string
  release: ReleaseRow
  env: Record<string, EnvValue>
  args: string[]
  egress: string[]
  limits: Limits
  egressRecord: boolean
  createdAt: number
  updatedAt: number
}

export interface SecretRow {
  name: string
  /** Sealed under the tenant's key; the store never sees a value. */
  sealed: Uint8Array
  updatedAt: number
}

export interface SessionFilter {
  deployment?: DeploymentId
  state?: string
  search?: string
  before?: SessionId
  limit: number
}

export interface Store {
  /** `embedded PostgreSQL 18.4`, `system PostgreSQL 15.18`, `PostgreSQL 17.2 by URL`. */
  readonly description: string

  insertRelease(row: ReleaseRow): Promise<void>
  findRelease(tenant: TenantId, id: ReleaseId): Promise<ReleaseRow | null>
  /** The release of this exact name, version and digest or, without digest, the newest of that name and version. */
  findReleaseByVersion(tenant: TenantId, kind: string, name: string, version: string, digest?: string): Promise<ReleaseRow | null>
  listReleases(tenant: TenantId): Promise<ReleaseRow[]>

  /** Inserts or replaces by (tenant, name). */
  putDeployment(row: DeploymentRow): Promise<void>
  /** By id or name. */
  findDeployment(tenant: TenantId, idOrName: string): Promise<DeploymentRow | null>
  listDeployments(tenant: TenantId): Promise<DeploymentRow[]>
  removeDeployment(tenant: TenantId, id: DeploymentId): Promise<boolean>

  /** Inserts or updates many in one statement. */
  putSessions(tenant: TenantId, rows: readonly Session[]): Promise<void>
  /** Newest first, each with its newest replay. */
  listSessions(tenant: TenantId, filter: SessionFilter): Promise<Session[]>
  findSession(tenant: TenantId, id: SessionId): Promise<Session | null>
  /** Marks every session that is not closed as closed with this reason. Returns how many. */
  closeOpenSessions(reason: string, at: number): Promise<number>

  putReplay(tenant: TenantId, replay: Replay): Promise<void>
  findReplay(tenant: TenantId, id: ReplayId): Promise<Replay | null>
  listReplays(tenant: TenantId, session: SessionId): Promise<Replay[]>

  putSecret(tenant: TenantId, row: SecretRow): Promise<void>
  listSecrets(tenant: TenantId): Promise<SecretRow[]>
  removeSecret(tenant: TenantId, name: string): Promise<boolean>

  close(): Promise<void>
}

/** Where a tenant's wrapped key is kept. The store never sees the key itself. */
export interface TenantKeyStore {
  /** The wrapped key of the tenant, or null where it has none yet. */
  findTenantKey(tenant: TenantId): Promise<Uint8Array | null>
  /** Keeps the first key a tenant gets: of two that arrive together one wins, so read it back. */
  insertTenantKey(tenant: TenantId, wrapped: Uint8Array, createdAt: number): Promise<void>
}
