import { useSyncExternalStore } from 'react'
import { ago, exact } from './format.ts'

/** One clock for all relative times on screen. */
const ticks = new Set<() => void>()
let now = Date.now()
setInterval(() => {
  now = Date.now()
  for (const tick of ticks) tick()
}, 5_000)

function watch(tick: () => void): () => void {
  ticks.add(tick)
  return () => ticks.delete(tick)
}

/** A moment as `2 min ago`, with the exact local time on hover. */
export function Ago({ at }: { at: number }) {
  useSyncExternalStore(watch, () => now)
  return (
    <time dateTime={new Date(at).toISOString()} title={exact(at)}>
      {ago(at, Math.max(now, at))}
    </time>
  )
}
