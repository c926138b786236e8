import {
  type CausalKey,
  createKeyer,
  type Frame,
  idTextOf,
  type Recording,
  readFrame,
  replaceValue,
  splice,
  type TraceFrame,
} from '@maestro/logic'
import type { Exit } from '../sandbox/sandbox.ts'
import type { Upstream } from '../session/stages.ts'
import type { World } from '../world.ts'

export interface DriveOptions {
  recording: Recording
  /** Frames of `traceOf(recording)`, garbled output included: all, or those that are to be said again. */
  trace: readonly TraceFrame[]
  upstream: Upstream
  world: World
  /** How long to wait for the server to end by itself, as it did when it was recorded; absent where it did not. */
  exitWithinMs?: number
  /** How long nothing may come at the end before the run is over, ms; 0 where the next frame follows at once. */
  quietMs?: number
  signal?: AbortSignal
  /** Called as the run goes on, with tape frames done and in all. */
  onProgress?(done: number, total: number): void
}

export interface Drive {
  /** What happened this time, in order. */
  trace: TraceFrame[]
  /** Recorded outputs that did not come while they were waited for. */
  late: number
  /** How the server ended, if it did so by itself. */
  exit: Exit | null
  /** Whether it printed more than any run of this tape could, and was cut off. */
  flooded: boolean
}

/** An output is waited for at least so long, and three times as long as it took when it was recorded. */
const waitMsMin = 5_000
const waitFactor = 3
export const waitMsOf = (recordedMs: number): number => Math.max(waitMsMin, waitFactor * recordedMs)
/** All waits in vain of one run together, beside three times the length of the recording: a dead server is not waited for per frame. */
const vainMsMax = 30_000
/** Silence after the last recorded frame, so that an output that should not be there is seen. */
const quietMsUsual = 250
const quietMsMax = 3_000
/** Input the server has not read at which the next frame waits. */
const pendingBytesHigh = 1024 * 1024
/** What a session keeps of a frame that is no JSON-RPC. */
const garbledBytesKept = 200
/** Most bytes a run may print: far more than the recorded ones did. */
const floodBytesMin = 64 * 1024 * 1024
const floodFactor = 4

/** Sends the recorded inputs, each after the outputs that came before it on the tape, and takes down what comes back. */
export async function drive(options: DriveOptions): Promise<Drive> {
  const { recording, trace: recorded, upstream, world, exitWithinMs, quietMs = quietMsUsual, signal, onProgress } = options
  const arrivals = createArrivals(world, signal)
  const run: Drive = { trace: [], late: 0, exit: null, flooded: false }
  const live = createKeyer()
  /** Ids of the server’s questions as it numbers them this time, by causal key. */
  const questions = new Map<string, string>()
  let bytesLeft = Math.max(floodBytesMin, floodFactor * recorded.reduce((sum, frame) => sum + frame.bytes.length, 0))

  const take = (bytes: Uint8Array, frame: Frame | null) => {
    if (run.flooded) return
    bytesLeft -= bytes.length
    if (bytesLeft < 0) {
      run.flooded = true
      arrivals.stop()
      return
    }
    const { key } = live.keyOf('outward', bytes)
    if (frame?.kind === 'request') questions.set(key, idTextOf(frame))
    // Copied: the bytes are a view into whatever was read at once.
    run.trace.push({ direction: 'outward', bytes: Uint8Array.from(bytes), ordinal: null })
    arrivals.came(key)
  }
  upstream.onEvent(event => {
    if (event.name === 'server.garbled') take(utf8.encode(event.text), null)
  })
  upstream.onFrame(bytes => {
    const frame = readFrame(bytes)
    if (frame.kind !== 'fault') take(frame.bytes, frame)
    // The session that recorded kept the beginning of what was no message; so does this.
    else take(utf8.encode(new TextDecoder().decode(bytes.subarray(0, garbledBytesKept))), null)
  })
  void upstream.exited.then(exit => {
    run.exit = exit
    arrivals.stop()
  })

  const send = (bytes: Uint8Array) => {
    live.keyOf('inward', bytes)
    run.trace.push({ direction: 'inward', bytes, ordinal: null })
    upstream.send(bytes)
  }

  const keyer = createKeyer()
  const gaps = gapsOf(recording)
  let vainMsLeft = vainMsMax + waitFactor * gaps.totalMs
  for (const [index, frame] of recorded.entries()) {
    if (arrivals.stopped()) break
    const causal = keyer.keyOf(frame.direction, frame.bytes)
    if (frame.direction === 'inward') {
      const bytes = addressed(frame.bytes, causal, questions)
      // An answer to a question that was not asked this time has nobody to go to; it shows as a missing input.
      if (bytes) {
        await roomFor(upstream, world, arrivals)
        send(bytes)
      }
    } else {
      const waitMs = Math.min(waitMsOf(gaps.beforeMs.get(frame.ordinal!) ?? 0), vainMsLeft)
      const startedMs = world.monotonicMs()
      if (!(await arrivals.wait(causal.key, waitMs))) {
        run.late++
        vainMsLeft = Math.max(0, vainMsLeft - (world.monotonicMs() - startedMs))
      }
    }
    onProgress?.(index + 1, recorded.length)
  }
  if (exitWithinMs !== undefined) await arrivals.wait(null, exitWithinMs)
  if (quietMs > 0) await arrivals.quiet(quietMs, quietMsMax)
  arrivals.forgetSignal()
  signal?.throwIfAborted()
  return run
}

