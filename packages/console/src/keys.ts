import { useEffect, useRef, useSyncExternalStore } from 'react'

export interface Key {
  /** As `KeyboardEvent.key`, or two in a row with a space between: `g s`. */
  keys: string
  text: string
  run: () => void
}

interface Group {
  title: string
  keys: readonly Key[]
}

const groups = new Set<{ current: Group }>()
const watchers = new Set<() => void>()
let shown: readonly Group[] = []
let pending = ''
let pendingUntil = 0
const sequenceMs = 1_200

function changed(): void {
  shown = [...groups].map(group => group.current)
  for (const watcher of watchers) watcher()
}

/** Keys of a page or part, for as long as it is on screen. They never fire in text fields or under a dialog. */
export function useKeys(title: string, keys: readonly Key[]): void {
  const group = useRef<Group>({ title, keys })
  useEffect(() => {
    group.current = { title, keys }
  })
  useEffect(() => {
    groups.add(group)
    changed()
    return () => {
      groups.delete(group)
      changed()
    }
  }, [])
}

/** Every key that does something now, for the help window. */
export function useAllKeys(): readonly Group[] {
  return useSyncExternalStore(
    watcher => {
      watchers.add(watcher)
      return () => watchers.delete(watcher)
    },
    () => shown,
  )
}

/** One listener for the whole console. The part mounted last wins. */
export function listenForKeys(): () => void {
  document.addEventListener('keydown', onKey)
  return () => document.removeEventListener('keydown', onKey)
}

function onKey(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return
  if (isTyping(event.target) || document.querySelector('[role=dialog], [role=alertdialog]')) return
  const inSequence = performance.now() < pendingUntil ? `${pending} ${event.key}` : ''
  pending = ''
  pendingUntil = 0
  const all = [...groups].toReversed().flatMap(group => group.current.keys)
  const hit = all.find(key => key.keys === inSequence) ?? all.find(key => key.keys === event.key)
  if (hit) {
    event.preventDefault()
    hit.run()
  } else if (all.some(key => key.keys.startsWith(`${event.key} `))) {
    pending = event.key
    pendingUntil = performance.now() + sequenceMs
  }
}

function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false
  return target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)
}
