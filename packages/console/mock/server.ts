/**
 * Conductor's API with sample data and no Conductor: for looking at the console and for its tests.
 * Run with `node mock/server.ts [--port 8470] [--empty]`, then open the URL it prints.
 */
import { readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ConductorError, type ErrorCode, type Limits, problemOf, type Session } from '@maestro/contract'
import { type MockWorld, makeWorld } from './world.ts'

export const operatorKey = 'sample-operator-key'
export const cookie = 'maestro_console=sample'
const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
}
// As strict as Conductor's own, so that what breaks there breaks here.
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

export interface Mock {
  origin: string
  world: MockWorld
  /** Sends a hint to every console that listens. */
  hint(kind: 'session' | 'deployment' | 'pool' | 'replay', id: string): void
  log(entry: { level: 'info' | 'warn' | 'error'; event: string; [fact: string]: unknown }): void
  close(): Promise<void>
}

export async function startMock({
  port = 0,
  isEmpty = false,
  dist = fileURLToPath(new URL('../dist', import.meta.url)),
} = {}): Promise<Mock> {
  const listeners = { events: new Set<ServerResponse>(), logs: new Set<ServerResponse>() }
  const entries: Record<string, unknown>[] = []
  const server = createServer((request, response) => {
    answer(request, response).catch(error => {
      const known = error instanceof ConductorError ? error : new ConductorError('internal', String(error))
      const problem = problemOf(known, 'req_0mh0sample0000000001')
      if (!response.headersSent) send(response, problem, problem.status)
      else response.end()
    })
  })
  await new Promise<void>(resolve => server.listen(port, '127.0.0.1', resolve))
  const origin = originOf(server)
  const world = makeWorld(Date.now(), origin, isEmpty)

  function hint(kind: string, id: string): void {
    for (const response of listeners.events) response.write(`event: ${kind}\ndata: ${JSON.stringify({ kind, id })}\n\n`)
  }
  function log(entry: Record<string, unknown>): void {
    const full = { at: Date.now(), ...entry }
    entries.push(full)
    for (const response of listeners.logs) response.write(`${JSON.stringify(full)}\n`)
  }
  for (let index = 0; index < (isEmpty ? 0 : 60); index++) {
    const session = world.sessions[index]
    log({
      at: Date.now() - (60 - index) * 4_000,
      level: 'info',
      event: 'lease.granted',
      session: session?.id,
      waitMs: 0.4,
      warm: true,
    })
    if (index % 11 === 3)
      log({
        at: Date.now() - (60 - index) * 4_000,
        level: 'warn',
        event: 'server.stderr',
        session: session?.id,
        text: 'rate limit near',
      })
    if (index % 23 === 5)
      log({
        at: Date.now() - (60 - index) * 4_000,
        level: 'error',
        event: 'sandbox.start_failed',
        deployment: 'broken',
        code: 'sandbox_crashed',
      })
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', origin)
    const path = url.pathname
    const parts = path.split('/').filter(Boolean)
    if (parts[0] === 'console' || path === '/') return serveFile(dist, path, response)
    if (parts[0] === 'mcp') return answerMcp(request, response)
    if (path === '/v1/sign-in') {
      const { key } = (await bodyOf(request)) as { key?: string }
      if (key !== operatorKey) throw new ConductorError('operator_required', 'This is not the operator key.')
      response.setHeader('set-cookie', `${cookie}; Path=/; HttpOnly; SameSite=Strict`)
      return send(response, {})
    }
    if (!request.headers.cookie?.includes(cookie)) {
      throw new ConductorError('operator_required', 'This call needs the operator key or a console sign-in.')
    }
    const route = `${request.method} ${parts
      .slice(1)
      .map((part, index) => (index === 1 ? ':id' : part))
      .join('/')}`
    const id = decodeURIComponent(parts[2] ?? '')
    switch (route) {
      case 'GET status':
        return send(response, world.status())
      case 'GET pool':
        return send(response, world.pool())
      case 'GET deployments':
        return send(response, { items: world.deployments })
      case 'GET deployments/:id':
        return send(response, findDeployment(id))
      case 'DELETE deployments/:id':
        world.deployments.splice(world.deployments.indexOf(findDeployment(id)), 1)
        hint('deployment', id)
        return send(response, {})
      case 'POST deployments': {
        const body = (await bodyOf(request)) as {
          source: string
          name?: string
          egress?: string[]
          egressRecord?: boolean
          args?: string[]
          limits?: Limits
        }
        log({ level: 'info', event: 'release.installing', source: body.source })
        await new Promise(resolve => setTimeout(resolve, 900))
        if (body.source.includes('missing')) throw new ConductorError('package_not_found', `npm has no package ${body.source}.`)
        const [name = 'server', version = '1.0.0'] = body.source.replace(/^@/, '').split('@')
        const made = world.deployment(body.name ?? name.split(/[/:]/).at(-1) ?? name, world.release(name, version), {
          env: {},
          egress: body.egress ?? [],
          egressRecord: body.egressRecord ?? false,
          args: body.args ?? [],
          limits: body.limits ?? {},
        })
        world.deployments.push(made)
        hint('deployment', made.id)
        return send(response, { deployment: made, installed: true, changed: true })
      }
      case 'GET sessions':
        return send(response, listSessions(url.searchParams))
      case 'GET sessions/:id':
        return send(response, findSession(id))
      case 'DELETE sessions/:id': {
        const session = findSession(id)
        Object.assign(session, { state: 'closed', closeReason: 'operator', closedAt: Date.now() })
        world.tapes.get(id)?.end('operator')
        hint('session', id)
        return send(response, session)
      }
      case 'GET sessions/:id/recording':
        response.writeHead(200, {
          'content-type': 'application/octet-stream',
          'content-disposition': `attachment; filename="${findSession(id).id}.mcrec"`,
        })
        response.end(world.tapes.get(id)?.bytes())
        return
      case 'GET sessions/:id/replays':
        return send(response, { items: world.replays.get(findSession(id).id) ?? [] })
      case 'POST sessions/:id/replays': {
        await new Promise(resolve => setTimeout(resolve, 700))
        const session = findSession(id)
        const replay = world.addReplay(session, session.deploymentName !== 'everything')
        hint('replay', replay.id)
        return send(response, replay)
      }
      case 'POST tokens': {
        const body = (await bodyOf(request)) as { deployment: string }
        return send(response, {
          token: `eyJhbGciOiJFZERTQSJ9.${Buffer.from(body.deployment).toString('base64url')}.sample`,
          mcpUrl: findDeployment(body.deployment).mcpUrl,
          expiresAt: Date.now() + 900_000,
        })
      }
      case 'GET secrets':
        return send(response, { items: [{ name: 'github', updatedAt: Date.now() - 86_400_000 }] })
      case 'GET logs': {
        response.writeHead(200, { 'content-type': 'application/x-ndjson' })
        const limit = Number(url.searchParams.get('limit') ?? 200)
        const session = url.searchParams.get('session')
        const wanted = entries.filter(entry => !session || entry['session'] === session)
        for (const entry of limit ? wanted.slice(-limit) : []) response.write(`${JSON.stringify(entry)}\n`)
        response.flushHeaders()
        if (url.searchParams.get('follow') !== 'true') response.end()
        else listen(listeners.logs, response)
        return
      }
      case 'GET events':
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        response.write(': connected\n\n')
        listen(listeners.events, response)
        return
    }
    throw new ConductorError('not_found', `There is no ${request.method} ${path}.`)
  }

  function findDeployment(idOrName: string) {
    const found = world.deployments.find(item => item.id === idOrName || item.name === idOrName)
    if (!found)
      throw new ConductorError('deployment_not_found' satisfies ErrorCode, `There is no deployment ${JSON.stringify(idOrName)}.`)
    return found
  }
  function findSession(id: string): Session {
    const found = world.sessions.find(session => session.id === id)
    if (!found) throw new ConductorError('session_not_found', `There is no session ${JSON.stringify(id)}.`)
    return found
  }
  function listSessions(query: URLSearchParams) {
    const limit = Number(query.get('limit') ?? 50)
    const before = query.get('before')
    const search = query.get('search')?.toLowerCase()
    const matching = world.sessions.filter(
      session =>
        (!before || session.id < before) &&
        (!query.get('state') || session.state === query.get('state')) &&
        (!query.get('deployment') || [session.deployment, session.deploymentName].includes(query.get('deployment')!)) &&
        (!search ||
          `${session.id} ${session.client} ${session.subject} ${session.deploymentName}`.toLowerCase().includes(search)),
    )
    const items = matching.slice(0, limit)
    return { items, next: matching.length > limit ? items.at(-1)!.id : null, open: world.status().sessionsOpen }
  }
  /** A server that answers `initialize` as JSON and `tools/call` as a stream, so that the console meets both. */
  async function answerMcp(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method === 'DELETE') return void response.writeHead(204).end()
    const message = (await bodyOf(request)) as { id?: number; method: string; params: { name: string; arguments: unknown } }
    if (!request.headers.authorization?.startsWith('Bearer ')) {
      throw new ConductorError('capability_missing', 'This needs a token.')
    }
    if (message.method === 'initialize') {
      const session = world.addSession(world.deployments[0]!, -1_000, { subject: 'console', client: 'switchboard 1' })
      hint('session', session.id)
      // As Conductor does: the id, and a secret that the id alone does not give away.
      response.setHeader('mcp-session-id', `${session.id}.0123456789abcdef`)
      return send(response, {
        jsonrpc: '2.0',
        id: message.id,
        result: { protocolVersion: '2025-11-25', capabilities: {}, serverInfo: { name: 'mock', version: '1' } },
      })
    }
    if (message.method !== 'tools/call') return void response.writeHead(202).end()
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const say = (data: unknown) => response.write(`event: message\ndata: ${JSON.stringify(data)}\n\n`)
    say({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 'try', progress: 1, total: 2 } })
    const result = {
      content: [{ type: 'text', text: `Called ${message.params.name}.` }],
      structuredContent: { arguments: message.params.arguments },
    }
    say({ jsonrpc: '2.0', id: message.id, result })
    response.end()
  }

  return {
    origin,
    world,
    hint,
    log,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function listen(listeners: Set<ServerResponse>, response: ServerResponse): void {
  listeners.add(response)
  response.on('close', () => listeners.delete(response))
}

async function serveFile(dist: string, path: string, response: ServerResponse): Promise<void> {
  const inside = normalize(path.replace(/^\/console\/?/, '')).replace(/^(\.\.[/\\])+/, '')
  const headers = { 'content-security-policy': policy, 'x-content-type-options': 'nosniff' }
  const known = types[extname(inside)]
  try {
    const bytes = await readFile(join(dist, known ? inside : 'index.html'))
    response.writeHead(200, { ...headers, 'content-type': known ?? types['.html']! }).end(bytes)
  } catch {
    response.writeHead(known ? 404 : 503, { 'content-type': 'text/plain' }).end('Build the console first: npm run build.\n')
  }
}

function send(response: ServerResponse, body: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return chunks.length ? JSON.parse(Buffer.concat(chunks).toString()) : null
}

function originOf(server: Server): string {
  const address = server.address()
  return `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`
}

if (import.meta.main) {
  const flag = process.argv.indexOf('--port')
  const mock = await startMock({
    port: flag > 0 ? Number(process.argv[flag + 1]) : 8470,
    isEmpty: process.argv.includes('--empty'),
  })
  process.stdout.write(`Mock, with sample data: ${mock.origin}/console/#key=${operatorKey}\n`)
  // Something happens now and then, so that the live parts can be seen.
  setInterval(() => {
    if (process.argv.includes('--empty')) return
    const session = mock.world.addSession(mock.world.github, 0, { subject: 'mock' })
    mock.hint('session', session.id)
    mock.log({ level: 'info', event: 'session.closed', session: session.id })
  }, 20_000)
}
