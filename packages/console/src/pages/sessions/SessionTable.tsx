import type { Session } from '@maestro/contract'
import { sessionColumns } from './sessionColumns.tsx'

/** A handful of sessions, all rendered. The sessions page has its own, for any number. */
export function SessionTable({ sessions, label, without = [] }: { sessions: Session[]; label: string; without?: string[] }) {
  const columns = sessionColumns.filter(column => !without.includes(column.head))
  return (
    <div className="table-scroll">
      <table aria-label={label}>
        <thead>
          <tr>
            {columns.map(({ head, kind }) => (
              <th key={head} scope="col" className={kind}>
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {sessions.map(session => (
            <tr key={session.id}>
              {columns.map(({ head, kind, cell }) => (
                <td key={head} className={kind}>
                  {cell(session)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
