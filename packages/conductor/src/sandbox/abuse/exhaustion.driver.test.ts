/**
 * Goal: what a sandbox takes is bounded, ends with the right code, and is not taken from others.
 * Method: outside `exhaust.py` gets all it asks for, in namespaces that are thrown away; inside it gets its share at most, a neighbour
 * still answers, and nothing is left of it afterwards.
 */
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { it } from 'node:test'
import { promisify } from 'node:util'
import type { Exit } from '../sandbox.ts'
import type { Specimen } from '../testing/specimen.ts'
import { makeCells, python } from './cell.ts'
import { runProgramOutside } from './outside.ts'
import { againstEach } from './subjects.ts'

const MiB = 1024 * 1024

interface Taken {
  got: number
  error: string | null
}

/** What came of it inside: it was told no, or it was ended; and how the sandbox ended. */
interface Outcome {
  taken: Taken | null
  exit: Exit
}

const memoryBytesMax = 128 * MiB
const pidsMax = 48
const limits = { memoryBytesMax, pidsMax, diskBytesMax: 16 * MiB }
/** gVisor's own share of memory, on top of the server's. */
const ownMiB = 96

await againstEach('what a sandbox takes is bounded', subject => {
  const cells = makeCells(subject)

  /** Takes it in one sandbox while another one lives beside it, which must still answer. */
  const takeInside = async (what: string, most: number, changes = {}): Promise<Outcome> =>
    cells.using(async neighbour => {
      const specimen = await cells.start({ limits: { ...limits, ...changes } })
      const taken = await take(specimen, what, most)
      assert.equal(await neighbour.ask('return 1 + 1'), 2)
      const exit = await end(specimen)
      assert.deepEqual(specimen.alive(), [], 'something outlived it')
      return { taken, exit }
    })

  const memory: [what: string, title: string][] = [
    ['heap', 'memory of a program'],
    ['mapped', 'mapped memory'],
    ['shared_file', 'files in memory'],
  ]
  for (const [what, title] of memory) {
    it(`bounds ${title}`, async () => {
      const most = 400
      assert.deepEqual(await runProgramOutside('exhaust.py', what, String(most)), { got: most, error: null })
      const { taken, exit } = await takeInside(what, most)
      const got = taken?.got ?? 0
      assert.ok(got <= memoryBytesMax / MiB + (subject.ownKernel ? ownMiB : 0), `${got} MiB`)
      assert.equal(exit.reason, 'sandbox_limit_reached')
    })
  }

  it('bounds buffers of the kernel', async () => {
    const most = 3000
    const control = await runProgramOutside<Taken>('exhaust.py', 'pipe', String(most))
    assert.ok(control.got > 1500, JSON.stringify(control))
    const { taken, exit } = await takeInside('pipe', most)
    // Descriptors, pages of one user and memory bound them, whichever comes first.
    assert.ok(taken === null ? exit.reason === 'sandbox_limit_reached' : taken.error !== null, JSON.stringify(taken))
  })

  for (const what of ['process', 'thread']) {
    it(`bounds ${what === 'process' ? 'processes' : 'threads'}`, async () => {
      const most = 300
      assert.deepEqual(await runProgramOutside('exhaust.py', what, String(most)), { got: most, error: null })
      // Roomy, so that it is not memory that ends it.
      const { taken, exit } = await takeInside(what, most, { memoryBytesMax: 512 * MiB })
      assert.ok(taken && taken.got < pidsMax + 2, JSON.stringify(taken))
      assert.equal(taken.error, 'EAGAIN')
      // A kernel of its own refuses by itself: nobody outside sees that.
      assert.equal(exit.reason, subject.ownKernel ? 'sandbox_crashed' : 'sandbox_limit_reached')
    })
  }

  it('survives a bomb that only forks', () =>
    cells.using(async neighbour => {
      const specimen = await cells.start({ limits })
      const bomb = 'import os\nwhile True:\n    try: os.fork()\n    except OSError: pass'
      await specimen.ask(
        `require("node:child_process").spawn("${python}", ["-c", ${JSON.stringify(bomb)}], { stdio: "ignore" }); return 1`,
      )
      await new Promise(done => setTimeout(done, 1500))
      const beganMs = performance.now()
      assert.equal(await neighbour.ask('return 1 + 1'), 2)
      assert.ok(performance.now() - beganMs < 3000)
      await specimen.sandbox.close()
      assert.deepEqual(specimen.alive(), [])
      assert.equal(cells.driver.orphans, 0)
    }))

  for (const what of ['disk', 'holes']) {
    it(`bounds the disk, ${what === 'disk' ? 'filled from its start' : 'filled here and there'}`, async () => {
      const most = 64
      assert.deepEqual(await runProgramOutside('exhaust.py', what, String(most)), { got: most, error: null })
      const { taken } = await takeInside(what, most)
      assert.equal(taken?.error, 'ENOSPC')
      assert.ok(taken.got <= 8, `${taken.got} MiB`)
    })
  }

  it('bounds the number of files', async () => {
    const most = 150_000
    assert.deepEqual(await runProgramOutside('exhaust.py', 'file', String(most)), { got: most, error: null })
    const { taken, exit } = await takeInside('file', 10 * most)
    assert.ok((taken?.got ?? 0) < 10 * most, JSON.stringify(taken))
    if (taken) assert.match(String(taken.error), /^(ENOSPC|ENOMEM)$/)
    else assert.equal(exit.reason, 'sandbox_limit_reached')
  })

  it('bounds open files', async context => {
    const most = 6000
    const control = await runProgramOutside<Taken>('exhaust.py', 'descriptor', String(most))
    if (control.error) return context.skip(`this machine allows ${control.got} by itself`)
    const { taken } = await takeInside('descriptor', most)
    assert.equal(taken?.error, 'EMFILE')
    assert.ok(taken.got < 4096, `${taken.got}`)
  })

  it('leaves watchers for files to others', async context => {
    if (process.getuid?.() !== 0) return context.skip('an ordinary user is one person, in how many sandboxes whatever')
    // One process of a user takes them all; the next one of the same user gets none.
    const greedy = spawn('setpriv', [...asNobody, python, join(cells.bundle, 'exhaust.py'), 'watcher', '100000', 'stay'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    try {
      await once(greedy.stdout, 'data')
      const { stdout } = await promisify(execFile)('setpriv', [
        ...asNobody,
        python,
        join(cells.bundle, 'exhaust.py'),
        'watcher',
        '1',
      ])
      assert.deepEqual(JSON.parse(stdout), { got: 0, error: 'EMFILE' })
    } finally {
      greedy.kill('SIGKILL')
    }
    await cells.using(async one => {
      await one.ask(
        `return new Promise(done => require("node:child_process").spawn("${python}", ["/bundle/exhaust.py", "watcher", "100000", "stay"], { stdio: ["ignore", "pipe", "ignore"] }).stdout.once("data", () => done(1)))`,
      )
      await cells.using(async other => {
        assert.deepEqual(await take(other, 'watcher', 1), { got: 1, error: null })
      })
    })
  })

  it('leaves the cache of the machine’s files alone', async () => {
    // Reading 200 MiB of files: their pages are counted to who reads them and given back, nobody is ended for it.
    const largest = join('/usr/bin', largestOf('/usr/bin'))
    await cells.using(
      async specimen => {
        const bytes = await specimen.ask<number>(
          `const fs = require("node:fs"); let sum = 0; const file = fs.openSync(${JSON.stringify(largest)}); const buffer = Buffer.alloc(1024 * 1024); for (let n = 0; n < 200; n++) sum += fs.readSync(file, buffer, 0, buffer.length, (n * buffer.length) % ${Math.max(1, statSync(largest).size - MiB)}); return sum`,
        )
        assert.ok(bytes > 50 * MiB, `${bytes}`)
      },
      { limits },
    )
  })
})

const asNobody = ['--reuid', '65534', '--regid', '65534', '--clear-groups']

/** Null where the program that takes, or the whole sandbox, was ended. */
async function take(specimen: Specimen, what: string, most: number): Promise<Taken | null> {
  const said = await specimen
    .ask<string>(
      `return new Promise(done => require("node:child_process").execFile("${python}", ["/bundle/exhaust.py", "${what}", "${most}"], { timeout: 40_000 }, (_, output) => done(output)))`,
    )
    .catch(() => '')
  return said ? JSON.parse(said) : null
}

/** Ends a server that may be gone already. */
function end(specimen: Specimen): Promise<Exit> {
  return specimen.askLast('process.exit(1)')
}

function largestOf(folder: string): string {
  const sizes = readdirSync(folder, { withFileTypes: true })
    .filter(item => item.isFile())
    .map(item => ({ name: item.name, size: statSync(join(folder, item.name)).size }))
  return sizes.sort((a, b) => b.size - a.size)[0]!.name
}
