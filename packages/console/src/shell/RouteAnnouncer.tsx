import { useRouterState } from '@tanstack/react-router'
import { useEffect, useRef } from 'react'
import { announce } from '../ui/Announcer.tsx'

/** After a move to another page: says its title and puts the focus on its heading. Changes of the query are no move. */
export function RouteAnnouncer() {
  const path = useRouterState({ select: state => state.resolvedLocation?.pathname })
  const before = useRef<string | undefined>(undefined)
  useEffect(() => {
    if (before.current !== undefined && path !== before.current) {
      // The page sets its title in an effect of its own, which may come with lazily loaded code.
      const timer = setTimeout(() => {
        announce(document.title.replace(' · Switchboard', ''))
        document.querySelector<HTMLElement>('main h1')?.focus({ preventScroll: true })
      }, 50)
      before.current = path
      return () => clearTimeout(timer)
    }
    before.current = path
    return undefined
  }, [path])
  return null
}
