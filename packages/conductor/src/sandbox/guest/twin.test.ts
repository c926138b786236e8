import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'

const twin = fileURLToPath(new URL('./twin.cjs', import.meta.url))

describe('what a server that will be copied uses while it loads', () => {
  let folder: string
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'twin-'))
    // The guest's clock, in the year 2001 until a test sets it.
    writeFileSync(join(folder, 'clock.cjs'), 'globalThis.clockMs = 978307200000; Date.now = () => globalThis.clockMs')
  })
  after(() => rmSync(folder, { recursive: true }))

  async function load(
    code: string,
    type: 'commonjs' | 'module' = 'commonjs',
  ): Promise<{ told: string; printed: string; code: number | null }> {
    const args = ['--require', join(folder, 'clock.cjs'), '--require', twin, `--input-type=${type}`, '-e', code]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit', 'pipe'] })
    const [told, printed, ended] = await Promise.all([
      text((child.stdio as unknown as Readable[])[3]!),
      text(child.stdout!),
      new Promise<number | null>(done => child.once('exit', done)),
    ])
    return { told, printed, code: ended }
  }

  it('is told where it is chance or the clock, the first time', async () => {
    const cases: [code: string, told: string, type?: 'module'][] = [
      ['require("node:crypto").randomUUID(); Date.now()', 'randomUUID'],
      ['import { randomBytes } from "node:crypto"; randomBytes(4)', 'randomBytes', 'module'],
      ['crypto.getRandomValues(new Uint8Array(1))', 'getRandomValues'],
      ['Math.random()', 'Math.random'],
      ['new Date()', 'Date'],
      ['Date.now()', 'Date.now'],
    ]
    for (const [code, told, type] of cases) assert.deepEqual(await load(code, type), { told, printed: '', code: 0 }, code)
  })

  it('is nothing where it is neither', async () => {
    const code =
      'console.log(new Date(5).getTime(), new Date(0) instanceof Date, require("node:crypto").createHash("sha1") !== null)'
    assert.deepEqual(await load(code), { told: '', printed: '5 true true\n', code: 0 })
  })

  it('is of no account once the clock is right', async () => {
    const code =
      'clockMs = 1800000000000; const drawn = Array.from({ length: 1000 }, Math.random); console.log(new Date() > new Date(1700000000000), new Set(drawn).size, drawn.every(x => x >= 0 && x < 1), Date.name)'
    assert.deepEqual(await load(code), { told: '', printed: 'true 1000 true Date\n', code: 0 })
  })
})
