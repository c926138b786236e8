import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { candidatesIn, choosePython } from './find-python.ts'

describe('the Python to use', () => {
  const folder = mkdtempSync(join(tmpdir(), 'pythons-'))
  after(() => rmSync(folder, { recursive: true, force: true }))
  /** A program that answers the question as such a Python would. */
  const pythonOf = (name: string, facts: Record<string, unknown>): string => {
    const path = join(folder, name, 'python3')
    mkdirSync(join(folder, name))
    const said = {
      program: path,
      prefix: `/opt/${name}`,
      virtual: false,
      version: '3.12.1',
      pip: '24.0',
      tag: 'cpython-312',
      ...facts,
    }
    writeFileSync(path, `#!/bin/sh\ncat <<'END'\n${JSON.stringify(said)}\nEND\n`)
    chmodSync(path, 0o755)
    return path
  }
  const versionOf = async (...candidates: string[]) => (await choosePython(candidates)).prefix

  it('is the first that is new enough and installs, else the first that runs', async () => {
    const old = pythonOf('old', { version: '3.9.18' })
    const bare = pythonOf('bare', { pip: null })
    const dated = pythonOf('dated', { pip: '21.3' })
    const good = pythonOf('good', {})
    assert.equal(await versionOf(old, bare, good), '/opt/good')
    assert.equal((await choosePython([old, dated])).pip, null)
    assert.equal(await versionOf(old, bare, dated), '/opt/bare')
  })

  it('is the one behind an environment of its own', async () => {
    const base = pythonOf('base', {})
    assert.equal(await versionOf(pythonOf('environment', { virtual: true, program: base })), '/opt/base')
  })

  it('is none that would show sandboxes more than itself, or that they would not see', async () => {
    for (const prefix of ['/', homedir(), '/tmp/python', '/home/sandbox']) {
      const candidate = pythonOf(`at${prefix.replaceAll('/', '-')}`, { prefix })
      await assert.rejects(choosePython([candidate]), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'runtime_missing')
        assert.match(error.message, new RegExp(`lives in ${prefix}, `))
        return true
      })
    }
    assert.equal(
      await versionOf(pythonOf('below-home', { prefix: join(homedir(), '.local/python') })),
      join(homedir(), '.local/python'),
    )
  })

  it('is missing where there is none, or what there is fails', async () => {
    const broken = join(folder, 'broken')
    symlinkSync('/bin/false', broken)
    await assert.rejects(choosePython([broken, join(folder, 'nowhere')]), {
      code: 'runtime_missing',
      message: /this machine has none\.$/,
    })
    await assert.rejects(choosePython([pythonOf('ancient', { version: '3.6.15' })]), /ancient\/python3 is 3\.6\.15/)
    assert.deepEqual(
      candidatesIn(`${folder}/nowhere:relative`).filter(path => !path.startsWith('/usr/bin/')),
      [],
    )
  })
})
