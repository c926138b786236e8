import type { Upstream } from '../session/stages.ts'
import type { World } from '../world.ts'

export type Reads = Record<string, string[]>

/** What a step of `loader/build.cjs` brought, or why not. */
export type BuildResult =
  | { files: ReadonlyMap<string, Buffer>; loaded: string[]; reads: Reads }
  | { failed: string; reads: Reads }

const buildMsMax = 180_000
const bytesMax = 192 * 1024 * 1024
const fileNames = new Set(['program.cache', 'start.blob'])
const listMax = 10_000

/**
 * Gathers what a build step says until it ends. The code of the release runs there and may say anything: it is bounded, and what comes
 * of it is only ever used in sandboxes of that release. Throws the signal's reason.
 */
export async function runBuild(world: World, upstream: Upstream, signal: AbortSignal): Promise<BuildResult> {
  const parts = new Map<string, Buffer[]>()
  let bytes = 0
  let reads: Reads = {}
  let outcome: BuildResult | null = null
  const ended = Promise.withResolvers<void>()
  const end = (result: BuildResult) => {
    outcome ??= result
    ended.resolve()
  }
  const take = (message: Record<string, unknown>) => {
    const { file, data, done, failed } = message
    if (typeof file === 'string' && typeof data === 'string' && fileNames.has(file)) {
      parts.set(file, [...(parts.get(file) ?? []), Buffer.from(data, 'base64')])
    } else if (typeof failed === 'string') {
      end({ failed: failed.slice(0, 300), reads: readsOf(message['reads']) })
    } else if (typeof done === 'object' && done !== null) {
      const { loaded, reads: said } = done as Record<string, unknown>
      reads = readsOf(said)
      end({ files: new Map([...parts].map(([name, all]) => [name, Buffer.concat(all)])), loaded: textsOf(loaded), reads })
    }
  }
  upstream.onFrame(frame => {
    if (outcome) return
    bytes += frame.length
    if (bytes > bytesMax) return end({ failed: `it is larger than ${bytesMax / 1024 / 1024} MiB`, reads })
    try {
      take(JSON.parse(Buffer.from(frame).toString('utf8')))
    } catch {
      end({ failed: 'its build said what cannot be read', reads })
    }
  })
  void upstream.exited.then(({ code, signal, stderrTail }) =>
    end({ failed: `its build ended with ${signal ?? `exit code ${code}`}: ${stderrTail.slice(-200)}`, reads }),
  )
  const cancel = world.after(buildMsMax, () => end({ failed: `its build took more than ${buildMsMax / 1000} s`, reads }))
  const abort = () => ended.resolve()
  signal.addEventListener('abort', abort, { once: true })
  try {
    if (signal.aborted) abort()
    await ended.promise
  } finally {
    cancel()
    signal.removeEventListener('abort', abort)
    await upstream.close()
  }
  signal.throwIfAborted()
  return outcome!
}

const textsOf = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string').slice(0, listMax) : []

const readsOf = (value: unknown): Reads =>
  typeof value === 'object' && value !== null
    ? Object.fromEntries(
        Object.entries(value)
          .slice(0, listMax)
          .map(([name, keys]) => [name, textsOf(keys)]),
      )
    : {}
