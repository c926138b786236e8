/** What every sandbox driver must do. Each driver's test file runs it; one that does not isolate says so and is held to the rest. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { after, before, describe, it } from 'node:test'
import { describeHeldStarts } from './held.contract.ts'
import { ownerName } from './owner.ts'
import type { SandboxDriver } from './sandbox.ts'
import { describeSuddenDeath } from './sudden-death.contract.ts'
import { countInside, doubleFork, forkBomb } from './testing/asked-code.ts'
import { leftOf } from './testing/left-of.ts'
import { makeProbeBundle, type Specimen, startSpecimen, until as untilWithin } from './testing/specimen.ts'
import { describeWaiting } from './waiting.contract.ts'

const MiB = 1024 * 1024

export interface ContractSubject {
  title: string
  make(): SandboxDriver
  /** Whether servers are kept from the machine and from each other. */
  isolates: boolean
  /** Whether the kernel counts memory and processes of the whole tree, so that reaching a limit can be told from a crash. */
  counts: boolean
  /** Whether servers have a kernel of their own, which filters for itself and makes up a /sys that tells nothing of the machine. */
  ownKernel?: boolean
  /** Whether its processes are ours to look into, from outside. */
  seesProcesses?: boolean
  /** How long what is waited for may take, ms; emulated machines are slow. */
  patienceMs?: number
  /** False where an environment of its own would keep a server from being started ahead, which is what is tested where it is not needed. */
  marked?: boolean
  /** So many processes of a server and two of its children the machine sees at least: one where they are all in a virtual machine. */
  processesSeen?: number
  /** The data folder of a driver that keeps something. */
  data?: string
}

