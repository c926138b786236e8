import { useEffect, useRef, useSyncExternalStore } from 'react'

/** Something the palette can do. */
export interface Action {
  text: string
  /** What kind of thing it is: Page, Deployment, Session, Action. */
  kind: string
  run: () => void
}

const sources = new Set<{ current: readonly Action[] }>()
const watchers = new Set<() => void>()
let shown: readonly Action[] = []

function changed(): void {
  shown = [...sources].toReversed().flatMap(source => source.current)
  for (const watcher of watchers) watcher()
}

/** Actions a page offers in the palette, for as long as it is on screen. */
export function useActions(actions: readonly Action[]): void {
  const source = useRef(actions)
  useEffect(() => {
    source.current = actions
    changed()
  }, [actions])
  useEffect(() => {
    sources.add(source)
    changed()
    return () => {
      sources.delete(source)
      changed()
    }
  }, [])
}

export function useAllActions(): readonly Action[] {
  return useSyncExternalStore(
    watcher => {
      watchers.add(watcher)
      return () => watchers.delete(watcher)
    },
    () => shown,
  )
}
