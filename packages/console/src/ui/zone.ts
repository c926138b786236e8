import { useSyncExternalStore } from 'react'

export type Zone = 'local' | 'utc'

const remembered = 'switchboard.zone'
const watchers = new Set<() => void>()
let zone: Zone = localStorage.getItem(remembered) === 'utc' ? 'utc' : 'local'

/** In which time zone exact times are shown. */
export const zoneNow = (): Zone => zone

export function setZone(next: Zone): void {
  zone = next
  localStorage.setItem(remembered, next)
  for (const watcher of watchers) watcher()
}

function watch(watcher: () => void): () => void {
  watchers.add(watcher)
  return () => watchers.delete(watcher)
}

export function useZone(): Zone {
  return useSyncExternalStore(watch, zoneNow)
}
