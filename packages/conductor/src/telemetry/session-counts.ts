import type { Session } from '@maestro/contract'

/** Counts sessions as they open and close, from the rows the journal is given. */
export class SessionCounts {
  opened = 0
  readonly closed = new Map<string, number>()
  readonly #open = new Set<string>()

  saw({ id, state, closeReason }: Pick<Session, 'id' | 'state' | 'closeReason'>): void {
    if (!this.#open.has(id)) {
      if (state === 'closed') return
      this.#open.add(id)
      this.opened++
    } else if (state === 'closed') {
      this.#open.delete(id)
      const reason = closeReason ?? 'unknown'
      this.closed.set(reason, (this.closed.get(reason) ?? 0) + 1)
    }
  }

  get open(): number {
    return this.#open.size
  }
}
