/** The command line as a process: what a person types after `npm start`, and what they see. */
import assert from 'node:assert/strict'
import { copyFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { after, before } from 'node:test'
import type { Session } from '@maestro/contract'
import { serverFolders } from '@maestro/testkit'
import { type RunningConductor, startConductor } from './support/conductor.ts'
import { maestro } from './support/maestro.ts'

let conductor: RunningConductor
const run = (...args: string[]) => maestro(conductor.data, args)
const json = async <T>(...args: string[]): Promise<T> => {
  const { code, stdout, stderr } = await run(...args, '--json')
  assert.equal(code, 0, stderr)
  return JSON.parse(stdout) as T
}
const newest = async (): Promise<Session> => {
  const [session] = await json<Session[]>('sessions')
  assert.ok(session)
  return session
}

before(async () => {
  conductor = await startConductor()
  for (const animal of ['counter', 'clock']) {
    const deployed = await run('deploy', serverFolders.zoo, '--name', animal, '--', animal)
    assert.equal(deployed.code, 0, deployed.stderr)
  }
})
after(() => conductor[Symbol.asyncDispose]())

test('deploying the same folder again does no work and says so', async () => {
  const { stdout } = await run('deploy', serverFolders.zoo, '--name', 'counter', '--json', '--', 'counter')
  const again = JSON.parse(stdout) as { installed: boolean; changed: boolean }
  assert.deepEqual([again.installed, again.changed], [false, false])
})

test('the listing names the deployment, its version and its URL; without a terminal it has no colour', async () => {
  const { stdout } = await run('deployments')
  assert.match(stdout, /counter\s+.*http:\/\/127\.0\.0\.1:\d+\/mcp\/counter/)
  assert.ok(!stdout.includes('\u001b['))
  const rows = await json<{ name: string }[]>('deployments')
  assert.deepEqual(rows.map(row => row.name).sort(), ['clock', 'counter'])
})

test('a call prints the tool’s answer; the session can be listed, shown and replayed', async () => {
  const tools = await json<{ name: string }[]>('tools', 'counter')
  assert.ok(
    tools.some(tool => tool.name === 'add'),
    JSON.stringify(tools.map(tool => tool.name)),
  )
  const called = await run('call', 'counter', 'add', '{}')
  assert.equal(called.code, 0, called.stderr)
  assert.match(called.stdout, /1/)

  const session = await newest()
  assert.equal(session.deploymentName, 'counter')
  assert.equal(session.calls, 1)
  const shown = await run('session', 'show', session.id)
  assert.match(shown.stdout, /tools\/call.*add/)

  const replayed = await run('replay', session.id, '--json')
  assert.equal(replayed.code, 0, replayed.stderr + replayed.stdout)
  const verdict = JSON.parse(replayed.stdout) as {
    frames: { matched: number; total: number; fidelity: number }
    identical: boolean
    firstDivergence: unknown
  }
  assert.equal(verdict.identical, true)
  assert.equal(verdict.firstDivergence, null)
  assert.ok(verdict.frames.total > 0 && verdict.frames.matched === verdict.frames.total && verdict.frames.fidelity === 1)
})

test('while a tool works its progress is told on standard error', async () => {
  const deployed = await run('deploy', serverFolders.zoo, '--name', 'walker', '--', 'progress')
  assert.equal(deployed.code, 0, deployed.stderr)
  const { code, stdout, stderr } = await run('call', 'walker', 'walk', '{"steps":3}')
  assert.deepEqual([code, stdout], [0, 'walked 3\n'])
  assert.match(stderr, /1 of 3\n2 of 3\n3 of 3/)
})

test('a server that looks at the clock diverges, the exit code is 3 and the difference is named', async () => {
  assert.equal((await run('call', 'clock', 'now', '{}')).code, 0)
  const { code, stdout, stderr } = await run('replay', (await newest()).id)
  assert.equal(code, 3, stdout + stderr)
  assert.match(stdout, /diverged/i)
  assert.match(stdout, /tools\/call/)
})

test('a stub answers from the recording, and names the nearest call for what was never recorded', async () => {
  await run('call', 'counter', 'add', '{}')
  const session = await newest()
  const stub = await json<{ deployment: string; mcpUrl: string; token: string }>('stub', session.id)
  const served = await run('call', stub.deployment, 'add', '{}')
  assert.equal(served.code, 0, served.stderr)
  const missed = await run('call', stub.deployment, 'add', '{"by":5}')
  assert.notEqual(missed.code, 0)
  assert.match(missed.stderr, /stub_miss|nearest|no such call/i)
})

test('connect is a stdio server to a client that knows nothing else', async () => {
  const frames = [
    {
      jsonrpc: '2.0',
      id: 1,
      method: 'initialize',
      params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'cli-e2e', version: '1' } },
    },
    { jsonrpc: '2.0', method: 'notifications/initialized' },
    { jsonrpc: '2.0', id: 2, method: 'tools/list' },
  ]
  const { code, stdout, stderr } = await maestro(conductor.data, ['connect', 'counter'], {
    input: frames.map(frame => `${JSON.stringify(frame)}\n`).join(''),
  })
  assert.equal(code, 0, stderr)
  const answers = stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as { id: number; result: { tools?: unknown[] } })
  assert.deepEqual(
    answers.map(answer => answer.id),
    [1, 2],
  )
  assert.ok(answers[1]!.result.tools!.length > 0)
})

