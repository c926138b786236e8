/**
 * Goal: two sandboxes side by side, and the machine beside them, do not meet, and one that takes all it can get leaves the other its share.
 * Method: `across.py` leaves something and finds it again in one place outside; then one sandbox leaves it and the other looks for it.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { it } from 'node:test'
import type { Specimen } from '../testing/specimen.ts'
import { makeCells, python, runInside } from './cell.ts'
import { runOutside, runProgramOutside } from './outside.ts'
import { againstEach } from './subjects.ts'

type Said = Record<string, string | number>

const outside = process.platform === 'linux' ? await runProgramOutside<Said>('across.py', 'both') : {}
/** Ways that name a process by its number. */
const byNumber = ['signal', 'pidfd', 'priority', 'processors']
/** So long may another sandbox take to answer while its neighbour takes all it can get, ms. */
const answerMsMax = 2000

await againstEach('neighbours do not meet', subject => {
  const cells = makeCells(subject)
  const pair = (use: (one: Specimen, other: Specimen) => Promise<void>, limits = {}) =>
    cells.using(one => cells.using(other => use(one, other), { limits }))
  let found: Promise<{ left: Said; said: Said; alive: boolean[] }> | null = null

  for (const [way, control] of Object.entries(outside)) {
    it(`by ${way.replace('_', ' ')}`, async context => {
      if (control !== 'met') return context.skip(`do not meet outside either: ${control}`)
      found ??= cells.using(one =>
        cells.using(async other => {
          const left = await runInside<Said>(one, 'across.py', 'leave')
          const wanted = Object.entries(left).map(([name, what]) => `${name}=${what}`)
          const said = await runInside<Said>(other, 'across.py', 'find', ...wanted)
          const pids = byNumber.map(name => left[name])
          const alive = await one.ask<boolean[]>(
            `return ${JSON.stringify(pids)}.map(pid => { try { return process.kill(pid, 0) } catch { return false } })`,
          )
          return { left, said, alive }
        }),
      )
      const { left, said, alive } = await found
      if (byNumber.includes(way)) {
        // A number of the neighbour’s namespace names nobody here, or somebody of one’s own.
        assert.ok(alive[byNumber.indexOf(way)], 'the neighbour’s process is gone')
        assert.equal(typeof left[way], 'number')
        assert.match(String(said[way]), /^(ESRCH|EPERM|ENOSYS|met)$/)
      } else assert.match(String(said[way]), /^E/, `left ${left[way]}`)
    })
  }

  it('by a socket of the machine without a file', async () => {
    const name = `\0maestro-abuse-${process.pid}`
    const listener = createServer(socket => socket.end('met')).listen(name)
    await once(listener, 'listening')
    const dial = `return new Promise(done => require("node:net").connect(${JSON.stringify(name)}).on("data", () => done("met")).on("error", error => done(error.code)))`
    try {
      const control = connect(name)
      const [data] = await once(control, 'data')
      assert.equal(String(data), 'met')
      await cells.using(async specimen => assert.match(await specimen.ask(dial), /ECONNREFUSED|EPERM|EACCES|ENOENT/))
    } finally {
      listener.close()
    }
  })

  it('by a signal to everybody', async () => {
    const killAll = `import os, signal, time\nvictim = os.fork()\nif victim == 0: time.sleep(60)\nif os.fork() == 0: os.kill(-1, signal.SIGKILL)\nprint(os.waitpid(victim, 0)[1])`
    // Whoever runs it is the first of a pid namespace there, and so the only one that is spared.
    assert.equal(await runOutside([python, '-c', killAll]).catch(cause => cause.message), '9\n')
    await pair(async (one, other) => {
      await other
        .ask(`return require("node:child_process").spawn("${python}", ["-c", "import os; os.kill(-1, 9)"]).pid`)
        .catch(() => {})
      await Promise.race([other.sandbox.exited, new Promise(done => setTimeout(done, 1000))])
      assert.equal(await one.ask('return 1 + 1'), 2)
    })
  })

  it('by every number there is', async () => {
    await pair(async (one, other) => {
      await other
        .ask(
          'for (let pid = 2; pid < 40000; pid++) if (pid !== process.pid) try { process.kill(pid, "SIGKILL") } catch {} return 1',
        )
        .catch(() => {})
      assert.equal(await one.ask('return 1 + 1'), 2)
    })
  })

  it('by taking all processors, at any priority', async () => {
    const hog = `import os\nfor n in range(8):\n    if os.fork() == 0:\n        try: os.setpriority(0, 0, -20)\n        except OSError: pass\n        try: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(99))\n        except OSError: pass\n        while True: pass\nimport time; time.sleep(60)`
    // Outside, the highest priorities there are can be had.
    const greed =
      'import os; os.setpriority(0, 0, -20); os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(99)); print(os.sched_getscheduler(0))'
    assert.equal(await runOutside([python, '-c', greed]), '1\n')
    await pair(
      async (one, other) => {
        await other.ask(
          `require("node:child_process").spawn("${python}", ["-c", ${JSON.stringify(hog)}], { stdio: "ignore" }); return 1`,
        )
        await new Promise(done => setTimeout(done, 500))
        for (let asked = 0; asked < 5; asked++) {
          const beganMs = performance.now()
          assert.equal(await one.ask('return 1 + 1'), 2)
          const tookMs = performance.now() - beganMs
          assert.ok(tookMs < answerMsMax, `answered after ${Math.round(tookMs)} ms`)
        }
      },
      { cpusMax: 1 },
    )
  })
})
