import type { Session } from '@maestro/contract'
import type { Store } from '../store.ts'
import { type Sql, statement } from './sql.ts'

/** Column, its type, and the member of a session it holds. The replay of a session is joined, not stored. */
const columns = [
  ['id', 'text', 'id'],
  ['deployment', 'text', 'deployment'],
  ['deployment_name', 'text', 'deploymentName'],
  ['release', 'text', 'release'],
  ['era', 'text', 'era'],
  ['protocol_version', 'text', 'protocolVersion'],
  ['client', 'text', 'client'],
  ['subject', 'text', 'subject'],
  ['driver', 'text', 'driver'],
  ['warm', 'boolean', 'warm'],
  ['state', 'text', 'state'],
  ['close_reason', 'text', 'closeReason'],
  ['startup_ms', 'double precision', 'startupMs'],
  ['frames', 'bigint', 'frames'],
  ['calls', 'bigint', 'calls'],
  ['errors', 'bigint', 'errors'],
  ['opened_at', 'bigint', 'openedAt'],
  ['closed_at', 'bigint', 'closedAt'],
] as const satisfies [string, string, keyof Session][]

const names = columns.map(([name]) => name)

// A closed session stays closed, whatever comes late.
const put = statement(
  'session.put',
  `insert into maestro.sessions (tenant, ${names.join(', ')})
   select $1, given.* from unnest(${columns.map(([, type], index) => `$${index + 2}::${type}[]`).join(', ')}) as given
   on conflict (tenant, id) do update set ${names
     .slice(1)
     .map(name => `${name} = excluded.${name}`)
     .join(', ')}
   where sessions.state <> 'closed' or excluded.state = 'closed'`,
)

const select = `select ${columns.map(([name, , member]) => `s.${name} as "${member}"`).join(', ')},
    case when r.id is null then null else json_build_object('id', r.id, 'identical', r.identical, 'fidelity', r.fidelity) end as replay
  from maestro.sessions s
  left join lateral (
    select id, identical, fidelity from maestro.replays
    where tenant = s.tenant and session = s.id order by created_at desc, id desc limit 1
  ) r on true`

const find = statement('session.find', `${select} where s.tenant = $1 and s.id = $2`)

const closeOpen = statement(
  'session.close_open',
  `update maestro.sessions set state = 'closed', close_reason = $1, closed_at = greatest(opened_at, $2::bigint) where state <> 'closed'`,
)

/** Rows of one statement; more go in several. */
const batchMax = 500

export function sessionRows(sql: Sql): Pick<Store, 'putSessions' | 'listSessions' | 'findSession' | 'closeOpenSessions'> {
  return {
    putSessions: async (tenant, rows) => {
      // One statement cannot touch a row twice: the last word on a session counts.
      const latest = [...new Map(rows.map(row => [row.id, row])).values()]
      for (let start = 0; start < latest.length; start += batchMax) {
        const batch = latest.slice(start, start + batchMax)
        await sql.rows(put, [tenant, ...columns.map(([, , member]) => batch.map(row => row[member]))])
      }
    },
    listSessions: async (tenant, filter) => {
      const { text, values } = listing(tenant, filter)
      return sql.rows<Session>(text, values)
    },
    findSession: async (tenant, id) => (await sql.rows<Session>(find, [tenant, id]))[0] ?? null,
    closeOpenSessions: (reason, at) => sql.changed(closeOpen, [reason, at]),
  }
}

/** One statement per combination of filters, so that each has its own plan. */
function listing(tenant: string, filter: Parameters<Store['listSessions']>[1]) {
  const values: unknown[] = [tenant]
  const wheres = ['s.tenant = $1']
  const used: string[] = []
  const where = (name: string, condition: (slot: string) => string, value: unknown) => {
    if (value === undefined || value === '') return
    values.push(value)
    used.push(name)
    wheres.push(condition(`$${values.length}`))
  }
  where('deployment', slot => `s.deployment = ${slot}`, filter.deployment)
  where('state', slot => `s.state = ${slot}`, filter.state)
  const pattern = filter.search ? `%${filter.search.replaceAll(/[\\%_]/g, '\\$&')}%` : undefined
  where(
    'search',
    slot => `(s.id ilike ${slot} or s.client ilike ${slot} or s.subject ilike ${slot} or s.deployment_name ilike ${slot})`,
    pattern,
  )
  where(
    'before',
    slot => `(s.opened_at, s.id) < (select b.opened_at, b.id from maestro.sessions b where b.tenant = $1 and b.id = ${slot})`,
    filter.before,
  )
  values.push(filter.limit)
  const text = `${select} where ${wheres.join(' and ')} order by s.opened_at desc, s.id desc limit $${values.length}`
  return { text: statement(`session.list.${used.join('.')}`, text), values }
}
