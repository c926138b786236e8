/**
 * The way out of a guest, for each driver that has guests. "The internet" is servers on this machine's loopback, which the test exempts
 * and gives public names. What the proxy judges is tested beside it and in `tests/runtime/egress.runtime.ts`; here that all ways lead to it.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { createServer } from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { after, before, describe, it } from 'node:test'
import type { EgressRules } from '../egress/egress-rules.ts'
import { createSessionCa } from '../egress/session-ca.ts'
import { ownerName } from '../owner.ts'
import type { SandboxDriver } from '../sandbox.ts'
import { makeProbeBundle, quietWorld, type Specimen, startSpecimen, until } from '../testing/specimen.ts'

const MiB = 1024 * 1024

export interface GuestEgressSubject {
  title: string
  make(egress: EgressRules): SandboxDriver
  /** Whether a server is kept from the machine’s own network. */
  isolates: boolean
}

export function guestEgressContract({ title, make, isolates }: GuestEgressSubject): void {
  describe(`${title}: a guest that may reach some hosts`, { timeout: 480_000 }, () => {
    const bundle = makeProbeBundle()
    const large = Buffer.alloc(2 * MiB, 'a large body, ')
    const web = createServer((request, response) => {
      if (request.url === '/large') return void response.end(large)
      if (request.url === '/digest') {
        const hash = createHash('sha256')
        request.on('data', chunk => hash.update(chunk)).on('end', () => response.end(hash.digest('hex')))
        return
      }
      response.end(`hello ${request.headers.host} ${request.url}`)
    })
    let secure: TlsServer
    let driver: SandboxDriver
    let [webPort, securePort] = [0, 0]
    before(async () => {
      const publicCa = await createSessionCa(quietWorld())
      secure = createTlsServer(
        { SNICallback: (name, done) => void publicCa.contextFor(name).then(context => done(null, context)) },
        (request, response) => response.end(`secure ${request.url}`),
      )
      for (const server of [web, secure]) {
        server.listen(0, '127.0.0.1')
        await once(server, 'listening')
      }
      webPort = (web.address() as AddressInfo).port
      securePort = (secure.address() as AddressInfo).port
      driver = make({
        allowPrivate: ['127.0.0.1'],
        trusted: [publicCa.certificate],
        resolve: async host => [host === 'metadata.test' ? '169.254.169.254' : '127.0.0.1'],
      })
    })
    after(async () => {
      await driver.close()
      web.close()
      secure.close()
      bundle.remove()
    })
    const url = (path = '/') => `http://web.test:${webPort}${path}`
    const outcomes = (specimen: Specimen) => specimen.events.flatMap(event => (event.name === 'egress' ? [event.outcome] : []))
    /** Alike for all sessions, so that copies of one loaded server are what is tested where the driver makes any. */
    const start = (changes: Parameters<typeof startSpecimen>[2] = {}) =>
      startSpecimen(driver, bundle.folder, { egress: [`web.test:${webPort}`, 'metadata.test'], ...changes }, false)

    it('reaches those and no other, in each copy of a server that was loaded before, and all of it is told', async () => {
      const twins = [await start(), await start()]
      for (const twin of twins) {
        assert.equal(await twin.ask(`return (await fetch("${url()}")).text()`), `hello web.test:${webPort} /`)
        for (const other of [`http://other.test:${webPort}/`, 'http://metadata.test/', `http://10.0.0.1:${webPort}/`])
          assert.deepEqual(await twin.ask(`return (await fetch("${other}")).status`), { error: 'fetch failed' }, other)
        assert.deepEqual(
          outcomes(twin).map(outcome => outcome.split(':')[0]),
          ['connected', 'denied', 'denied', 'denied'],
        )
        await twin.sandbox.close()
        assert.ok(
          twin.events.some(event => event.name === 'egress.closed'),
          'the end of a connection is told',
        )
      }
      assert.deepEqual(
        readdirSync(tmpdir()).filter(name => name.startsWith(ownerName)),
        [],
        'the way out was left behind',
      )
    })

    it('carries much both ways over several connections at once, for a child of a server that stands still too', async () => {
      const specimen = await start()
      const digest = createHash('sha256').update(large).digest('hex')
      const answers = await specimen.ask<string[]>(
        `const body = Buffer.alloc(${large.length}, "a large body, ")
        const { createHash } = require("node:crypto")
        const down = async () => createHash("sha256").update(Buffer.from(await (await fetch("${url('/large')}")).arrayBuffer())).digest("hex")
        const up = async () => (await fetch("${url('/digest')}", { method: "POST", body })).text()
        return Promise.all([down(), up(), down(), up()])`,
      )
      assert.deepEqual(answers, [digest, digest, digest, digest])
      const script = `import urllib.request; print(urllib.request.urlopen("${url('/python')}").read().decode(), end="")`
      const said = await specimen.ask(
        `return require("node:child_process").execFileSync("python3", ["-c", ${JSON.stringify(script)}], { encoding: "utf8" })`,
      )
      assert.equal(said, `hello web.test:${webPort} /python`)
      await specimen.sandbox.close()
    })

    it('has its exchanges recorded where that is asked for, trusting a certificate that it has only then', async () => {
      const specimen = await start({
        egress: [`web.test:${securePort}`],
        egressRecord: true,
        env: { API_KEY: 'sk-live-0123456789' },
      })
      const target = `https://web.test:${securePort}/of-node`
      const code = `return (await fetch("${target}", { headers: { "x-key": process.env.API_KEY } })).text()`
      assert.equal(await specimen.ask(code), 'secure /of-node')
      await until('the exchange', () => specimen.events.some(event => event.name === 'egress.exchange'))
      const [exchange] = specimen.events.flatMap(event => (event.name === 'egress.exchange' ? [event] : []))
      assert.equal(`${exchange!.method} ${exchange!.url} ${exchange!.status}`, `GET ${target} 200`)
      assert.ok(!JSON.stringify(specimen.events).includes('sk-live'))
      await specimen.sandbox.close()
      const other = await start({ egress: [`web.test:${securePort}`] })
      assert.match((await other.ask<{ error: string }>(code)).error, /fetch failed/)
      if (isolates) assert.equal(await other.ask('return require("node:fs").existsSync("/run/maestro/egress-ca.pem")'), false)
      await other.sandbox.close()
    })

    it('has no other way out', { skip: !isolates && 'this one is kept from nothing' }, async () => {
      const specimen = await start()
      const script = `
import socket, json
def attempt(way):
    try: return str(way())
    except Exception as error: return type(error).__name__
print(json.dumps([attempt(way) for way in [
    lambda: socket.create_connection(("1.1.1.1", 443), 3),
    lambda: socket.create_connection(("127.0.0.1", ${webPort}), 3),
    lambda: socket.create_connection(("2606:4700::1111", 443), 3),
    lambda: socket.getaddrinfo("example.com", 80),
    lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("1.1.1.1", 53)),
    lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).connect((2, 1)),
    lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0),
]]))`
      const said = await specimen.ask<string>(
        `return require("node:child_process").execFileSync("python3", ["-c", ${JSON.stringify(script)}], { encoding: "utf8" })`,
      )
      for (const outcome of JSON.parse(said)) assert.match(outcome, /^(OSError|ConnectionRefusedError|PermissionError|gaierror)$/)
      await specimen.sandbox.close()
    })
  })
}
