import assert from 'node:assert/strict'
import test from 'node:test'
import type { Noun } from './command.ts'
import { entries } from './commands.ts'
import { complete } from './complete.ts'
import { shellCompletion, shells } from './shell-completion.ts'

const alive: Partial<Record<Noun, string[]>> = {
  deployment: ['everything', 'files'],
  session: ['ses_1', 'ses_2'],
  topic: ['deploy', 'exit-codes'],
}
const after = (...words: string[]) => complete(words, entries, async noun => alive[noun] ?? [])

test('commands are completed word by word', async () => {
  assert.deepEqual(await after('dep'), ['deploy', 'deployments'])
  assert.deepEqual(await after('session', ''), ['close', 'show'])
  assert.deepEqual(await after('ses'), ['session', 'sessions'])
  assert.ok((await after('')).includes('up'))
})

test('flags, their values and names of what runs are completed', async () => {
  assert.deepEqual(await after('deploy', '--e'), ['--egress', '--env'])
  assert.deepEqual(await after('sessions', '--deployment', 'f'), ['files'])
  assert.deepEqual(await after('call', 'e'), ['everything'])
  assert.deepEqual(await after('token', '--ttl', '5m', 'f'), ['files'])
  assert.deepEqual(await after('session', 'show', ''), ['ses_1', 'ses_2'])
  assert.deepEqual(await after('help', 'ex'), ['exit-codes'])
})

test('where there is nothing to offer the shell completes files', async () => {
  assert.deepEqual(await after('deploy', './'), [])
  assert.deepEqual(await after('deploy', 'x', '--', '--e'), [])
  assert.deepEqual(await after('call', 'everything', 'ec'), [])
  assert.deepEqual(await after('nonsense', ''), [])
})

test('each shell is told how to ask', () => {
  for (const shell of shells) assert.match(shellCompletion(shell), new RegExp(`completion ${shell} --words --`))
})
