import { type ReactNode, useEffect } from 'react'

interface Props {
  title: string
  /** What stands over the title: the way back up. */
  above?: ReactNode
  /** Beside the title: state, badges. */
  beside?: ReactNode
  actions?: ReactNode
  /** Fills the window and scrolls inside, for lists and panels. */
  fill?: boolean
  children: ReactNode
}

/** Heading, actions, content. The heading takes the focus when the page changes; see `RouteAnnouncer`. */
export function Page({ title, above, beside, actions, fill = false, children }: Props) {
  useEffect(() => {
    document.title = `${title} · Switchboard`
  }, [title])
  return (
    <div className={fill ? 'page page-fill' : 'page'}>
      <header className="page-head">
        <div>
          {above && <div className="page-above">{above}</div>}
          <div className="page-title">
            <h1 tabIndex={-1}>{title}</h1>
            {beside}
          </div>
        </div>
        {actions && <div className="page-actions">{actions}</div>}
      </header>
      {children}
    </div>
  )
}
