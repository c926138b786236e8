import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { request } from 'node:http'
import { after, before, describe, it } from 'node:test'
import type { EgressExchange } from '@maestro/contract'
import { until } from '../testing/specimen.ts'
import type { EgressProxy } from './egress-proxy.ts'
import { makeInternet, readAll, shakeHands, tunnel } from './testing/internet.ts'

describe('connections that are recorded', { timeout: 60_000 }, () => {
  const internet = makeInternet()
  const { open } = internet
  before(() => internet.start())
  after(() => internet.end())

  const recorded = async (env: Record<string, string> = {}) =>
    open({ record: true, env, rules: { trusted: [internet.certificate] } })
  const ask = async (path: string, ca: string, head: string, host = 'good.test') => {
    const secured = await shakeHands(await tunnel(path, `${host}:${internet.ports.secure}`), host, ca)
    if (secured instanceof Error) return secured.message
    const heard = readAll(secured)
    secured.write(head)
    return heard
  }
  const caOf = async (proxy: EgressProxy) => readFileSync(proxy.caPath!, 'utf8')

  it('each exchange is on the tape, its secrets masked, and both ends speak TLS that holds', async () => {
    const secret = 'sk-live-0123456789'
    const { path, proxy, events } = await recorded({ API_KEY: secret })
    const ca = await caOf(proxy)
    assert.equal(proxy.environment['NODE_EXTRA_CA_CERTS'], '/run/maestro/egress-ca.pem')
    const body = JSON.stringify({ question: secret, password: 'hunter22' })
    const answer = await ask(
      path,
      ca,
      `POST /v1?token=abc&q=1 HTTP/1.1\r\nHost: good.test:${internet.ports.secure}\r\nAuthorization: Bearer ${secret}\r\nX-Other: has ${secret}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
    )
    // What the server sent is what the client gets; only the tape is masked.
    assert.match(answer, /very-secret-token/)
    await until('the exchange', () => events.some(event => event.name === 'egress.closed'))
    const exchange = events.find(event => event.name === 'egress.exchange') as EgressExchange
    assert.equal(exchange.method, 'POST')
    assert.equal(exchange.url, `https://good.test:${internet.ports.secure}/v1?token=[masked]&q=1`)
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
    assert.match(await ask(path, internet.certificate, ''), /unable to|self-signed|certificate/)
    internet.seen.length = 0
    const answer = await ask(path, await caOf(proxy), 'GET / HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n')
    assert.match(answer, /^HTTP\/1\.1 421/)
    assert.deepEqual(internet.seen, [])
  })

  it('several requests go over one connection, WebSocket too', async () => {
    const { path, proxy, events } = await recorded()
    const host = `Host: good.test:${internet.ports.secure}\r\n`
    const answer = await ask(
      path,
      await caOf(proxy),
      `GET /1 HTTP/1.1\r\n${host}\r\nGET /2 HTTP/1.1\r\n${host}Connection: close\r\n\r\n`,
    )
    assert.equal(answer.match(/HTTP\/1\.1 200/g)?.length, 2)
    const secured = await shakeHands(await tunnel(path, `good.test:${internet.ports.secure}`), 'good.test', await caOf(proxy))
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

  it('plain requests in a tunnel are on the tape too, one after the other', async () => {
    const { path, events } = await recorded()
    const socket = await tunnel(path, `good.test:${internet.ports.web}`)
    const heard = readAll(socket)
    const head = (where: string, more = '') => `GET ${where} HTTP/1.1\r\nHost: good.test:${internet.ports.web}\r\n${more}\r\n`
    socket.write(head('/1'))
    await until('the first', () => events.some(event => event.name === 'egress.exchange'))
    socket.write(head('/2', 'Connection: close\r\n'))
    assert.equal((await heard).match(/HTTP\/1\.1 200/g)?.length, 2)
    const urls = events.flatMap(event => (event.name === 'egress.exchange' ? [event.url] : []))
    assert.deepEqual(
      urls,
      ['/1', '/2'].map(where => `http://good.test:${internet.ports.web}${where}`),
    )
  })

  it('plain requests are on the tape too', async () => {
    const { path, events } = await recorded()
    await new Promise(done =>
      request({ socketPath: path, path: `http://good.test:${internet.ports.web}/plain`, headers: { cookie: 'a=b' } }, answer =>
        answer.resume().on('end', done),
      ).end(),
    )
    await until('the exchange', () => events.some(event => event.name === 'egress.exchange'))
    const exchange = events.find(event => event.name === 'egress.exchange') as EgressExchange
    assert.equal(exchange.url, `http://good.test:${internet.ports.web}/plain`)
    assert.ok(exchange.requestHeaders.some(([name, value]) => name === 'cookie' && value === '[masked]'))
  })
})
