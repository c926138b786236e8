import './gauge.css'
import type { ReactNode } from 'react'

/** Figures in a row, each with its name and a note. */
export function Gauges({ label, children }: { label?: string; children: ReactNode }) {
  return (
    <dl className="gauges" aria-label={label}>
      {children}
    </dl>
  )
}

interface Props {
  name: string
  value: string
  note?: ReactNode
  tone?: 'bad' | undefined
}

export function Gauge({ name, value, note, tone }: Props) {
  return (
    <div className="gauge">
      <dt>{name}</dt>
      <dd>
        <span className={tone ? `gauge-value ${tone}` : 'gauge-value'}>{value}</span>
        {note && <span className="gauge-note">{note}</span>}
      </dd>
    </div>
  )
}

/** How much of the whole, for the eye; the words beside it say the same. */
export function Meter({ share }: { share: number }) {
  return (
    <span className="meter" aria-hidden="true">
      <i style={{ inlineSize: `${Math.min(100, 100 * share)}%` }} />
    </span>
  )
}
