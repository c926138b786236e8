/**
 * Goal: a server of Python runs in every sandbox, whichever Python of the machine it is, and its processes share memory and locks.
 * Method: the same questions to the machine's Python and to one that was copied to a place of its own, as people's managers of Pythons
 * put them; in a guest, to the Python of its image.
 */
import assert from 'node:assert/strict'
import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { after, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { choosePython, findPython, type Python } from '../find-python.ts'
import { BubblewrapDriver } from './bubblewrap/bubblewrap.ts'
import { GvisorDriver } from './gvisor/gvisor.ts'
import { MicrovmDriver } from './microvm/microvm.ts'
import type { SandboxDriver } from './sandbox.ts'
import { guestPlace } from './testing/guest-place.ts'
import { quietWorld, startSpecimen } from './testing/specimen.ts'

const microvm = () => new MicrovmDriver(quietWorld(), guestPlace)
const drivers: [name: string, make: () => SandboxDriver & { prepare?(): Promise<void> }, isGuest: boolean][] = [
  ['bubblewrap', () => new BubblewrapDriver(quietWorld()), false],
  ['gVisor', () => new GvisorDriver(quietWorld()), false],
  ['microvm', microvm, true],
]

// Not in /tmp, of which every sandbox has one of its own.
const folder = mkdtempSync('/var/tmp/python-')
const bundle = join(folder, 'bundle')
mkdirSync(bundle)
copyFileSync(fileURLToPath(new URL('./testing/probe.py', import.meta.url)), join(bundle, 'probe.py'))

const machines = await findPython().catch(() => null)
const copied = machines && copyOf(machines, join(folder, 'people', 'python'))

/** A Python with its standard library elsewhere. */
function copyOf({ program, version }: Python, prefix: string): string {
  const library = `lib/python${version.split('.').slice(0, 2).join('.')}`
  const from = join(dirname(dirname(program)), library)
  mkdirSync(join(prefix, 'bin'), { recursive: true })
  copyFileSync(program, join(prefix, 'bin', basename(program)))
  cpSync(from, join(prefix, library), {
    recursive: true,
    verbatimSymlinks: true,
    filter: path => !/\/(test|dist-packages|site-packages|__pycache__)$/.test(path),
  })
  symlinkSync(basename(program), join(prefix, 'bin', 'python3'))
  // As an environment of `venv` has it: a link to the Python it was made from.
  mkdirSync(join(folder, 'venv', 'bin'), { recursive: true })
  symlinkSync(join(prefix, 'bin', 'python3'), join(folder, 'venv', 'bin', 'python3'))
  return join(folder, 'venv', 'bin', 'python3')
}

const sharing = `
import multiprocessing
context = multiprocessing.get_context("fork")
answers, lock, count = context.Queue(), context.Lock(), context.Value("i", 0)
def work():
    with lock:
        count.value += 1
    answers.put("done")
workers = [context.Process(target=work) for _ in range(3)]
for worker in workers: worker.start()
said = [answers.get() for _ in workers]
for worker in workers: worker.join()
value = [said, count.value]
`

const place = `
import sys, os, ssl, sqlite3
value = [sys.version.split()[0], os.path.realpath(sys.executable), os.path.realpath(json.__file__ if "json" in dir() else os.__file__)]
`

const subjects = []
for (const [name, make, isGuest] of drivers) {
  const driver = make()
  await driver.prepare?.().catch(() => {})
  subjects.push({ name, driver, isGuest, check: await driver.check() })
}
after(() => rmSync(folder, { recursive: true, force: true }))

for (const { name, driver, isGuest, check } of subjects) {
  const skip = machines === null ? 'no Python here' : !check.usable && check.detail
  describe(`${name}: a server of Python`, { skip, timeout: 540_000 }, () => {
    after(() => driver.close())
    const program = { runtime: 'python', entry: 'probe.py' } as const

    it('runs, and its processes share memory and locks', async () => {
      const specimen = await startSpecimen(driver, bundle, { program })
      assert.deepEqual(await specimen.ask(sharing), [['done', 'done', 'done'], 3])
      await specimen.sandbox.close()
    })

    if (isGuest) return
    it('runs with a Python that somebody put elsewhere, as it stands there', async context => {
      if (!copied || !existsSync(copied)) return context.skip('no Python to copy')
      const python = await choosePython([copied])
      assert.equal(python.prefix, join(folder, 'people', 'python'))
      const specimen = await startSpecimen(driver, bundle, { program, python })
      const [version, executable, library] = await specimen.ask<string[]>(place)
      assert.deepEqual([version, executable], [python.version, python.program])
      assert.ok(library?.startsWith(`${python.prefix}/lib/`), library)
      await specimen.sandbox.close()
    })
  })
}
