import { randomUUID } from 'node:crypto'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import {
  type BodyOf,
  ConductorError,
  type ParamsOf,
  type QueryOf,
  type ReplyOf,
  type Route,
  type RouteName,
  type Routes,
  routes,
} from '@maestro/contract'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { replyProblem } from './problem.ts'

export interface Call<R extends Route> {
  params: ParamsOf<R>
  query: QueryOf<R>
  body: BodyOf<R>
  request: FastifyRequest
  reply: FastifyReply
}

/** One function per route. JSON routes return the reply; streaming ones write to `reply` and return it. */
export type Handlers = {
  [K in RouteName]: (
    call: Call<Routes[K]>,
  ) => Routes[K]['produces'] extends 'json' ? Promise<ReplyOf<Routes[K]>> : Promise<FastifyReply>
}

interface Options {
  server(handler: (request: IncomingMessage, response: ServerResponse) => void): Server
  requireOperator(request: FastifyRequest): Promise<void>
  /** Throws `host_denied`, `origin_denied`: DNS rebinding ends here. */
  checkOrigin(request: IncomingMessage): void
}

/** Serves the contract's routes: parse, allow, call, answer. What is in no route is a problem with a code. */
export function createApi(handlers: Handlers, { server, requireOperator, checkOrigin }: Options): FastifyInstance {
  const api = Fastify({
    serverFactory: handler => server(handler),
    genReqId: () => `req_${randomUUID().replaceAll('-', '').slice(0, 20)}`,
    bodyLimit: 1024 * 1024,
    forceCloseConnections: true,
    // A request during shutdown is answered by its handler, or by a problem; not in Fastify's own words.
    return503OnClosing: false,
    ajv: { customOptions: { removeAdditional: false, allErrors: false } },
  })
  api.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id)
    checkOrigin(request.raw)
  })
  // JSON only. An empty body under application/json is how many clients send a POST that needs none.
  api.removeAllContentTypeParsers()
  api.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, text, done) => {
    try {
      done(null, text === '' ? undefined : JSON.parse(text as string))
    } catch (cause) {
      done(new ConductorError('request_malformed', 'The body is not JSON.', {}, cause))
    }
  })
  api.setErrorHandler((error, request, reply) => replyProblem(reply, error, request.id))
  api.setNotFoundHandler((request, reply) =>
    replyProblem(
      reply,
      new ConductorError('not_found', `There is nothing at ${request.method} ${request.url.split('?')[0]}.`),
      request.id,
    ),
  )
  for (const name of Object.keys(routes) as RouteName[]) register(api, routes[name], handlers[name] as never, requireOperator)
  return api
}

function register(
  api: FastifyInstance,
  route: Route,
  handler: (call: Call<Route>) => Promise<unknown>,
  requireOperator: Options['requireOperator'],
): void {
  api.route({
    method: route.method,
    url: route.path,
    schema: { params: route.params, querystring: route.query, ...(isNull(route.body) ? {} : { body: route.body }) },
    // Before the body is parsed: who may not call learns nothing of what would be valid.
    ...(route.access === 'operator' ? { onRequest: request => requireOperator(request) } : {}),
    handler: async (request, reply) => {
      const answer = await handler({ params: request.params, query: request.query, body: request.body, request, reply } as never)
      if (route.produces !== 'json') return answer
      return reply.code(route.status).send(answer ?? {})
    },
  })
}

const isNull = (schema: unknown): boolean => (schema as { type?: string }).type === 'null'
