import { useQuery } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useDeferredValue, useId, useMemo, useState } from 'react'
import { type Action, useAllActions } from '../actions.ts'
import { queries } from '../api/queries.ts'
import Dialog from '../ui/Dialog.tsx'
import { places } from './Shell.tsx'

const shownMax = 40

/** Go to a page, a deployment, a session, or do what the page behind offers. */
export default function Palette({ onClose }: { onClose: () => void }) {
  const navigate = useNavigate()
  const offered = useAllActions()
  const [typed, setTyped] = useState('')
  const [cursor, setCursor] = useState(0)
  const listId = useId()
  const search = useDeferredValue(typed.trim())
  const deployments = useQuery(queries.deployments())
  const sessions = useQuery({ ...queries.sessions({ search: search || undefined }, 20), placeholderData: previous => previous })

  const actions = useMemo<Action[]>(() => {
    const all: Action[] = [
      ...offered,
      ...places.map(place => ({ text: place.text, kind: 'Page', run: () => void navigate({ to: place.to }) })),
      { text: 'Deploy a server', kind: 'Action', run: () => void navigate({ to: '/deployments/new' }) },
      { text: 'Open a recording file', kind: 'Action', run: () => void navigate({ to: '/file' }) },
      ...(deployments.data?.items ?? []).map(deployment => ({
        text: deployment.name,
        kind: 'Deployment',
        run: () => void navigate({ to: '/deployments/$id', params: { id: deployment.name } }),
      })),
    ]
    const words = search.toLowerCase().split(/\s+/)
    const matching = all.filter(({ text, kind }) => words.every(word => `${text} ${kind}`.toLowerCase().includes(word)))
    // Sessions were searched by the server, in more fields than their line shows.
    const found = (sessions.data?.items ?? []).map(session => ({
      text: `${session.deploymentName} · ${session.client ?? session.subject} · ${session.id}`,
      kind: 'Session',
      run: () => void navigate({ to: '/sessions/$id', params: { id: session.id } }),
    }))
    return [...matching, ...found].slice(0, shownMax)
  }, [offered, deployments.data, sessions.data, search, navigate])

  const at = Math.min(cursor, actions.length - 1)
  function act(action: Action | undefined) {
    if (!action) return
    onClose()
    action.run()
  }
  function onKey(event: React.KeyboardEvent) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
    if (step) {
      event.preventDefault()
      setCursor((at + step + actions.length) % Math.max(actions.length, 1))
    } else if (event.key === 'Enter') {
      event.preventDefault()
      act(actions[at])
    }
  }
  return (
    <Dialog title="Go to" onClose={onClose}>
      <input
        className="palette-field"
        role="combobox"
        aria-label="Page, deployment, session or action"
        aria-expanded={actions.length > 0}
        aria-controls={listId}
        aria-activedescendant={actions.length ? `${listId}-${at}` : undefined}
        aria-autocomplete="list"
        placeholder="Page, deployment, session or action"
        value={typed}
        autoFocus
        spellCheck={false}
        onChange={event => {
          setTyped(event.target.value)
          setCursor(0)
        }}
        onKeyDown={onKey}
      />
      <div role="listbox" id={listId} aria-label="Matches" className="palette-list">
        {actions.map((action, index) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the field above holds the focus and handles the keys
          <div
            role="option"
            id={`${listId}-${index}`}
            key={`${action.kind} ${action.text}`}
            aria-selected={index === at}
            tabIndex={-1}
            ref={index === at ? element => element?.scrollIntoView({ block: 'nearest' }) : undefined}
            onClick={() => act(action)}
          >
            <span>{action.text}</span>
            <span className="palette-kind">{action.kind}</span>
          </div>
        ))}
      </div>
      {actions.length === 0 && (
        <p className="hint">Nothing is called so. Sessions are found by id, client, subject or deployment.</p>
      )}
    </Dialog>
  )
}
