import type { Difference, Replay } from '@maestro/contract'
import type { Store } from '../store.ts'
import { type Sql, statement } from './sql.ts'

interface StoredReplay {
  id: string
  session: string
  kind: 're-execution'
  state: Replay['state']
  frames_matched: number
  frames_total: number
  fidelity: number
  identical: boolean
  first_divergence: Difference | null
  differences: Difference[]
  error: Replay['error']
  driver: string
  duration_ms: number
  created_at: number
}

const columns =
  'id, session, kind, state, frames_matched, frames_total, fidelity, identical, first_divergence, differences, error, driver, duration_ms, created_at'

const put = statement(
  'replay.put',
  `insert into maestro.replays (tenant, ${columns}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
   on conflict (tenant, id) do update set state = excluded.state, frames_matched = excluded.frames_matched,
     frames_total = excluded.frames_total, fidelity = excluded.fidelity, identical = excluded.identical,
     first_divergence = excluded.first_divergence, differences = excluded.differences, error = excluded.error,
     driver = excluded.driver, duration_ms = excluded.duration_ms`,
)
const find = statement('replay.find', `select ${columns} from maestro.replays where tenant = $1 and id = $2`)
const list = statement(
  'replay.list',
  `select ${columns} from maestro.replays where tenant = $1 and session = $2 order by created_at desc, id desc`,
)

export function replayRows(sql: Sql): Pick<Store, 'putReplay' | 'findReplay' | 'listReplays'> {
  return {
    putReplay: async (tenant, replay) => {
      const { id, session, kind, state, frames, identical, firstDivergence, differences, error, driver, durationMs, createdAt } =
        replay
      await sql.rows(put, [
        tenant,
        id,
        session,
        kind,
        state,
        frames.matched,
        frames.total,
        frames.fidelity,
        identical,
        firstDivergence && JSON.stringify(firstDivergence),
        JSON.stringify(differences),
        error && JSON.stringify(error),
        driver,
        durationMs,
        createdAt,
      ])
    },
    findReplay: async (tenant, id) => {
      const [row] = await sql.rows<StoredReplay>(find, [tenant, id])
      return row ? toReplay(row) : null
    },
    listReplays: async (tenant, session) => (await sql.rows<StoredReplay>(list, [tenant, session])).map(toReplay),
  }
}

function toReplay(row: StoredReplay): Replay {
  const { frames_matched, frames_total, fidelity, first_divergence, duration_ms, created_at, ...rest } = row
  return {
    ...rest,
    frames: { matched: frames_matched, total: frames_total, fidelity },
    firstDivergence: first_divergence,
    durationMs: duration_ms,
    createdAt: created_at,
  }
}
