/**
 * Goal: servers written in Python deploy, run, are recorded and re-executed as those of Node are.
 * Method: two reference servers of PyPI, one of them with an older SDK that a folder's requirements.txt pins, and a program the kernel
 * runs itself, made here byte by byte. Each runs a script through the gateway and once more by replay.
 */
import assert from 'node:assert/strict'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { after, before } from 'node:test'
import { type RunningConductor, startConductor } from './support/conductor.ts'
import { echoProgram } from './support/echo-program.ts'
import { openRawSession } from './support/raw-session.ts'
import { temporaryFolder } from './support/temporary-folder.ts'

let conductor: RunningConductor
before(async () => {
  conductor = await startConductor()
})
after(() => conductor?.[Symbol.asyncDispose]())

/** Runs the calls in a session of their own, and the session once more by replay. Returns the answers. */
async function play(name: string, calls: readonly [string, Record<string, unknown>][]) {
  const session = await openRawSession(await conductor.mint(name), `python-${name}`)
  const answers = []
  for (const [tool, args] of calls) answers.push(JSON.stringify((await session.call(tool, args)).last?.result))
  await session.end()
  const { id, calls: counted } = await conductor.closedSession((await conductor.sessionOf(`python-${name}`)).id)
  assert.equal(counted, calls.length)
  const replay = await conductor.api('replaySession', { params: { id } })
  assert.equal(replay.state, 'done', JSON.stringify(replay.error))
  return { answers, replay }
}

test('mcp-server-time of PyPI deploys, tells the time, and the same version again does no work', {
  timeout: 300_000,
}, async t => {
  const source = 'pypi:mcp-server-time@2026.10.19'
  const { release } = await conductor.deploy(source, { args: ['--local-timezone', 'Europe/Berlin'] })
  assert.deepEqual(release.source, { kind: 'pypi', package: 'mcp-server-time', version: '2026.10.19' })
  assert.deepEqual(
    release.manifest.tools.map(({ name }) => name),
    ['get_current_time', 'convert_time'],
  )
  t.diagnostic(`start: ${Math.round(release.manifest.startupMs)} ms`)
  const again = await conductor.api('deploy', { body: { source, args: ['--local-timezone', 'Europe/Berlin'] } })
  assert.deepEqual([again.installed, again.changed], [false, false])

  const { answers, replay } = await play('time', [
    ['convert_time', { source_timezone: 'UTC', time: '12:00', target_timezone: 'Asia/Tokyo' }],
    ['get_current_time', { timezone: 'Mars/Olympus' }],
  ])
  assert.match(answers[0]!, /\+9\.0h/)
  assert.match(answers[1]!, /isError.{0,3}true/)
  t.diagnostic(`fidelity time: ${replay.frames.matched}/${replay.frames.total}`)
  assert.equal(replay.identical, true, JSON.stringify(replay.differences))
})

test('a folder with requirements.txt pins what its server runs with', { timeout: 300_000 }, async t => {
  await using folder = await temporaryFolder('python-folder')
  const source = join(folder.path, 'books')
  await mkdir(source)
  await writeFile(join(source, 'requirements.txt'), 'mcp<2\nmcp-server-sqlite==2025.4.25\n')
  const { release } = await conductor.deploy(source, {
    name: 'books',
    bin: 'mcp-server-sqlite',
    args: ['--db-path', '/tmp/books.db'],
  })
  assert.deepEqual(release.source, { kind: 'folder', path: source })
  const { answers, replay } = await play('books', [
    ['create_table', { query: 'CREATE TABLE books (title TEXT, pages INTEGER)' }],
    ['write_query', { query: "INSERT INTO books VALUES ('Emma', 474), ('Ulysses', 730)" }],
    ['read_query', { query: 'SELECT title FROM books WHERE pages > 500' }],
    ['list_tables', {}],
  ])
  assert.match(answers[2]!, /Ulysses/)
  t.diagnostic(`fidelity books: ${replay.frames.matched}/${replay.frames.total}`)
  assert.equal(replay.identical, true, JSON.stringify(replay.differences))
})

test('a static binary without any library is a server', {
  skip: process.arch !== 'x64' && 'the program is for x86_64',
}, async () => {
  await using folder = await temporaryFolder('binary')
  const program = join(folder.path, 'tiny')
  await writeFile(program, echoProgram())
  await chmod(program, 0o755)
  const { release } = await conductor.deploy(program)
  assert.deepEqual(release.source, { kind: 'file', path: program })
  assert.deepEqual(release.manifest.serverInfo, { name: 'tiny', version: '1' })
  const { answers, replay } = await play('tiny', [['any', {}]])
  assert.match(answers[0]!, /tiny/)
  assert.equal(replay.identical, true)
})
