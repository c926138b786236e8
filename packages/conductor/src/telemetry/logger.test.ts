import assert from 'node:assert/strict'
import test from 'node:test'
import { ConductorError, type LogEntry } from '@maestro/contract'
import fc from 'fast-check'
import { createLogFeed } from './log-feed.ts'
import { textOf } from './log-sinks.ts'
import { createLog } from './logger.ts'

const collected = () => {
  const entries: LogEntry[] = []
  return { entries, log: createLog(() => 1, [entry => entries.push(entry)]) }
}

test('an entry carries the facts of its log and its own', () => {
  const { entries, log } = collected()
  log.with({ session: 'ses_1' }).info('lease.granted', { ms: 7 })
  assert.deepEqual(entries, [{ at: 1, level: 'info', event: 'lease.granted', session: 'ses_1', ms: 7 }])
})

test('a value under a secret’s name never reaches a sink, however deep', () => {
  const names = fc.constantFrom(
    'token',
    'api_key',
    'Authorization',
    'set-cookie',
    'db-password',
    'clientSecret'.replace('S', '_s'),
    'credentials',
  )
  fc.assert(
    fc.property(names, fc.string({ minLength: 8 }), fc.nat(4), (name, value, depth) => {
      const { entries, log } = collected()
      let facts: Record<string, unknown> = { [name]: `!${value}!` }
      for (let level = 0; level < depth; level++) facts = { nested: facts }
      log.warn('x', facts)
      return !JSON.stringify(entries).includes(JSON.stringify(`!${value}!`).slice(1, -1))
    }),
  )
})

test('a coded failure is logged by code and message, a mistake of ours with its stack', () => {
  const { entries, log } = collected()
  log.error('a', new ConductorError('pool_exhausted', 'No sandbox is free.'))
  log.error('b', new TypeError('x is undefined'))
  assert.equal(entries[0]?.['error'], 'pool_exhausted: No sandbox is free.')
  assert.match(String(entries[1]?.['error']), /TypeError: x is undefined\n\s+at /)
})

test('a sink that throws does not keep the entry from the others', () => {
  const entries: LogEntry[] = []
  const full = () => {
    throw new Error('disk full')
  }
  createLog(() => 1, [full, entry => entries.push(entry)]).info('still.here')
  assert.equal(entries.length, 1)
})

test('the feed keeps the newest and tells followers until they leave', () => {
  const feed = createLogFeed(10)
  const heard: string[] = []
  const leave = feed.follow(entry => heard.push(entry.event))
  for (let index = 0; index < 30; index++) feed.sink({ at: index, level: 'info', event: `e${index}` })
  leave()
  feed.sink({ at: 30, level: 'info', event: 'e30' })
  assert.deepEqual(
    feed.recent(2).map(entry => entry.event),
    ['e29', 'e30'],
  )
  assert.equal(heard.length, 30)
})

test('text for a terminal has time, event and facts on one line', () => {
  const line = textOf({ at: 0, level: 'warn', event: 'pool.low', warm: 0, name: 'everything' })
  assert.match(line, /00:00:00\.000.*pool\.low.*warm=0 name=everything/)
})

test('what a server said cannot act on the terminal its log is read on', () => {
  const text = textOf({
    at: 1,
    level: 'warn',
    event: 'pool.start_failed',
    why: '\x1b]0;title\x07\x1b[2J\x9b31m\u202efdp\nready  forged',
  } as LogEntry)
  const fact = text.slice(text.indexOf('why='))
  assert.equal(fact, 'why=\\u001b]0;title\\u0007\\u001b[2J\\u009b31m\\u202efdp\n    ready  forged')
})
