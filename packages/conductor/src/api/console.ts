import { existsSync } from 'node:fs'
import fastifyStatic from '@fastify/static'
import type { FastifyInstance } from 'fastify'

const contentSecurityPolicy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

/** Serves the built console under /console/. It is a client like any other: files, no rights. */
export function serveConsole(api: FastifyInstance, folder: string): void {
  const built = existsSync(`${folder}/index.html`)
  api.register(async scope => {
    scope.addHook('onSend', async (_request, reply) => {
      reply.header('content-security-policy', contentSecurityPolicy)
      reply.header('x-content-type-options', 'nosniff')
      reply.header('referrer-policy', 'no-referrer')
    })
    if (!built) {
      const explain = 'The console is not built. Run `npm run build` and start again.\n'
      scope.get('/console', (_request, reply) => reply.code(503).type('text/plain').send(explain))
      scope.get('/console/*', (_request, reply) => reply.code(503).type('text/plain').send(explain))
      return
    }
    await scope.register(fastifyStatic, {
      root: folder,
      prefix: '/console/',
      wildcard: false,
      index: 'index.html',
      maxAge: '1h',
      immutable: false,
    })
    scope.get('/console', (_request, reply) => reply.redirect('/console/'))
    // Every page has a link of its own; the router in the page knows what it means.
    scope.get('/console/*', (_request, reply) => reply.sendFile('index.html', { maxAge: 0 }))
    scope.get('/', (_request, reply) => reply.redirect('/console/'))
  })
}
