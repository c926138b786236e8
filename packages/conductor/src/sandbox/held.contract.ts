/** What every sandbox driver must do for starts that were prepared and starts that wait; part of `sandbox.contract.ts`. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { closeSync, openSync, readFileSync, readSync } from 'node:fs'
import { after, it } from 'node:test'
import { environmentLine, heldLine } from './held.ts'
import type { ContractSubject } from './sandbox.contract.ts'
import { makePreparedProbe, type Specimen, type startSpecimen, until } from './testing/specimen.ts'

const MiB = 1024 * 1024
type Changes = Parameters<typeof startSpecimen>[2]

export function describeHeldStarts(
  subject: ContractSubject,
  start: (changes?: Changes) => Promise<Specimen>,
  withSpecimen: (use: (specimen: Specimen) => Promise<void>, changes?: Changes) => Promise<void>,
): void {
  const prepared = makePreparedProbe()
  after(() => prepared.remove())

  it('holds a program until its environment comes, and nothing of it before is in the program', async () => {
    const KEY = `sk-${randomUUID()}\n"'$(x)`
    const specimen = await start({ held: 'bare', masked: { KEY } })
    await until('it waits', () => specimen.frames.includes(heldLine))
    for (const pid of specimen.alive()) assert.ok(!holds(pid, KEY.slice(0, 20)), `process ${pid} knows the secret`)
    specimen.sandbox.send(environmentLine({ runtime: 'node', entry: '' }, { KEY }))
    assert.equal(await specimen.ask('return process.env.KEY'), KEY)
    const seen = specimen.alive().filter(pid => holds(pid, KEY.slice(0, 20)))
    assert.ok(!subject.seesProcesses || seen.length > 0, 'the search finds what is there')
    await specimen.ask('process.stderr.write(process.env.KEY.slice(0, 39) + " " + process.env.KEY)')
    const exit = await specimen.askLast('process.exit(1)')
    assert.match(exit.stderrTail, /\[KEY\]/)
  })

  it('gives a prepared folder, which nobody can change, and starts from it', () =>
    withSpecimen(
      async specimen => {
        assert.equal(await specimen.ask('return require("node:path").basename(process.argv[1])'), 'probe.cjs')
        assert.deepEqual(await specimen.ask('return process.argv.slice(2)'), ['-a'])
        assert.equal(await specimen.ask('return globalThis.fromPrepared'), true)
        if (!subject.isolates) return
        const written = await specimen.ask('require("node:fs").writeFileSync("/prepared/x", "")')
        assert.match(JSON.stringify(written), /EROFS|EACCES|EPERM/)
      },
      { args: ['-a'], prepared: { folder: prepared.folder, kind: 'one-file' } },
    ))
}

/** Whether the text is in the environment or in the memory of a process. */
function holds(pid: number, text: string): boolean {
  if (readFileSync(`/proc/${pid}/environ`, 'latin1').includes(text)) return true
  const memory = openSync(`/proc/${pid}/mem`, 'r')
  try {
    for (const line of readFileSync(`/proc/${pid}/maps`, 'latin1').split('\n')) {
      const [, from, to] = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line) ?? []
      if (!from || !to) continue
      const bytes = Buffer.alloc(Math.min(Number.parseInt(to, 16) - Number.parseInt(from, 16), 64 * MiB))
      try {
        const read = readSync(memory, bytes, 0, bytes.length, Number.parseInt(from, 16))
        if (bytes.subarray(0, read).includes(text)) return true
      } catch {
        // Reserved and never touched, or gone meanwhile.
      }
    }
    return false
  } finally {
    closeSync(memory)
  }
}
