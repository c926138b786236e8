import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ConductorError, localTenant, makeId, type ReleaseId, type Replay, type Session, type SessionId } from '@maestro/contract'
import { readRecording } from '@maestro/logic'
import type { Config } from '../config.ts'
import type { Directory, Pool, Recorder, Runnable } from '../session/stages.ts'
import type { Store } from '../store/store.ts'
import type { World } from '../world.ts'
import { reExecute } from './re-execute.ts'

interface Parts {
  config: Config
  world: World
  store: Store
  directory: Directory
  pool: Pool
  recorder: Recorder
  onChange(replay: Replay): void
}

/** Re-executes recorded sessions and keeps the verdicts. */
export function createReplays(parts: Parts): { run(session: Session): Promise<Replay> } {
  const { world, store } = parts
  return {
    /** Throws `replay_impossible`, `recording_unreadable`, `pool_exhausted`, `sandbox_start_failed`. */
    async run(session) {
      const recording = readRecording(await readTape(parts.recorder.pathOf(session.id as SessionId)))
      const runnable = await runnableOf(parts, session, recording.header.args)
      const id = makeId('rpl', world.now(), world.randomBytes(11))
      const replay = await reExecute({ id, session: session.id as SessionId, recording, runnable, pool: parts.pool, world })
      await store.putReplay(localTenant, replay)
      parts.onChange(replay)
      return replay
    },
  }
}

async function readTape(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path)
  } catch (cause) {
    throw new ConductorError('recording_unreadable', 'The recording of this session is not there.', {}, cause)
  }
}

/** The release the session ran, with the environment its deployment has today: the recording holds names of variables, not values. */
async function runnableOf({ config, directory, store }: Parts, session: Session, args: string[]): Promise<Runnable> {
  const release = await store.findRelease(localTenant, session.release as ReleaseId)
  const today = directory.find(session.deployment)
  if (!release || release.bundle === null || release.program === null) {
    throw new ConductorError(
      'replay_impossible',
      `Session ${session.id} ran on ${session.driver}; only a release that runs in a sandbox here can be re-executed.`,
    )
  }
  if (!today)
    throw new ConductorError(
      'replay_impossible',
      `The deployment of session ${session.id} is gone, and with it the environment its server needs.`,
    )
  return {
    ...today,
    release,
    runs: { kind: 'bundle', bundle: join(config.data, 'bundles', release.bundle), program: release.program, args },
  }
}
