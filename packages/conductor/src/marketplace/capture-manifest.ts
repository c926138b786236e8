import { isDeepStrictEqual } from 'node:util'
import { ConductorError, type Manifest, type ProtocolRevision, sessionRevisions, statelessRevision } from '@maestro/contract'
import type { Upstream } from '../session/stages.ts'
import type { World } from '../world.ts'
import { initialize, readSessionManifest, readStatelessManifest, type SelfDescription } from './read-manifest.ts'
import { openRpcLink, type RpcLink, RpcRefusal } from './rpc-link.ts'

const pingMsMax = 2_000

export interface Capture {
  world: World
  /** Starts the server anew, to be spoken to in this revision; called for each probe too, since one may leave it unusable. */
  start(revision: ProtocolRevision): Promise<Upstream>
  initializeMsMax: number
  /** Values that must not show in an error, by the name to show instead. */
  secrets: Readonly<Record<string, string>>
  /** Whether to try `ping` before `initialize`; of use only where a sandbox can wait warm. */
  probePing: boolean
}

/**
 * Runs a server for the first time and asks what it is. A server that speaks both eras is taken at the one with sessions.
 * Throws `manifest_failed` with the end of its standard error, and whatever `start` throws.
 */
export async function captureManifest(capture: Capture): Promise<Manifest> {
  let failure: FirstRunFailure
  try {
    const { description, startupMs, initialized } = await runSession(capture)
    const pingBeforeInitialize = capture.probePing && (await answersPingFirst(capture, startupMs, initialized))
    return { ...description, startupMs, pingBeforeInitialize }
  } catch (error) {
    if (!(error instanceof FirstRunFailure)) throw error
    failure = error
  }
  // An era is judged by an answer or by silence; a server that ended has something else the matter.
  if (!failure.mayBeStateless) throw failure.reason
  try {
    return { ...(await runStateless(capture)), pingBeforeInitialize: false }
  } catch {
    throw failure.reason
  }
}

interface FirstRun {
  description: SelfDescription
  initialized: Record<string, unknown>
  startupMs: number
}

/** The server was started and did not pass; `reason` is what a person is told. */
class FirstRunFailure extends Error {
  readonly reason: unknown
  readonly mayBeStateless: boolean

  constructor(reason: unknown, mayBeStateless: boolean) {
    super('the first run failed')
    this.reason = reason
    this.mayBeStateless = mayBeStateless
  }
}

function runSession(capture: Capture): Promise<FirstRun> {
  return withServer(capture, sessionRevisions[0], async (link, startedMs) => {
    const initialized = await initialize(link, capture.initializeMsMax)
    const startupMs = capture.world.monotonicMs() - startedMs
    return { description: await readSessionManifest(link, initialized), initialized, startupMs }
  })
}

function runStateless(capture: Capture): Promise<Omit<Manifest, 'pingBeforeInitialize'>> {
  return withServer(capture, statelessRevision, async (link, startedMs) => {
    const description = await readStatelessManifest(link, capture.initializeMsMax)
    return { ...description, startupMs: capture.world.monotonicMs() - startedMs }
  })
}

/**
 * Whether a ping before `initialize` is answered and leaves no trace. Some servers end on an early request and some settle on an
 * era by the first one, so the probe has a process of its own, and the same `initialize` must still give the same answer.
 */
async function answersPingFirst(capture: Capture, startupMs: number, expected: Record<string, unknown>): Promise<boolean> {
  try {
    return await withServer(capture, sessionRevisions[0], async link => {
      await link.request('ping', {}, pingMsMax + startupMs)
      return isDeepStrictEqual(await initialize(link, capture.initializeMsMax), expected)
    })
  } catch {
    return false
  }
}

async function withServer<T>(
  capture: Capture,
  revision: ProtocolRevision,
  use: (link: RpcLink, startedMs: number) => Promise<T>,
): Promise<T> {
  const startedMs = capture.world.monotonicMs()
  const upstream = await capture.start(revision)
  const link = openRpcLink(capture.world, upstream)
  try {
    return await use(link, startedMs)
  } catch (error) {
    const mayBeStateless = error instanceof RpcRefusal || link.isOpen
    await upstream.close()
    const { stderrTail } = await upstream.exited
    throw new FirstRunFailure(explain(error, stderrTail, capture.secrets), mayBeStateless)
  } finally {
    await upstream.close()
  }
}

function explain(error: unknown, stderrTail: string, secrets: Readonly<Record<string, string>>): unknown {
  const known = error instanceof RpcRefusal || (error instanceof ConductorError && error.code === 'manifest_failed')
  if (!known) return error
  const tail = stderrTail.trim()
  const message = `The server did not pass its first run. ${error.message}${tail === '' ? '' : `\nIts standard error ended with:\n${tail}`}`
  return new ConductorError('manifest_failed', withoutSecrets(message, secrets))
}

/** Servers like to print the key that does not work. */
function withoutSecrets(text: string, secrets: Readonly<Record<string, string>>): string {
  let result = text
  const longestFirst = Object.entries(secrets).sort(([, a], [, b]) => b.length - a.length)
  for (const [name, value] of longestFirst) {
    if (value.length >= 4) result = result.replaceAll(value, `[${name}]`)
  }
  return result
}
