/**
 * What a hostile server may try against its proxy. Every attack is first shown to work against the target itself where there is
 * something to show.
 */
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { until } from '../testing/specimen.ts'
import { OwnAddress } from './own-address.ts'
import { closed, makeInternet, readAll, say, shakeHands, tunnel } from './testing/internet.ts'

describe('attacks on the egress proxy', { timeout: 60_000 }, () => {
  const internet = makeInternet()
  const { open } = internet
  before(() => internet.start())
  after(() => internet.end())

  it('requests with two lengths do not get through', async () => {
    const { path, outcomes } = await open()
    const both = `POST http://good.test:${internet.ports.web}/a HTTP/1.1\r\nHost: good.test:${internet.ports.web}\r\n`
    for (const framing of [
      'Content-Length: 4\r\nTransfer-Encoding: chunked\r\n',
      'Content-Length: 4\r\nContent-Length: 5\r\n',
      'Transfer-Encoding: chunked, identity\r\n',
      'Transfer-Encoding : chunked\r\n',
      'Content-Length: +4\r\n',
    ]) {
      internet.seen.length = 0
      const heard = await say(
        path,
        `${both}${framing}\r\n0\r\n\r\nGET http://good.test:${internet.ports.web}/smuggled HTTP/1.1\r\nHost: x\r\n\r\n`,
      )
      assert.match(heard, /^HTTP\/1\.1 400/, framing)
      assert.deepEqual(internet.seen, [], framing)
    }
    assert.ok(outcomes().every(outcome => outcome === 'denied: malformed request'))
  })

  it('a header named hop-by-hop cannot change how the body is framed', async () => {
    const { path } = await open()
    internet.seen.length = 0
    const heard = await say(
      path,
      `POST http://good.test:${internet.ports.web}/a HTTP/1.1\r\nHost: good.test\r\nConnection: close, content-length\r\nContent-Length: 4\r\n\r\nbody`,
    )
    assert.match(heard, /"got":"body"/)
    assert.deepEqual(internet.seen, [`POST /a good.test:${internet.ports.web}`])
  })

  it('the host that is judged is the host that is told', async () => {
    const { path } = await open()
    internet.seen.length = 0
    await say(path, `GET http://good.test:${internet.ports.web}/x HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n`)
    assert.deepEqual(internet.seen, [`GET /x good.test:${internet.ports.web}`])
  })

  it('answers without a body, with trailers and with huge heads are passed on or refused whole', async () => {
    const { path, ends } = await open()
    const ask = (method: string, where: string) =>
      say(path, `${method} http://good.test:${internet.ports.web}${where} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
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
      `GET ${target} HTTP/1.1\r\nHost: good.test:${internet.ports.web}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n`
    assert.match(await say(path, upgrade(`http://good.test:${internet.ports.web}/`)), /^HTTP\/1\.1 501/)
    assert.deepEqual(outcomes(), ['denied: upgrade outside of a tunnel'])
    const socket = await tunnel(path, `good.test:${internet.ports.web}`)
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
    const direct = await shakeHands(connect(internet.ports.secure, '127.0.0.1'), 'evil.test', internet.certificate)
    assert.ok(!(direct instanceof Error), 'the front serves evil.test to everybody')
    direct.destroy()
    const { path, outcomes } = await open()
    const right = await shakeHands(await tunnel(path, `good.test:${internet.ports.secure}`), 'good.test', internet.certificate)
    assert.ok(!(right instanceof Error))
    right.destroy()
    assert.ok(
      (await shakeHands(await tunnel(path, `good.test:${internet.ports.secure}`), 'evil.test', internet.certificate)) instanceof
        Error,
    )
    assert.ok(
      (await shakeHands(await tunnel(path, `good.test:${internet.ports.secure}`), null, internet.certificate)) instanceof Error,
    )
    assert.deepEqual(outcomes(), [
      'connected',
      'denied: TLS for evil.test in a tunnel to good.test',
      'denied: TLS for nobody in a tunnel to good.test',
    ])
  })

  it('a tunnel to one host cannot be used for another: HTTP', async () => {
    const { path, outcomes } = await open()
    internet.seen.length = 0
    const socket = await tunnel(path, `good.test:${internet.ports.web}`)
    socket.write('GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n')
    assert.equal(await readAll(socket), '')
    assert.deepEqual(internet.seen, [])
    assert.deepEqual(outcomes(), ['denied: HTTP for evil.test in a tunnel to good.test'])
  })

  it('a name that answers differently the second time gains nothing', async () => {
    let asked = 0
    const rules = { allowPrivate: [], resolve: async () => [++asked === 1 ? '198.51.100.1' : '127.0.0.1'] }
    const { path, outcomes } = await open({ rules })
    internet.seen.length = 0
    const ask = () => say(path, `GET http://rebound.test:${internet.ports.web}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
    // The first answer was checked and is dialled, without asking again, and nobody is there; the second answer is refused.
    const first = ask()
    await until('the first question', () => asked === 1)
    assert.match(await ask(), /^HTTP\/1\.1 403/)
    await internet.opened.at(-1)!.close()
    assert.ok(!/ 200 /.test(await first))
    assert.equal(asked, 2)
    assert.deepEqual(internet.seen, [])
    assert.ok(outcomes().includes('denied: not a public address'))
  })

  it('Conductor itself is not reached, though its address is exempt', async () => {
    const own = new OwnAddress()
    const { path, outcomes } = await open({ rules: { isOwn: (address, port) => own.is(address, port) } })
    const ask = () => say(path, `GET http://good.test:${internet.ports.web}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
    assert.match(await ask(), /^HTTP\/1\.1 200/)
    own.port = internet.ports.web
    assert.match(await ask(), /^HTTP\/1\.1 403/)
    assert.equal(outcomes().at(-1), 'denied: Conductor’s own address')
  })

  it('connections are limited at once, in all and by rate, and the tape does not grow with the attempts', async () => {
    const atOnce = await open({ rules: { limits: { connectionsMax: 2 } } })
    const held = [
      await tunnel(atOnce.path, `good.test:${internet.ports.echo}`),
      await tunnel(atOnce.path, `good.test:${internet.ports.echo}`),
    ]
    await assert.rejects(tunnel(atOnce.path, `good.test:${internet.ports.echo}`), /429/)
    held[0]!.destroy()
    await until('the place is free', () => atOnce.events.length >= 2)
    ;(await tunnel(atOnce.path, `good.test:${internet.ports.echo}`)).destroy()
    held[1]!.destroy()

    const inAll = await open({ rules: { limits: { connectionsTotalMax: 3 } } })
    for (let count = 0; count < 3; count++) (await tunnel(inAll.path, `good.test:${internet.ports.echo}`)).destroy()
    for (let count = 0; count < 20; count++) await assert.rejects(tunnel(inAll.path, `good.test:${internet.ports.echo}`), /429/)
    assert.equal(inAll.outcomes().filter(outcome => outcome === 'denied: limit of 3 connections in all').length, 1)

    const byRate = await open({ rules: { limits: { connectionsPerSecond: 1 } } })
    let refused = 0
    for (let count = 0; count < 40; count++)
      await tunnel(byRate.path, `good.test:${internet.ports.echo}`).then(
        socket => socket.destroy(),
        () => refused++,
      )
    assert.ok(refused >= 30, `${refused}`)
    assert.ok(byRate.outcomes().filter(outcome => outcome.startsWith('denied')).length <= 4)
  })

  it('bytes are limited both ways, over all connections together', async () => {
    const up = await open({ rules: { limits: { upBytesMax: 100_000 } } })
    const socket = await tunnel(up.path, `good.test:${internet.ports.echo}`)
    const ended = closed(socket)
    socket.on('data', () => {})
    socket.write(Buffer.alloc(200_000))
    await ended
    assert.deepEqual(up.ends(), ['limit of 100000 bytes sent'])
    await assert.rejects(tunnel(up.path, `good.test:${internet.ports.echo}`), /429/)
    const down = await open({ rules: { limits: { downBytesMax: 100_000 } } })
    const other = await tunnel(down.path, `good.test:${internet.ports.echo}`)
    other.on('data', () => {})
    other.write(Buffer.alloc(200_000))
    await closed(other)
    assert.deepEqual(down.ends(), ['limit of 100000 bytes received'])
  })

  it('connections that are idle, or that never end, are ended', async () => {
    const idle = await open({ rules: { limits: { idleMsMax: 200 } } })
    const socket = await tunnel(idle.path, `good.test:${internet.ports.echo}`)
    socket.write('x')
    socket.on('data', () => {})
    await closed(socket)
    assert.deepEqual(idle.ends(), ['limit of 200 ms without a byte'])
    const long = await open({ rules: { limits: { lifeMsMax: 200 } } })
    const busy = await tunnel(long.path, `good.test:${internet.ports.echo}`)
    busy.on('data', chunk => busy.write(chunk))
    busy.write('x')
    await closed(busy)
    assert.deepEqual(long.ends(), ['limit of 200 ms'])
  })

  it('a reader that does not read holds the sender back, not our memory', async () => {
    const { path } = await open()
    const socket = await tunnel(path, `good.test:${internet.ports.echo}`)
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
})
