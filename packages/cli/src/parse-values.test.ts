import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { ago, bytes, duration, percent } from './format.ts'
import { lines } from './lines.ts'
import { localSource } from './local-source.ts'
import { parseCount } from './parse-count.ts'
import { parseDuration } from './parse-duration.ts'
import { parseEnv } from './parse-env.ts'

test('environment pairs are values or names of secrets', () => {
  assert.deepEqual(parseEnv(['A=1', 'B=secret:key', 'C=x=y', 'D=']), {
    A: { value: '1' },
    B: { secret: 'key' },
    C: { value: 'x=y' },
    D: { value: '' },
  })
  assert.throws(() => parseEnv(['9A=1']), /cannot be the name/)
  assert.throws(
    () => parseEnv(['hunter2']),
    (error: Error) => !error.message.includes('hunter2'),
    'what was given is not shown',
  )
})

test('durations and counts are read strictly', () => {
  assert.equal(parseDuration('--ttl', '90s'), 90_000)
  assert.equal(parseDuration('--ttl', '1.5m'), 90_000)
  assert.equal(parseDuration('--ttl', '250ms'), 250)
  for (const text of ['', '5', 'm', '-1s', '1y', '1 s']) assert.throws(() => parseDuration('--ttl', text), /--ttl/)
  assert.equal(parseCount('--limit', '10', 1, 500), 10)
  for (const text of ['0', '501', '1.5', 'x', '']) assert.throws(() => parseCount('--limit', text, 1, 500), /--limit/)
})

test('numbers are said with their units', () => {
  assert.deepEqual([0.4, 12, 1234, 61_000, 7_200_000].map(duration), ['0.4 ms', '12 ms', '1.2 s', '1 min 1 s', '2.0 h'])
  assert.deepEqual([5, 2048, 3 * 2 ** 20].map(bytes), ['5 B', '2.0 KiB', '3.0 MiB'])
  assert.deepEqual([1, 0.9999, 0.5].map(percent), ['100 %', '99.9 %', '50 %'], 'what is not all is never rounded up to all')
  assert.equal(ago(0, 90_000), '1 min ago')
})

test('a folder is named from the root, anything else stays as it was typed', async t => {
  const cwd = await mkdtemp(join(tmpdir(), 'maestro-source-'))
  t.after(() => rm(cwd, { recursive: true }))
  await mkdir(join(cwd, 'server'))
  assert.equal(localSource('server', cwd), join(cwd, 'server'))
  assert.equal(localSource('./nowhere', cwd), join(cwd, 'nowhere'))
  assert.equal(localSource('.', cwd), cwd)
  assert.equal(localSource('/srv/x', cwd), '/srv/x')
  assert.equal(localSource('~/x', cwd), join(homedir(), 'x'))
  for (const source of ['@scope/name@1', 'name', 'https://host/mcp', 'ses_1']) assert.equal(localSource(source, cwd), source)
})

test('lines come byte for byte, wherever the chunks are cut', async () => {
  async function* chunks() {
    for (const text of ['a', 'b\r\n', '\nü', 'x\nlast']) yield Buffer.from(text)
  }
  const read: string[] = []
  for await (const line of lines(chunks())) read.push(Buffer.from(line).toString())
  assert.deepEqual(read, ['ab', '', 'üx', 'last'])
})
