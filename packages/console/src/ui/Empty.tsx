import type { ReactNode } from 'react'
import { Commands } from './Problem.tsx'

export interface Emptiness {
  /** What would be here. */
  title: string
  /** Why there is nothing. */
  body: string
  /** The one thing to do about it. */
  action?: ReactNode
}

export function Empty({ title, body, action }: Emptiness) {
  return (
    <div className="empty">
      <svg width="56" height="24" viewBox="0 0 56 24" aria-hidden="true">
        <circle cx="12" cy="12" r="6" />
        <circle cx="44" cy="12" r="6" strokeDasharray="3 3" />
        <path d="M18 12h20" strokeDasharray="1 4" />
      </svg>
      <p className="empty-title">{title}</p>
      <p>
        <Commands text={body} />
      </p>
      {action}
    </div>
  )
}
