/**
 * The way out of a real sandbox. "The internet" is servers on this machine's loopback, which the tests exempt and give public names.
 * What must not be reached is first shown to be there for everybody who is not in a sandbox.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { BubblewrapDriver } from '../../packages/conductor/src/sandbox/bubblewrap/bubblewrap.ts'
import {
  makeProbeBundle,
  quietWorld,
  type Specimen,
  startSpecimen,
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
  const web = createServer((request, response) => response.end(`hello ${request.headers.host} ${request.url}`))
  let webPort: number
  const driver = new BubblewrapDriver(quietWorld(), {
    egress: { allowPrivate: ['127.0.0.1'], resolve: async () => ['127.0.0.1'] },
  })

  before(async () => {
    web.listen(0, '127.0.0.1')
    await once(web, 'listening')
    webPort = (web.address() as AddressInfo).port
    writeFileSync(join(others, 'main.py'), pythonServer)
    writeFileSync(join(others, 'main.sh'), shellServer)
    chmodSync(join(others, 'main.sh'), 0o755)
    const { usable, detail } = await driver.check()
    assert.ok(usable, detail)
  })
  after(async () => {
    await driver.close()
    web.close()
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
})
