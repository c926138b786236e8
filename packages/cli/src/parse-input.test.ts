import assert from 'node:assert/strict'
import test from 'node:test'
import { command, jsonFlag } from './command.ts'
import { parseInput } from './parse-input.ts'

const sample = command({
  name: 'sample',
  summary: 'For tests',
  arguments: [
    { name: 'first', summary: 'must be there' },
    { name: 'second', summary: 'may be there', optional: true },
  ],
  rest: 'anything',
  flags: {
    name: { summary: 'a name', value: '<name>' },
    env: { summary: 'pairs', value: '<pair>', many: true },
    quick: { summary: 'a switch' },
    ...jsonFlag,
  },
  examples: ['maestro sample x'],
  run: async () => 0,
})
const parse = (...words: string[]) => parseInput(sample, words)
const refuses = (words: string[], message: RegExp, hint?: RegExp) =>
  assert.throws(
    () => parse(...words),
    (error: Error & { hint: string }) => {
      assert.match(error.message, message)
      if (hint) assert.match(error.hint, hint)
      return true
    },
  )

test('flags, arguments and what stands behind -- are told apart', () => {
  const { input, globals } = parse(
    'a',
    '--name',
    'n',
    '--env',
    'A=1',
    '--env=B=2=3',
    '--quick',
    '--data',
    '/d',
    '--',
    '--name',
    '-x',
  )
  assert.deepEqual(input, {
    arguments: ['a'],
    flags: { name: 'n', env: ['A=1', 'B=2=3'], quick: true, json: undefined },
    rest: ['--name', '-x'],
  })
  assert.deepEqual(globals, { data: '/d', debug: false, help: false })
})

test('a flag whose value may be left out takes one only behind an equals sign', () => {
  assert.deepEqual(parse('a', '--json').input.flags['json'], true)
  assert.deepEqual(parse('--json', 'a').input.arguments, ['a'])
  assert.deepEqual(parse('a', '--json=id,name').input.flags['json'], 'id,name')
})

test('a value may be empty or look like a flag; a dash alone is an argument', () => {
  assert.equal(parse('a', '--name=').input.flags['name'], '')
  assert.equal(parse('a', '--name', '--quick').input.flags['name'], '--quick')
  assert.deepEqual(parse('-').input.arguments, ['-'])
})

test('mistakes are named with what helps', () => {
  refuses([], /needs <first>: must be there/, /maestro help sample/)
  refuses(['a', 'b', 'c'], /"c"/)
  refuses(['a', '--nam', 'x'], /no flag --nam/, /Did you mean --name/)
  refuses(['a', '--zzzzzz'], /no flag --zzzzzz/, /maestro help sample/)
  refuses(['a', '-n', 'x'], /no flag -n/)
  refuses(['a', '--name'], /--name needs a value/)
  refuses(['a', '--name', '--'], /--name needs a value/)
  refuses(['a', '--quick=yes'], /takes no value/)
  refuses(['a', '--name', 'x', '--name', 'y'], /given twice/)
  refuses(['a', '--constructor'], /no flag/)
})

test('help asks for nothing else', () => {
  assert.equal(parse('--help').globals.help, true)
  assert.equal(parse('-h').globals.help, true)
})

test('behind -- only where the command wants it', () => {
  const plain = command({ name: 'plain', summary: 's', examples: [], run: async () => 0 })
  assert.throws(() => parseInput(plain, ['--', 'x']), /takes nothing behind/)
})
