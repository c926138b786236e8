import { readFile } from 'node:fs/promises'
import type { SessionId } from '@maestro/contract'
import {
  compareTraces,
  planRebuild,
  type RebuildPlan,
  type Recording,
  readRecording,
  type TraceFrame,
  traceOf,
} from '@maestro/logic'
import type { Pool, Rebuild, Rebuilder, Recorder, Runnable, Upstream } from '../session/stages.ts'
import type { World } from '../world.ts'
import { drive } from './drive.ts'

interface Parts {
  pool: Pool
  recorder: Pick<Recorder, 'pathOf'>
  world: World
}

/** A longer tape is not read to the end only to find that there is too much on it. */
const tapeBytesMax = 64 * 1024 * 1024

/** Makes servers again from the tapes of their sessions. The tape is read anew each time: a sleeping session holds no frame in memory. */
export function createRebuilder({ pool, recorder, world }: Parts): Rebuilder {
  async function readPlan(session: SessionId, runnable: Runnable, ordinals: number) {
    const bytes = await readFile(recorder.pathOf(session))
    if (bytes.length > tapeBytesMax) return null
    const recording = readRecording(bytes)
    const trace = traceOf(recording).filter(frame => frame.ordinal! < ordinals)
    const plan = planRebuild(trace, { tools: runnable.release.manifest.tools, reachesOut: runnable.egress.length > 0 })
    return { recording, plan, ordinals: Math.min(ordinals, recording.records.length) }
  }

  async function say(recording: Recording, plan: RebuildPlan & { trace: TraceFrame[] }, upstream: Upstream, quietMs?: number) {
    const { trace } = plan
    const run = await drive({ recording, trace, upstream, world, ...(quietMs === undefined ? {} : { quietMs }) })
    return run.exit === null && !run.flooded && run.late === 0 && compareTraces(trace, run.trace).identical
  }

  /** In a sandbox of its own, so that the session keeps its server where this one turns out different. */
  async function isProven(recording: Recording, plan: RebuildPlan & { trace: TraceFrame[] }, runnable: Runnable) {
    const lease = await pool.lease(runnable, { fresh: true })
    try {
      return await say(recording, plan, lease.upstream)
    } finally {
      await lease.release()
    }
  }

  return {
    async prepare(session, runnable): Promise<Rebuild | 'frozen' | null> {
      // A server with connections of its own must answer them, or they break while it stands still.
      const stay = (because: string, mayFreeze: boolean) => {
        world.log.info('session.stays', { session, because })
        return mayFreeze && runnable.egress.length === 0 ? 'frozen' : null
      }
      try {
        const found = await readPlan(session, runnable, Number.POSITIVE_INFINITY)
        if (found === null) return stay('too_long', true)
        if (found.plan.how === 'impossible') return stay(found.plan.because, found.plan.because === 'too_long')
        const { how } = found.plan
        if (how === 'whole' && !(await isProven(found.recording, found.plan, runnable))) return stay('not_deterministic', true)
        const { ordinals } = found
        return {
          how,
          async run(upstream) {
            const again = await readPlan(session, runnable, ordinals)
            return again !== null && again.plan.how === how && say(again.recording, again.plan, upstream, 0)
          },
        }
      } catch (cause) {
        // A full pool, a tape that cannot be read: the session goes on as it is.
        world.log.warn('session.stays', { session, because: cause instanceof Error ? cause.message : String(cause) })
        return null
      }
    },
  }
}
