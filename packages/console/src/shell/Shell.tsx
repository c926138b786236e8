import { useQuery, useQueryClient } from '@tanstack/react-query'
import { Link, Outlet, useNavigate } from '@tanstack/react-router'
import { Cable, CircleGauge, Keyboard, List, Package, ScrollText, Search } from 'lucide-react'
import { lazy, Suspense, useEffect, useState } from 'react'
import { useLive } from '../api/live.ts'
import { queries } from '../api/queries.ts'
import { listenForKeys, useKeys } from '../keys.ts'
import { Announcer } from '../ui/Announcer.tsx'
import { useZone } from '../ui/zone.ts'
import { LiveSwitch } from './LiveSwitch.tsx'
import { Mark } from './Mark.tsx'
import { RouteAnnouncer } from './RouteAnnouncer.tsx'
import { ThemeToggle } from './ThemeToggle.tsx'
import { ZoneToggle } from './ZoneToggle.tsx'

const Palette = lazy(() => import('./Palette.tsx'))
const KeysHelp = lazy(() => import('./KeysHelp.tsx'))

export const places = [
  { to: '/', text: 'Overview', keys: 'g o', Icon: CircleGauge },
  { to: '/sessions', text: 'Sessions', keys: 'g s', Icon: List },
  { to: '/deployments', text: 'Deployments', keys: 'g d', Icon: Package },
  { to: '/pool', text: 'Pool', keys: 'g p', Icon: Cable },
  { to: '/logs', text: 'Logs', keys: 'g l', Icon: ScrollText },
] as const

const isApple = /mac|iphone|ipad/i.test(navigator.userAgent)

/** Navigation, live connection, windows over the page; the page itself is the outlet. */
export function Shell() {
  const client = useQueryClient()
  const navigate = useNavigate()
  const [over, setOver] = useState<'nothing' | 'palette' | 'keys'>('nothing')
  const status = useQuery(queries.status())
  const zone = useZone()
  useLive(client)
  useEffect(listenForKeys, [])

  useKeys('Everywhere', [
    { keys: '?', text: 'Show all keys', run: () => setOver('keys') },
    ...places.map(place => ({ keys: place.keys, text: `Go to ${place.text}`, run: () => void navigate({ to: place.to }) })),
  ])
  useEffect(() => {
    // ⌘K works in text fields too: it is no character.
    const onKey = (event: KeyboardEvent) => {
      if (event.key.toLowerCase() !== 'k' || !(event.metaKey || event.ctrlKey) || event.altKey || event.shiftKey) return
      event.preventDefault()
      setOver(now => (now === 'palette' ? 'nothing' : 'palette'))
    }
    document.addEventListener('keydown', onKey)
    return () => document.removeEventListener('keydown', onKey)
  }, [])

  const close = () => setOver('nothing')
  return (
    <div className="shell">
      <a className="skip" href="#content">
        Skip to content
      </a>
      <header className="rail">
        <Link to="/" className="brand" aria-label="Switchboard, overview">
          <Mark />
          <span>Switchboard</span>
        </Link>
        <button type="button" className="finder" onClick={() => setOver('palette')}>
          <Search size={14} aria-hidden />
          <span>Go to…</span>
          <kbd>{isApple ? '⌘K' : 'Ctrl K'}</kbd>
        </button>
        <nav aria-label="Main">
          <ul>
            {places.map(({ to, text, Icon }) => (
              <li key={to}>
                <Link to={to} activeOptions={{ exact: to === '/', includeSearch: false }}>
                  <Icon size={16} aria-hidden />
                  <span>{text}</span>
                  {to === '/sessions' && Boolean(status.data?.sessionsOpen) && (
                    <span className="rail-count" title="open sessions">
                      {status.data?.sessionsOpen}
                      <span className="only-heard"> open</span>
                    </span>
                  )}
                </Link>
              </li>
            ))}
          </ul>
        </nav>
        <div className="rail-foot">
          <LiveSwitch />
          <div className="rail-tools">
            <ThemeToggle />
            <ZoneToggle />
            <button
              type="button"
              className="icon-button"
              aria-label="Show all keys"
              title="Keys (?)"
              onClick={() => setOver('keys')}
            >
              <Keyboard size={15} aria-hidden />
            </button>
            <span className="rail-version">{status.data && `v${status.data.version}`}</span>
          </div>
        </div>
      </header>
      {/* Times are text: another zone is another page. */}
      <main id="content" tabIndex={-1} key={zone}>
        <Outlet />
      </main>
      <RouteAnnouncer />
      <Announcer />
      <Suspense>
        {over === 'palette' && <Palette onClose={close} />}
        {over === 'keys' && <KeysHelp onClose={close} />}
      </Suspense>
    </div>
  )
}
