import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { findCgroups } from '../cgroup/cgroups.ts'
import { sandboxContract } from '../sandbox.contract.ts'
import { guestPlace, tryGuestDriver } from '../testing/guest-place.ts'
import { makeProbeBundle, quietWorld, type Specimen, startSpecimen } from '../testing/specimen.ts'
import { MicrovmDriver } from './microvm.ts'

const { usable, detail } = await tryGuestDriver(new MicrovmDriver(quietWorld(), guestPlace))
const make = () => new MicrovmDriver(quietWorld(), guestPlace)

if (usable) {
  sandboxContract({
    title: `microvm (${detail})`,
    make,
    isolates: true,
    counts: findCgroups() !== null,
    marked: false,
    patienceMs: 60_000,
    data: guestPlace.data,
  })
} else {
  it('microvm keeps the contract of a sandbox', { skip: detail }, () => {})
}

const chance = `
  const crypto = require("node:crypto")
  const fs = require("node:fs")
  const urandom = Buffer.alloc(16)
  fs.readSync(fs.openSync("/dev/urandom"), urandom)
  const kernel = name => fs.readFileSync("/proc/sys/kernel/random/" + name, "latin1").trim()
  return {
    randomBytes: crypto.randomBytes(16).toString("hex"),
    randomUUID: crypto.randomUUID(),
    webUUID: globalThis.crypto.randomUUID(),
    randomInt: crypto.randomInt(2 ** 47),
    random: Math.random(),
    urandom: urandom.toString("hex"),
    kernelUuid: kernel("uuid"),
    bootId: kernel("boot_id"),
    clockMs: Date.now(),
  }`

/** Processor time of a process so far, in ticks of 10 ms. */
const ticksOf = (pid: number): number => {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]!.split(' ')
  return Number(fields[11]) + Number(fields[12])
}

describe('machines made from one snapshot', { skip: !usable && detail, timeout: 540_000 }, () => {
  let driver: MicrovmDriver
  const bundles: { remove(): void }[] = []
  before(() => {
    driver = make()
  })
  after(async () => {
    await driver.close()
    for (const bundle of bundles) bundle.remove()
  })
  const bundleOf = (opening: string): string => {
    const bundle = makeProbeBundle()
    bundles.push(bundle)
    const file = join(bundle.folder, 'probe.cjs')
    writeFileSync(file, readFileSync(file, 'utf8').replace("'use strict'", `'use strict'\n${opening}`))
    return bundle.folder
  }
  const startTwo = async (folder: string): Promise<Specimen[]> => {
    const first = await startSpecimen(driver, folder, {}, false)
    return [first, await startSpecimen(driver, folder, {}, false)]
  }

  it('have nothing of chance in common, and the right time', async () => {
    const folder = bundleOf('globalThis.loadedAt = process.hrtime.bigint()')
    const twins = await startTwo(folder)
    const loadedAt = await Promise.all(twins.map(twin => twin.ask<string>('return String(globalThis.loadedAt)')))
    assert.equal(loadedAt[0], loadedAt[1], 'they were not made from one server that had loaded')
    const drawn = await Promise.all(twins.map(twin => twin.ask<Record<string, unknown>>(chance)))
    for (const [name, value] of Object.entries(drawn[0]!)) {
      if (name === 'clockMs') assert.ok(Math.abs(Number(value) - Date.now()) < 5000, `the clock says ${value}`)
      else assert.notEqual(value, drawn[1]![name], name)
    }
    await Promise.all(twins.map(twin => twin.sandbox.close()))
  })

  it('take no processor while they are paused, and have the right time and their connections after it', async () => {
    const web = createServer((_request, response) => response.end('hello')).listen(0, '127.0.0.1')
    await once(web, 'listening')
    const url = `http://web.test:${(web.address() as AddressInfo).port}/`
    const egress = { allowPrivate: ['127.0.0.1'], resolve: async () => ['127.0.0.1'] }
    const other = new MicrovmDriver(quietWorld(), guestPlace, { egress })
    try {
      const specimen = await startSpecimen(other, bundleOf(''), { egress: [new URL(url).host] }, false)
      const fetched = `return (await fetch("${url}")).text()`
      assert.equal(await specimen.ask(fetched), 'hello')
      // Busy, so that one that is not paused would show.
      await specimen.ask('setInterval(() => { for (let n = 0; n < 1e5; n++); }, 1); return 1')
      const ticks = () => specimen.alive().reduce((sum, pid) => sum + ticksOf(pid), 0)
      const measure = async () => {
        const before = ticks()
        await new Promise(done => setTimeout(done, 2000))
        return ticks() - before
      }
      assert.ok((await measure()) > 20, 'it is not busy')
      assert.equal(specimen.sandbox.freeze?.(), true)
      // What was asked for before may still be under way.
      await new Promise(done => setTimeout(done, 200))
      const paused = await measure()
      assert.ok(paused < 5, `${paused} ticks while it was paused`)
      specimen.sandbox.thaw?.()
      const clockMs = await specimen.ask<number>('return Date.now()')
      // It stood still for longer than that.
      assert.ok(Math.abs(clockMs - Date.now()) < 1500, `the clock is ${Date.now() - clockMs} ms late`)
      assert.equal(await specimen.ask(fetched), 'hello')
      await specimen.sandbox.close()
    } finally {
      await other.close()
      web.close()
    }
  })

  it('do not come from a server that wanted something of the network while it loaded', async () => {
    let visitors = 0
    const web = createServer((_request, response) => response.end(`visitor ${++visitors}`)).listen(0, '127.0.0.1')
    await once(web, 'listening')
    const host = `web.test:${(web.address() as AddressInfo).port}`
    const other = new MicrovmDriver(quietWorld(), guestPlace, {
      egress: { allowPrivate: ['127.0.0.1'], resolve: async () => ['127.0.0.1'] },
    })
    const request = JSON.stringify(`GET http://${host}/ HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
    const folder = bundleOf(`globalThis.greeting = new Promise(done => {
      let text = ''
      const socket = require('node:net').connect(3128, '127.0.0.1')
      socket.on('data', bytes => { text += bytes }).on('error', () => {}).on('close', () => done(text))
      socket.write(${request})
    })`)
    try {
      for (const visitor of [1, 2]) {
        const specimen = await startSpecimen(other, folder, { egress: [host] }, false)
        assert.match(await specimen.ask('return globalThis.greeting'), new RegExp(`visitor ${visitor}$`))
        await specimen.sandbox.close()
      }
    } finally {
      await other.close()
      web.close()
    }
  })

  it('do not come from a server that drew something by chance while it loaded', async () => {
    const twins = await startTwo(bundleOf('globalThis.identity = require("node:crypto").randomUUID()'))
    const identities = await Promise.all(twins.map(twin => twin.ask<string>('return globalThis.identity')))
    assert.match(identities[0]!, /^[0-9a-f-]{36}$/)
    assert.notEqual(identities[0], identities[1])
    await Promise.all(twins.map(twin => twin.sandbox.close()))
  })
})