export function sandboxContract(subject: ContractSubject): void {
  const { patienceMs = 10_000, marked = true, processesSeen = 3 } = subject
  const until = (what: string, condition: () => boolean, msMax = 0) => untilWithin(what, condition, Math.max(patienceMs, msMax))
  describe(`${subject.title} keeps the contract of a sandbox:`, { timeout: 24 * patienceMs }, () => {
    const bundle = makeProbeBundle()
    const foldersBefore = ourFolders()
    let driver: SandboxDriver
    before(() => {
      driver = subject.make()
    })
    after(async () => {
      await driver.close()
      bundle.remove()
    })
    const start = (changes?: Parameters<typeof startSpecimen>[2]) => startSpecimen(driver, bundle.folder, changes, marked)
    const withSpecimen = async (use: (specimen: Specimen) => Promise<void>, changes?: Parameters<typeof startSpecimen>[2]) => {
      const specimen = await start(changes)
      try {
        await use(specimen)
      } finally {
        await specimen.sandbox.close()
      }
      assert.deepEqual(specimen.alive(), [], 'a process outlived its sandbox')
    }

    it('says that it can be used', async () => {
      const { usable, detail } = await driver.check()
      assert.ok(usable, detail)
    })

    it('carries frames byte for byte, in order, blank lines and carriage returns left out', () =>
      withSpecimen(async ({ sandbox, frames }) => {
        const sent = Array.from({ length: 500 }, (_, index) => `{"n":${index},"text":"ä€😀\\u0000\\"${'x'.repeat(index)}"}`)
        for (const frame of sent) sandbox.send(Buffer.from(frame))
        sandbox.send(Buffer.from('   '))
        sandbox.send(Buffer.from('{"last":1}\r'))
        await until('all frames', () => frames.length === sent.length + 1)
        assert.deepEqual(frames, [...sent, '{"last":1}'])
      }))

    it('carries a frame as large as allowed', () =>
      withSpecimen(async ({ sandbox, frames }) => {
        const large = `{"large":"${'é'.repeat(1024 * 1024)}"}`
        sandbox.send(Buffer.from(large))
        await until('the frame', () => frames.length > 0)
        assert.ok(frames[0] === large)
      }))

    it('does not keep the bytes it was sent', () =>
      withSpecimen(async ({ sandbox, frames }) => {
        const frame = Buffer.from(`{"large":"${'a'.repeat(MiB)}"}`)
        sandbox.send(frame)
        frame.fill(0x62)
        await until('the frame', () => frames.length > 0)
        assert.ok(!frames[0]?.includes('b'))
      }))

    it('tells the exit code of a server that ends by itself', async () => {
      const exit = await (await start()).askLast('process.exit(7)')
      assert.equal(exit.code, 7)
      assert.equal(exit.reason, 'sandbox_crashed')
    })

    it('tells a crash with the last of standard error, and every frame before it', async () => {
      const specimen = await start()
      const exit = await specimen.askLast(
        'process.stdout.write("{\\"before\\":1}\\n"); setImmediate(() => { throw new Error("that was it") })',
      )
      assert.equal(exit.reason, 'sandbox_crashed')
      assert.match(exit.stderrTail, /that was it/)
      assert.ok(exit.stderrTail.length <= 4096)
      assert.ok(specimen.frames.includes('{"before":1}'))
      assert.deepEqual(specimen.events.at(-1), { name: 'server.exited', code: 1, signal: null, reason: 'sandbox_crashed' })
    })

    it('masks values of the environment in standard error', async () => {
      const secret = 'sk-test-0123456789abcdef'
      const specimen = await start({ env: { API_KEY: secret } })
      const exit = await specimen.askLast('console.error("bad key", process.env.API_KEY); process.exit(1)')
      assert.match(exit.stderrTail, /bad key \[API_KEY\]/)
      assert.ok(!JSON.stringify(specimen.events).includes(secret))
    })

    it('closes a server that ends with its input at once', async () => {
      const specimen = await start()
      await specimen.ask('1')
      const begun = performance.now()
      await Promise.all([specimen.sandbox.close(), specimen.sandbox.close()])
      assert.ok(performance.now() - begun < 1500)
      assert.equal((await specimen.sandbox.exited).reason, 'closed')
    })

    it('closes a tree that forked away and will not end', async () => {
      const specimen = await start()
      await specimen.ask(
        'globalThis.stubborn = true; setInterval(() => {}, 1000); process.on("SIGTERM", () => {}); process.on("SIGHUP", () => {})',
      )
      await specimen.ask(doubleFork)
      await until('the strays', () => specimen.alive().length >= processesSeen)
      await specimen.sandbox.close()
      assert.deepEqual(specimen.alive(), [])
    })

    it('takes along what a server leaves when it ends by itself', async () => {
      const specimen = await start()
      await specimen.ask(doubleFork)
      await specimen.askLast('process.exit(0)')
      assert.deepEqual(specimen.alive(), [])
    })

    it('counts lines that are no messages, and ends a server that says little else', async () => {
      const specimen = await start()
      await specimen.ask('process.stdout.write("hello\\n".repeat(3))')
      await until('the events', () => specimen.events.length >= 3)
      assert.deepEqual(specimen.events[0], { name: 'server.garbled', text: 'hello', bytes: 5 })
      const exit = await specimen.askLast('setInterval(() => process.stdout.write("hello\\n".repeat(500)), 1)')
      assert.equal(exit.reason, 'server_garbled')
    })

    it('ends a server whose line has no end', async () => {
      const specimen = await start({ limits: { lineBytesMax: 64 * 1024 } })
      const exit = await specimen.askLast('setInterval(() => process.stdout.write("{".repeat(65536)), 1)')
      assert.equal(exit.reason, 'sandbox_limit_reached')
    })

    it('holds a server that floods standard output while its reader pauses', () =>
      withSpecimen(async specimen => {
        specimen.sandbox.pause()
        const before = process.memoryUsage().rss
        specimen.sandbox.send(
          Buffer.from(
            '{"id":0,"eval":"const line = JSON.stringify({ text: \\"x\\".repeat(1000) }) + String.fromCharCode(10); for (let n = 0; n < 50000; n++) if (!process.stdout.write(line)) await new Promise(done => process.stdout.once(\\"drain\\", done))"}',
          ),
        )
        await new Promise(done => setTimeout(done, 300))
        const held = specimen.frames.length
        assert.ok(held < 2000, `${held} frames came through a pause`)
        assert.ok(process.memoryUsage().rss - before < 200 * MiB)
        specimen.sandbox.resume()
        await until('the rest', () => specimen.frames.length === 50_001, 30_000)
      }))

    it('reads of a server that floods standard output so much in a second and no more', () =>
      withSpecimen(async specimen => {
        const code =
          'const lines = ("{}" + String.fromCharCode(10)).repeat(2000); const go = () => { while (process.stdout.write(lines)); process.stdout.once("drain", go) }; setImmediate(go)'
        await specimen.ask(code)
        await until('the flood', () => specimen.frames.length > 10_000)
        const before = specimen.frames.length
        const beganMs = performance.now()
        await new Promise(done => setTimeout(done, 1000))
        const perSecond = (specimen.frames.length - before) / ((performance.now() - beganMs) / 1000)
        assert.ok(perSecond > 10_000 && perSecond < 90_000, `${Math.round(perSecond)} frames in a second`)
      }))

    it('is not held up by a flood of standard error', () =>
      withSpecimen(async specimen => {
        await specimen.ask(
          'setInterval(() => { for (let n = 0; n < 64; n++) process.stderr.write("flood ".repeat(1000) + "\\n") }, 5)',
        )
        const texts = () => specimen.events.filter(event => event.name === 'server.stderr')
        await until('the note of what was left out', () =>
          texts().some(event => /bytes of standard error not kept/.test(event.text)),
        )
        const bytes = texts().reduce((sum, event) => sum + event.text.length, 0)
        assert.ok(bytes < 4 * 64 * 1024, `${bytes} bytes of events`)
      }))

    it('ends a server that does not read what it is sent', async () => {
      const specimen = await start()
      await specimen.ask('setTimeout(() => { for (;;); }, 0)')
      const frame = Buffer.from(`{"fill":"${'x'.repeat(MiB)}"}`)
      for (let count = 0; count < 20; count++) specimen.sandbox.send(frame)
      assert.equal((await specimen.sandbox.exited).reason, 'sandbox_limit_reached')
      assert.deepEqual(specimen.alive(), [])
    })

    it('ends a server that takes more memory than it may', async () => {
      const specimen = await start({ limits: { memoryBytesMax: 160 * MiB } })
      const exit = await specimen.askLast(
        'setTimeout(() => { const held = []; for (;;) held.push(Buffer.alloc(8 * 1024 * 1024, 1)) }, 0)',
      )
      assert.equal(exit.reason, 'sandbox_limit_reached')
    })

    it('gives the environment that was asked for, and nothing of Conductor’s', () =>
      withSpecimen(
        async specimen => {
          process.env['CONDUCTOR_ONLY'] = 'secret'
          const env = await specimen.ask<Record<string, string>>('return process.env')
          delete process.env['CONDUCTOR_ONLY']
          const { PATH, HOME, TMPDIR, LANG, PWD, SANDBOX_FOLDER, ...given } = env
          assert.deepEqual(given, { ...(marked ? { SPECIMEN: specimen.mark } : {}), GREETING: 'hi = "there"' })
        },
        { env: { GREETING: 'hi = "there"' } },
      ))

    it('gives a working folder and a temporary folder that can be written to', () =>
      withSpecimen(async specimen => {
        const text = await specimen.ask(
          'const fs = require("node:fs"); fs.writeFileSync("a", "1"); fs.writeFileSync(require("node:os").tmpdir() + "/b", "2"); return fs.readFileSync("a", "utf8")',
        )
        assert.equal(text, '1')
      }))

    it('runs with the Node that runs Conductor, and hands arguments over as they are', () =>
      withSpecimen(
        async specimen => {
          assert.deepEqual(await specimen.ask('return [process.version, process.argv.slice(2)]'), [
            process.version,
            ['-a', '$HOME "b"', ''],
          ])
        },
        { args: ['-a', '$HOME "b"', ''] },
      ))

    describeHeldStarts(subject, start, withSpecimen)

    it('throws sandbox_start_failed or ends as crashed for a program that is not there', async () => {
      const reason = await start({ program: { runtime: 'node', entry: 'absent.cjs' } }).then(
        async specimen => (await specimen.sandbox.exited).reason,
        failure => failure.code,
      )
      assert.match(reason, /^sandbox_(start_failed|crashed)$/)
    })

    describeWaiting(subject, () => driver, start, withSpecimen)

    describeSuddenDeath(subject, () => driver, bundle.folder, until)

    if (subject.isolates) describeIsolation(subject, start, withSpecimen)

    it('leaves no folder, control group or mount behind', async () => {
      const other = subject.make()
      const specimen = await startSpecimen(other, bundle.folder, {}, marked)
      await specimen.ask('1')
      await other.close()
      await driver.close()
      assert.equal((await specimen.sandbox.exited).reason, 'closed')
      assert.deepEqual(ourFolders(), foldersBefore)
      assert.deepEqual(
        leftOf(ownerName).filter(path => !path.startsWith(tmpdir())),
        [],
      )
      assert.ok(!readMounts().includes('maestro-'))
    })
  })
}

