import assert from 'node:assert/strict'
import test from 'node:test'
import { chooseScript, readEntryPoints, readReference } from './console-scripts.ts'

const scripts = (...names: string[]) => new Map(names.map(name => [name, { kind: 'module' as const, module: 'm' }]))

test('console scripts are read, and nothing that is no script', () => {
  const text = `[gui_scripts]\nwindow = pkg:gui\n[console_scripts]\nmcp-time = pkg.server:main [extra]\nother=pkg:cli.run\n
bad name = pkg:main\n../../up = pkg:main\ncode = pkg:main(); import os\nmodule = os;x:main\nempty =\n[mcp]\nx = pkg:y\n`
  assert.deepEqual(
    [...readEntryPoints(text)],
    [
      ['mcp-time', { kind: 'call', module: 'pkg.server', attributes: ['main'] }],
      ['other', { kind: 'call', module: 'pkg', attributes: ['cli', 'run'] }],
    ],
  )
})

test('text that would become code is no reference', () => {
  for (const text of ['a:b\nimport os', 'a:b()', 'a', ':b', 'a b:c', '"a":b', 'a:b"', 7, null, 'a'.repeat(600)]) {
    assert.equal(readReference(text), null, String(text))
  }
})

test('of several scripts the server is the one asked for, the one of the package’s name, or the only one that sounds like a server', () => {
  assert.equal(chooseScript(scripts('a'), 'pkg'), 'a')
  assert.equal(chooseScript(scripts(), 'pkg'), null)
  assert.equal(chooseScript(scripts('a', 'b'), 'pkg', 'b'), 'b')
  assert.equal(chooseScript(scripts('a', 'b'), 'pkg', 'c'), null)
  assert.equal(chooseScript(scripts('my-pkg', 'b'), 'My_Pkg'), 'my-pkg')
  assert.equal(chooseScript(scripts('tool', 'mcp-server-x'), 'pkg'), 'mcp-server-x')
  assert.throws(() => chooseScript(scripts('a', 'b'), 'pkg'), { code: 'package_not_runnable' })
})
