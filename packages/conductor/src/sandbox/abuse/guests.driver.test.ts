/**
 * Goal: a server in a virtual machine gets no further in there than in any sandbox, and out of it not at all.
 * Method: the attacks of this folder that mean something in a guest, shown to work outside first where that harms nobody; a second guest
 * lives beside them and must answer after each.
 *
 * Chosen: system calls, settings and devices (the way to the agent, and to the guest's kernel, which alone stands before QEMU), files of
 * Conductor and of the agent, processes by signal, memory, processes, disk, a fork bomb, and floods of the one way out. Left out: what the
 * guest's /proc tells, which is of a machine made for this server; neighbours by any means of a kernel, which no two guests share; what is
 * counted to a user of the machine. Guests are emulated on most machines, so all run in copies of one loaded server.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { relayConnectionsMax } from '../guest/messages.ts'
import { MicrovmDriver } from '../microvm/microvm.ts'
import { guestPlace, tryGuestDriver } from '../testing/guest-place.ts'
import { quietWorld, type Specimen, startSpecimen } from '../testing/specimen.ts'
import { pathOf, python, runInside } from './cell.ts'
import { runProgramOutside } from './outside.ts'

type Said = Record<string, string | number>
interface Taken {
  got: number
  error: string | null
}

const MiB = 1024 * 1024
const limits = { memoryBytesMax: 160 * MiB, pidsMax: 48, diskBytesMax: 16 * MiB }
const settings = `/proc/sysrq-trigger /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe /proc/sys/vm/overcommit_memory
  /proc/sys/kernel/pid_max /proc/sys/net/ipv4/ip_forward /dev/mem /dev/kmsg /dev/port`.split(/\s+/)
/** Of the guest's machine: its disks, the agent's port, memory, the first file system. */
const ofTheGuest =
  `/dev/vda /dev/vdb /dev/vport0p1 /dev/vport1p1 /dev/vsock /dev/hwrng /dev/mem /dev/ttyS0 /proc/kcore /init /relay.pl /groups
  /image /modules /inside /proc/1/root/init /proc/1/cwd/init /proc/1/environ /proc/1/mem /sys/class/virtio-ports`.split(/\s+/)
const refused = /^(EPERM|EACCES|ENOENT|ENOTDIR|EROFS|ENXIO|ENODEV)$/

const { usable, detail } = await tryGuestDriver(new MicrovmDriver(quietWorld(), guestPlace))

