import assert from 'node:assert/strict'
import test from 'node:test'
import { globalFlags } from './command.ts'
import { entries } from './commands.ts'
import { didYouMean, distanceBetween } from './did-you-mean.ts'
import { findCommand, globalsLast } from './find-command.ts'
import { explain, overview, usage } from './help.ts'

const hintFor = (...words: string[]) => {
  try {
    findCommand(words)
  } catch (error) {
    return (error as { hint: string }).hint
  }
  throw new Error('it was found')
}

test('a command is one word or two, the longer first', () => {
  assert.equal(findCommand(['session', 'show', 'x']).entry.name, 'session show')
  assert.deepEqual(findCommand(['sessions', '--json']).rest, ['--json'])
})

test('a slip is met with the nearest command', () => {
  assert.match(hintFor('deployment'), /maestro deployments/)
  assert.match(hintFor('depoly'), /maestro deploy`/)
  assert.match(hintFor('sesion', 'show'), /maestro sessions/)
  assert.match(hintFor('session', 'shwo'), /maestro session show/)
  assert.match(hintFor('secret'), /secret set, secret list, secret remove/)
  assert.match(hintFor('frobnicate'), /maestro help/)
})

test('nearness counts inserts, deletes, replacements and swaps', () => {
  assert.equal(distanceBetween('', 'abc'), 3)
  assert.equal(distanceBetween('kitten', 'sitting'), 3)
  assert.equal(distanceBetween('ab', 'ba'), 1)
  assert.equal(didYouMean('stat', ['state', 'search']), 'state')
  assert.equal(didYouMean('xyzzy', ['state', 'search']), null)
})

test('every command is what the list says it is, explains itself, and takes no flag that all take', async () => {
  for (const entry of entries) {
    const definition = (await entry.load()).default
    assert.equal(definition.name, entry.name)
    assert.equal(definition.summary, entry.summary)
    assert.ok(definition.examples.length > 0, `${entry.name} has no example`)
    for (const flag of Object.keys(definition.flags ?? {}))
      assert.ok(!Object.hasOwn(globalFlags, flag), `${entry.name} --${flag}`)
    const text = explain(definition)
    assert.ok(text.includes(usage(definition)))
    assert.ok(text.indexOf('Examples') < text.indexOf('Flags'), 'examples come first')
    for (const line of text.split('\n')) assert.ok(line.length <= 160, `a long line in the help of ${entry.name}: ${line}`)
    assert.ok(overview(entries, []).includes(entry.summary))
  }
})

test('flags that every command knows may come first', () => {
  assert.deepEqual(globalsLast(['--data', 'd', '--debug', 'session', 'show', 'x']), [
    'session',
    'show',
    'x',
    '--data',
    'd',
    '--debug',
  ])
  assert.deepEqual(globalsLast(['--data=d', 'stop']), ['stop', '--data=d'])
  assert.deepEqual(globalsLast(['--data', 'd', 'deploy', 'x', '--', 'a']), ['deploy', 'x', '--data', 'd', '--', 'a'])
  assert.deepEqual(globalsLast(['--help']), ['--help'])
  assert.deepEqual(globalsLast(['call', 'a', 'b', '--data', 'd']), ['call', 'a', 'b', '--data', 'd'])
})
