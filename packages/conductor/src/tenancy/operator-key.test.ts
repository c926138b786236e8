import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { realWorld, type World } from '../world.ts'
import { consoleSessionMsMax, createConsoleSessions } from './console-sessions.ts'
import { readOperatorKey } from './operator-key.ts'

const quiet = { info() {}, warn() {}, error() {}, with: () => quiet }
let nowMs = 1_000
const world: World = { ...realWorld(quiet), now: () => nowMs }
const folder = mkdtempSync(join(tmpdir(), 'operator-key-'))
const path = join(folder, 'keys', 'operator.key')
test.after(() => rmSync(folder, { recursive: true }))

test('the operator key is made once, for its owner’s eyes only', () => {
  const key = readOperatorKey(path, world)
  assert.match(key.text, /^[\w-]{43}$/)
  assert.equal(readFileSync(path, 'utf8').trim(), key.text)
  assert.equal(statSync(path).mode & 0o777, 0o600)
  assert.equal(statSync(join(folder, 'keys')).mode & 0o777, 0o700)
  assert.equal(readOperatorKey(path, world).text, key.text)
})

test('only the operator key matches', () => {
  const key = readOperatorKey(path, world)
  assert.equal(key.matches(key.text), true)
  for (const wrong of ['', 'x', key.text.slice(0, -2), `${key.text}AA`, key.text.split('').reverse().join('')]) {
    assert.equal(key.matches(wrong), false, wrong)
  }
})

test('a key file that holds something else is refused without being shown', () => {
  const wrong = join(folder, 'wrong.key')
  for (const text of ['', 'hunter2', 'A'.repeat(44)]) {
    writeFileSync(wrong, text)
    assert.throws(
      () => readOperatorKey(wrong, world),
      (error: Error & { code?: string }) => {
        return error.code === 'config_invalid' && (text === '' || !error.message.includes(text))
      },
    )
  }
})

test('the operator key buys a console session of twelve hours, another key buys none', () => {
  const key = readOperatorKey(path, world)
  const sessions = createConsoleSessions(key, world)
  const { cookie, expiresAt } = sessions.open(key.text)
  assert.match(cookie, /^[\w-]{43}$/)
  assert.equal(expiresAt, nowMs + consoleSessionMsMax)
  assert.equal(sessions.has(cookie), true)
  assert.throws(() => sessions.open('guess'), { code: 'operator_required' })
  nowMs = expiresAt - 1
  assert.equal(sessions.has(cookie), true)
  nowMs = expiresAt
  assert.equal(sessions.has(cookie), false)
})

test('a console session that was closed, guessed or made by another Conductor is none', () => {
  const key = readOperatorKey(path, world)
  const sessions = createConsoleSessions(key, world)
  const { cookie } = sessions.open(key.text)
  assert.equal(createConsoleSessions(key, world).has(cookie), false)
  assert.equal(sessions.has(`${cookie}x`), false)
  assert.equal(sessions.has(key.text), false)
  sessions.close(cookie)
  assert.equal(sessions.has(cookie), false)
})

test('console sessions do not pile up', () => {
  const key = readOperatorKey(path, world)
  const sessions = createConsoleSessions(key, world)
  const cookies = Array.from({ length: 1_001 }, () => sessions.open(key.text).cookie)
  assert.equal(sessions.has(cookies[0]!), false)
  assert.equal(
    cookies.slice(1).every(cookie => sessions.has(cookie)),
    true,
  )
})
