import assert from 'node:assert/strict'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { inspect } from 'node:util'
import { makeId } from '@maestro/contract'
import { findCgroups } from '../cgroup/cgroups.ts'
import { guestEgressContract } from '../guest/egress.contract.ts'
import { sandboxContract } from '../sandbox.contract.ts'
import { guestPlace, tryGuestDriver } from '../testing/guest-place.ts'
import { makeProbeBundle, quietWorld, roomyLimits, Specimen, startSpecimen } from '../testing/specimen.ts'
import { FirecrackerDriver } from './firecracker.ts'
import { machineOf, processLimitsOf } from './limits.ts'
import { type Fakes, fakeDriver, makeFakes } from './testing/fakes.ts'

const asRoot = process.platform === 'linux' && process.getuid?.() === 0
const needsRoot = asRoot ? false : 'the jailer needs root'

if (asRoot) {
  const fakes = makeFakes()
  after(() => fakes.remove())
  // The stand-in runs servers as ordinary processes: it shows the driver’s way, not the isolation of a machine.
  sandboxContract({
    title: 'firecracker (stand-in)',
    make: () => fakeDriver(fakes, quietWorld()),
    isolates: false,
    counts: false,
    patienceMs: 20_000,
  })
  guestEgressContract({
    title: 'firecracker (stand-in)',
    make: egress => fakeDriver(fakes, quietWorld(), { egress }),
    isolates: false,
  })
} else {
  it('firecracker (stand-in) keeps the contract of a sandbox', { skip: needsRoot }, () => {})
}

