import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { EventEmitter } from 'node:events'
import test from 'node:test'
import type { LogEntry } from '@maestro/contract'
import { catchUncaught } from './last-resort.ts'
import { createLog } from './telemetry/logger.ts'
import { realWorld } from './world.ts'

function setUp() {
  const entries: LogEntry[] = []
  const source = new EventEmitter()
  const world = { ...realWorld(createLog(() => 0, [entry => void entries.push(entry)])), monotonicMs: () => nowMs }
  let nowMs = 0
  let broken = 0
  const remove = catchUncaught(world, () => broken++, source)
  return {
    entries,
    source,
    remove,
    broken: () => broken,
    fail: (ms = 0) => {
      nowMs += ms
      source.emit('uncaughtException', new Error('ours'), 'uncaughtException')
    },
  }
}

test('one mistake is logged and nothing ends', () => {
  const { entries, fail, broken } = setUp()
  fail()
  assert.equal(entries[0]?.event, 'process.uncaught')
  assert.equal(entries[0]?.level, 'error')
  assert.match(JSON.stringify(entries[0]), /ours/)
  assert.equal(broken(), 0)
})

test('mistakes that keep coming break it once, and rare ones never do', () => {
  const rare = setUp()
  for (let count = 0; count < 100; count++) rare.fail(10_000)
  assert.equal(rare.broken(), 0)
  const often = setUp()
  for (let count = 0; count < 100; count++) often.fail(100)
  assert.equal(often.broken(), 1)
  assert.equal(often.entries.filter(entry => entry.event === 'process.broken').length, 1)
})

test('afterwards nothing is listened to', () => {
  const { source, remove } = setUp()
  remove()
  assert.equal(source.listenerCount('uncaughtException'), 0)
})

test('a process goes on after an error and a rejection that nobody caught', () => {
  const program = `
    import { catchUncaught } from ${JSON.stringify(new URL('./last-resort.ts', import.meta.url).href)}
    const log = { error: (event, error, { origin }) => console.log(event, origin, error.message) }
    catchUncaught({ log, monotonicMs: () => 0 }, () => {})
    Promise.reject(new Error('one'))
    setImmediate(() => { throw new Error('two') })
    setTimeout(() => console.log('still here'), 50)`
  const { status, stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' })
  assert.equal(status, 0)
  assert.deepEqual(stdout.trim().split('\n'), [
    'process.uncaught unhandledRejection one',
    'process.uncaught uncaughtException two',
    'still here',
  ])
})
