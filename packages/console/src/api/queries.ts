import type { Session } from '@maestro/contract'
import { queryOptions } from '@tanstack/react-query'
import { call, openRoute } from './call.ts'

export interface SessionFilter {
  deployment?: string | undefined
  state?: string | undefined
  search?: string | undefined
}

export const sessionsPerPage = 50

/** One entry per noun of the API. Keys start with the noun, so that a hint can name what is stale. */
export const queries = {
  status: () =>
    queryOptions({ queryKey: ['status'], queryFn: ({ signal }) => call('getStatus', { signal }), refetchInterval: 5_000 }),

  deployments: () => queryOptions({ queryKey: ['deployments'], queryFn: ({ signal }) => call('listDeployments', { signal }) }),

  deployment: (id: string) =>
    queryOptions({
      queryKey: ['deployments', id],
      queryFn: ({ signal }) => call('getDeployment', { params: { id }, signal }),
      refetchInterval: ({ state }) => (state.data?.start?.state === 'preparing' ? 3_000 : false),
    }),

  pool: () => queryOptions({ queryKey: ['pool'], queryFn: ({ signal }) => call('getPool', { signal }), refetchInterval: 5_000 }),

  /** The newest page; live. */
  sessions: (filter: SessionFilter, limit = sessionsPerPage) =>
    queryOptions({
      queryKey: ['sessions', filter, limit],
      queryFn: ({ signal }) => call('listSessions', { query: { ...given(filter), limit }, signal }),
    }),

  session: (id: string) =>
    queryOptions({ queryKey: ['session', id], queryFn: ({ signal }) => call('getSession', { params: { id }, signal }) }),

  /** The bytes of the tape as they are now. A closed session's tape does not change any more. */
  recording: (id: string, state: Session['state'] | undefined) =>
    queryOptions({
      queryKey: ['recording', id],
      queryFn: async ({ signal }) =>
        new Uint8Array(await (await openRoute('getRecording', { params: { id }, signal })).arrayBuffer()),
      enabled: state !== undefined,
      staleTime: state === 'closed' ? Number.POSITIVE_INFINITY : 0,
      structuralSharing: false,
    }),

  replays: (id: string) =>
    queryOptions({ queryKey: ['replays', id], queryFn: ({ signal }) => call('listReplays', { params: { id }, signal }) }),

  secrets: () => queryOptions({ queryKey: ['secrets'], queryFn: ({ signal }) => call('listSecrets', { signal }) }),
}

/** Without what is not set, for exact optional properties. */
export function given<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined && value !== '')) as {
    [K in keyof T]?: Exclude<T[K], undefined>
  }
}
