/**
 * Goal: a sandbox learns nothing of the machine, of Conductor and of what others run on it, and can change no setting of it.
 * Method: each file, descriptor and folder is read, or opened for writing, outside first; then inside.
 */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { it } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { processesOf } from '../testing/specimen.ts'
import { makeCells, python, runInside } from './cell.ts'
import { runOutside, runProgramOutside } from './outside.ts'
import { againstEach } from './subjects.ts'

type Said = Record<string, number | string>

const telling =
  `acpi asound kcore keys latency_stats timer_list sched_debug scsi bus fs irq key-users kallsyms kmsg kpagecgroup kpagecount
  kpageflags iomem ioports modules slabinfo vmallocinfo pagetypeinfo zoneinfo buddyinfo allocinfo cmdline bootconfig interrupts softirqs
  schedstat diskstats partitions locks mdstat pressure`
    .split(/\s+/)
    .map(name => `/proc/${name}`)
const places = [
  '/sys/firmware',
  '/sys/kernel/debug',
  '/sys/kernel/security',
  '/sys/class/net',
  '/sys/block',
  '/sys/devices/virtual',
  '/sys/fs/cgroup',
  '/sys/module',
]
const settings =
  `/proc/sysrq-trigger /proc/sys/kernel/core_pattern /proc/sys/kernel/hostname /proc/sys/kernel/modprobe /proc/sys/vm/drop_caches
  /proc/sys/vm/overcommit_memory /proc/sys/kernel/pid_max /proc/sys/fs/file-max /proc/sys/net/ipv4/ip_forward /proc/irq/default_smp_affinity
  /proc/sys/fs/binfmt_misc/register /sys/kernel/profiling /sys/power/state /dev/mem /dev/kmsg /dev/port`.split(/\s+/)

/** What gVisor's kernel makes up, and tells nothing of the machine by. */
const madeUp: Record<string, string> = {
  '/proc/cmdline': 'a command line that gVisor makes up',
  '/sys/class/net': 'the loopback of gVisor itself',
}

const isReal = process.platform === 'linux'
const readOutside = isReal ? await runProgramOutside<Said>('reads.py', 'read', ...telling, ...places) : {}
const writtenOutside = isReal ? await runProgramOutside<Said>('reads.py', 'write', ...settings) : {}

