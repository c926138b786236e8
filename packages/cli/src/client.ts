import {
  type BodyOf,
  ConductorError,
  type ErrorCode,
  errorTable,
  type ParamsOf,
  type QueryOf,
  type ReplyOf,
  type Route,
  type RouteName,
  type Routes,
  routes,
} from '@maestro/contract'
import type { Whereabouts } from './find-conductor.ts'

type Rest<R> = {
  query?: Partial<QueryOf<R>>
} & (keyof ParamsOf<R> extends never ? { params?: undefined } : { params: ParamsOf<R> }) &
  (BodyOf<R> extends null ? { body?: undefined } : { body: BodyOf<R> })

type Given<R> = { [K in keyof Rest<R>]: Rest<R>[K] }

/** The HTTP API, typed by the contract's routes. Calls throw the API's own errors, and `conductor_unreachable` where nobody answers. */
export interface Client {
  readonly at: Whereabouts
  call<N extends RouteName>(name: N, given: Given<Routes[N]>, signal?: AbortSignal): Promise<ReplyOf<Routes[N]>>
  /** The body as it comes, for what streams. */
  stream<N extends RouteName>(name: N, given: Given<Routes[N]>, signal?: AbortSignal): Promise<ReadableStream<Uint8Array>>
}

interface Loose {
  params?: Record<string, unknown> | undefined
  query?: Record<string, unknown> | undefined
  body?: unknown
}

export function createClient(at: Whereabouts): Client {
  async function send(route: Route, { params, query, body }: Loose, signal: AbortSignal | undefined): Promise<Response> {
    const path = route.path.replace(/:(\w+)/g, (_, name: string) => encodeURIComponent(String(params?.[name])))
    const url = new URL(path, at.baseUrl)
    for (const [name, value] of Object.entries(query ?? {})) if (value !== undefined) url.searchParams.set(name, String(value))
    const response = await fetch(url, {
      method: route.method,
      redirect: 'error',
      headers: {
        authorization: `Bearer ${at.operatorKey}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal ? { signal } : {}),
    }).catch(cause => {
      signal?.throwIfAborted()
      throw new ConductorError('conductor_unreachable', `The Conductor at ${at.baseUrl} does not answer.`, { pid: at.pid }, cause)
    })
    if (!response.ok) throw problemFrom(response.status, await response.text())
    return response
  }
  return {
    at,
    call: async (name, given, signal) => {
      const response = await send(routes[name] as Route, given as Loose, signal)
      const route = routes[name] as Route
      if (route.produces === 'bytes') return new Uint8Array(await response.arrayBuffer()) as never
      const text = await response.text()
      return (text === '' ? {} : JSON.parse(text)) as never
    },
    stream: async (name, given, signal) => {
      const { body } = await send(routes[name] as Route, given as Loose, signal)
      return body ?? new ReadableStream({ start: controller => controller.close() })
    },
  }
}

/** The API's problem as the error it was. Untrusted: what answers on that port may be something else altogether. */
export function problemFrom(status: number, text: string): ConductorError {
  try {
    const { code, detail, request_id: requestId } = JSON.parse(text) as Record<string, unknown>
    if (typeof code === 'string' && Object.hasOwn(errorTable, code)) {
      const facts = typeof requestId === 'string' ? { request_id: requestId } : undefined
      return new ConductorError(code as ErrorCode, String(detail), facts)
    }
  } catch {
    // Said below.
  }
  return new ConductorError('conductor_unreachable', `What answers there is no Conductor: HTTP ${status}.`)
}
