import { useSyncExternalStore } from 'react'

let message = ''
const watchers = new Set<() => void>()

/** Says a sentence to screen readers without moving the focus. */
export function announce(sentence: string): void {
  // The same sentence twice is no change of the region and would stay unheard.
  message = sentence === message ? `${sentence}\u00a0` : sentence
  for (const watcher of watchers) watcher()
}

function watch(watcher: () => void): () => void {
  watchers.add(watcher)
  return () => watchers.delete(watcher)
}

export function Announcer() {
  const text = useSyncExternalStore(watch, () => message)
  return (
    <div className="only-heard" role="status" aria-live="polite">
      {text}
    </div>
  )
}
