import assert from 'node:assert/strict'
import { it } from 'node:test'
import { localNames } from './local-names.ts'

const prefixOf = (text: string, path = 'a/b.js') => localNames(text, path).prefix

it('a module gets the names it speaks of, and no others', () => {
  assert.equal(prefixOf('export const a = 1'), '')
  assert.equal(prefixOf('module.exports = __dirname'), 'var __dirname = maestro.at("a/b.js").dirname;')
  assert.equal(prefixOf('export default import.meta.url'), 'const maestroMeta = maestro.at("a/b.js").meta;')
  assert.equal(prefixOf('import x from "x"\nconsole.log(__dirname)'), '', 'a module has no __dirname of its own')
  assert.match(prefixOf('console.log(__dirname)', 'a/b.cjs'), /__dirname/)
  assert.equal(prefixOf('console.log(__dirname)', 'a/b.mjs'), '')
})

it('keeps strict mode, lines and the first line for a shell', () => {
  assert.match(prefixOf('/* a */ // b\n"use strict"; exports.x = __filename'), /^"use strict";/)
  assert.doesNotMatch(prefixOf('x("use strict"); exports.x = __filename'), /use strict/)
  const { source, prefix } = localNames('#!/usr/bin/env node\nconsole.log(__filename)', 'a.cjs')
  assert.equal(source.split('\n').length, 2)
  assert.ok(!prefix.includes('\n'))
  assert.ok(source.startsWith('//#!'))
})

it('leaves what is computed to the file’s own loader', () => {
  assert.equal(localNames('export const f = x => import(x)', 'a.js').source, 'export const f = x => maestroImport(x)')
  assert.equal(localNames('export const f = () => import( "x")', 'a.js').source, 'export const f = () => import( "x")')
  for (const text of ['require(name)', 'require.resolve("x")', 'require("x"); require . cache']) {
    assert.match(prefixOf(text), /^var require = /, text)
  }
  assert.equal(prefixOf('require("x")'), '')
})

it('reads any text in time that grows with its length', () => {
  const long = 200_000
  const texts = ['/**/', ' ', '\n', 'import(', 'import ', 'require ', 'require(', '/*', '//\n', '"use strict', 'import(  '].map(
    part => part.repeat(long),
  )
  const begunMs = performance.now()
  for (const text of [...texts, `import(${' '.repeat(long)}"x")`, `require${' '.repeat(long)}`]) localNames(text, 'a.js')
  assert.ok(performance.now() - begunMs < 10_000)
})
