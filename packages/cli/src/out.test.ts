import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import test from 'node:test'
import { createOut } from './out.ts'
import { table } from './table.ts'
import { oneLine, visible } from './visible.ts'

function setUp() {
  const streams = { stdout: new PassThrough(), stderr: new PassThrough() }
  const out = createOut(streams.stdout as never, streams.stderr as never)
  const said = (name: 'stdout' | 'stderr') => String(streams[name].read() ?? '')
  return { out, said }
}

const columns = [
  { title: 'NAME', text: (row: { name: string; count: number }) => row.name },
  { title: 'COUNT', text: (row: { name: string; count: number }) => String(row.count), right: true },
]

test('columns are aligned, numbers at the right, no blanks at the end', () => {
  assert.deepEqual(
    table(columns, [
      { name: 'everything', count: 5 },
      { name: 'ü', count: 1234 },
    ]),
    ['NAME        COUNT', 'everything      5', 'ü            1234'],
  )
})

test('a listing is a table without colour where there is no terminal', () => {
  const { out, said } = setUp()
  out.rows([{ name: 'a', count: 1 }], columns, { json: undefined, empty: 'none' })
  assert.equal(said('stdout'), 'NAME  COUNT\na         1\n')
})

test('nothing to list is an empty array for programs and a word on standard error for people', () => {
  const { out, said } = setUp()
  out.rows([], columns, { json: undefined, empty: 'There is none.' })
  assert.equal(said('stdout'), '')
  assert.equal(said('stderr'), 'There is none.\n')
  out.rows([], columns, { json: true, empty: 'There is none.' })
  assert.deepEqual(JSON.parse(said('stdout')), [])
  assert.equal(said('stderr'), '')
})

test('fields can be picked, and a wrong one is met with those there are', () => {
  const { out, said } = setUp()
  out.rows([{ name: 'a', count: 1 }], columns, { json: 'count', empty: '' })
  assert.deepEqual(JSON.parse(said('stdout')), [{ count: 1 }])
  assert.throws(
    () => out.rows([{ name: 'a', count: 1 }], columns, { json: 'coun', empty: '' }),
    (error: Error & { hint: string }) => error.hint === 'Fields: name, count.',
  )
})

test('text from outside cannot steer the terminal', () => {
  const { out, said } = setUp()
  out.rows([{ name: '\u001b[31mred\u0007\u202e', count: 1 }], columns, { json: undefined, empty: '' })
  out.note('\u001b]0;title\u0007')
  assert.doesNotMatch(said('stdout') + said('stderr'), /[\x00-\x08\x0b-\x1f\x7f\u202e]/)
  assert.equal(visible('a\tb\nc'), 'a\tb\nc')
  assert.equal(oneLine('a\n  b', 10), 'a b')
  assert.equal(oneLine('abcdefghij', 5), 'abcd…')
  assert.ok(oneLine('😀😀', 4).isWellFormed())
})
