import type { Session, SessionId } from '@maestro/contract'
import { clientName } from './client-name.ts'
import type { Opening } from './session.ts'
import type { Lease } from './stages.ts'

/** The session as people see it from its first moment. */
export function firstRow({ runnable, era, ...opening }: Opening, lease: Lease, id: SessionId, openedAt: number): Session {
  return {
    id,
    deployment: runnable.deployment,
    deploymentName: runnable.name,
    release: runnable.release.id,
    era,
    protocolVersion: opening.protocolVersion ?? null,
    client: clientName(opening.clientInfo),
    subject: opening.capability.subject,
    driver: lease.upstream.driver,
    warm: lease.warm,
    state: opening.handshake === false ? 'ready' : 'opening',
    closeReason: null,
    startupMs: null,
    frames: 0,
    calls: 0,
    errors: 0,
    openedAt,
    closedAt: null,
    replay: null,
  }
}
