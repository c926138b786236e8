import type { ReactNode } from 'react'

/** Names and values in two columns, or in a row. */
export function Facts({ row = false, children }: { row?: boolean; children: ReactNode }) {
  return <dl className={row ? 'facts facts-row' : 'facts'}>{children}</dl>
}

export function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}
