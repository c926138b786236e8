/** Gathers session rows in memory and writes them in batches, so that no session waits for the database. */
import { ConductorError, type Session, type SessionId, type TenantId } from '@maestro/contract'
import type { Journal } from '../session/stages.ts'
import type { World } from '../world.ts'
import type { Store } from './store.ts'

const gatherMs = 200
const retryMsMin = 250
const retryMsMax = 5_000

export interface JournalOptions {
  store: Pick<Store, 'putSessions'>
  tenant: TenantId
  world: World
  /** Rows kept while the database is away. Beyond it the oldest are given up, with an error in the log. */
  rowsMax?: number
}

/**
 * The latest row of a session replaces earlier ones that are still unwritten. Rows go out every 200 ms at most and are kept
 * while the database is away; a row the database refuses for good is dropped alone, with an error in the log.
 * `flush` resolves once everything saved before it is written, and throws `store_unavailable` where the database is away.
 */
export function createJournal(options: JournalOptions): Journal {
  const { store, tenant, world, rowsMax = 50_000 } = options
  const waiting = new Map<SessionId, Session>()
  let timer: (() => void) | null = null
  let writing: Promise<void> | null = null
  let retryMs = retryMsMin

  const schedule = (ms: number) => {
    timer ??= world.after(ms, () => {
      timer = null
      write().catch(() => {})
    })
  }

  /** Writes what waits; one write at a time, so that an older row never overtakes a newer one. */
  const write = (): Promise<void> => {
    writing ??= writeOnce().finally(() => {
      writing = null
      if (waiting.size > 0) schedule(retryMs === retryMsMin ? gatherMs : retryMs)
    })
    return writing
  }

  const writeOnce = async () => {
    const rows = [...waiting.values()]
    waiting.clear()
    try {
      await putAll(rows)
      retryMs = retryMsMin
    } catch (error) {
      // Back to those that wait, behind newer rows of the same sessions.
      const newer = [...waiting.values()]
      waiting.clear()
      for (const row of [...rows, ...newer]) waiting.set(row.id as SessionId, row)
      forgetOldest()
      world.log.warn('journal.waiting', { rows: waiting.size, message: error instanceof Error ? error.message : String(error) })
      retryMs = Math.min(retryMs * 2, retryMsMax)
      throw error
    }
  }

  const putAll = async (rows: Session[]): Promise<void> => {
    if (rows.length === 0) return
    try {
      await store.putSessions(tenant, rows)
    } catch (error) {
      if (error instanceof ConductorError) throw error
      // Not the database's absence but one of the rows: halve until it stands alone, so that it holds up no other.
      if (rows.length === 1) return world.log.error('journal.row_refused', error, { session: rows[0]?.id })
      const middle = rows.length >> 1
      await putAll(rows.slice(0, middle))
      await putAll(rows.slice(middle))
    }
  }

  const forgetOldest = () => {
    const excess = waiting.size - rowsMax
    if (excess <= 0) return
    for (const id of [...waiting.keys()].slice(0, excess)) waiting.delete(id)
    world.log.error('journal.rows_lost', new Error('The database was away for too long.'), { rows: excess })
  }

  return {
    save: row => {
      // Set anew, so that the map stays in order of the last change.
      waiting.delete(row.id as SessionId)
      waiting.set(row.id as SessionId, row)
      if (waiting.size > rowsMax) forgetOldest()
      if (!writing) schedule(gatherMs)
    },
    flush: async () => {
      timer?.()
      timer = null
      await writing?.catch(() => {})
      if (waiting.size > 0) await write()
    },
  }
}