function describeIsolation(
  subject: ContractSubject,
  start: (changes?: Parameters<typeof startSpecimen>[2]) => Promise<Specimen>,
  withSpecimen: (use: (specimen: Specimen) => Promise<void>, changes?: Parameters<typeof startSpecimen>[2]) => Promise<void>,
): void {
  it('cannot change its bundle or the system', () =>
    withSpecimen(async specimen => {
      for (const path of ['/bundle/x', '/usr/x', '/etc/x', '/x', '/dev/x', '/run/maestro/x', '/home/x']) {
        assert.match(
          JSON.stringify(await specimen.ask(`require("node:fs").writeFileSync("${path}", "")`)),
          /EROFS|EACCES|EPERM/,
          path,
        )
      }
    }))

  it('sees nothing of the machine’s people, secrets and processes', () =>
    withSpecimen(async specimen => {
      const paths = ['/root', '/etc/shadow', '/var', '/opt', '/srv', '/home/sandbox/../root', process.cwd()]
      for (const path of subject.ownKernel ? paths : [...paths, '/sys']) {
        assert.deepEqual(await specimen.ask(`return require("node:fs").existsSync("${path}")`), false, path)
      }
      const pids = await specimen.ask<string[]>('return require("node:fs").readdirSync("/proc").filter(name => Number(name) > 0)')
      assert.ok(pids.length <= 4, `sees processes ${pids}`)
      assert.deepEqual(await specimen.ask('return require("node:os").hostname()'), 'sandbox')
    }))

  it('cannot see another sandbox’s files or processes', () =>
    withSpecimen(one =>
      withSpecimen(async other => {
        await one.ask('require("node:fs").writeFileSync("/tmp/private", "1"); require("node:fs").writeFileSync("private", "1")')
        assert.deepEqual(
          await other.ask('return ["/tmp/private", "/home/sandbox/private"].map(path => require("node:fs").existsSync(path))'),
          [false, false],
        )
        const environments = await other.ask<string>(
          'const fs = require("node:fs"); return fs.readdirSync("/proc").map(pid => { try { return fs.readFileSync(`/proc/${pid}/environ`, "utf8") } catch { return "" } }).join()',
        )
        assert.ok(!environments.includes(one.mark))
      }),
    ))

  it('takes no option from inside a value of the environment', async () => {
    await assert.rejects(start({ env: { KEY: 'a\0--bind\0/\0/tmp' } }), { code: 'sandbox_start_failed' })
  })

  it('is nobody: no capability, no way to become more', () =>
    withSpecimen(async specimen => {
      const status = await specimen.ask<string>('return require("node:fs").readFileSync("/proc/self/status", "utf8")')
      // A kernel of its own need not tell of this one.
      const more = subject.ownKernel ? [] : [/NoNewPrivs:\t1/]
      for (const line of [/CapPrm:\t0{16}\n/, /CapBnd:\t0{16}\n/, /Uid:\t65534\t65534/, /Seccomp:\t2/, ...more])
        assert.match(status, line)
      assert.equal(status.match(/Cap\w{3}:\t0{16}/g)?.length, status.match(/Cap\w{3}:/g)?.length)
      const { error } = await specimen.ask<{ error: string }>('process.setuid(0)')
      assert.match(error, /EPERM|EINVAL/)
    }))

  it('cannot make namespaces, mounts or traces', () =>
    withSpecimen(async specimen => {
      const run = (command: string) =>
        specimen.ask<number>(
          `return new Promise(done => require("node:child_process").exec(${JSON.stringify(command)}).on("exit", code => done(code)))`,
        )
      assert.equal(await run('true'), 0)
      assert.notEqual(await run('unshare --user true'), 0)
      assert.notEqual(await run('unshare --net true'), 0)
      assert.notEqual(await run('mount -t tmpfs none /tmp'), 0)
    }))

  it('reaches no network, neither outside nor the machine’s own', async () => {
    const listener = createServer(socket => socket.end('reached')).listen(0, '127.0.0.1')
    await once(listener, 'listening')
    const { port } = listener.address() as { port: number }
    const dial = (host: string) =>
      `return new Promise(done => { const socket = require("node:net").connect(${port}, "${host}"); socket.on("data", bytes => done(String(bytes))); socket.on("error", error => done(error.code)) })`
    try {
      await withSpecimen(async specimen => {
        for (const host of ['127.0.0.1', '::1', '169.254.169.254', '1.1.1.1']) {
          assert.match(
            JSON.stringify(await specimen.ask(dial(host))),
            /EAFNOSUPPORT|ENETUNREACH|EHOSTUNREACH|ECONNREFUSED|EPERM|EINVAL/,
            host,
          )
        }
      })
    } finally {
      listener.close()
    }
  })

  it('fills no more disk than it may', () =>
    withSpecimen(
      async specimen => {
        const fill = (path: string) =>
          specimen.ask<{ error: string }>(
            `const fs = require("node:fs"); const file = fs.openSync("${path}", "w"); for (let n = 0; n < 64; n++) fs.writeSync(file, Buffer.alloc(1024 * 1024))`,
          )
        assert.equal((await fill('/tmp/full')).error, 'ENOSPC')
        assert.equal((await fill('/home/sandbox/full')).error, 'ENOSPC')
        const bytes = await specimen.ask<number>(
          'return ["/tmp/full", "full"].reduce((sum, path) => sum + require("node:fs").statSync(path).size, 0)',
        )
        assert.ok(bytes <= 8 * MiB, `${bytes} bytes`)
      },
      { limits: { diskBytesMax: 8 * MiB } },
    ))

  it('has shared memory, and it comes out of the same room', () =>
    withSpecimen(
      async specimen => {
        const fill = (file: string) => `const fs = require("node:fs"); const file = fs.openSync("${file}", "w"); let written = 0
          try { for (; written < 16; written++) fs.writeSync(file, Buffer.alloc(1024 * 1024, 1)) } catch (error) { return [written, error.code] }
          return [written, "none"]`
        const shared = await specimen.ask<[number, string]>(fill('/dev/shm/some'))
        assert.deepEqual(shared, [1, 'ENOSPC'])
        const temporary = await specimen.ask<[number, string]>(fill('/tmp/some'))
        assert.equal(temporary[1], 'ENOSPC')
        assert.ok(temporary[0] + shared[0] <= 4, `${temporary[0]} MiB beside ${shared[0]}`)
      },
      { limits: { diskBytesMax: 8 * MiB } },
    ))

  it('forks no more than it may, and says so when it ends for that', async () => {
    const pidsMax = 40
    const specimen = await start({ limits: { pidsMax } })
    await specimen.ask(forkBomb)
    const inside = () => specimen.ask<number>(countInside)
    for (let count = 0; count <= 15; ) count = await inside()
    for (let looks = 0; looks < 20; looks++) {
      const count = await inside()
      assert.ok(count <= pidsMax + 2, `${count} processes`)
      await new Promise(done => setTimeout(done, 5))
    }
    const exit = await specimen.askLast('process.exit(1)')
    // A kernel of its own refuses by itself: nobody outside sees that.
    assert.equal(exit.reason, subject.counts && !subject.ownKernel ? 'sandbox_limit_reached' : 'sandbox_crashed')
    assert.deepEqual(specimen.alive(), [])
  })
}

const ourFolders = (): string[] => readdirSync(tmpdir()).filter(name => name.startsWith(ownerName))

const readMounts = (): string => (existsSync('/proc/self/mounts') ? readFileSync('/proc/self/mounts', 'utf8') : '')
