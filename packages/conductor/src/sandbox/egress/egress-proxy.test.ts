import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer as createHttpServer, request } from 'node:http'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { TapeEvent } from '@maestro/contract'
import { quietWorld, until } from '../testing/specimen.ts'
import { type EgressOptions, type EgressProxy, openEgressProxy } from './egress-proxy.ts'

describe('the egress proxy', () => {
  const folder = mkdtempSync(join(tmpdir(), 'egress-'))
  const events: TapeEvent[] = []
  let resolved: string[] = []
  let proxy: EgressProxy
  const target = createHttpServer((incoming, response) => {
    if (incoming.url === '/away') response.writeHead(302, { location: 'http://169.254.169.254/latest/meta-data' }).end()
    else response.end(JSON.stringify({ url: incoming.url, headers: incoming.headers }))
  })
  const echo = createServer(socket => socket.pipe(socket))
  let httpPort: number
  let echoPort: number
  let sockets = 0

  const open = (changes: Partial<EgressOptions> = {}) =>
    openEgressProxy({
      path: join(folder, `${++sockets}.sock`),
      allow: [
        `good.test:${httpPort}`,
        `good.test:${echoPort}`,
        'rebound.test',
        'mixed.test',
        'lost.test',
        '169.254.169.254',
        '[::1]',
        '127.0.0.1',
      ],
      world: quietWorld(),
      report: event => events.push(event),
      ...changes,
      rules: { resolve, ...changes.rules },
    })
  const resolve = async (host: string) => {
    resolved.push(host)
    if (host === 'lost.test') throw new Error('ENOTFOUND')
    if (host === 'rebound.test') return [resolved.length > 1 ? '127.0.0.1' : '169.254.169.254']
    if (host === 'mixed.test') return ['1.1.1.1', '10.0.0.1']
    return ['127.0.0.1']
  }

  before(async () => {
    target.listen(0, '127.0.0.1')
    echo.listen(0, '127.0.0.1')
    await Promise.all([once(target, 'listening'), once(echo, 'listening')])
    httpPort = (target.address() as AddressInfo).port
    echoPort = (echo.address() as AddressInfo).port
    proxy = await open({ rules: { allowPrivate: ['127.0.0.1'] } })
  })
  after(async () => {
    await proxy.close()
    target.close()
    echo.close()
    rmSync(folder, { recursive: true, force: true })
  })

  const connectThrough = (path: string, authority: string): Promise<{ status: number; socket: import('node:net').Socket }> =>
    new Promise((resolve, reject) => {
      const socket = connect({ path })
      socket.on('error', reject)
      socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`)
      socket.once('data', bytes => resolve({ status: Number(bytes.toString().split(' ')[1]), socket }))
    })
  const getThrough = (path: string, url: string): Promise<{ status: number; body: string; location?: string }> =>
    new Promise((resolve, reject) => {
      request(
        {
          socketPath: path,
          path: url,
          headers: { 'proxy-authorization': 'secret', connection: 'x-hop', 'x-hop': '1', 'x-end': '2' },
        },
        response => {
          let body = ''
          response.on('data', chunk => {
            body += chunk
          })
          response.on('end', () =>
            resolve({
              status: response.statusCode ?? 0,
              body,
              ...(response.headers.location ? { location: response.headers.location } : {}),
            }),
          )
        },
      )
        .on('error', reject)
        .end()
    })

  it('tunnels to a host on the list, byte for byte, and records it', async () => {
    const { status, socket } = await connectThrough(proxy.path, `good.test:${echoPort}`)
    assert.equal(status, 200)
    const sent = Buffer.alloc(300_000, 'abc')
    socket.write(sent)
    let received = Buffer.alloc(0)
    socket.on('data', chunk => {
      received = Buffer.concat([received, chunk])
    })
    await until('the echo', () => received.length === sent.length)
    assert.ok(received.equals(sent))
    socket.destroy()
    await until('its end on the tape', () => events.at(-1)?.name === 'egress.closed')
    const [start, end] = events.slice(-2)
    assert.deepEqual(start, { name: 'egress', host: 'good.test', port: echoPort, outcome: 'connected', connection: 1 })
    const { ms, ...told } = end as Extract<TapeEvent, { name: 'egress.closed' }>
    const bytes = { upBytes: sent.length, downBytes: sent.length }
    assert.deepEqual(told, {
      name: 'egress.closed',
      connection: 1,
      host: 'good.test',
      port: echoPort,
      ...bytes,
      reason: 'closed inside',
    })
    assert.ok(ms >= 0)
  })

  it('forwards plain requests without the headers that are for one hop', async () => {
    const { status, body } = await getThrough(proxy.path, `http://good.test:${httpPort}/path?q=1`)
    assert.equal(status, 200)
    const { url, headers } = JSON.parse(body)
    assert.equal(url, '/path?q=1')
    assert.equal(headers.host, `good.test:${httpPort}`)
    assert.equal(headers['x-end'], '2')
    assert.ok(!('x-hop' in headers) && !('proxy-authorization' in headers))
  })

  it('hands a redirect back instead of following it, and refuses where it leads', async () => {
    const { status, location } = await getThrough(proxy.path, `http://good.test:${httpPort}/away`)
    assert.equal(status, 302)
    assert.equal((await getThrough(proxy.path, location!)).status, 403)
  })

  it('refuses what is not on the list without asking for its name', async () => {
    resolved = []
    for (const authority of ['evil.test:443', 'good.test:22', 'sub.good.test:443']) {
      assert.equal((await connectThrough(proxy.path, authority)).status, 403, authority)
    }
    assert.equal((await getThrough(proxy.path, 'http://evil.test/')).status, 403)
    assert.deepEqual(resolved, [])
    assert.equal((events.at(-1) as { outcome: string }).outcome, 'denied: not on the allow-list')
  })

  it('refuses private addresses though they are listed, by name, by number and in odd clothes', async () => {
    const strict = await open()
    const authorities = ['rebound.test:80', 'mixed.test:443', '169.254.169.254:80', '127.0.0.1:80', '[::1]:80']
    for (const authority of authorities) {
      resolved = []
      assert.equal((await connectThrough(strict.path, authority)).status, 403, authority)
      assert.ok(resolved.length <= 1, 'a name is resolved once')
    }
    for (const odd of [
      '2130706433:80',
      '0x7f.1:80',
      '127.1:80',
      '0177.0.0.1:80',
      '[::ffff:127.0.0.1]:80',
      '[::1%lo]:80',
      '127.0.0.1%00:80',
    ]) {
      assert.ok([400, 403].includes((await connectThrough(strict.path, odd)).status), odd)
    }
    assert.equal((await getThrough(strict.path, 'http://169.254.169.254/latest/meta-data')).status, 403)
    await strict.close()
  })

  it('answers what is no proxy request, and what cannot be reached, with an error of its own', async () => {
    for (const authority of ['good.test', 'a@good.test:80', 'good.test:80/path', 'good.test:99999', '']) {
      assert.ok([400, 403].includes((await connectThrough(proxy.path, authority)).status), authority)
    }
    assert.equal((await getThrough(proxy.path, '/relative')).status, 400)
    assert.equal((await connectThrough(proxy.path, 'lost.test:443')).status, 502)
    const closed = await open({ allow: ['good.test:1'], rules: { allowPrivate: ['127.0.0.1'] } })
    assert.equal((await connectThrough(closed.path, 'good.test:1')).status, 502)
    assert.equal((await getThrough(closed.path, 'http://good.test:1/')).status, 502)
    await closed.close()
  })
})
