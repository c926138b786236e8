import { useSyncExternalStore } from 'react'

export const themes = ['system', 'light', 'dark'] as const
export type Theme = (typeof themes)[number]

const remembered = 'switchboard.theme'
const watchers = new Set<() => void>()
let theme: Theme = themes.find(name => name === localStorage.getItem(remembered)) ?? 'system'

function apply(): void {
  if (theme === 'system') delete document.documentElement.dataset['theme']
  else document.documentElement.dataset['theme'] = theme
}
apply()

export function setTheme(next: Theme): void {
  theme = next
  localStorage.setItem(remembered, next)
  apply()
  for (const watcher of watchers) watcher()
}

function watch(watcher: () => void): () => void {
  watchers.add(watcher)
  return () => watchers.delete(watcher)
}

export function useTheme(): Theme {
  return useSyncExternalStore(watch, () => theme)
}