/** Waits while the server does not read: a client has its own pace, a replay would fill memory. */
async function roomFor(upstream: Upstream, world: World, arrivals: { stopped(): boolean }): Promise<void> {
  const untilMs = world.monotonicMs() + waitMsMin
  while (upstream.pendingBytes > pendingBytesHigh && !arrivals.stopped() && world.monotonicMs() < untilMs) await world.sleep(5)
}

/** The recorded bytes; an answer goes to the id its question has this time. Null where the question was not asked. */
function addressed(bytes: Uint8Array, causal: CausalKey, questions: ReadonlyMap<string, string>): Uint8Array | null {
  if (causal.answers === undefined) return bytes
  const idText = questions.get(causal.answers)
  if (idText === undefined) return null
  const frame = readFrame(bytes)
  if (frame.kind === 'fault' || frame.idSpan === null || idTextOf(frame) === idText) return bytes
  return splice(bytes, [replaceValue(frame.idSpan, idText)])
}

/** How long each record came after the one before it, when it was recorded. */
function gapsOf(recording: Recording): { beforeMs: Map<number, number>; totalMs: number } {
  const beforeMs = new Map<number, number>()
  let lastUs = 0
  for (const { ordinal, monotonicUs } of recording.records) {
    beforeMs.set(ordinal, (monotonicUs - lastUs) / 1000)
    lastUs = monotonicUs
  }
  return { beforeMs, totalMs: lastUs / 1000 }
}

/** Outputs that came, and who waits for one. Everything settles when the run stops. */
function createArrivals(world: World, signal: AbortSignal | undefined) {
  const seen = new Set<string>()
  let waiting: { key: string | null; settle(came: boolean): void } | null = null
  let lastMs = world.monotonicMs()
  let isStopped = signal?.aborted ?? false
  let onStop: (() => void) | null = null
  const stop = () => {
    isStopped = true
    waiting?.settle(false)
    onStop?.()
  }
  signal?.addEventListener('abort', stop, { once: true })
  return {
    stop,
    forgetSignal: () => signal?.removeEventListener('abort', stop),
    stopped: () => isStopped,
    came(key: string) {
      seen.add(key)
      lastMs = world.monotonicMs()
      if (waiting?.key === key) waiting.settle(true)
    },
    /** Whether the output came in time. Null waits for the end of the run. */
    wait(key: string | null, ms: number): Promise<boolean> {
      if (key !== null && seen.has(key)) return Promise.resolve(true)
      if (isStopped || ms <= 0) return Promise.resolve(false)
      return new Promise(resolve => {
        const settle = (came: boolean) => {
          waiting = null
          cancel()
          resolve(came)
        }
        const cancel = world.after(ms, () => settle(false))
        waiting = { key, settle }
      })
    },
    async quiet(ms: number, msMax: number): Promise<void> {
      const untilMs = world.monotonicMs() + msMax
      lastMs = world.monotonicMs()
      for (;;) {
        const nowMs = world.monotonicMs()
        const restMs = Math.min(lastMs + ms, untilMs) - nowMs
        if (isStopped || restMs <= 0) return
        await new Promise<void>(resolve => {
          const cancel = world.after(restMs, resolve)
          onStop = () => {
            cancel()
            resolve()
          }
        })
        onStop = null
      }
    },
  }
}

const utf8 = new TextEncoder()
