import { ConductorError, type Difference, type Replay, type ReplayId, type SessionId } from '@maestro/contract'
import { type Comparison, compareTraces, type Recording, traceOf } from '@maestro/logic'
import type { Exit } from '../sandbox/sandbox.ts'
import type { Pool, Runnable } from '../session/stages.ts'
import type { World } from '../world.ts'
import { type Drive, drive, waitMsOf } from './drive.ts'

/**
 * What is done to the sandbox so that it sees again what it saw when it was recorded: clock, dice, network.
 * Without, a server meets the world as it is now, and what that changes is counted as a difference.
 */
export interface Controls {
  prepare(runnable: Runnable, recording: Recording): Runnable
}

export interface ReExecution {
  id: ReplayId
  /** Session whose row the replay belongs to. */
  session: SessionId
  recording: Recording
  /** The release that was recorded, with the environment it is to have. */
  runnable: Runnable
  pool: Pool
  world: World
  controls?: Controls
  signal?: AbortSignal
  /** Called as the run goes on, with tape frames done and in all. */
  onProgress?(done: number, total: number): void
}

const differencesMax = 20

/**
 * Runs the recorded release again in a fresh sandbox, sends it what the tape says it was sent, and compares what it
 * answers, frame by frame, without masks. What crashes, hangs or does not start counts as divergence.
 * Throws `replay_impossible` where there is nothing to run, `recording_unreadable` for a damaged tape,
 * and what the pool throws when it has no room.
 */
export async function reExecute(options: ReExecution): Promise<Replay> {
  const { id, session, recording, pool, world, controls, signal, onProgress } = options
  assertPossible(recording, options.runnable)
  const recorded = traceOf(recording)
  const runnable = controls ? controls.prepare(options.runnable, recording) : options.runnable
  const createdAt = world.now()
  const startedMs = world.monotonicMs()
  const verdict = (parts: Pick<Replay, 'state' | 'frames' | 'identical' | 'differences' | 'error' | 'driver'>): Replay => ({
    id,
    session,
    kind: 're-execution',
    ...parts,
    firstDivergence: parts.differences[0] ?? null,
    durationMs: Math.round((world.monotonicMs() - startedMs) * 1000) / 1000,
    createdAt,
  })

  let lease: Awaited<ReturnType<Pool['lease']>>
  try {
    lease = await pool.lease(runnable, { fresh: true })
  } catch (error) {
    // A release that no longer starts is the largest divergence there is; a full pool says nothing of the release.
    if (!(error instanceof ConductorError && error.code === 'sandbox_start_failed')) throw error
    const nothing = compareTraces(recorded, [], differencesMax)
    const { code, message } = error
    return verdict({ ...nothing, state: 'failed', identical: false, error: { code, message }, driver: recording.header.driver })
  }
  try {
    const { upstream } = lease
    const ending = recordedExit(recording)
    const run = await drive({
      recording,
      trace: recorded,
      upstream,
      world,
      ...(ending ? { exitWithinMs: waitMsOf(ending.afterMs) } : {}),
      ...(signal ? { signal } : {}),
      ...(onProgress ? { onProgress } : {}),
    })
    const comparison = withExit(compareTraces(recorded, run.trace, differencesMax), ending, run.exit)
    const error = errorOf(run, ending)
    return verdict({
      state: 'done',
      frames: comparison.frames,
      identical: comparison.identical && error === null,
      differences: comparison.differences,
      error,
      driver: upstream.driver,
    })
  } finally {
    await lease.release()
  }
}

function assertPossible(recording: Recording, runnable: Runnable): void {
  const { session, digest } = recording.header
  if (recording.damage) {
    const { offset, because } = recording.damage
    throw new ConductorError('recording_unreadable', `The recording of ${session} is damaged at byte ${offset}.`, {
      offset,
      because,
    })
  }
  if (runnable.runs.kind !== 'bundle') {
    throw new ConductorError(
      'replay_impossible',
      `Session ${session} ran on a ${runnable.runs.kind}: there is no release to run again.`,
    )
  }
  if (runnable.release.digest !== digest) {
    throw new ConductorError('replay_impossible', `Session ${session} was recorded with another bundle than the one to be run.`, {
      recorded: digest,
      given: runnable.release.digest,
    })
  }
  if (!recording.records.some(record => record.kind === 'frame' && record.direction === 'inward')) {
    throw new ConductorError('replay_impossible', `Nothing was sent to the server in session ${session}.`)
  }
}

interface Ending {
  code: number | null
  signal: string | null
  reason: string
}

type RecordedEnding = Ending & {
  /** After the record before it. */
  afterMs: number
}

/** How the recorded server ended by itself; null where it was closed. */
function recordedExit(recording: Recording): RecordedEnding | null {
  let lastUs = 0
  for (const record of recording.records) {
    if (record.kind === 'event' && record.event.name === 'server.exited' && record.event.reason !== 'closed') {
      const { code, signal, reason } = record.event
      return { code, signal, reason, afterMs: (record.monotonicUs - lastUs) / 1000 }
    }
    lastUs = record.monotonicUs
  }
  return null
}

/** A server’s end by itself is one more output: the same one is a match, another, a missing or an extra one is not. */
function withExit(comparison: Comparison, recorded: Ending | null, exit: Exit | null): Comparison {
  const replayed: Ending | null = exit && { code: exit.code, signal: exit.signal, reason: exit.reason }
  if (!recorded && !replayed) return comparison
  const isSame =
    recorded?.code === replayed?.code && recorded?.signal === replayed?.signal && recorded?.reason === replayed?.reason
  const matched = comparison.frames.matched + (isSame ? 1 : 0)
  const total = comparison.frames.total + 1
  const frames = { matched, total, fidelity: matched / total }
  if (isSame) return { ...comparison, frames }
  const difference: Difference = {
    kind: recorded && replayed ? 'value' : recorded ? 'missing' : 'extra',
    key: 'server exit',
    frame: null,
    pointer: null,
    ...(recorded ? { recorded: { code: recorded.code, signal: recorded.signal, reason: recorded.reason } } : {}),
    ...(replayed ? { replayed } : {}),
  }
  const differences = [...comparison.differences.slice(0, differencesMax - 1), difference]
  return { ...comparison, frames, identical: false, differences, firstDivergence: differences[0] ?? null }
}

function errorOf(run: Drive, ending: Ending | null): Replay['error'] {
  if (run.flooded) return { code: 'sandbox_limit_reached', message: 'The server printed far more than when it was recorded.' }
  if (run.exit && !ending) {
    const { reason, code, signal } = run.exit
    return { code: reason, message: `The server ended by itself (${signal ?? `code ${code}`}); when it was recorded it did not.` }
  }
  if (run.late > 0) return { code: 'server_timeout', message: `${run.late} recorded outputs did not come in time.` }
  return null
}