test('a recording can be shown from its file alone', async () => {
  const session = await newest()
  const bytes = await conductor.api('getRecording', { params: { id: session.id } })
  const file = join(conductor.data, 'copy.mcrec')
  await writeFile(file, bytes as Uint8Array)
  const { code, stdout, stderr } = await run('session', 'show', file)
  assert.equal(code, 0, stderr)
  assert.match(stdout, /initialize/)
  await copyFile(file, `${file}.bad`)
  await writeFile(`${file}.bad`, (await readFile(file)).subarray(3))
  const bad = await run('session', 'show', `${file}.bad`)
  assert.equal(bad.code, 1)
  assert.match(bad.stderr, /recording_unreadable/)
})

test('a secret is set from standard input, used by name, and never shown', async () => {
  const set = await maestro(conductor.data, ['secret', 'set', 'zoo-key'], { input: 'hunter2-very-secret\n' })
  assert.equal(set.code, 0, set.stderr)
  const deployed = await run('deploy', serverFolders.zoo, '--name', 'secretive', '--env', 'ZOO_KEY=secret:zoo-key')
  assert.equal(deployed.code, 0, deployed.stderr)
  for (const listing of [await run('secret', 'list'), await run('deployments', '--json'), await run('logs', '--json')]) {
    assert.equal(listing.code, 0, listing.stderr)
    assert.ok(!`${listing.stdout}${listing.stderr}`.includes('hunter2-very-secret'))
  }
  const missing = await run('deploy', serverFolders.zoo, '--name', 'other', '--env', 'ZOO_KEY=secret:nobody')
  assert.equal(missing.code, 1)
  assert.match(missing.stderr, /secret_not_found/)
})

test('mistakes are told with a code, a hint and the right exit code', async () => {
  const cases: [args: string[], code: number, says: RegExp][] = [
    [['deployment'], 2, /did you mean.*deployments/i],
    [['call', 'nobody', 'x', '{}'], 1, /deployment_not_found/],
    [['call', 'counter', 'add', '{not json'], 2, /json/i],
    [['sessions', '--stat', 'ready'], 2, /--state/],
    [['session', 'show', 'ses_00000000000000000000'], 1, /session_not_found/],
    [['replay', 'ses_00000000000000000000'], 1, /session_not_found/],
    [['deploy', '@modelcontextprotocol/does-not-exist-at-all'], 1, /package_not_found|install_failed/],
    [['deploy', './no/such/folder'], 2, /source_invalid/],
  ]
  for (const [args, code, says] of cases) {
    const finished = await run(...args)
    assert.equal(finished.code, code, `${args.join(' ')}: ${finished.stderr}`)
    assert.match(finished.stderr, says)
    assert.ok(!/\n\s+at .*:\d+:\d+/.test(finished.stderr), `a stack was shown for ${args.join(' ')}`)
    assert.equal(finished.stdout, '')
  }
})

test('doctor, status and pool say how things are, for people and for programs', async () => {
  const doctor = await run('doctor')
  assert.ok(doctor.code === 0 || doctor.code === 1, doctor.stderr)
  assert.match(doctor.stdout, /bubblewrap/)
  assert.ok(Array.isArray(await json('doctor')))
  assert.equal((await json<{ ready: boolean }>('status')).ready, true)
  assert.ok('warm' in (await json<object>('pool')))
})

test('without a Conductor the error says how to start one', async () => {
  const { code, stderr } = await maestro(join(conductor.data, 'nowhere'), ['sessions'])
  assert.equal(code, 1)
  assert.match(stderr, /conductor_unreachable/)
  assert.match(stderr, /maestro up/)
})
