import { routeTable } from 'virtual:route-table'
import type { BodyOf, ParamsOf, Problem, QueryOf, ReplyOf, RouteName, Routes } from '@maestro/contract'

/** What the API answered instead of success. The problem holds code, sentence, hint and request id. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly problem: Problem

  constructor(problem: Problem) {
    super(problem.detail)
    this.problem = problem
  }
}

export interface Ask<N extends RouteName> {
  params?: ParamsOf<Routes[N]>
  query?: QueryOf<Routes[N]>
  body?: BodyOf<Routes[N]>
  signal?: AbortSignal
}

let onSignedOut = () => {}

/** The shell listens here: a 401 of any call means that the cookie is gone. */
export function whenSignedOut(listener: () => void): void {
  onSignedOut = listener
}

/** Calls a route of the contract and answers with its reply. Throws `ApiError`. */
export async function call<N extends RouteName>(name: N, ask: Ask<N> = {}): Promise<ReplyOf<Routes[N]>> {
  const response = await openRoute(name, ask)
  const text = await response.text()
  return (text === '' ? {} : JSON.parse(text)) as ReplyOf<Routes[N]>
}

/** The same, with the body left unread, for routes that stream or send bytes. Throws `ApiError`. */
export async function openRoute<N extends RouteName>(name: N, ask: Ask<N> = {}): Promise<Response> {
  const { method } = routeTable[name]
  let response: Response
  try {
    response = await fetch(pathOf(name, ask), {
      method,
      credentials: 'same-origin',
      ...(ask.body === undefined ? {} : { body: JSON.stringify(ask.body), headers: { 'content-type': 'application/json' } }),
      ...(ask.signal ? { signal: ask.signal } : {}),
    })
  } catch (cause) {
    if (ask.signal?.aborted) throw cause
    throw new ApiError(unreachable)
  }
  if (response.ok) return response
  const problem = await problemIn(response)
  if (response.status === 401 && name !== 'signIn') onSignedOut()
  throw new ApiError(problem)
}

/** The path of a route with its parameters and query put in. */
export function pathOf<N extends RouteName>(name: N, ask: Pick<Ask<N>, 'params' | 'query'> = {}): string {
  const params = (ask.params ?? {}) as Record<string, string>
  const path = routeTable[name].path.replace(/:(\w+)/g, (_, key: string) => encodeURIComponent(params[key] ?? ''))
  const query = new URLSearchParams()
  for (const [key, value] of Object.entries(ask.query ?? {})) {
    if (value !== undefined && value !== '') query.set(key, String(value))
  }
  return query.size ? `${path}?${query}` : path
}

const unreachable: Problem = {
  type: '/docs/reference/errors#conductor_unreachable',
  title: 'conductor unreachable',
  status: 503,
  code: 'conductor_unreachable',
  detail: 'Conductor does not answer.',
  hint: 'Start it with `maestro up`. This page tries again by itself.',
  retry: 'later',
  request_id: '',
}

// A proxy in between may answer with a page of its own.
async function problemIn(response: Response): Promise<Problem> {
  const body: unknown = await response.json().catch(() => null)
  if (body !== null && typeof body === 'object' && 'code' in body && 'detail' in body) return body as Problem
  return {
    ...unreachable,
    title: `HTTP ${response.status}`,
    status: response.status,
    code: 'internal',
    detail: `The answer was HTTP ${response.status} and not one of Conductor’s.`,
    hint: 'Is a proxy between this page and Conductor?',
    request_id: response.headers.get('x-request-id') ?? '',
  }
}
