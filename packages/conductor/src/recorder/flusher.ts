import type { World } from '../world.ts'
import { WriteBuffers } from './write-buffers.ts'

/** What the flusher does to one tape. Both settle and never reject: a tape keeps its own failures. */
export interface Flushable {
  /** Hands what is pending to the system, until nothing is. */
  write(): Promise<void>
  /** Asks the system to put what it has onto the disk. */
  sync(): Promise<void>
}

export interface Flusher {
  /** What all tapes gather in. */
  readonly buffers: WriteBuffers
  /** Writes this tape at the end of the event-loop turn: many frames of a turn become one write. */
  schedule(tape: Flushable): void
  /** Syncs this tape within about a second, and not more often. */
  scheduleSync(tape: Flushable): void
  forget(tape: Flushable): void
  count(change: { pending?: number; written?: number; failed?: number }): void
  view(): { bytesPending: number; bytesWritten: number; tapesFailed: number }
}

const syncEveryMs = 1000
// The system serves file calls with four threads. Two lanes leave room for the writes, however many tapes there are.
const syncLanes = 2

/** One timer and one turn’s end for all tapes of a recorder. */
export function createFlusher(world: World): Flusher {
  const totals = { bytesPending: 0, bytesWritten: 0, tapesFailed: 0 }
  let due: Flushable[] = []
  const unsynced = new Set<Flushable>()
  let syncing = false

  const writeDue = () => {
    const tapes = due
    due = []
    for (const tape of tapes) void tape.write()
  }

  const syncAll = async () => {
    const round = [...unsynced]
    unsynced.clear()
    const lane = async () => {
      for (let tape = round.pop(); tape; tape = round.pop()) await tape.sync()
    }
    await Promise.all(Array.from({ length: syncLanes }, lane))
    syncing = false
    if (unsynced.size > 0) startSync()
  }

  const startSync = () => {
    if (syncing) return
    syncing = true
    world.after(syncEveryMs, () => void syncAll())
  }

  return {
    buffers: new WriteBuffers(),
    schedule(tape) {
      if (due.length === 0) setImmediate(writeDue)
      due.push(tape)
    },
    scheduleSync(tape) {
      unsynced.add(tape)
      startSync()
    },
    forget: tape => void unsynced.delete(tape),
    count({ pending = 0, written = 0, failed = 0 }) {
      totals.bytesPending += pending
      totals.bytesWritten += written
      totals.tapesFailed += failed
    },
    view: () => ({ ...totals }),
  }
}
