import { readFile } from 'node:fs/promises'
import { ConductorError, makeId, type SandboxId } from '@maestro/contract'
import { createStub, type Recording, readRecording } from '@maestro/logic'
import type { Exit } from '../sandbox/sandbox.ts'
import type { Recorder, Runnable, Upstream } from '../session/stages.ts'
import type { World } from '../world.ts'

/**
 * Serves a deployment of kind `recording`: reads the session’s tape and answers from it.
 * Throws `recording_unreadable` where there is no such tape or it cannot be read.
 */
export async function startStub(runnable: Runnable, recorder: Pick<Recorder, 'pathOf'>, world: World): Promise<Upstream> {
  if (runnable.runs.kind !== 'recording') {
    throw new ConductorError('recording_unreadable', `Deployment ${runnable.name} is not served from a recording.`)
  }
  const { session } = runnable.runs
  const bytes = await readFile(recorder.pathOf(session)).catch((cause: unknown) => {
    throw new ConductorError('recording_unreadable', `The recording of ${session} is not there.`, { session }, cause)
  })
  return stubUpstream(readRecording(bytes), makeId('sbx', world.now(), world.randomBytes(11)))
}

/** A recording as if it were a server. Nothing runs: it answers in the turn after it was asked, and ends when closed. */
export function stubUpstream(recording: Recording, id: SandboxId): Upstream {
  const stub = createStub(recording)
  const exited = Promise.withResolvers<Exit>()
  let listener: ((frame: Uint8Array) => void) | null = null
  let paused = false
  let closed = false
  let queue: Uint8Array[] = stub.open()

  const deliver = () => {
    while (listener && !paused && !closed && queue.length > 0) listener(queue.shift()!)
  }

  return {
    id,
    driver: 'recording',
    pendingBytes: 0,
    send(frame) {
      if (closed) return
      queue.push(...stub.receive(frame))
      // Not at once: who sends is not done yet with sending, and a server never answers within the call.
      queueMicrotask(deliver)
    },
    onFrame(next) {
      listener = next
      deliver()
    },
    // A tape’s events are of the run that was recorded; this one has none of its own.
    onEvent() {},
    pause() {
      paused = true
    },
    resume() {
      paused = false
      queueMicrotask(deliver)
    },
    exited: exited.promise,
    async close() {
      closed = true
      queue = []
      exited.resolve({ code: null, signal: null, reason: 'closed', stderrTail: '' })
      await exited.promise
    },
  }
}
