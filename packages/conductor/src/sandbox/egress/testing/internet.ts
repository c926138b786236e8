/** Servers on our own loopback that stand for the internet, and clients that say what no library would. */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer as createHttpServer, type Server as HttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer as createTlsServer, type TLSSocket, connect as tlsConnect } from 'node:tls'
import type { TapeEvent } from '@maestro/contract'
import { quietWorld } from '../../testing/specimen.ts'
import { type EgressOptions, type EgressProxy, openEgressProxy } from '../egress-proxy.ts'
import { createSessionCa, type SessionCa } from '../session-ca.ts'

/** A web server, a front that has a certificate for whomever it is asked for (but `wrong.test`), and an echo. */
export function makeInternet() {
  const folder = mkdtempSync(join(tmpdir(), 'egress-'))
  const world = quietWorld()
  const opened: EgressProxy[] = []
  let sockets = 0
  /** Heads that reached the web server outside. */
  const seen: string[] = []
  let publicCa: SessionCa
  let web: Server
  let secure: Server
  let echo: Server
  let webPort: number
  let securePort: number
  let echoPort: number

  const take = (incoming: IncomingMessage, response: ServerResponse) => {
    seen.push(`${incoming.method} ${incoming.url} ${incoming.headers.host}`)
    if (incoming.url === '/nothing') response.writeHead(204).end()
    else if (incoming.url === '/huge') response.writeHead(200, { 'x-huge': 'x'.repeat(60_000) }).end()
    else if (incoming.url === '/trailers') {
      response.writeHead(200, { trailer: 'x-after', 'transfer-encoding': 'chunked' })
      response.write('body')
      response.addTrailers({ 'x-after': '1' })
      response.end()
    } else if (incoming.url === '/slow') setTimeout(() => response.end('late'), 30_000).unref()
    else {
      let body = ''
      incoming.on('data', chunk => {
        body += chunk
      })
      incoming.on('end', () => {
        response.writeHead(200, { 'content-type': 'application/json', 'set-cookie': 'session=abcdef', 'x-length': '5' })
        response.end(JSON.stringify({ got: body.slice(0, 4), access_token: 'very-secret-token', host: incoming.headers.host }))
      })
    }
  }

  async function start() {
    publicCa = await createSessionCa(world)
    web = createHttpServer({ maxHeaderSize: 100_000 }, take)
    web.on('upgrade', (_request, socket: Socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n')
      socket.pipe(socket)
    })
    const inner = createHttpServer(take)
    inner.on('upgrade', (_request, socket: Socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n')
      socket.pipe(socket)
    })
    secure = createTlsServer(
      {
        SNICallback: (name, done) =>
          void publicCa.contextFor(name === 'wrong.test' ? 'another.test' : name).then(context => done(null, context)),
      },
      socket => {
        socket.on('error', () => {})
        inner.emit('connection', socket)
      },
    )
    echo = createServer(socket => socket.on('error', () => {}).pipe(socket))
    for (const server of [web, secure, echo]) server.listen(0, '127.0.0.1')
    await Promise.all([web, secure, echo].map(server => once(server, 'listening')))
    ;[webPort, securePort, echoPort] = [web, secure, echo].map(server => (server.address() as AddressInfo).port) as [
      number,
      number,
      number,
    ]
  }
  async function end() {
    await Promise.all(opened.map(proxy => proxy.close()))
    for (const server of [web, secure, echo]) server.close()
    ;(web as HttpServer).closeAllConnections()
    rmSync(folder, { recursive: true, force: true })
  }

  const open = async (changes: Partial<EgressOptions> = {}) => {
    const events: TapeEvent[] = []
    const proxy = await openEgressProxy({
      path: join(folder, `${++sockets}.sock`),
      allow: [webPort, securePort, echoPort].flatMap(port => [`good.test:${port}`, `wrong.test:${port}`, `rebound.test:${port}`]),
      world,
      report: event => events.push(event),
      ...changes,
      rules: { allowPrivate: ['127.0.0.1'], resolve: async () => ['127.0.0.1'], ...changes.rules },
    })
    opened.push(proxy)
    const outcomes = () => events.flatMap(event => (event.name === 'egress' ? [event.outcome] : []))
    const ends = () => events.flatMap(event => (event.name === 'egress.closed' ? [event.reason] : []))
    return { path: proxy.path, proxy, events, outcomes, ends }
  }

  return {
    start,
    end,
    open,
    opened,
    seen,
    get certificate() {
      return publicCa.certificate
    },
    get ports(): { web: number; secure: number; echo: number } {
      return { web: webPort, secure: securePort, echo: echoPort }
    },
  }
}

/** Writes, and gives everything that comes back until the other side ends. */
export const say = (path: string, text: string | Buffer): Promise<string> =>
  new Promise(done => {
    let heard = ''
    const socket = connect({ path })
    socket.on('data', chunk => {
      heard += chunk.toString('latin1')
    })
    socket.on('error', () => {})
    socket.on('close', () => done(heard))
    socket.write(text)
  })
export const tunnel = (path: string, authority: string): Promise<Socket> =>
  new Promise((done, fail) => {
    const socket = connect({ path })
    socket.on('error', () => {})
    socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`)
    socket.once('data', bytes => (bytes.toString().includes(' 200 ') ? done(socket) : fail(new Error(bytes.toString()))))
  })
export const closed = (socket: Socket) => new Promise(done => socket.once('close', done))
export const readAll = (socket: Socket): Promise<string> =>
  new Promise(done => {
    let heard = ''
    socket.on('data', chunk => {
      heard += chunk.toString('latin1')
    })
    socket.on('close', () => done(heard))
    socket.on('error', () => {})
  })
export const shakeHands = (socket: Socket, servername: string | null, ca: string): Promise<TLSSocket | Error> =>
  new Promise(done => {
    const secured = tlsConnect({
      socket,
      host: 'x',
      ca: [ca],
      checkServerIdentity: () => undefined,
      ...(servername ? { servername } : {}),
    })
    secured.once('secureConnect', () => done(secured))
    secured.on('error', done)
    secured.once('close', () => done(new Error('closed')))
  })
