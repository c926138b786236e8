/**
 * What a hostile server may try against its proxy. "The internet" is servers on our own loopback, which is exempt here; every attack is
 * first shown to work against the target itself where there is something to show.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer as createHttpServer, type IncomingMessage, request } from 'node:http'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { createServer as createTlsServer, connect as tlsConnect } from 'node:tls'
import type { EgressExchange, TapeEvent } from '@maestro/contract'
import { quietWorld, until } from '../testing/specimen.ts'
import { type EgressOptions, type EgressProxy, openEgressProxy } from './egress-proxy.ts'
import { OwnAddress } from './own-address.ts'
import { createSessionCa, type SessionCa } from './session-ca.ts'

describe('attacks on the egress proxy', { timeout: 60_000 }, () => {
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

  const take = (incoming: IncomingMessage, response: import('node:http').ServerResponse) => {
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

  before(async () => {
    publicCa = await createSessionCa(world)
    const { certificate } = publicCa
    assert.match(certificate, /BEGIN CERTIFICATE/)
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
  })
  after(async () => {
    await Promise.all(opened.map(proxy => proxy.close()))
    for (const server of [web, secure, echo]) server.close()
    ;(web as import('node:http').Server).closeAllConnections()
    rmSync(folder, { recursive: true, force: true })
  })

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

  /** Writes, and gives everything that comes back until the other side ends. */
  const say = (path: string, text: string | Buffer): Promise<string> =>
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
  const tunnel = (path: string, authority: string): Promise<Socket> =>
    new Promise((done, fail) => {
      const socket = connect({ path })
      socket.on('error', () => {})
      socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`)
      socket.once('data', bytes => (bytes.toString().includes(' 200 ') ? done(socket) : fail(new Error(bytes.toString()))))
    })
  const closed = (socket: Socket) => new Promise(done => socket.once('close', done))
  const readAll = (socket: Socket): Promise<string> =>
    new Promise(done => {
      let heard = ''
      socket.on('data', chunk => {
        heard += chunk.toString('latin1')
      })
      socket.on('close', () => done(heard))
      socket.on('error', () => {})
    })
  const shakeHands = (socket: Socket, servername: string | null, ca: string): Promise<import('node:tls').TLSSocket | Error> =>
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

  it('requests with two lengths do not get through', async () => {
    const { path, outcomes } = await open()
    const both = `POST http://good.test:${webPort}/a HTTP/1.1\r\nHost: good.test:${webPort}\r\n`
    for (const framing of [
      'Content-Length: 4\r\nTransfer-Encoding: chunked\r\n',
      'Content-Length: 4\r\nContent-Length: 5\r\n',
      'Transfer-Encoding: chunked, identity\r\n',
      'Transfer-Encoding : chunked\r\n',
      'Content-Length: +4\r\n',
    ]) {
      seen.length = 0
      const heard = await say(
        path,
        `${both}${framing}\r\n0\r\n\r\nGET http://good.test:${webPort}/smuggled HTTP/1.1\r\nHost: x\r\n\r\n`,
      )
      assert.match(heard, /^HTTP\/1\.1 400/, framing)
      assert.deepEqual(seen, [], framing)
    }
    assert.ok(outcomes().every(outcome => outcome === 'denied: malformed request'))
  })

  it('a header named hop-by-hop cannot change how the body is framed', async () => {
    const { path } = await open()
    seen.length = 0
    const heard = await say(
      path,
      `POST http://good.test:${webPort}/a HTTP/1.1\r\nHost: good.test\r\nConnection: close, content-length\r\nContent-Length: 4\r\n\r\nbody`,
    )
    assert.match(heard, /"got":"body"/)
    assert.deepEqual(seen, [`POST /a good.test:${webPort}`])
  })

  it('the host that is judged is the host that is told', async () => {
    const { path } = await open()
    seen.length = 0
    await say(path, `GET http://good.test:${webPort}/x HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n`)
    assert.deepEqual(seen, [`GET /x good.test:${webPort}`])
  })

  it('answers without a body, with trailers and with huge heads are passed on or refused whole', async () => {
    const { path, ends } = await open()
    const ask = (method: string, where: string) =>
      say(path, `${method} http://good.test:${webPort}${where} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
    assert.match(await ask('HEAD', '/'), /^HTTP\/1\.1 200[\s\S]*\r\n\r\n$/)
    assert.match(await ask('GET', '/nothing'), /^HTTP\/1\.1 204[\s\S]*\r\n\r\n$/)
    const trailers = await ask('GET', '/trailers')
    assert.ok(trailers.includes('body') && !trailers.includes('x-after: 1'))
    assert.match(await ask('GET', '/huge'), /^HTTP\/1\.1 502/)
    assert.deepEqual(ends(), ['closed', 'closed', 'closed', 'failed'])
  })

  it('heads that are huge, that never end, or that come drop by drop are cut off', async () => {
    const { path, outcomes } = await open({ rules: { limits: { headBytesMax: 4096, headMsMax: 300 } } })
    assert.match(await say(path, `GET http://good.test/ HTTP/1.1\r\nX: ${'x'.repeat(10_000)}`), /^HTTP\/1\.1 431/)
    const beganMs = performance.now()
    assert.match(await say(path, 'GET http://good.test/ HTTP/1.1\r\nX: '), /^HTTP\/1\.1 408/)
    assert.ok(performance.now() - beganMs < 5000)
    assert.deepEqual(outcomes(), ['denied: head of a request too large', 'denied: head of a request took too long'])
  })

  it('an upgrade outside of a tunnel is refused, inside of one it works', async () => {
    const { path, outcomes } = await open()
    const upgrade = (target: string) =>
      `GET ${target} HTTP/1.1\r\nHost: good.test:${webPort}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n`
    assert.match(await say(path, upgrade(`http://good.test:${webPort}/`)), /^HTTP\/1\.1 501/)
    assert.deepEqual(outcomes(), ['denied: upgrade outside of a tunnel'])
    const socket = await tunnel(path, `good.test:${webPort}`)
    let heard = ''
    socket.on('data', chunk => {
      heard += chunk
    })
    socket.write(upgrade('/'))
    await until('the switch', () => heard.includes('101'))
    socket.write('ping frame')
    await until('the echo', () => heard.endsWith('ping frame'))
    socket.destroy()
  })

  it('a tunnel to one host cannot be used for another: TLS', async () => {
    const direct = await shakeHands(connect(securePort, '127.0.0.1'), 'evil.test', publicCa.certificate)
    assert.ok(!(direct instanceof Error), 'the front serves evil.test to everybody')
    direct.destroy()
    const { path, outcomes } = await open()
    const right = await shakeHands(await tunnel(path, `good.test:${securePort}`), 'good.test', publicCa.certificate)
    assert.ok(!(right instanceof Error))
    right.destroy()
    assert.ok(
      (await shakeHands(await tunnel(path, `good.test:${securePort}`), 'evil.test', publicCa.certificate)) instanceof Error,
    )
    assert.ok((await shakeHands(await tunnel(path, `good.test:${securePort}`), null, publicCa.certificate)) instanceof Error)
    assert.deepEqual(outcomes(), [
      'connected',
      'denied: TLS for evil.test in a tunnel to good.test',
      'denied: TLS for nobody in a tunnel to good.test',
    ])
  })

  it('a tunnel to one host cannot be used for another: HTTP', async () => {
    const { path, outcomes } = await open()
    seen.length = 0
    const socket = await tunnel(path, `good.test:${webPort}`)
    socket.write('GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n')
    assert.equal(await readAll(socket), '')
    assert.deepEqual(seen, [])
    assert.deepEqual(outcomes(), ['denied: HTTP for evil.test in a tunnel to good.test'])
  })

  it('a name that answers differently the second time gains nothing', async () => {
    let asked = 0
    const rules = { allowPrivate: [], resolve: async () => [++asked === 1 ? '198.51.100.1' : '127.0.0.1'] }
    const { path, outcomes } = await open({ rules })
    seen.length = 0
    const ask = () => say(path, `GET http://rebound.test:${webPort}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
    // The first answer was checked and is dialled, without asking again, and nobody is there; the second answer is refused.
    const first = ask()
    await until('the first question', () => asked === 1)
    assert.match(await ask(), /^HTTP\/1\.1 403/)
    await opened.at(-1)!.close()
    assert.ok(!/ 200 /.test(await first))
    assert.equal(asked, 2)
    assert.deepEqual(seen, [])
    assert.ok(outcomes().includes('denied: not a public address'))
  })

  it('Conductor itself is not reached, though its address is exempt', async () => {
    const own = new OwnAddress()
    const { path, outcomes } = await open({ rules: { isOwn: (address, port) => own.is(address, port) } })
    const ask = () => say(path, `GET http://good.test:${webPort}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
    assert.match(await ask(), /^HTTP\/1\.1 200/)
    own.port = webPort
    assert.match(await ask(), /^HTTP\/1\.1 403/)
    assert.equal(outcomes().at(-1), 'denied: Conductor’s own address')
  })

  it('connections are limited at once, in all and by rate, and the tape does not grow with the attempts', async () => {
    const atOnce = await open({ rules: { limits: { connectionsMax: 2 } } })
    const held = [await tunnel(atOnce.path, `good.test:${echoPort}`), await tunnel(atOnce.path, `good.test:${echoPort}`)]
    await assert.rejects(tunnel(atOnce.path, `good.test:${echoPort}`), /429/)
    held[0]!.destroy()
    await until('the place is free', () => atOnce.events.length >= 2)
    ;(await tunnel(atOnce.path, `good.test:${echoPort}`)).destroy()
    held[1]!.destroy()

    const inAll = await open({ rules: { limits: { connectionsTotalMax: 3 } } })
    for (let count = 0; count < 3; count++) (await tunnel(inAll.path, `good.test:${echoPort}`)).destroy()
    for (let count = 0; count < 20; count++) await assert.rejects(tunnel(inAll.path, `good.test:${echoPort}`), /429/)
    assert.equal(inAll.outcomes().filter(outcome => outcome === 'denied: limit of 3 connections in all').length, 1)

    const byRate = await open({ rules: { limits: { connectionsPerSecond: 1 } } })
    let refused = 0
    for (let count = 0; count < 40; count++)
      await tunnel(byRate.path, `good.test:${echoPort}`).then(
        socket => socket.destroy(),
        () => refused++,
      )
    assert.ok(refused >= 30, `${refused}`)
    assert.ok(byRate.outcomes().filter(outcome => outcome.startsWith('denied')).length <= 4)
  })

  it('bytes are limited both ways, over all connections together', async () => {
    const up = await open({ rules: { limits: { upBytesMax: 100_000 } } })
    const socket = await tunnel(up.path, `good.test:${echoPort}`)
    const ended = closed(socket)
    socket.on('data', () => {})
    socket.write(Buffer.alloc(200_000))
    await ended
    assert.deepEqual(up.ends(), ['limit of 100000 bytes sent'])
    await assert.rejects(tunnel(up.path, `good.test:${echoPort}`), /429/)
    const down = await open({ rules: { limits: { downBytesMax: 100_000 } } })
    const other = await tunnel(down.path, `good.test:${echoPort}`)
    other.on('data', () => {})
    other.write(Buffer.alloc(200_000))
    await closed(other)
    assert.deepEqual(down.ends(), ['limit of 100000 bytes received'])
  })

  it('connections that are idle, or that never end, are ended', async () => {
    const idle = await open({ rules: { limits: { idleMsMax: 200 } } })
    const socket = await tunnel(idle.path, `good.test:${echoPort}`)
    socket.write('x')
    socket.on('data', () => {})
    await closed(socket)
    assert.deepEqual(idle.ends(), ['limit of 200 ms without a byte'])
    const long = await open({ rules: { limits: { lifeMsMax: 200 } } })
    const busy = await tunnel(long.path, `good.test:${echoPort}`)
    busy.on('data', chunk => busy.write(chunk))
    busy.write('x')
    await closed(busy)
    assert.deepEqual(long.ends(), ['limit of 200 ms'])
  })

  it('a reader that does not read holds the sender back, not our memory', async () => {
    const { path } = await open()
    const socket = await tunnel(path, `good.test:${echoPort}`)
    socket.pause()
    const rssBefore = process.memoryUsage().rss
    let taken = 0
    const chunk = Buffer.alloc(256 * 1024)
    while (taken < 400 && socket.write(chunk)) taken++
    for (let turn = 0; turn < 50 && taken < 400; turn++) {
      await new Promise(done => setTimeout(done, 5))
      while (taken < 400 && socket.writableLength < chunk.length) {
        socket.write(chunk)
        taken++
      }
    }
    assert.ok(taken < 400, `${taken} chunks went nowhere`)
    assert.ok(process.memoryUsage().rss - rssBefore < 64 * 1024 * 1024)
    socket.destroy()
  })

  describe('with recording', () => {
    const recorded = async (env: Record<string, string> = {}) =>
      open({ record: true, env, rules: { trusted: [publicCa.certificate] } })
    const ask = async (path: string, ca: string, head: string, host = 'good.test') => {
      const secured = await shakeHands(await tunnel(path, `${host}:${securePort}`), host, ca)
      if (secured instanceof Error) return secured.message
      const heard = readAll(secured)
      secured.write(head)
      return heard
    }
    const caOf = async (proxy: EgressProxy) => (await import('node:fs')).readFileSync(proxy.caPath!, 'utf8')

    it('each exchange is on the tape, its secrets masked, and both ends speak TLS that holds', async () => {
      const secret = 'sk-live-0123456789'
      const { path, proxy, events } = await recorded({ API_KEY: secret })
      const ca = await caOf(proxy)
      assert.equal(proxy.environment['NODE_EXTRA_CA_CERTS'], '/run/maestro/egress-ca.pem')
      const body = JSON.stringify({ question: secret, password: 'hunter22' })
      const answer = await ask(
        path,
        ca,
        `POST /v1?token=abc&q=1 HTTP/1.1\r\nHost: good.test:${securePort}\r\nAuthorization: Bearer ${secret}\r\nX-Other: has ${secret}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
      )
      // What the server sent is what the client gets; only the tape is masked.
      assert.match(answer, /very-secret-token/)
      await until('the exchange', () => events.some(event => event.name === 'egress.closed'))
      const exchange = events.find(event => event.name === 'egress.exchange') as EgressExchange
      assert.equal(exchange.method, 'POST')
      assert.equal(exchange.url, `https://good.test:${securePort}/v1?token=[masked]&q=1`)
      assert.equal(exchange.status, 200)
      const headers = Object.fromEntries(exchange.requestHeaders)
      assert.equal(headers['Authorization'], '[masked]')
      assert.equal(headers['X-Other'], 'has [API_KEY]')
      assert.equal(exchange.requestBody.bytes, body.length)
      assert.match(exchange.requestBody.digest, /^sha256:[0-9a-f]{64}$/)
      assert.match(exchange.requestBody.text!, /"question":"\[API_KEY\]","password":"\[masked\]"/)
      assert.match(exchange.responseBody.text!, /"access_token":"\[masked\]"/)
      assert.ok(!/sk-live|hunter22|very-secret|abcdef/.test(JSON.stringify(events)))
    })

    it('a certificate that is not good outside is not made good inside', async () => {
      const { path, proxy, ends } = await recorded()
      assert.match(await ask(path, await caOf(proxy), '', 'wrong.test'), /closed|disconnected|ECONNRESET/)
      assert.match(ends()[0]!, /failed: TLS: ERR_TLS_CERT_ALTNAME_INVALID/)
      const stranger = await open({ record: true })
      assert.match(await ask(stranger.path, await caOf(stranger.proxy), ''), /closed|disconnected|ECONNRESET/)
      assert.match(stranger.ends()[0]!, /failed: TLS: (UNABLE|SELF|DEPTH)/)
    })

    it('a client that pins its certificate does not get through, and another host’s requests neither', async () => {
      const { path, proxy } = await recorded()
      assert.match(await ask(path, publicCa.certificate, ''), /unable to|self-signed|certificate/)
      seen.length = 0
      const answer = await ask(path, await caOf(proxy), 'GET / HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n')
      assert.match(answer, /^HTTP\/1\.1 421/)
      assert.deepEqual(seen, [])
    })

    it('several requests go over one connection, WebSocket too', async () => {
      const { path, proxy, events } = await recorded()
      const host = `Host: good.test:${securePort}\r\n`
      const answer = await ask(
        path,
        await caOf(proxy),
        `GET /1 HTTP/1.1\r\n${host}\r\nGET /2 HTTP/1.1\r\n${host}Connection: close\r\n\r\n`,
      )
      assert.equal(answer.match(/HTTP\/1\.1 200/g)?.length, 2)
      const secured = await shakeHands(await tunnel(path, `good.test:${securePort}`), 'good.test', await caOf(proxy))
      assert.ok(!(secured instanceof Error))
      let heard = ''
      secured.on('data', chunk => {
        heard += chunk
      })
      secured.write(`GET /ws HTTP/1.1\r\n${host}Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n`)
      await until('the switch', () => heard.includes('101'))
      secured.write('ping frame')
      await until('the echo', () => heard.endsWith('ping frame'))
      secured.destroy()
      await until('the exchanges', () => events.filter(event => event.name === 'egress.exchange').length === 3)
      const statuses = events.flatMap(event => (event.name === 'egress.exchange' ? [event.status] : []))
      assert.deepEqual(statuses, [200, 200, 101])
    })

    it('plain requests are on the tape too', async () => {
      const { path, events } = await recorded()
      await new Promise(done =>
        request({ socketPath: path, path: `http://good.test:${webPort}/plain`, headers: { cookie: 'a=b' } }, answer =>
          answer.resume().on('end', done),
        ).end(),
      )
      await until('the exchange', () => events.some(event => event.name === 'egress.exchange'))
      const exchange = events.find(event => event.name === 'egress.exchange') as EgressExchange
      assert.equal(exchange.url, `http://good.test:${webPort}/plain`)
      assert.ok(exchange.requestHeaders.some(([name, value]) => name === 'cookie' && value === '[masked]'))
    })
  })
})
