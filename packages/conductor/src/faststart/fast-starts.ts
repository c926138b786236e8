import { readFileSync } from 'node:fs'
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import v8 from 'node:v8'
import { ConductorError, type Start } from '@maestro/contract'
import { loaderFiles, loaderFolder } from '../sandbox/command.ts'
import type { PreparedStart, Runnable } from '../session/stages.ts'
import { type PrepareParts, prepareStart } from './prepare-start.ts'
import { readStartRecord, type StartRecord } from './start-record.ts'

/** Faster starts of what is deployed. They are prepared beside the traffic, one release at a time; until then the plain one serves. */
export interface FastStarts {
  /** What there is now, or null for the plain start. From memory, or one small file the first time. */
  of(runnable: Runnable): PreparedStart | null
  /** For people; null where nothing can be prepared. */
  view(runnable: Runnable): Start | null
  /** Prepares what is missing for these and, the first time, removes what is for none of them. */
  want(runnables: readonly Runnable[]): void
  /** Ends what is being prepared. */
  close(): Promise<void>
}

export interface FastStartsParts extends PrepareParts {
  /** Where the prepared folders are. */
  folder: string
  enabled: boolean
  /** What compiled code and heaps are good for: another Node, processor or Conductor makes them stale. */
  machine?: readonly string[]
  /** Digest under a key of this install: what it is made of cannot be guessed from it. */
  keyedDigest(text: string): string
  /** Takes on what is there now; until that is done it does not count as ready. Never rejects. */
  onReady(): Promise<void>
}

/** A deployment's first sessions come right after it: preparing waits until they are started, ms. */
const restMs = 2000
const recordName = 'start.json'

type Job = { key: string; runnable: BundleRunnable }
type BundleRunnable = Runnable & { runs: Extract<Runnable['runs'], { kind: 'bundle' }> }

export function createFastStarts(parts: FastStartsParts): FastStarts {
  const { world, folder, driver, machine = thisMachine() } = parts
  const records = new Map<string, StartRecord | null>()
  const waiting = new Map<string, Job>()
  const closing = new AbortController()
  const inside = loaderFiles.map(name => readFileSync(join(loaderFolder, name), 'utf8'))
  let working: Promise<void> | null = null
  let swept = false

  /** Names all that a prepared start depends on: another Node, another driver or another of our loaders makes it stale. */
  function keyOf({ release, runs, env, egress, limits }: BundleRunnable): string {
    const { program, args, bundle } = runs
    const what = [release.digest, program, args, Object.entries(env).sort(), egress, limits.memoryBytesMax, bundle]
    return parts.keyedDigest(JSON.stringify([machine, driver.name, inside, what]))
  }

  function recordOf(key: string): StartRecord | null {
    let record = records.get(key)
    if (record === undefined) {
      record = readStartRecord(join(folder, key, recordName))
      records.set(key, record)
    }
    return record
  }

  const canPrepare = (runnable: Runnable): runnable is BundleRunnable =>
    parts.enabled && runnable.runs.kind === 'bundle' && runnable.runs.program.runtime === 'node'

  async function work(): Promise<void> {
    await world.sleep(restMs, closing.signal)
    for (const job of waiting.values()) {
      closing.signal.throwIfAborted()
      await prepare(job)
      await parts.onReady()
      waiting.delete(job.key)
    }
  }

  async function prepare({ key, runnable }: Job): Promise<void> {
    const { release, runs, env, egress, limits } = runnable
    const staging = join(folder, `new-${key}`)
    const named = { deployment: runnable.name, release: release.id }
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      await rm(staging, { recursive: true, force: true })
      const subject = { bundle: runs.bundle, program: runs.program, args: runs.args, env, egress, limits }
      const record = await prepareStart(parts, subject, staging, closing.signal)
      await mkdir(staging, { recursive: true, mode: 0o755 })
      await writeFile(join(staging, recordName), JSON.stringify(record), { mode: 0o444 })
      await rm(join(folder, key), { recursive: true, force: true })
      await rename(staging, join(folder, key))
      records.set(key, record)
      world.log.info('start.prepared', { ...named, ...record })
    } catch (failure) {
      await rm(staging, { recursive: true, force: true })
      if (closing.signal.aborted) throw failure
      // Not kept on disk: what failed for a full disk or a busy machine may do better after the next start.
      const why = failure instanceof Error ? failure.message : String(failure)
      records.set(key, failed(why))
      world.log.warn('start.not_prepared', { ...named, why })
    }
  }

  async function sweep(kept: ReadonlySet<string>): Promise<void> {
    for (const name of await readdir(folder).catch(() => [])) {
      if (!kept.has(name)) await rm(join(folder, name), { recursive: true, force: true })
    }
  }

  function begin(): void {
    working ??= work()
      .catch(failure => {
        if (!closing.signal.aborted) world.log.error('start.preparation_ended', failure)
      })
      .finally(() => {
        working = null
        if (waiting.size > 0 && !closing.signal.aborted) begin()
      })
  }

  return {
    of(runnable) {
      if (!canPrepare(runnable)) return null
      const key = keyOf(runnable)
      const record = recordOf(key)
      if (!record || record.kinds.length === 0) return null
      return { folder: join(folder, key), kinds: record.kinds, holds: record.holds, reads: record.reads }
    },
    view(runnable) {
      if (!canPrepare(runnable)) return null
      const key = keyOf(runnable)
      const record = recordOf(key)
      if (!record || waiting.has(key))
        return { state: 'preparing', kind: 'plain', measuredMs: {}, refused: [], preparationMs: null }
      const { kind, measuredMs, refused, preparationMs } = record
      return { state: 'ready', kind, measuredMs, refused, preparationMs }
    },
    want(runnables) {
      if (closing.signal.aborted) return
      const wanted = new Map<string, Job>()
      for (const runnable of runnables) {
        if (!canPrepare(runnable)) continue
        const key = keyOf(runnable)
        wanted.set(key, { key, runnable })
      }
      if (!swept) {
        swept = true
        void sweep(new Set(wanted.keys())).catch(failure => world.log.error('start.sweep_failed', failure))
      }
      for (const key of waiting.keys()) if (!wanted.has(key)) waiting.delete(key)
      for (const [key, job] of wanted) if (!recordOf(key)) waiting.set(key, job)
      if (waiting.size > 0) begin()
    },
    async close() {
      closing.abort(new ConductorError('conductor_draining', 'Conductor is shutting down; nothing more is prepared.'))
      await working
    },
  }
}

const thisMachine = (): string[] => [process.version, process.arch, String(v8.cachedDataVersionTag())]

const failed = (why: string): StartRecord => ({
  kind: 'plain',
  kinds: [],
  holds: false,
  reads: { snapshot: [], ahead: [] },
  measuredMs: {},
  refused: [{ kind: 'one-file', why: why.slice(0, 300) }],
  preparationMs: 0,
})
