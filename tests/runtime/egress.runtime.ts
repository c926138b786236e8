/**
 * The way out of a real sandbox. "The internet" is servers on this machine's loopback, which the tests exempt and give public names.
 * What must not be reached is first shown to be there for everybody who is not in a sandbox.
 */
import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https'
import { type AddressInfo, connect, createServer as createNetServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { BubblewrapDriver } from '../../packages/conductor/src/sandbox/bubblewrap/bubblewrap.ts'
import { createSessionCa, type SessionCa } from '../../packages/conductor/src/sandbox/egress/session-ca.ts'
import {
  makeProbeBundle,
  quietWorld,
  type Specimen,
  startSpecimen,
  until,
} from '../../packages/conductor/src/sandbox/testing/specimen.ts'

type Changes = NonNullable<Parameters<typeof startSpecimen>[2]>

/** Debian’s `chromium` is a script that looks for settings in places the sandbox does not show. */
const chromium = ['/usr/lib/chromium/chromium', '/usr/bin/chromium-browser'].find(path => existsSync(path))

const pythonServer = `
import json, sys, urllib.request
for line in sys.stdin:
    message = json.loads(line)
    try:
        value = urllib.request.urlopen(message["eval"]).read().decode()
    except Exception as error:
        value = str(error)
    print(json.dumps({"id": message["id"], "value": value}), flush=True)
`
/** Asks at its very start, before it is asked anything: nothing may have to be waited for. */
const shellServer = `#!/bin/sh
first=$(/usr/bin/curl -s "$1")
while read -r line; do echo "{\\"id\\":1,\\"value\\":\\"$first\\"}"; done
`

describe('egress of a real sandbox', { timeout: 120_000 }, () => {
  const bundle = makeProbeBundle()
  const others = mkdtempSync(join(tmpdir(), 'egress-bundle-'))
  let publicCa: SessionCa
  let secure: TlsServer
  let securePort: number
  let redirect = ''
  const web = createServer((request, response) => {
    if (request.url === '/away') response.writeHead(302, { location: redirect }).end()
    else response.end(`hello ${request.headers.host} ${request.url}`)
  })
  let webPort: number
  let driver: BubblewrapDriver

  before(async () => {
    web.listen(0, '127.0.0.1')
    await once(web, 'listening')
    webPort = (web.address() as AddressInfo).port
    publicCa = await createSessionCa(quietWorld())
    secure = createTlsServer(
      { SNICallback: (name, done) => void publicCa.contextFor(name).then(context => done(null, context)) },
      (request, response) => response.end(`secure ${request.url}`),
    )
    secure.listen(0, '127.0.0.1')
    await once(secure, 'listening')
    securePort = (secure.address() as AddressInfo).port
    driver = new BubblewrapDriver(quietWorld(), {
      egress: {
        allowPrivate: ['127.0.0.1'],
        trusted: [publicCa.certificate],
        resolve: async host => [host === 'metadata.test' ? '169.254.169.254' : host === 'inner.test' ? '10.0.0.1' : '127.0.0.1'],
      },
    })
    writeFileSync(join(others, 'main.py'), pythonServer)
    writeFileSync(join(others, 'main.sh'), shellServer)
    chmodSync(join(others, 'main.sh'), 0o755)
    const { usable, detail } = await driver.check()
    assert.ok(usable, detail)
  })
  after(async () => {
    await driver.close()
    web.close()
    secure.close()
    bundle.remove()
    rmSync(others, { recursive: true, force: true })
  })
  const withSpecimen = async (changes: Changes, use: (specimen: Specimen) => Promise<void>, folder = bundle.folder) => {
    const specimen = await startSpecimen(driver, folder, { egress: [`web.test:${webPort}`], ...changes })
    try {
      await use(specimen)
    } finally {
      await specimen.sandbox.close()
    }
    assert.deepEqual(specimen.alive(), [], 'a process outlived its sandbox')
  }
  const url = () => `http://web.test:${webPort}/`
  const greeting = () => `hello web.test:${webPort} /`
  const outcomes = (specimen: Specimen) => specimen.events.flatMap(event => (event.name === 'egress' ? [event.outcome] : []))

  it('serves Node’s own fetch from its first line on', () =>
    withSpecimen({}, async specimen => {
      assert.equal(await specimen.ask(`return (await fetch("${url()}")).text()`), greeting())
      assert.deepEqual(outcomes(specimen), ['connected'])
    }))

  it('serves children of a server whose event loop stands still', () =>
    withSpecimen({}, async specimen => {
      assert.equal(
        await specimen.ask(
          `return require("node:child_process").execFileSync("curl", ["-s", "-m", "20", "${url()}"], { encoding: "utf8" })`,
        ),
        greeting(),
      )
    }))

  it('serves Python', () =>
    withSpecimen(
      { program: { runtime: 'python', entry: 'main.py' } },
      async specimen => assert.equal(await specimen.ask(url()), greeting()),
      others,
    ))

  it('serves a native program that asks at once', () =>
    withSpecimen(
      { program: { runtime: 'native', entry: 'main.sh' }, args: [url()] },
      async specimen => assert.equal(await specimen.ask(''), greeting()),
      others,
    ))

  it('serves Chromium, started by a server that waits for it', { skip: !chromium && 'no Chromium here' }, () =>
    withSpecimen(
      { limits: { memoryBytesMax: 1024 * 1024 * 1024, pidsMax: 256, diskBytesMax: 256 * 1024 * 1024 } },
      async specimen => {
        const page = await specimen.ask<string>(
          `return require("node:child_process").execFileSync("${chromium}", ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--user-data-dir=/tmp/profile", "--dump-dom", "${url()}"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"], timeout: 60000 })`,
        )
        assert.match(String((page as { error?: string }).error ?? page), /hello web\.test/)
      },
    ),
  )

  it('records what a server says over TLS, whatever it speaks it with, and the server trusts what it is given', () =>
    withSpecimen(
      { egress: [`web.test:${securePort}`], egressRecord: true, env: { API_KEY: 'sk-live-0123456789' } },
      async specimen => {
        const target = `https://web.test:${securePort}`
        const run = (program: string, args: string[]) =>
          specimen.ask(
            `return require("node:child_process").execFileSync("${program}", ${JSON.stringify(args)}, { encoding: "utf8", timeout: 20000 })`,
          )
        const header = 'X-Key: sk-live-0123456789'
        assert.equal(await specimen.ask(`return (await fetch("${target}/node")).text()`), 'secure /node')
        assert.equal(await run('curl', ['-sS', '-H', header, `${target}/curl`]), 'secure /curl')
        const python = `import urllib.request; print(urllib.request.urlopen("${target}/python").read().decode(), end="")`
        assert.equal(await run('python3', ['-c', python]), 'secure /python')
        await until('the exchanges', () => specimen.events.filter(event => event.name === 'egress.exchange').length === 3)
        const told = specimen.events.flatMap(event =>
          event.name === 'egress.exchange' ? [`${event.method} ${event.url} ${event.status}`] : [],
        )
        assert.deepEqual(
          told,
          ['node', 'curl', 'python'].map(by => `GET ${target}/${by} 200`),
        )
        assert.ok(!JSON.stringify(specimen.events).includes('sk-live'))
      },
    ))

  it('a certificate of the session’s CA is worth nothing where nothing is recorded', () =>
    withSpecimen({ egress: [`web.test:${securePort}`] }, async specimen => {
      const failure = await specimen.ask<{ error: string }>(`return (await fetch("https://web.test:${securePort}/")).text()`)
      assert.match(failure.error, /fetch failed/)
      assert.deepEqual(await specimen.ask('return require("node:fs").existsSync("/run/maestro/egress-ca.pem")'), false)
    }))

  it('leads nowhere inward: private addresses, metadata, Conductor’s machine, by name, number and redirect', async () => {
    // Without a proxy in between, this machine answers.
    assert.equal(await (await fetch(`http://127.0.0.1:${webPort}/`)).text(), `hello 127.0.0.1:${webPort} /`)
    const egress = [
      `web.test:${webPort}`,
      'metadata.test',
      'inner.test',
      '169.254.169.254',
      '10.0.0.1',
      '[::1]',
      `127.0.0.1:${securePort}`,
    ]
    await withSpecimen({ egress, env: { NO_PROXY: '', no_proxy: '' } }, async specimen => {
      const get = (target: string, ...flags: string[]) =>
        specimen.ask<string>(
          `return require("node:child_process").spawnSync("curl", ${JSON.stringify(['-s', '-m', '10', '-o', '/dev/null', '-w', '%{http_code} %{http_connect}', '-g', '--path-as-is', ...flags, target])}, { encoding: "utf8" }).stdout`,
        )
      const inward = [
        'http://metadata.test/latest/meta-data',
        'http://inner.test/',
        'http://169.254.169.254/',
        'http://10.0.0.1/',
        'http://[::1]/',
      ]
      for (const target of inward) assert.equal(await get(target), '403 000', target)
      for (const target of [
        'http://2852039166/',
        'http://0xa9fea9fe/',
        'http://0251.0376.0251.0376/',
        'http://[::ffff:169.254.169.254]/',
      ]) {
        assert.match(await get(target), /^(?:400|403|000) 000$/, target)
      }
      for (const target of ['https://metadata.test/', 'https://inner.test/']) assert.equal(await get(target), '000 403', target)
      assert.equal(await get(`http://127.0.0.1:${webPort}/`), '403 000', 'not listed with this port')
      assert.ok(
        outcomes(specimen).every(outcome => outcome.startsWith('denied: ')),
        outcomes(specimen).join(),
      )
      redirect = 'http://metadata.test/latest'
      assert.equal(await get(`http://web.test:${webPort}/away`), '302 000')
      assert.equal(await get(`http://web.test:${webPort}/away`, '-L'), '403 000')
      assert.equal(outcomes(specimen).at(-1), 'denied: not a public address')
    })
  })

  it('is the only way out: no UDP, no DNS, no ping, no raw socket, no other address, no abstract socket, no change of the network', async () => {
    const udp = createSocket('udp4')
    const got: string[] = []
    udp.on('message', bytes => got.push(bytes.toString()))
    udp.bind(0, '127.0.0.1')
    await once(udp, 'listening')
    const abstract = createNetServer(socket => socket.end('reached'))
    abstract.listen('\0maestro-egress-test')
    await once(abstract, 'listening')
    const udpPort = udp.address().port
    // All of it works for who is not in a sandbox.
    createSocket('udp4').unref().send('from outside', udpPort, '127.0.0.1')
    await until('the datagram', () => got.length === 1)
    const direct = connect({ path: '\0maestro-egress-test' })
    assert.equal(String((await once(direct, 'data'))[0]), 'reached')
    try {
      await withSpecimen({}, async specimen => {
        const python = (code: string) =>
          specimen.ask<string>(
            `const { stdout, stderr } = require("node:child_process").spawnSync("python3", ["-c", ${JSON.stringify(`import socket, os\n${code}`)}], { encoding: "utf8", timeout: 20000 }); return stdout + stderr.trim().split("\\n").at(-1)`,
          )
        const failed = /error/i
        for (const address of [`("127.0.0.1", ${udpPort})`, '("1.1.1.1", 53)', '("255.255.255.255", 67)']) {
          const said = await python(
            `s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(2); s.sendto(b"from inside", ${address}); print(s.recv(10))`,
          )
          assert.match(said, failed, `UDP ${address}: ${said}`)
        }
        const ways: Record<string, string> = {
          'a name': 'socket.getaddrinfo("example.com", 80)',
          'TCP outwards': 'socket.create_connection(("1.1.1.1", 443), 3)',
          'TCP to the machine': `socket.create_connection(("127.0.0.1", ${webPort}), 3)`,
          IPv6: 'socket.create_connection(("2606:4700::1111", 443), 3)',
          ping: 's = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP); s.settimeout(2); s.sendto(b"\\x08\\0" + bytes(14), ("1.1.1.1", 0)); s.recv(9)',
          'a raw socket': 'socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)',
          'a packet socket': 'socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)',
          'the abstract socket': 's = socket.socket(socket.AF_UNIX); s.connect("\\0maestro-egress-test")',
          vsock: 'socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).connect((2, 1))',
          'other netlink': 'socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)',
          // RTM_NEWLINK, a dummy device: answered with an error message of netlink, which begins with its negative number.
          'a new device':
            'import struct; s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0); s.send(struct.pack("IHHIIBxHiII", 32, 16, 0x605, 1, 0, 0, 0, 0, 0, 0)); e = struct.unpack("i", s.recv(4096)[16:20])[0]; assert e == 0, "refused"',
        }
        for (const [what, code] of Object.entries(ways)) assert.match(await python(code), failed, what)
        assert.match(await python('print(sorted(name for _, name in socket.if_nameindex()))'), /^\['lo'\]/)
      })
      assert.deepEqual(got, ['from outside'])
    } finally {
      udp.close()
      abstract.close()
    }
  })

  it('tells each connection’s end, also of those the sandbox’s own end cuts off', async () => {
    const specimen = await startSpecimen(driver, bundle.folder, { egress: [`web.test:${webPort}`] })
    await specimen.ask(
      `return new Promise(done => { const s = require("node:net").connect(3128, "127.0.0.1"); s.write("CONNECT web.test:${webPort} HTTP/1.1\\r\\n\\r\\n"); s.once("data", () => { s.write("GET / HTTP/1.1\\r\\nHost: web.test\\r\\n\\r\\n"); s.once("data", () => done(1)) }) })`,
    )
    await specimen.sandbox.close()
    const [end] = specimen.events.flatMap(event => (event.name === 'egress.closed' ? [event] : []))
    assert.ok(end)
    assert.match(end.reason, /^(?:closed inside|sandbox ended)$/)
    assert.ok(end!.upBytes > 30 && end.downBytes > 100)
  })
})
