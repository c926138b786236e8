import type { ChangeEvent } from '@maestro/contract'

/** Hints that something changed. Listeners fetch again what they show; a lost hint costs a moment, never truth. */
export interface Changes {
  tell(event: ChangeEvent): void
  follow(listener: (event: ChangeEvent) => void): () => void
}

export function createChanges(): Changes {
  const listeners = new Set<(event: ChangeEvent) => void>()
  return {
    tell: event => {
      for (const listener of listeners) listener(event)
    },
    follow: listener => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