describe('microVM: attacks in a guest', { skip: !usable && detail, timeout: 300_000 }, () => {
  // Files of one date, so that the disk and the copy of one run serve the next.
  const bundle = mkdtempSync(join(tmpdir(), 'abuse-bundle-'))
  const probe = fileURLToPath(new URL('../testing/probe.cjs', import.meta.url))
  const web = createServer((_request, response) => response.end('hello'))
  let driver: MicrovmDriver
  let neighbour: Specimen
  let port = 0
  before(async () => {
    for (const [from, name] of [
      [probe, 'probe.cjs'],
      [pathOf('calls.py'), 'calls.py'],
      [pathOf('reads.py'), 'reads.py'],
      [pathOf('exhaust.py'), 'exhaust.py'],
    ] as const) {
      copyFileSync(from, join(bundle, name))
      utimesSync(join(bundle, name), 0, 0)
    }
    await new Promise<void>(done => web.listen(0, '127.0.0.1', done))
    port = (web.address() as AddressInfo).port
    driver = new MicrovmDriver(quietWorld(), guestPlace, {
      egress: { allowPrivate: ['127.0.0.1'], resolve: async () => ['127.0.0.1'] },
    })
    neighbour = await start()
  })
  after(async () => {
    await driver?.close()
    web.close()
    rmSync(bundle, { recursive: true, force: true })
  })
  const start = (changes: Parameters<typeof startSpecimen>[2] = {}) =>
    startSpecimen(driver, bundle, { limits, egress: ['web.test'], ...changes }, false)
  /** A guest for one attack; the other one still answers after it, and nothing of the first is left. */
  const attack = async (use: (specimen: Specimen) => Promise<void>, changes?: Parameters<typeof startSpecimen>[2]) => {
    const specimen = await start(changes)
    await use(specimen)
    assert.equal(await neighbour.ask('return 1 + 1'), 2)
    await specimen.sandbox.close()
    assert.deepEqual(specimen.alive(), [], 'something outlived it')
    assert.equal(driver.orphans, 0)
  }
  const run = (specimen: Specimen, what: string, most: number) =>
    specimen
      .ask<string>(
        `return new Promise(done => require("node:child_process").execFile("${python}", ["/bundle/exhaust.py", "${what}", "${most}"], { timeout: 60_000 }, (_, output) => done(output)))`,
      )
      .then(said => (said ? (JSON.parse(said) as Taken) : null))
      .catch(() => null)

  it('a system call that leads out is refused', async () => {
    const outside = await runProgramOutside<Said>('calls.py')
    await attack(async specimen => {
      const inside = await runInside<Said>(specimen, 'calls.py')
      const done = Object.keys(outside).filter(name => outside[name] === 'done')
      assert.ok(done.length > 30, `${done.length} attacks work outside`)
      assert.deepEqual(
        done.filter(name => inside[name] === 'done'),
        [],
      )
    })
  })

  it('no setting, device, disk or file of the guest is open, and none of the machine is there', async () => {
    const secret = join(mkdtempSync(join(tmpdir(), 'abuse-data-')), 'root.key')
    writeFileSync(secret, 'secret', { mode: 0o600 })
    const victim = spawn('sleep', ['1000'], { env: { SECRET: 'of-the-machine' } })
    try {
      assert.equal(readFileSync(secret, 'latin1'), 'secret')
      const open = Object.values(await runProgramOutside<Said>('reads.py', 'write', ...settings)).filter(what => what === 'done')
      assert.ok(open.length > 3, `only ${open.length} can be opened outside`)
      await attack(async specimen => {
        const detours = [secret, `/proc/self/root${secret}`, `/proc/1/root${secret}`, `/bundle/../..${secret}`]
        const read = await runInside<Said>(specimen, 'reads.py', 'read', ...ofTheGuest, ...detours)
        const written = await runInside<Said>(specimen, 'reads.py', 'write', ...settings, ...ofTheGuest)
        for (const said of [read, written])
          for (const [path, what] of Object.entries(said)) assert.match(String(what), refused, path)
        const told = await specimen.ask<string>(
          'const fs = require("node:fs"); let text = ""; for (const pid of fs.readdirSync("/proc")) for (const file of ["environ", "cmdline"]) try { text += fs.readFileSync("/proc/" + pid + "/" + file, "latin1") } catch {} return text',
        )
        assert.match(told, /probe\.cjs/)
        assert.doesNotMatch(told, /of-the-machine/)
      })
    } finally {
      victim.kill('SIGKILL')
      rmSync(join(secret, '..'), { recursive: true })
    }
  })

  it('a signal to everybody, or to every number, reaches neither agent nor neighbour', () =>
    attack(async specimen => {
      const all =
        'import os\nfor pid in [-1] + list(range(1, 2000)):\n    try: os.kill(pid, 0 if pid == os.getpid() else 9)\n    except OSError: pass'
      await specimen
        .ask(`require("node:child_process").execFileSync("${python}", ["-c", ${JSON.stringify(all)}]); return 1`)
        .catch(() => {})
      // The server itself is hit; that the agent lives shows by its telling so.
      const { code, signal, reason } = await specimen.sandbox.exited
      assert.deepEqual({ code, signal, reason }, { code: null, signal: 'SIGKILL', reason: 'sandbox_crashed' })
    }))

  it('memory is bounded, and its end has the right name', () =>
    attack(async specimen => {
      assert.deepEqual(await runProgramOutside('exhaust.py', 'heap', '400'), { got: 400, error: null })
      assert.equal(await run(specimen, 'heap', 400), null)
      assert.equal((await specimen.sandbox.exited).reason, 'sandbox_limit_reached')
    }))

  it('processes and disk are bounded', () =>
    attack(async specimen => {
      assert.deepEqual(await runProgramOutside('exhaust.py', 'disk', '64'), { got: 64, error: null })
      const disk = await run(specimen, 'disk', 64)
      assert.equal(disk?.error, 'ENOSPC')
      assert.ok(disk.got <= 8, `${disk.got} MiB`)
      assert.deepEqual(await runProgramOutside('exhaust.py', 'process', '300'), { got: 300, error: null })
      const processes = await run(specimen, 'process', 300)
      assert.equal(processes?.error, 'EAGAIN')
      assert.ok(processes.got < limits.pidsMax, `${processes.got} processes`)
      assert.equal((await specimen.askLast('process.exit(1)')).reason, 'sandbox_limit_reached')
    }))

  it('a bomb that only forks stays in its guest', () =>
    attack(async specimen => {
      const bomb = 'import os\nwhile True:\n    try: os.fork()\n    except OSError: pass'
      await specimen.ask(
        `require("node:child_process").spawn("${python}", ["-c", ${JSON.stringify(bomb)}], { stdio: "ignore" }); return 1`,
      )
      await new Promise(done => setTimeout(done, 2000))
    }))

  it('a flood of connections fills neither agent nor Conductor, and the way out still answers', () =>
    attack(
      async specimen => {
        const flood = `
          const net = require("node:net")
          const opened = []
          for (let n = 0; n < ${3 * relayConnectionsMax}; n++) {
            const socket = net.connect(3128, "127.0.0.1")
            socket.on("error", () => {}).on("connect", () => socket.write(Buffer.alloc(200_000, "GET / ")))
            opened.push(socket)
          }
          await new Promise(done => setTimeout(done, 1500))
          const connected = opened.filter(socket => socket.readyState === "open").length
          for (const socket of opened) socket.destroy()
          return connected`
        const before = process.memoryUsage().rss
        const connected = await specimen.ask<number>(flood)
        assert.ok(typeof connected === 'number', JSON.stringify(connected))
        assert.ok(process.memoryUsage().rss - before < 200 * MiB)
        // The burst of connections that a sandbox may open is used up: it is told so, by us, in order.
        const said = await specimen.ask<unknown>(
          `return new Promise(done => require("node:http").get({ host: "127.0.0.1", port: 3128, path: "http://web.test:${port}/" }, response => done(response.statusCode)).on("error", error => done(error.code)))`,
        )
        assert.ok(said === 200 || said === 429, JSON.stringify(said))
      },
      { egress: [`web.test:${port}`] },
    ))
})
