import { closeSync, mkdirSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { readdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { ConductorError, parseId, type RecordingHeader, type SessionId } from '@maestro/contract'
import type { Recorder, Tape } from '../session/stages.ts'
import type { World } from '../world.ts'
import { createFlusher } from './flusher.ts'
import { mendTape } from './mend.ts'
import { openTape } from './tape.ts'

export interface RecorderOptions {
  /** Folder of the recordings themselves, made when missing. */
  folder: string
  world: World
  /** Version of Conductor, written into every header. */
  version: string
}

/** For the metrics: gauges of now, and a count since start. */
export interface RecorderView {
  tapesOpen: number
  /** Taken from sessions and not yet handed to the system. */
  bytesPending: number
  bytesWritten: number
  tapesFailed: number
}

export interface TapeRecorder extends Recorder {
  view(): RecorderView
}

/**
 * One append-only file per session, `<folder>/<4 characters of its time>/<session>.mcrec`: about 17 hours share a folder.
 * While a tape is open, an empty file `<folder>/open/<session>` says so: what `recover` finds there, a crash left behind.
 */
export function createRecorder({ folder, world, version }: RecorderOptions): TapeRecorder {
  const openFolder = join(folder, 'open')
  const foldersMade = new Set<string>()
  const tapes = new Set<SessionId>()
  const flusher = createFlusher(world)

  const bucketOf = (session: SessionId) => join(folder, session.slice(4, 8))
  const pathOf = (session: SessionId) => join(bucketOf(session), `${session}.mcrec`)
  const markerOf = (session: SessionId) => join(openFolder, session)

  const makeFolder = (path: string) => {
    if (foldersMade.has(path)) return
    mkdirSync(path, { recursive: true, mode: 0o700 })
    foldersMade.add(path)
  }

  // Synchronous on purpose: a session must know before its first frame whether it can be recorded, and it takes
  // a few calls of the system. Everything later is asynchronous.
  const open = (header: RecordingHeader): Tape => {
    const { session } = header
    let fd: number | null = null
    try {
      makeFolder(openFolder)
      makeFolder(bucketOf(session))
      // The marker first: whatever a crash leaves behind that holds anything has one.
      writeFileSync(markerOf(session), '', { mode: 0o600 })
      fd = openSync(pathOf(session), 'ax', 0o600)
      const tape = openTape({
        fd,
        header: { ...header, conductorVersion: version },
        world,
        flusher,
        async onClosed(sealed) {
          tapes.delete(session)
          // A tape that could not be sealed keeps its marker, so that the next start mends it.
          if (sealed) await unlink(markerOf(session)).catch(() => undefined)
        },
      })
      tapes.add(session)
      return tape
    } catch (cause) {
      // Somebody may have removed a folder under us: the next session makes it again.
      foldersMade.clear()
      // Only what this call made: a tape of this name that was there already keeps its file.
      if (fd !== null) {
        closeSync(fd)
        rmSync(pathOf(session), { force: true })
        rmSync(markerOf(session), { force: true })
      }
      throw new ConductorError('recording_unavailable', `The tape of ${session} could not be made.`, { session }, cause)
    }
  }

  const recover = async (): Promise<SessionId[]> => {
    const mended: SessionId[] = []
    for (const name of await readdir(openFolder).catch(() => [])) {
      const session = parseId('ses', name)
      if (session === null || tapes.has(session)) continue
      const outcome = await mendTape(pathOf(session), world.now() * 1000)
      if (outcome.state === 'mended') mended.push(session)
      world.log.warn('recording.recovered', { session, ...outcome })
      await unlink(markerOf(session))
    }
    return mended
  }

  return {
    open,
    pathOf,
    recover,
    view: () => ({ tapesOpen: tapes.size, ...flusher.view() }),
  }
}
