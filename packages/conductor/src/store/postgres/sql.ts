/** One door to the database: parameterised statements, broken connections mended, failures named. */
import { ConductorError } from '@maestro/contract'
import pg, { type PoolClient, type QueryConfig, type QueryResultRow } from 'pg'
import type { World } from '../../world.ts'
import { holdOpen } from '../hold-open.ts'
import type { Database } from './supervisor.ts'

/** A statement with a name is prepared once per connection. */
export interface Statement {
  readonly name: string
  readonly text: string
}

export const statement = (name: string, text: string): Statement => ({ name: `maestro.${name}`, text })

export interface Sql {
  readonly pool: pg.Pool
  /**
   * Runs one statement and returns its rows. Tries again for up to 5 s when the connection breaks, so every statement
   * must bear being run twice. Throws `store_unavailable`; a mistake of ours stays what PostgreSQL calls it.
   */
  rows<Row extends QueryResultRow>(statement: Statement, values?: readonly unknown[]): Promise<Row[]>
  /** As `rows`, and returns how many rows it changed. */
  changed(statement: Statement, values?: readonly unknown[]): Promise<number>
  /** Runs `work` in one transaction. Not tried again. Throws `store_unavailable`. */
  transaction<T>(work: (client: PoolClient) => Promise<T>): Promise<T>
  close(): Promise<void>
}

/** A server that was killed is back within about a second, on a busy machine within a few. */
const retryMsMax = 5_000
const retryWaitMsMax = 200

export function openSql(database: Pick<Database, 'connection' | 'trouble'>, world: World): Sql {
  const pool = new pg.Pool({
    ...database.connection,
    application_name: 'maestro-conductor',
    max: 8,
    connectionTimeoutMillis: 5_000,
    query_timeout: 30_000,
    types: { getTypeParser: parserOf as typeof pg.types.getTypeParser },
  })
  // An idle connection that broke. The pool has dropped it already and makes a new one when one is needed.
  pool.on('error', error => world.log.warn('database.connection_lost', { message: error.message }))

  const query = async (statement: Statement, values: readonly unknown[]) => {
    const config: QueryConfig = { name: statement.name, text: statement.text, values: values.map(storable) }
    const deadline = world.monotonicMs() + retryMsMax
    for (let waitMs = 10; ; waitMs = Math.min(waitMs * 2, retryWaitMsMax)) {
      try {
        return await pool.query(config)
      } catch (error) {
        if (!isAway(error) || pool.ending || world.monotonicMs() + waitMs > deadline) throw explain(error, database)
        await holdOpen(world.sleep(waitMs))
      }
    }
  }
  return {
    pool,
    rows: async (statement, values = []) => (await query(statement, values)).rows,
    changed: async (statement, values = []) => (await query(statement, values)).rowCount ?? 0,
    transaction: async work => {
      const client = await pool.connect().catch(error => {
        throw explain(error, database)
      })
      try {
        await client.query('begin')
        const result = await work(client)
        await client.query('commit')
        client.release()
        return result
      } catch (error) {
        // Closing the connection rolls back, whatever state it is in.
        client.release(true)
        throw explain(error, database)
      }
    },
    close: () => (pool.ending ? Promise.resolve() : pool.end()),
  }
}

/** PostgreSQL text cannot hold U+0000, and what clients and servers call themselves may. */
function storable(value: unknown): unknown {
  if (typeof value === 'string') return value.includes('\0') ? value.replaceAll('\0', '\u{fffd}') : value
  return Array.isArray(value) ? value.map(storable) : value
}

const int8 = 20

/** Instants and counts are bigint columns; they all stay far below 2^53. */
function parserOf(oid: number, format?: 'text' | 'binary'): (text: string) => unknown {
  return oid === int8 ? Number : pg.types.getTypeParser(oid, format as 'text')
}

/** Whether the connection is gone or was never made, so that the same statement may work on another one. */
function isAway(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const { code } = error as { code?: string }
  if (code === undefined)
    return /^(Connection terminated|Client has encountered a connection error|timeout exceeded when trying to connect)/.test(
      error.message,
    )
  // Connection errors of the system; class 08 and the shutdown and start-up states of PostgreSQL (appendix A of its manual).
  return /^E[A-Z]+$/.test(code) || code.startsWith('08') || ['57P01', '57P02', '57P03'].includes(code)
}

function explain(error: unknown, database: Pick<Database, 'trouble'>): unknown {
  if (error instanceof ConductorError || !(error instanceof Error)) return error
  const { code = '' } = error as { code?: string }
  if (isAway(error)) {
    return new ConductorError(
      'store_unavailable',
      `The database does not answer: ${database.trouble() ?? error.message}`,
      {},
      error,
    )
  }
  if (code === '53100') {
    return new ConductorError('store_unavailable', 'The database cannot write: its disk is full.', { sqlstate: code }, error)
  }
  // 53: out of a resource; 58: the system failed it; 25006: a standby or a disk turned read-only; XX001: damaged pages; 28, 3D: not let in.
  if (/^(53|58|28|3D)/.test(code) || code === '25006' || code === 'XX001') {
    return new ConductorError('store_unavailable', `The database refuses: ${error.message}`, { sqlstate: code }, error)
  }
  if (error.message === 'Query read timeout') {
    return new ConductorError('store_unavailable', 'The database did not answer within 30 s.', {}, error)
  }
  return error
}
