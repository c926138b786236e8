import { ConductorError, type SessionId, type Session as SessionRow } from '@maestro/contract'
import type { Log } from '../telemetry/log.ts'
import type { Stages } from './session.ts'
import { SleepingUpstream } from './sleeping-upstream.ts'
import type { Lease, Runnable, Tape } from './stages.ts'

/** What hibernation sees and moves of a session. */
export interface Sleeper {
  id: SessionId
  runnable: Runnable
  lease: Lease
  tape: Tape
  row: SessionRow
  log: Log
  /** Whether nothing is under way: no request of either side is open, and the session is not ending. */
  isAtRest(): boolean
  lastFrameMs(): number
  /** Answers every open request with the reason. */
  refuseAll(error: ConductorError): void
  close(reason: string, error: ConductorError): Promise<void>
  save(): void
}

/**
 * Gives the sandbox of a quiet session back, where another can be brought to the same state, and has it made again on the next frame.
 * Nothing of it shows but the time the next answer takes. `upstream` is the server the session is to speak to.
 */
export function createHibernation(stages: Stages, sleeper: Sleeper): { upstream: SleepingUpstream; stop(): void } {
  const { world, pool, rebuilder } = stages
  const { hibernateIdleMs } = stages.config
  const { id, runnable, lease, tape, row, log } = sleeper
  /** Frames at which it was found that the server cannot be made again; with more it is looked into anew. */
  let staysAtFrames = -1
  let cancel = () => {}

  const upstream = new SleepingUpstream({
    lease,
    leaseAgain: () => pool.lease(runnable),
    now: () => world.monotonicMs(),
    onWoken(facts) {
      tape.event({ name: 'session.resumed', ...facts })
      row.state = 'ready'
      staysAtFrames = -1
      sleeper.save()
      log.info('session.resumed', { ...facts, sandbox: upstream.id })
    },
    // The session stays, and the next frame tries again.
    onNotWoken(cause) {
      const failure = `The server of session ${id} could not be started again.`
      const error = cause instanceof ConductorError ? cause : new ConductorError('sandbox_start_failed', failure, {}, cause)
      log.warn('session.not_resumed', { code: error.code, message: error.message })
      sleeper.refuseAll(error)
    },
    onLost() {
      const error = new ConductorError('session_lost', `The server of session ${id} answers otherwise than before.`)
      void sleeper.close('session_lost', error)
    },
  })

  const look = () => {
    const leftMs = sleeper.lastFrameMs() + hibernateIdleMs - world.monotonicMs()
    if (leftMs <= 0 && !upstream.isAsleep && row.frames > staysAtFrames) void hibernate()
    cancel = world.after(leftMs > 0 ? leftMs : hibernateIdleMs, look)
  }

  const hibernate = async () => {
    const { frames } = row
    const isStill = () => row.state === 'ready' && row.frames === frames && sleeper.isAtRest()
    if (!rebuilder || !isStill()) return
    staysAtFrames = frames
    await tape.flush()
    const rebuild = await rebuilder.prepare(id, runnable)
    if (rebuild === null || !isStill()) return
    if (rebuild === 'frozen' && !upstream.freeze()) return
    const how = rebuild === 'frozen' ? rebuild : rebuild.how
    tape.event({ name: 'session.hibernated', how })
    row.state = 'hibernated'
    sleeper.save()
    log.info('session.hibernated', { how, frames })
    if (rebuild !== 'frozen')
      await upstream.sleep(rebuild).catch(failure => log.error('lease.unreleased', failure, { lease: lease.id }))
  }

  if (rebuilder && hibernateIdleMs > 0 && runnable.runs.kind === 'bundle') cancel = world.after(hibernateIdleMs, look)
  return { upstream, stop: () => cancel() }
}