describe('the firecracker driver', { skip: needsRoot, timeout: 120_000 }, () => {
  const bundle = makeProbeBundle()
  let fakes: Fakes
  let driver: FirecrackerDriver
  before(() => {
    fakes = makeFakes()
    driver = fakeDriver(fakes, quietWorld())
  })
  after(async () => {
    await driver.close()
    fakes.remove()
    bundle.remove()
  })

  it('boots a release once and restores it for every session, each in a jail of its own', async () => {
    const three = await Promise.all(Array.from({ length: 3 }, () => startSpecimen(driver, bundle.folder)))
    const jails = await Promise.all(three.map(jailOf))
    assert.equal(new Set(jails).size, 3)
    assert.deepEqual(await Promise.all(three.map(specimen => specimen.ask('return 1'))), [1, 1, 1])
    const [first, second] = jails.map(jail => statSync(`${jail}/memory`))
    // One snapshot under three names, which nobody but us can write.
    assert.equal(first?.ino, second?.ino)
    assert.equal(first!.mode & 0o777, 0o444)
    assert.equal(first!.uid, process.getuid!())
    assert.equal(first!.size, machineOf(roomyLimits).mem_size_mib * 1024 * 1024)
    const owners = jails.map(jail => statSync(jail).uid)
    assert.equal(new Set([...owners, 0]).size, 4, 'every jail has a uid of its own, none is root')
    // No kernel in the jail: it was not booted.
    for (const jail of jails)
      assert.deepEqual([readdirSync(jail).includes('kernel'), readdirSync(jail).includes('state')], [false, true])
    await Promise.all(three.map(specimen => specimen.sandbox.close()))
    for (const jail of jails) assert.throws(() => statSync(jail), { code: 'ENOENT' })
  })

  it('makes another machine for other limits', async () => {
    const large = await startSpecimen(driver, bundle.folder, { limits: { memoryBytesMax: 512 * 1024 * 1024 } })
    assert.equal(statSync(`${await jailOf(large)}/memory`).size, (512 + 128) * 1024 * 1024)
    await large.sandbox.close()
  })

  it('stores a server that all sessions start alike once it is loaded, and lets each copy go on', async () => {
    const world = quietWorld()
    const spec = () => ({
      ...{ id: makeId('sbx', world.now(), world.randomBytes(11)), bundle: bundle.folder, args: ['-a'], env: {}, egress: [] },
      ...{ program: { runtime: 'node', entry: 'probe.cjs' } as const, limits: roomyLimits },
    })
    const two = await Promise.all([driver.start(spec()), driver.start(spec())])
    const specimens = two.map(sandbox => new Specimen(sandbox, ''))
    for (const specimen of specimens) {
      assert.deepEqual(await specimen.ask('return process.argv.slice(2)'), ['-a'])
      // It was started to be copied, so what it draws by chance while it loads is watched.
      assert.match(JSON.stringify(await specimen.ask('return process.execArgv')), /twin\.cjs/)
      assert.match(readFileSync(`${await jailOf(specimen)}/state`, 'utf8'), /"held":"/)
    }
    const [one, other] = await Promise.all(specimens.map(specimen => specimen.ask('return require("node:crypto").randomUUID()')))
    assert.notEqual(one, other)
    await Promise.all(two.map(sandbox => sandbox.close()))
  })

  it('tells a machine that died from a server that ended', async () => {
    const specimen = await startSpecimen(driver, bundle.folder)
    const jail = await jailOf(specimen)
    const pid = Number(readFileSync(`${jail}/firecracker.pid`, 'utf8'))
    process.kill(pid, 'SIGKILL')
    const { reason, code } = await specimen.sandbox.exited
    assert.deepEqual({ reason, code }, { reason: 'sandbox_crashed', code: null })
    assert.deepEqual(specimen.alive(), [])
    assert.throws(() => statSync(jail), { code: 'ENOENT' })
  })

  it('says what Firecracker said when a machine cannot be made, and leaves nothing', async () => {
    const broken = makeFakes()
    writeFileSync(broken.image.kernel, 'bzImage')
    const other = fakeDriver(broken, quietWorld())
    try {
      await assert.rejects(startSpecimen(other, bundle.folder), {
        code: 'sandbox_start_failed',
        message: /PUT \/boot-source: The kernel is no ELF file/,
      })
      assert.equal(other.orphans, 0)
      // What was mended works without a new driver.
      await assert.rejects(startSpecimen(other, bundle.folder), { code: 'sandbox_start_failed' })
    } finally {
      await other.close()
      broken.remove()
    }
  })

  it('does not take a device that opens for a machine that runs guests', async () => {
    const broken = makeFakes()
    writeFileSync(broken.image.kernel, 'bzImage')
    for (const attempt of ['asked', 'remembered']) {
      const other = fakeDriver(broken, quietWorld())
      const { usable, detail } = await other.check()
      assert.equal(usable, false, attempt)
      assert.match(detail, /a guest does not come up: .*no ELF file.*mend:/)
      await other.close()
    }
    broken.remove()
  })

  it('follows no link that a machine made in its jail', async () => {
    const hostile = makeFakes()
    const secret = join(hostile.place.data, '..', 'secret')
    writeFileSync(secret, 'the secret of the host', { mode: 0o600 })
    // A Firecracker that was taken over: its log is a link out of the jail, and so is what it stores.
    const program = readFileSync(hostile.programs.firecracker, 'utf8')
    writeFileSync(hostile.programs.firecracker, program.replace('exec', `ln -s ${secret} log; exec`))
    writeFileSync(hostile.image.root, JSON.stringify({ node: process.execPath, storesLinkTo: secret }))
    const other = fakeDriver(hostile, quietWorld())
    try {
      await assert.rejects(startSpecimen(other, bundle.folder), failure => {
        assert.match(String(failure), /ELOOP/)
        assert.doesNotMatch(inspect(failure, { depth: 9 }), /the secret of/)
        return true
      })
      const facts = statSync(secret)
      assert.deepEqual([facts.mode & 0o777, facts.uid, readFileSync(secret, 'utf8')], [0o600, 0, 'the secret of the host'])
    } finally {
      await other.close()
      hostile.remove()
    }
  })

  it('says what the jailer said when it refuses', async () => {
    const broken = makeFakes()
    writeFileSync(broken.programs.jailer, '#!/bin/sh\necho "Jailer error: Failed to unshare" >&2\nexit 1\n')
    const other = fakeDriver(broken, quietWorld())
    try {
      await assert.rejects(startSpecimen(other, bundle.folder), { code: 'sandbox_start_failed', message: /Failed to unshare/ })
    } finally {
      await other.close()
      broken.remove()
    }
  })

  const cgroups = asRoot ? findCgroups() : null
  it('holds the whole of Firecracker in a control group', { skip: cgroups ? false : 'no writable control group' }, async () => {
    const held = fakeDriver(fakes, quietWorld(), { cgroups })
    try {
      // The stand-in’s threads count, which are more than Firecracker’s: many CPUs leave room for them.
      const limits = { ...roomyLimits, cpusMax: 32 }
      const specimen = await startSpecimen(held, bundle.folder, { limits })
      const folder = cgroups!.folders.get('memory')!
      const name = readdirSync(folder).find(entry => entry.includes(specimen.sandbox.id.replaceAll('_', '-')))
      assert.ok(name, 'no control group of its name')
      const file = cgroups!.version === 2 ? 'memory.max' : 'memory.limit_in_bytes'
      assert.equal(Number(readFileSync(`${folder}/${name}/${file}`, 'utf8')), processLimitsOf(limits).memoryBytesMax)
      const bytes = specimen.sandbox.memoryBytes?.() ?? 0
      assert.ok(bytes > 20 * 1024 * 1024 && bytes < processLimitsOf(limits).memoryBytesMax, `${bytes} bytes`)
      const pid = readFileSync(`${await jailOf(specimen)}/firecracker.pid`, 'utf8')
      assert.ok(readFileSync(`${folder}/${name}/cgroup.procs`, 'utf8').split('\n').includes(pid))
      await specimen.sandbox.close()
      assert.ok(!readdirSync(folder).includes(name))
    } finally {
      await held.close()
    }
  })
})

/** The root of the jail that a sandbox runs in: the stand-in keeps the home of its program in there. */
const jailOf = async (specimen: Specimen): Promise<string> =>
  (await specimen.ask<string>('return process.env.HOME')).replace(/\/guest\/home$/, '')

// The real one, where this machine has it.
const { usable, detail } = await tryGuestDriver(new FirecrackerDriver(quietWorld(), guestPlace))

if (usable) {
  const make = () => new FirecrackerDriver(quietWorld(), guestPlace)
  sandboxContract({
    title: `firecracker (${detail})`,
    make,
    isolates: true,
    counts: findCgroups() !== null,
    ownKernel: true,
    processesSeen: 1,
    patienceMs: 20_000,
    data: guestPlace.data,
  })
  guestEgressContract({
    title: 'firecracker',
    make: egress => new FirecrackerDriver(quietWorld(), guestPlace, { egress }),
    isolates: true,
  })
} else {
  it('firecracker keeps the contract of a sandbox', { skip: detail }, () => {})
}

it('machines restored from one snapshot differ', { skip: usable ? false : detail }, async () => {
  const bundle = makeProbeBundle()
  const driver = new FirecrackerDriver(quietWorld(), guestPlace)
  try {
    const twins = await Promise.all([startSpecimen(driver, bundle.folder), startSpecimen(driver, bundle.folder)])
    const random = await Promise.all(twins.map(twin => twin.ask<string>('return require("node:crypto").randomUUID()')))
    assert.notEqual(random[0], random[1])
    for (const twin of twins) {
      const drift = Math.abs((await twin.ask<number>('return Date.now()')) - Date.now())
      assert.ok(drift < 5000, `${drift} ms`)
      await twin.sandbox.close()
    }
  } finally {
    await driver.close()
    bundle.remove()
  }
})
