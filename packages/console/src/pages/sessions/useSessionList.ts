import type { Session } from '@maestro/contract'
import { useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { useMemo } from 'react'
import { call } from '../../api/call.ts'
import { given, queries, type SessionFilter, sessionsPerPage } from '../../api/queries.ts'

/**
 * A list that holds still: the pages are fetched once, the newest page is watched beside them. Rows on screen are
 * kept up to date from it; sessions it has and the list has not are counted, and shown when asked for.
 */
export function useSessionList(filter: SessionFilter) {
  const pages = useInfiniteQuery({
    queryKey: ['session-pages', filter],
    queryFn: ({ pageParam, signal }) =>
      call('listSessions', {
        query: { ...given(filter), limit: sessionsPerPage, ...(pageParam ? { before: pageParam } : {}) },
        signal,
      }),
    initialPageParam: null as string | null,
    getNextPageParam: page => page.next,
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
  })
  const head = useQuery(queries.sessions(filter))

  const held = useMemo(() => pages.data?.pages.flatMap(page => page.items) ?? [], [pages.data])
  const fresh = head.data?.items
  const sessions = useMemo(() => {
    if (!fresh) return held
    // Nothing on screen can jump when nothing is on screen.
    if (held.length === 0) return fresh
    const byId = new Map(fresh.map(session => [session.id, session]))
    return held.map(session => byId.get(session.id) ?? session)
  }, [held, fresh])

  // Ids sort by time.
  const newest = sessions[0]?.id
  const newCount = held.length && newest ? (fresh?.filter((session: Session) => session.id > newest).length ?? 0) : 0
  return {
    sessions,
    newCount,
    /** The newest page holds no more than so many; beyond that the count is a lower bound. */
    isNewCountFull: newCount >= sessionsPerPage,
    open: head.data?.open ?? pages.data?.pages[0]?.open ?? 0,
    pages,
    showNew: () => void pages.refetch(),
  }
}
