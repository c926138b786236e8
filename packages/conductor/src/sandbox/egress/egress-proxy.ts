import { lookup } from 'node:dns/promises'
import { chmod } from 'node:fs/promises'
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type ServerResponse,
} from 'node:http'
import { isIP, connect as netConnect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { TapeEvent } from '@maestro/contract'
import type { World } from '../../world.ts'
import { isPublicAddress } from './addresses.ts'
import { AllowList } from './allow-list.ts'
import type { EgressRules } from './egress-rules.ts'

export interface EgressOptions {
  /** Unix socket to listen on. */
  path: string
  allow: readonly string[]
  rules: EgressRules
  world: World
  report(event: TapeEvent): void
}

export interface EgressProxy {
  readonly path: string
  close(): Promise<void>
}

/** The preload that leads from the sandbox's loopback to the proxy's socket. */
export const bridgePath = fileURLToPath(new URL('./egress-bridge.cjs', import.meta.url))
const bridgePort = 3128

/** What makes Node and most HTTP libraries use the bridge. */
export const bridgeEnvironment: Record<string, string> = {
  HTTP_PROXY: `http://127.0.0.1:${bridgePort}`,
  HTTPS_PROXY: `http://127.0.0.1:${bridgePort}`,
  http_proxy: `http://127.0.0.1:${bridgePort}`,
  https_proxy: `http://127.0.0.1:${bridgePort}`,
  NO_PROXY: 'localhost,127.0.0.1,::1',
  no_proxy: 'localhost,127.0.0.1,::1',
  NODE_USE_ENV_PROXY: '1',
  // Networks that inspect TLS put their certificate into the system's store.
  NODE_USE_SYSTEM_CA: '1',
}

const connectMsMax = 10_000
const connectionsMax = 128

type Target = { host: string; port: number }
type Granted = { ok: true; addresses: string[] }
type Refused = { ok: false; status: 400 | 403 | 502; outcome: string }

/**
 * Opens the forward proxy of one sandbox: CONNECT and absolute-form requests (RFC 9110 §9.3.6, RFC 9112 §3.2.2), denied unless the host
 * is on the list. Names are resolved here, once, and the connection goes to the address that was checked, so that a name that answers
 * differently the second time gains nothing. Everything from the sandbox is untrusted.
 */
export async function openEgressProxy(options: EgressOptions): Promise<EgressProxy> {
  const allowList = new AllowList(options.allow)
  const resolve = options.rules.resolve ?? resolveBySystem
  const sockets = new Set<Duplex>()
  const keep = <T extends Duplex>(socket: T): T => {
    sockets.add(socket)
    // A connection that breaks is the sandbox's affair; without a listener it would be ours.
    socket.on('error', () => socket.destroy())
    socket.once('close', () => sockets.delete(socket))
    return socket
  }

  const judge = async (target: Target | null): Promise<Granted | Refused> => {
    if (!target) return { ok: false, status: 400, outcome: 'denied: not a proxy request' }
    if (!allowList.allows(target.host, target.port)) return { ok: false, status: 403, outcome: 'denied: not on the allow-list' }
    let addresses: string[]
    try {
      addresses = isIP(target.host) ? [target.host] : await resolve(target.host)
    } catch {
      return { ok: false, status: 502, outcome: 'failed: name not found' }
    }
    // One private address among public ones is as suspicious as a private one alone.
    if (addresses.length === 0 || !addresses.every(address => isPublicAddress(address, options.rules.allowPrivate))) {
      return { ok: false, status: 403, outcome: 'denied: not a public address' }
    }
    return { ok: true, addresses }
  }
  const report = (target: Target | null, outcome: string) =>
    options.report({ name: 'egress', host: target?.host ?? '', port: target?.port ?? 0, outcome })

  const server = createServer((request, response) => {
    void forward(request, response)
  })
  server.maxConnections = connectionsMax
  server.on('connection', socket => keep(socket))
  server.on('connect', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    void tunnel(request, socket, head)
  })
  server.on('upgrade', (_request, socket: Duplex) => socket.destroy())

  async function tunnel(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const target = parseAuthority(request.url ?? '')
    const judgement = await judge(target)
    if (!judgement.ok || !target) {
      const refused = judgement as Refused
      report(target, refused.outcome)
      socket.end(`HTTP/1.1 ${refused.status} Refused\r\nContent-Length: 0\r\nX-Maestro-Egress: ${refused.outcome}\r\n\r\n`)
      return
    }
    const upstream = keep(connectTo(judgement.addresses, target.port))
    const cancel = options.world.after(connectMsMax, () => upstream.destroy(new Error('timeout')))
    let connected = false
    upstream.once('connect', () => {
      connected = true
      cancel()
      report(target, 'connected')
      socket.write('HTTP/1.1 200 Connection Established\r\n\r\n')
      if (head.length > 0) upstream.write(head)
      socket.pipe(upstream).pipe(socket)
    })
    upstream.once('close', () => {
      cancel()
      if (connected) {
        socket.destroy()
        return
      }
      report(target, 'failed: no connection')
      socket.end('HTTP/1.1 502 Refused\r\nContent-Length: 0\r\nX-Maestro-Egress: failed: no connection\r\n\r\n')
    })
    socket.once('close', () => upstream.destroy())
  }

  async function forward(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = parseAbsolute(request.url ?? '')
    const target = url ? { host: bareHost(url.hostname), port: Number(url.port || 80) } : null
    const judgement = await judge(target)
    if (!judgement.ok || !target || !url) {
      const refused = judgement as Refused
      report(target, refused.outcome)
      response.writeHead(refused.status, { 'content-length': 0, 'x-maestro-egress': refused.outcome }).end()
      request.resume()
      return
    }
    const upstream = httpRequest({
      createConnection: () => keep(connectTo(judgement.addresses, target.port)),
      method: request.method ?? 'GET',
      path: `${url.pathname}${url.search}`,
      headers: { ...endToEnd(request.headers), host: url.host, connection: 'close' },
    })
    const cancel = options.world.after(connectMsMax, () => upstream.destroy(new Error('timeout')))
    upstream.once('response', answer => {
      response.writeHead(answer.statusCode ?? 502, answer.statusMessage, endToEnd(answer.headers))
      answer.on('error', () => response.destroy())
      answer.pipe(response)
    })
    upstream.once('socket', socket =>
      socket.once('connect', () => {
        cancel()
        report(target, 'connected')
      }),
    )
    upstream.once('error', () => {
      cancel()
      if (response.headersSent) {
        response.destroy()
        return
      }
      report(target, 'failed: no connection')
      response.writeHead(502, { 'content-length': 0, 'x-maestro-egress': 'failed: no connection' }).end()
    })
    response.once('close', () => upstream.destroy())
    request.pipe(upstream)
  }

  await new Promise<void>((done, fail) => {
    server.once('error', fail)
    server.listen(options.path, done)
  })
  // The server inside is another user; the folder keeps everybody else away from the socket.
  await chmod(options.path, 0o666)
  return {
    path: options.path,
    close: () =>
      new Promise(done => {
        server.close(() => done())
        for (const socket of sockets) socket.destroy()
      }),
  }
}

