import { idKey, progressTokenAskedBy, type RpcId } from './message.ts'

/** The requests one side has asked and not had answered. Every step is constant time: a hostile tape may open millions. */
export interface OpenRequests<T> {
  ask(id: RpcId, params: unknown, value: T): void
  /** Removes and returns the oldest of this id: in the stateless era two requests of one trace may bear the same one. */
  answer(id: RpcId): T | undefined
  find(id: unknown): T | undefined
  ownerOf(progressToken: unknown): T | undefined
  newest(): T | undefined
  /** The one that is open, where there is exactly one. */
  only(): T | undefined
}

interface Entry<T> {
  value: T
  token: string | null
  closed: boolean
}

export function createOpenRequests<T>(): OpenRequests<T> {
  const byId = new Map<string, { entries: Entry<T>[]; answered: number }>()
  const byToken = new Map<string, Entry<T>>()
  const stack: Entry<T>[] = []
  let count = 0
  const newest = (): T | undefined => {
    while (stack.at(-1)?.closed) stack.pop()
    return stack.at(-1)?.value
  }
  return {
    ask(id, params, value) {
      const token = progressTokenAskedBy(params)
      const entry = { value, token: token === undefined ? null : idKey(token), closed: false }
      const same = byId.get(idKey(id))
      if (same) same.entries.push(entry)
      else byId.set(idKey(id), { entries: [entry], answered: 0 })
      if (entry.token !== null) byToken.set(entry.token, entry)
      stack.push(entry)
      count++
    },
    answer(id) {
      const same = byId.get(idKey(id))
      const entry = same?.entries[same.answered++]
      if (!same || !entry) return undefined
      if (same.answered === same.entries.length) byId.delete(idKey(id))
      if (entry.token !== null && byToken.get(entry.token) === entry) byToken.delete(entry.token)
      entry.closed = true
      count--
      return entry.value
    },
    find(id) {
      const same = byId.get(idKey(id))
      return same?.entries[same.answered]?.value
    },
    ownerOf: token => byToken.get(idKey(token))?.value,
    newest,
    only: () => (count === 1 ? newest() : undefined),
  }
}
