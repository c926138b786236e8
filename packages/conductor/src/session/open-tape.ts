import { ConductorError, type ReleaseId, type SessionId } from '@maestro/contract'
import type { Opening, Stages } from './session.ts'
import type { Lease, Tape } from './stages.ts'

/** Opens the session's tape with what the server is at this moment. Where it cannot be written the lease is given back: no session runs unrecorded. */
export async function openTape(stages: Stages, opening: Opening, lease: Lease, id: SessionId, openedAt: number): Promise<Tape> {
  const { runnable } = opening
  const { release } = runnable
  try {
    return stages.recorder.open({
      session: id,
      tenant: runnable.tenant,
      deployment: runnable.deployment,
      deploymentName: runnable.name,
      release: release.id as ReleaseId,
      releaseName: release.name,
      releaseVersion: release.version,
      digest: release.digest,
      era: opening.era,
      driver: lease.upstream.driver,
      sandbox: lease.upstream.id,
      args: runnable.runs.kind === 'bundle' ? runnable.runs.args : [],
      envNames: Object.keys(runnable.env).sort(),
      egress: runnable.egress,
      runtime: runnable.runs.kind === 'bundle' ? `node ${process.version}` : null,
      conductorVersion: stages.version,
      openedAt,
    })
  } catch (cause) {
    // The client learns that it cannot be recorded; why not is the operator's to know.
    stages.world.log.error('session.unrecorded', cause instanceof ConductorError ? (cause.cause ?? cause) : cause, {
      session: id,
    })
    await lease.release()
    if (cause instanceof ConductorError) throw cause
    throw new ConductorError('recording_unavailable', 'The session cannot be recorded, so it was not opened.', {}, cause)
  }
}
