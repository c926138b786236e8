import { chmod, rm, writeFile } from 'node:fs/promises'
import { Agent, createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { TapeEvent } from '@maestro/contract'
import type { World } from '../../world.ts'
import { insideEgress } from '../inside.ts'
import { maskValues } from '../mask-values.ts'
import { parseAuthority, type Target } from './authority.ts'
import { type Connection, Connections } from './connections.ts'
import { dial } from './dial.ts'
import { defaultEgressLimits } from './egress-limits.ts'
import type { EgressRules } from './egress-rules.ts'
import { ExchangeNote } from './exchange-note.ts'
import { expectsTls, readFirstBytes } from './first-bytes.ts'
import { forward, headerText, refuse } from './forward.ts'
import { Gate, type Refusal } from './gate.ts'
import { Interceptor } from './interceptor.ts'
import { createSessionCa } from './session-ca.ts'

export interface EgressOptions {
  /** Unix socket to listen on. */
  path: string
  allow: readonly string[]
  /** Whether HTTP exchanges go on the tape, those inside TLS too. */
  record?: boolean
  /** Of the server: its values are masked in what is recorded. */
  env?: Readonly<Record<string, string>>
  rules: EgressRules
  world: World
  report(event: TapeEvent): void
}

export interface EgressProxy {
  readonly path: string
  /** What makes programs inside use the bridge, and trust the session's CA where there is one. */
  readonly environment: Readonly<Record<string, string>>
  /** File on our side with the certificate of the session's CA, to be put at `insideEgress.ca`. */
  readonly caPath: string | null
  close(): Promise<void>
}

/** The file that leads from the sandbox's loopback to the proxy's socket. */
export const bridgePath = fileURLToPath(new URL('./egress-bridge.cjs', import.meta.url))
const bridgeUrl = 'http://127.0.0.1:3128'
const ownHosts = 'localhost,127.0.0.1,::1'
const bridgeEnvironment = {
  HTTP_PROXY: bridgeUrl,
  HTTPS_PROXY: bridgeUrl,
  http_proxy: bridgeUrl,
  https_proxy: bridgeUrl,
  NO_PROXY: ownHosts,
  no_proxy: ownHosts,
  NODE_USE_ENV_PROXY: '1',
  // Networks that inspect TLS put their certificate into the system's store.
  NODE_USE_SYSTEM_CA: '1',
}
const caEnvironment = {
  NODE_EXTRA_CA_CERTS: insideEgress.ca,
  SSL_CERT_FILE: insideEgress.ca,
  REQUESTS_CA_BUNDLE: insideEgress.ca,
  CURL_CA_BUNDLE: insideEgress.ca,
  PIP_CERT: insideEgress.ca,
  GIT_SSL_CAINFO: insideEgress.ca,
}

/**
 * Opens the forward proxy of one sandbox: CONNECT and absolute-form requests (RFC 9110 §9.3.6, RFC 9112 §3.2.2), each judged anew.
 * Everything from the sandbox is untrusted, and so is everything from the network.
 */
export async function openEgressProxy(options: EgressOptions): Promise<EgressProxy> {
  const { world, rules, report } = options
  const limits = { ...defaultEgressLimits, ...rules.limits }
  const gate = new Gate(world, options.allow, rules)
  const connections = new Connections(world, limits, report)
  const mask = maskValues(options.env ?? {})
  const ca = options.record ? await createSessionCa(world) : null
  const sockets = new Set<Duplex>()
  const keep = <T extends Duplex>(socket: T): T => {
    sockets.add(socket)
    // A connection that breaks is the sandbox's affair; without a listener it would be ours.
    socket.on('error', () => socket.destroy())
    socket.once('close', () => sockets.delete(socket))
    return socket
  }
  const interceptor = ca
    ? new Interceptor({ ca, world, limits, trusted: rules.trusted ?? [], mask, report, dial: dialAgain })
    : null

  const server = createServer(
    {
      maxHeaderSize: limits.headBytesMax,
      headersTimeout: limits.headMsMax,
      requestTimeout: Math.max(limits.lifeMsMax, limits.headMsMax),
      connectionsCheckingInterval: Math.min(1000, limits.headMsMax),
    },
    (request, response) => void pass(request, response).catch(failure => giveUp(request.socket, failure)),
  )
  // A few more than may lead anywhere, so that those are told why they may not.
  server.maxConnections = limits.connectionsMax + 16
  server.on('connection', socket => keep(socket))
  server.on('drop', () => connections.refuse(`denied: limit of ${limits.connectionsMax} connections at once`))
  server.on(
    'connect',
    (request: IncomingMessage, socket: Socket, head: Buffer) =>
      void tunnel(request, socket, head).catch(failure => giveUp(socket, failure)),
  )
  server.on('upgrade', (_request, socket: Duplex) => {
    const outcome = 'denied: upgrade outside of a tunnel'
    connections.refuse(outcome)
    answer(socket, 501, outcome)
  })
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (!socket.writable || error.code === 'ECONNRESET') return void socket.destroy()
    const [status, outcome] = malformed[error.code ?? ''] ?? [400, 'denied: malformed request']
    connections.refuse(outcome)
    answer(socket, status, outcome)
  })

  /** A mistake of ours made for one connection ends that one. */
  function giveUp(socket: Duplex, failure: unknown): void {
    world.log.error('egress.failed', failure)
    socket.destroy()
  }

  async function tunnel(request: IncomingMessage, inner: Socket, head: Buffer): Promise<void> {
    inner.on('error', () => inner.destroy())
    const target = parseAuthority(request.url ?? '')
    const reached = await reach(target)
    if ('status' in reached) return answer(inner, reached.status, reached.outcome)
    const { place, outer } = reached
    if (inner.destroyed) {
      outer.destroy()
      return place.refused('failed: the client went away')
    }
    const end = (reason: string) => {
      place.refused(reason)
      place.ended(reason)
      inner.destroy()
      outer.destroy()
    }
    // It counts as open once something came through: the server's first bytes, or the client's, judged.
    const open = () => place.opened(() => end('cut'))
    outer.setTimeout(limits.idleMsMax, () => end(`limit of ${limits.idleMsMax} ms without a byte`))
    inner.once('close', () => end('closed inside'))
    outer.once('close', () => {
      place.refused('failed: closed outside')
      place.ended('closed outside')
      inner.destroySoon()
    })
    inner.write('HTTP/1.1 200 Connection Established\r\n\r\n')
    const take = (chunk: Buffer) => {
      open()
      place.received(chunk.length)
    }
    const flowIn = () => outer.on('data', take).pipe(inner)
    // Where TLS is expected and ends with us, not a byte of the other side goes in as it is; elsewhere the server may speak first.
    const mustWait = interceptor !== null && expectsTls(target!.port)
    if (!mustWait) flowIn()
    const { opening, bytes } = await readFirstBytes(world, inner, head, target!, limits)
    if (typeof opening !== 'string') return end(opening.denied)
    open()
    if (interceptor && opening !== 'other') {
      outer.off('data', take).unpipe(inner).pause()
      inner.unshift(bytes)
      const failure = await interceptor.takeOver(inner, outer, target!, place, opening === 'tls')
      if (failure !== null) end(failure)
      return
    }
    if (mustWait) flowIn()
    if (bytes.length > 0) {
      place.sent(bytes.length)
      outer.write(bytes)
    }
    inner.on('data', (chunk: Buffer) => place.sent(chunk.length))
    inner.pipe(outer)
  }

  async function pass(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.on('error', () => request.destroy())
    const parsed = parseAbsolute(request.url ?? '')
    const reached = await reach(parsed?.target ?? null)
    if ('status' in reached) {
      request.resume()
      return refuse(response, reached.status, reached.outcome)
    }
    const { place, outer } = reached
    if (response.destroyed) {
      outer.destroy()
      return place.refused('failed: the client went away')
    }
    const { host, path } = parsed!
    place.opened(() => {
      outer.destroy()
      request.socket.destroy()
    })
    outer.setTimeout(limits.idleMsMax, () => {
      place.ended(`limit of ${limits.idleMsMax} ms without a byte`)
      outer.destroy()
    })
    const agent = new Agent({ keepAlive: false })
    agent.createConnection = () => outer
    const note = options.record
      ? new ExchangeNote({ world, request, url: `http://${host}${path}`, connection: place.id, mask, report })
      : null
    forward(request, response, {
      agent,
      host,
      path,
      connection: place,
      headBytesMax: limits.headBytesMax,
      note,
      done: reason => {
        place.ended(reason)
        outer.destroy()
      },
    })
  }

  /** A place, a judgement and a connection, or how to refuse; the tape knows of it then. */
  async function reach(target: Target | null): Promise<{ place: Connection; outer: Socket } | Omit<Refusal, 'ok'>> {
    const place = connections.begin(target)
    if ('denied' in place) return { status: 429, outcome: place.denied }
    const fail = (status: Refusal['status'], outcome: string) => {
      place.refused(outcome)
      return { status, outcome }
    }
    if (!target) return fail(400, 'denied: not a proxy request')
    const judgement = await gate.judge(target)
    if (!judgement.ok) return fail(judgement.status, judgement.outcome)
    const outer = await dial(world, judgement.addresses, target.port)
    if (!outer) return fail(502, 'failed: no connection')
    return { place, outer: keep(outer) }
  }

  async function dialAgain(target: Target): Promise<Socket | string> {
    const judgement = await gate.judge(target)
    if (!judgement.ok) return judgement.outcome
    const outer = await dial(world, judgement.addresses, target.port)
    return outer ? keep(outer) : 'failed: no connection'
  }

  await new Promise<void>((done, fail) => {
    server.once('error', fail)
    server.listen(options.path, done)
  })
  // The server inside is another user; the folder keeps everybody else away from the socket.
  await chmod(options.path, 0o666)
  const caPath = ca ? `${options.path}.ca.pem` : null
  if (ca && caPath) await writeFile(caPath, ca.certificate, { mode: 0o644 })
  return {
    path: options.path,
    environment: ca ? { ...bridgeEnvironment, ...caEnvironment } : bridgeEnvironment,
    caPath,
    close: async () => {
      const closed = new Promise<void>(done => server.close(() => done()))
      connections.endAll('sandbox ended')
      interceptor?.close()
      for (const socket of sockets) socket.destroy()
      await closed
      if (caPath) await rm(caPath, { force: true })
    },
  }
}

/** What Node's parser says of a request it does not take. */
const malformed: Readonly<Record<string, [status: number, outcome: string]>> = {
  HPE_HEADER_OVERFLOW: [431, 'denied: head of a request too large'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'denied: head of a request took too long'],
}

function answer(socket: Duplex, status: number, outcome: string): void {
  socket.end(
    `HTTP/1.1 ${status} Refused\r\nContent-Length: 0\r\nConnection: close\r\nX-Maestro-Egress: ${headerText(outcome)}\r\n\r\n`,
  )
}

/** The path goes on as it was written: a second reading of it could differ from the first. */
function parseAbsolute(text: string): { target: Target; host: string; path: string } | null {
  const [, host, path] = /^http:\/\/([^/?#]+)(\/[^#]*|\?[^#]*)?$/i.exec(text) ?? []
  const target = host === undefined ? null : parseAuthority(host, 80)
  return target && host ? { target, host, path: path === undefined ? '/' : path.startsWith('/') ? path : `/${path}` } : null
}