/** Connects to addresses that were checked; the name is never asked for again. */
function connectTo(addresses: readonly string[], port: number): Socket {
  const list = addresses.map(address => ({ address, family: isIP(address) }))
  return netConnect({
    host: list.length === 1 ? list[0]!.address : 'checked.invalid',
    port,
    autoSelectFamily: true,
    lookup: (_name, _options, callback) => callback(null, list),
  })
}

async function resolveBySystem(host: string): Promise<string[]> {
  return (await lookup(host, { all: true, verbatim: true })).map(found => found.address)
}

/** `host:port` of CONNECT. The URL parser brings numbers in odd clothes (`0x7f.1`, `2130706433`) into their plain form. */
function parseAuthority(authority: string): Target | null {
  const [, port] = /:(\d{1,5})$/.exec(authority) ?? []
  if (!port || !URL.canParse(`http://${authority}/`)) return null
  const url = new URL(`http://${authority}/`)
  if (url.pathname !== '/' || url.username || url.password || url.search || url.hash) return null
  return { host: bareHost(url.hostname), port: Number(port) }
}

function parseAbsolute(text: string): URL | null {
  if (!URL.canParse(text)) return null
  const url = new URL(text)
  return url.protocol === 'http:' && !url.username && !url.password ? url : null
}

/** IPv6 addresses stand in brackets in URLs only. */
const bareHost = (hostname: string): string => hostname.replace(/^\[|\]$/g, '')

const hopByHop = new Set(
  'connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding upgrade'.split(' '),
)

/** Headers that go on to the other side (RFC 9110 §7.6.1); the body is framed anew by each side. */
function endToEnd(headers: IncomingMessage['headers']): OutgoingHttpHeaders {
  const named = new Set((headers.connection ?? '').split(',').map(name => name.trim().toLowerCase()))
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !hopByHop.has(name) && !named.has(name)))
}