await againstEach('nothing leaks in, and no setting is open', subject => {
  const cells = makeCells(subject)
  let read: Promise<Said> | null = null
  let written: Promise<Said> | null = null

  for (const path of [...telling, ...places]) {
    it(`tells nothing by ${path}`, async context => {
      if (!(Number(readOutside[path]) > 0)) return context.skip(`tells nothing outside either: ${readOutside[path]}`)
      read ??= cells.using(specimen => runInside<Said>(specimen, 'reads.py', 'read', ...telling, ...places))
      const said = (await read)[path]
      if (subject.ownKernel && path in madeUp) return context.skip(madeUp[path])
      assert.ok(said === 0 || /^(ENOENT|EACCES|EPERM|ENOTDIR)$/.test(String(said)), `${path}: ${said}`)
    })
  }

  for (const path of settings) {
    it(`cannot write to ${path}`, async context => {
      if (writtenOutside[path] !== 'done') return context.skip(`cannot be opened outside either: ${writtenOutside[path]}`)
      written ??= cells.using(specimen => runInside<Said>(specimen, 'reads.py', 'write', ...settings))
      assert.match(String((await written)[path]), /^(ENOENT|EACCES|EPERM|EROFS|ENOTDIR)$/)
    })
  }

  it('sees no process of the machine, by number neither', async () => {
    const victim = spawn('sleep', ['1000'], { env: { SECRET: 'of-the-machine' } })
    try {
      const environment = `/proc/${victim.pid}/environ`
      await setTimeout(50)
      assert.match(readFileSync(environment, 'latin1'), /of-the-machine/)
      await cells.using(async specimen => {
        const found = await specimen.ask<string>(
          `const fs = require("node:fs"); let text = ""; for (let pid = 1; pid < ${victim.pid! + 50}; pid++) for (const file of ["environ", "cmdline"]) try { text += fs.readFileSync("/proc/" + pid + "/" + file, "latin1") } catch {} return text`,
        )
        assert.ok(!found.includes('of-the-machine'))
        assert.match(found, /probe\.cjs/)
      })
    } finally {
      victim.kill('SIGKILL')
    }
  })

  it('reaches no file of Conductor: keys, recordings, secrets, other bundles, its own run folder', async () => {
    // As a data folder is: beside the bundle, open to its owner alone.
    const data = mkdtempSync(join(cells.bundle, '..', 'abuse-data-'))
    const files = ['keys/root.key', 'recordings/ses_1.tape', 'bundles/sha256-1/secret.js'].map(name => join(data, name))
    try {
      for (const file of files) {
        mkdirSync(join(file, '..'), { recursive: true })
        writeFileSync(file, 'secret', { mode: 0o600 })
      }
      const detours = (path: string) => [
        path,
        `/proc/self/root${path}`,
        `/proc/1/root${path}`,
        `/proc/self/cwd/../../..${path}`,
        `/bundle/..${path}`,
        `/newroot${path}`,
        `/oldroot${path}`,
      ]
      const control = JSON.parse(
        execFileSync(python, [join(cells.bundle, 'reads.py'), 'read', ...files.flatMap(path => detours(path).slice(0, 2))], {
          encoding: 'utf8',
        }),
      )
      assert.deepEqual([...new Set(Object.values(control))], ['secret'.length])
      await cells.using(async specimen => {
        const said = await runInside<Said>(specimen, 'reads.py', 'read', ...files.flatMap(detours), '/newroot', '/oldroot')
        assert.deepEqual(
          Object.entries(said).filter(([, what]) => !/^(ENOENT|EACCES|EPERM|ENOTDIR)$/.test(String(what))),
          [],
        )
      })
    } finally {
      rmSync(data, { recursive: true, force: true })
    }
  })

  it('inherits no descriptor', async () => {
    // Open in us while the sandbox starts, as a recording or a database would be.
    const held = openSync(join(cells.bundle, 'calls.py'), 'r')
    assert.match(readlinkSync(`/proc/self/fd/${held}`), /calls\.py$/)
    await cells.using(async specimen => {
      const targets = await specimen.ask<string[]>(
        'const fs = require("node:fs"); return fs.readdirSync("/proc/self/fd").map(fd => { try { return fs.readlinkSync(`/proc/self/fd/${fd}`) } catch { return "gone" } })',
      )
      const unknown = targets.filter(
        target => !/^(gone|pipe:|socket:|anon_inode:|host:|\/dev\/null$|\/proc\/\d+\/fd|\/proc\/self\/fd)/.test(target),
      )
      assert.deepEqual(unknown, [])
    })
  })

  it('has only devices that hold nothing', () =>
    cells.using(async specimen => {
      const outside = readdirSync('/dev')
      const names = await specimen.ask<string[]>('return require("node:fs").readdirSync("/dev")')
      const safe = [
        'core',
        'console',
        'fd',
        'full',
        'net',
        'null',
        'ptmx',
        'pts',
        'random',
        'shm',
        'stderr',
        'stdin',
        'stdout',
        'tty',
        'urandom',
        'zero',
      ]
      // gVisor's own: sound, graphics and file systems in user space are not among them.
      assert.deepEqual(
        names.filter(name => !safe.includes(name) && !(subject.ownKernel && name === 'fuse')),
        [],
      )
      assert.ok(
        outside.some(name => !safe.includes(name)),
        'the machine itself has no other device',
      )
    }))

  it('is not given away by command lines, environments and files outside', async () => {
    const secret = 'sk-live-0123456789abcdefghij'
    const teller = spawn('sleep', ['1000'], { env: { KEY: secret }, argv0: secret })
    await once(teller, 'spawn')
    await setTimeout(50)
    const tellers = () => readdirSync('/proc').filter(pid => Number(pid) > 0 && Number(pid) !== process.pid && tells(pid, secret))
    try {
      assert.deepEqual(tellers(), [String(teller.pid)])
    } finally {
      teller.kill('SIGKILL')
      await once(teller, 'exit')
    }
    await cells.using(
      async specimen => {
        assert.equal(await specimen.ask('return process.env.KEY'), secret)
        const inside = new Set(processesOf(specimen.mark, 'no-other').map(String))
        // Only the server itself and what it becomes may hold it, where nobody but its own user and root can look.
        for (const pid of tellers()) {
          assert.ok(inside.has(pid), `process ${pid} tells it`)
          assert.ok(!readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(secret))
        }
        assert.equal(execFileSync('/bin/sh', ['-c', `grep -rlsI -- ${secret} /tmp/maestro-* || true`], { encoding: 'utf8' }), '')
      },
      { env: { KEY: secret } },
    )
  })

  it('leaves no core dump', async () => {
    const crash = 'import os; os.chdir("/tmp"); os.kill(os.getpid(), 11)'
    assert.equal(await runOutside(['/bin/sh', '-c', `ulimit -c unlimited; ulimit -c`]), 'unlimited\n')
    await cells.using(async specimen => {
      const limit = await specimen.ask<string>(
        'return require("node:child_process").execSync("ulimit -c unlimited 2>/dev/null; ulimit -c", { encoding: "utf8" })',
      )
      assert.equal(limit.trim(), '0')
      await specimen.ask(
        `return new Promise(done => require("node:child_process").execFile("${python}", ["-c", ${JSON.stringify(crash)}], done))`,
      )
      assert.deepEqual(
        await specimen.ask('return require("node:fs").readdirSync("/tmp").filter(name => name.startsWith("core"))'),
        [],
      )
    })
  })

  it('gains nothing from programs that change the user', async () => {
    const setuid = 'cp /usr/bin/id /tmp/id && chmod 4755 /tmp/id'
    assert.equal(await runOutside(['/bin/sh', '-c', `${setuid} && setpriv --reuid 65534 --clear-groups /tmp/id -u`]), '0\n')
    // One in the bundle belongs to Conductor's user: to root, where root runs it.
    copyFileSync('/usr/bin/id', join(cells.bundle, 'id'))
    chmodSync(join(cells.bundle, 'id'), 0o4755)
    await cells.using(async specimen => {
      const run = (code: string) =>
        specimen.ask<string>(`return require("node:child_process").execSync(${JSON.stringify(code)}, { encoding: "utf8" })`)
      assert.equal(await run('/bundle/id -u'), '65534\n')
      assert.equal(await run(`${setuid} && /tmp/id -u`), '65534\n')
      if (!subject.ownKernel) {
        // No mount of the machine grants it, whatever its file says.
        const grants = (await run('cat /proc/self/mountinfo')).split('\n').filter(line => line && !/[ ,]nosuid[, ]/.test(line))
        assert.deepEqual(grants, [])
      }
    })
  })
})

function tells(pid: string, text: string): boolean {
  return ['cmdline', 'environ'].some(file => {
    try {
      return readFileSync(`/proc/${pid}/${file}`, 'latin1').includes(text)
    } catch {
      return false
    }
  })
}
