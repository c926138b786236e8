import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import test from 'node:test'
import { chooseEntry, runnableEntry } from './find-entry.ts'

test('the program of a package is found by what its package.json says', () => {
  const cases: [string, object, string | null][] = [
    ['a single unnamed program', { name: 'x', bin: './cli.js' }, './cli.js'],
    ['a single named program', { name: 'x', bin: { other: 'a.js' } }, 'a.js'],
    ['two names of one file', { name: 'x', bin: { a: './a.js', b: 'a.js' } }, './a.js'],
    ['the one named like the package', { name: '@s/x', bin: { y: 'y.js', x: 'x.js' } }, 'x.js'],
    ['the one named like a server', { name: 'x', bin: { tool: 't.js', 'mcp-server-x': 's.js' } }, 's.js'],
    ['main', { main: 'm.js' }, 'm.js'],
    ['exports as text', { exports: './e.js', main: 'm.js' }, './e.js'],
    ['exports by condition', { exports: { '.': { types: './t.d.ts', import: { default: './e.mjs' } } } }, './e.mjs'],
    ['nothing', {}, null],
    ['nonsense', { bin: [1], main: 5, exports: null }, null],
  ]
  for (const [what, facts, expected] of cases) assert.equal(chooseEntry(facts, undefined), expected, what)
})

test('several programs, or none of the name asked for, are refused with what there is', () => {
  const facts = { name: 'x', bin: { b: 'b.js', a: 'a.js' } }
  assert.throws(() => chooseEntry(facts, undefined), { code: 'package_not_runnable', message: /: a, b\./ })
  assert.throws(() => chooseEntry(facts, 'c'), { code: 'package_not_runnable', message: /a, b/ })
  assert.throws(() => chooseEntry({ bin: { a: 'a.js', constructor: 'c.js' } }, 'toString'), { code: 'package_not_runnable' })
  assert.equal(chooseEntry(facts, 'b'), 'b.js')
})

test('only a file inside the bundle that Node can run is an entry', async t => {
  const bundle = await mkdtemp(join(tmpdir(), 'maestro-entry-'))
  t.after(() => rm(bundle, { recursive: true }))
  const put = async (path: string, text: string) => {
    await mkdir(dirname(join(bundle, path)), { recursive: true })
    await writeFile(join(bundle, path), text)
  }
  const base = 'node_modules/x'
  await put(`${base}/a.js`, '')
  await put(`${base}/cli`, '#!/usr/bin/env -S node --enable-source-maps\n')
  await put(`${base}/shell`, '#!/bin/sh\n')
  await put(`${base}/lib/index.js`, '')
  await put(`${base}/typed.ts`, '')
  await put('typed.ts', '')
  await symlink('/etc/hostname', join(bundle, base, 'leak.js'))

  assert.equal(await runnableEntry(bundle, base, './a.js'), `${base}/a.js`)
  assert.equal(await runnableEntry(bundle, base, 'a'), `${base}/a.js`)
  assert.equal(await runnableEntry(bundle, base, 'cli'), `${base}/cli`)
  assert.equal(await runnableEntry(bundle, base, 'lib'), `${base}/lib/index.js`)
  assert.equal(await runnableEntry(bundle, '', 'typed.ts'), 'typed.ts')
  for (const path of ['shell', 'missing.js', '../../../../etc/hostname', 'leak.js', 'typed.ts', 'a\0.js']) {
    await assert.rejects(runnableEntry(bundle, base, path), { code: 'package_not_runnable' }, path)
  }
})
