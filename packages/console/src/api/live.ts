import type { ChangeEvent } from '@maestro/contract'
import type { QueryClient } from '@tanstack/react-query'
import { useEffect, useSyncExternalStore } from 'react'
import { pathOf } from './call.ts'

/** `polling`: the stream of hints is away, so everything shown is fetched again from time to time. */
export type LiveState = 'connecting' | 'live' | 'polling' | 'paused'

/** The stream names each hint by its kind. */
const kinds: readonly ChangeEvent['kind'][] = ['session', 'deployment', 'pool', 'replay']

const gatherMs = 400
const pollMs = 5_000
const retryMs = 10_000

/**
 * Keeps what is on screen fresh. The server says only that something changed; this gathers the hints
 * of a moment and marks the matching queries stale, so that a busy server costs one fetch, not hundreds.
 */
class Live {
  #state: LiveState = 'connecting'
  #client: QueryClient | null = null
  #source: EventSource | null = null
  #pollTimer: ReturnType<typeof setInterval> | undefined
  #retryTimer: ReturnType<typeof setTimeout> | undefined
  #gatherTimer: ReturnType<typeof setTimeout> | undefined
  #hints = new Map<string, ChangeEvent>()
  readonly #watchers = new Set<() => void>()

  get state(): LiveState {
    return this.#state
  }

  watch = (watcher: () => void): (() => void) => {
    this.#watchers.add(watcher)
    return () => this.#watchers.delete(watcher)
  }

  start(client: QueryClient): () => void {
    this.#client = client
    if (this.#state !== 'paused') this.#connect()
    return () => this.#disconnect()
  }

  pause(): void {
    this.#disconnect()
    this.#move('paused')
  }

  resume(): void {
    this.#connect()
    this.#refresh()
  }

  #connect(): void {
    this.#disconnect()
    this.#move('connecting')
    const source = new EventSource(pathOf('getEvents'))
    this.#source = source
    source.onopen = () => {
      const wasAway = this.#state === 'polling'
      this.#stopPolling()
      this.#move('live')
      // What changed while the stream was away was never announced.
      if (wasAway) this.#refresh()
    }
    source.onerror = () => {
      this.#poll()
      // EventSource gives up for good on an HTTP error; a restarted server would never be seen again.
      if (source.readyState === EventSource.CLOSED) this.#retryTimer = setTimeout(() => this.#connect(), retryMs)
    }
    for (const kind of kinds) {
      source.addEventListener(kind, message => {
        const hint = hintIn(message.data)
        if (hint) this.#take(hint)
      })
    }
  }

  #take(hint: ChangeEvent): void {
    this.#hints.set(`${hint.kind} ${hint.id}`, hint)
    this.#gatherTimer ??= setTimeout(() => this.#spread(), gatherMs)
  }

  /** A tape is fetched whole, so a long one is fetched more rarely: a second of rest for each MiB. */
  #isRecordingBusy(id: string): boolean {
    const state = this.#client?.getQueryState<Uint8Array>(['recording', id])
    if (!state?.data) return false
    return state.fetchStatus === 'fetching' || Date.now() - state.dataUpdatedAt < state.data.length / 1024
  }

  #disconnect(): void {
    this.#source?.close()
    this.#source = null
    clearTimeout(this.#retryTimer)
    clearTimeout(this.#gatherTimer)
    this.#gatherTimer = undefined
    this.#hints.clear()
    this.#stopPolling()
  }

  #poll(): void {
    this.#move('polling')
    this.#pollTimer ??= setInterval(() => this.#refresh(), pollMs)
  }

  /** All that is shown, but for the list that holds still until its reader says otherwise. */
  #refresh(): void {
    void this.#client?.invalidateQueries({ predicate: query => query.queryKey[0] !== 'session-pages' })
  }

  #stopPolling(): void {
    clearInterval(this.#pollTimer)
    this.#pollTimer = undefined
  }

  #spread(): void {
    this.#gatherTimer = undefined
    const hints = [...this.#hints.values()]
    this.#hints.clear()
    const stale = (...queryKey: string[]) => void this.#client?.invalidateQueries({ queryKey })
    const changed = new Set(hints.map(hint => hint.kind))
    for (const hint of hints) {
      if (hint.kind !== 'session') continue
      stale('session', hint.id)
      // Kept for the next round: the end of a tape must not be missed because its middle was on the way.
      if (this.#isRecordingBusy(hint.id)) this.#take(hint)
      else stale('recording', hint.id)
    }
    if (changed.has('session') || changed.has('replay')) stale('sessions')
    if (changed.has('session')) stale('status')
    if (changed.has('replay')) {
      stale('replays')
      stale('session')
    }
    if (changed.has('deployment')) stale('deployments')
    if (changed.has('pool') || changed.has('deployment')) stale('pool')
  }

  #move(state: LiveState): void {
    this.#state = state
    for (const watcher of this.#watchers) watcher()
  }
}

function hintIn(data: string): ChangeEvent | null {
  try {
    const hint: unknown = JSON.parse(data)
    return hint !== null && typeof hint === 'object' && 'kind' in hint && 'id' in hint ? (hint as ChangeEvent) : null
  } catch {
    return null
  }
}

export const live = new Live()

export function useLiveState(): LiveState {
  return useSyncExternalStore(live.watch, () => live.state)
}

/** Listens for as long as the caller is on screen. */
export function useLive(client: QueryClient): void {
  useEffect(() => live.start(client), [client])
}
