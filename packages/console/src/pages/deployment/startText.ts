import type { Start, StartKind } from '@maestro/contract'
import { duration } from '../../ui/format.ts'

/** What people call the ways to start. */
export const startKinds: Record<StartKind, string> = { plain: 'plain', 'one-file': 'one file', snapshot: 'V8 snapshot' }

/** How its sandboxes start, and how long that took when it was compared. */
export function startText({ state, kind, measuredMs }: Start): string {
  const ms = measuredMs[kind]
  const text = ms === undefined ? startKinds[kind] : `${startKinds[kind]}, ${duration(ms)}`
  return state === 'preparing' ? `${text}; a faster one is being prepared` : text
}
