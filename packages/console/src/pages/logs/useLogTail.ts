import type { LogEntry } from '@maestro/contract'
import { useEffect, useRef, useState } from 'react'
import { followLogs } from '../../api/followLogs.ts'

export interface NumberedEntry {
  /** In the order of arrival; a key for rows. */
  number: number
  entry: LogEntry
}

export type TailState = { is: 'connecting' } | { is: 'following' } | { is: 'away'; error: unknown }

const keptMax = 10_000
const gatherMs = 120
const retryMs = 3_000

/** The end of the log, live. While paused, entries are kept aside and counted. */
export function useLogTail(session: string | undefined, paused: boolean) {
  const [entries, setEntries] = useState<readonly NumberedEntry[]>([])
  const [state, setState] = useState<TailState>({ is: 'connecting' })
  const [held, setHeld] = useState(0)
  const arrived = useRef<NumberedEntry[]>([])
  const isPaused = useRef(paused)
  isPaused.current = paused

  useEffect(() => {
    const gone = new AbortController()
    let number = 0
    setEntries([])
    arrived.current = []

    // A flood of entries is put on screen a few times a second, not one by one.
    const timer = setInterval(() => {
      if (isPaused.current) {
        setHeld(arrived.current.length)
        return
      }
      setHeld(0)
      if (arrived.current.length === 0) return
      const more = arrived.current
      arrived.current = []
      setEntries(now => [...now, ...more].slice(-keptMax))
    }, gatherMs)

    async function follow() {
      let isFirst = true
      while (!gone.signal.aborted) {
        try {
          const limit = isFirst ? 500 : 0
          setState({ is: isFirst ? 'connecting' : 'following' })
          const query = session ? { session, limit } : { limit }
          const tail = followLogs(query, gone.signal)
          setState({ is: 'following' })
          for await (const entry of tail) {
            isFirst = false
            arrived.current.push({ number: number++, entry })
            if (arrived.current.length > keptMax) arrived.current.shift()
          }
          setState({ is: 'away', error: new Error('The stream ended.') })
        } catch (error) {
          if (gone.signal.aborted) return
          setState({ is: 'away', error })
        }
        await new Promise(resolve => setTimeout(resolve, retryMs))
      }
    }
    void follow()
    return () => {
      gone.abort()
      clearInterval(timer)
    }
  }, [session])

  return { entries, held, state, clear: () => setEntries([]) }
}
