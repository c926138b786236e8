/**
 * Goal: what happens to the process and the machine costs at most what was in flight. Completed recordings stay as they
 * are, the database stays consistent, nothing runs on without its Conductor, and a refusal names its reason.
 * Method: end, kill, lock out and fill up real Conductors, start them again and compare.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { closeSync, openSync, rmSync, writeSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { join } from 'node:path'
import test from 'node:test'
import { serverFolders } from '@maestro/testkit'
import { type RunningConductor, startConductor } from './support/conductor.ts'
import { eventually } from './support/eventually.ts'
import { maestro } from './support/maestro.ts'
import { openRawSession, type RawAnswer } from './support/raw-session.ts'
import { run } from './support/run.ts'
import { temporaryFolder } from './support/temporary-folder.ts'

const codeOf = ({ last }: RawAnswer): string | undefined => last?.error?.data?.code
const textOf = ({ last }: RawAnswer): string | undefined =>
  (last?.result?.['content'] as { text: string }[] | undefined)?.[0]?.text

const recordingOf = async (conductor: RunningConductor, id: string): Promise<Buffer> =>
  (await conductor.api('getRecording', { params: { id } })) as Buffer

/** Opens a session, calls once, ends it; returns its id when its recording is sealed. */
async function completeSession(conductor: RunningConductor, deployment: string, client: string): Promise<string> {
  const session = await openRawSession(await conductor.mint(deployment), client)
  assert.equal(textOf(await session.call('echo', { message: client })), `Echo: ${client}`)
  await session.end()
  return (await conductor.closedSession((await conductor.sessionOf(client)).id)).id
}

test('a busy port is named, and nothing is left running', async () => {
  const squatter = createServer().listen(0, '127.0.0.1')
  await once(squatter, 'listening')
  await using folder = await temporaryFolder('busy')
  const { port } = squatter.address() as AddressInfo
  const { code, stderr, stdout } = await maestro(folder.path, ['up', '--json', '--port', String(port), '--data', folder.path])
  squatter.close()
  assert.equal(code, 1, stderr)
  assert.match(stdout + stderr, /port_busy/)
  assert.match(stdout + stderr, new RegExp(String(port)))
  await using after = await startConductor({ data: folder.path })
  assert.equal(after.ready.ready, true, 'the data folder is not locked by the one that failed')
})

test('a second Conductor on the same data is refused while the first one works', async () => {
  await using conductor = await startConductor()
  await conductor.deploy(serverFolders.echo, { name: 'echo' })
  const { code, stdout, stderr } = await maestro(conductor.data, ['up', '--json', '--port', '0', '--data', conductor.data])
  assert.equal(code, 1, stderr)
  assert.match(stdout + stderr, /data_locked/)
  await completeSession(conductor, 'echo', 'undisturbed')
})

test('SIGTERM lets the call in flight end, then exits 0', async () => {
  await using conductor = await startConductor()
  await conductor.deploy(serverFolders.zoo, { name: 'progress', args: ['progress'] })
  const session = await openRawSession(await conductor.mint('progress'), 'walker')
  const walking = session.call('walk', { steps: 10, stepMs: 100 })
  await eventually('the call is on its way', async () => (await conductor.sessionOf('walker')).calls === 1)
  const stopping = conductor.stop()
  assert.equal(textOf(await walking), 'walked 10')
  assert.equal(await stopping, 0)
})

test('SIGTERM does not wait for ever: a call that never ends is cut off with a code', async () => {
  await using conductor = await startConductor({ env: { MAESTRO_DRAIN_MS_MAX: '500' } })
  await conductor.deploy(serverFolders.misbehaving, { name: 'silent', args: ['never-answer'] })
  const session = await openRawSession(await conductor.mint('silent'), 'waiter')
  const waiting = session.call('misbehave').catch(error => error)
  await eventually('the call is on its way', async () => (await conductor.sessionOf('waiter')).calls === 1)
  assert.equal(await conductor.stop(), 0)
  const answer = await waiting
  if (!(answer instanceof Error)) assert.equal(codeOf(answer), 'conductor_draining')
})

test('kill -9 in the middle of traffic loses nothing completed, leaves no process, and the next start works', async () => {
  await using folder = await temporaryFolder('killed')
  const first = await startConductor({ data: folder.path })
  await first.deploy(serverFolders.echo, { name: 'echo' })
  await first.deploy(serverFolders.zoo, { name: 'progress', args: ['progress'] })
  const completed = await Promise.all([1, 2, 3].map(index => completeSession(first, 'echo', `completed-${index}`)))
  const before = await Promise.all(completed.map(id => recordingOf(first, id)))

  const traffic = ['echo', 'progress'].map(async name => {
    const session = await openRawSession(await first.mint(name), `cut-off-${name}`)
    for (;;) {
      await (name === 'echo' ? session.call('echo', { message: 'on and on' }) : session.call('walk', { steps: 100, stepMs: 20 }))
    }
  })
  const cutOff = Promise.allSettled(traffic)
  const interrupted = await Promise.all(['echo', 'progress'].map(name => first.sessionOf(`cut-off-${name}`)))
  await eventually('traffic flows', async () => {
    const sessions = await Promise.all(interrupted.map(({ id }) => first.api('getSession', { params: { id } })))
    return sessions.every(({ calls }) => calls > 0)
  })
  await first.kill9()
  await cutOff
  await eventually(
    'what it started dies with it',
    () => first.survivors().filter(({ command }) => !isDatabase(command)).length === 0,
  )

  await using second = await startConductor({ data: folder.path })
  const { items } = await second.api('listDeployments')
  assert.deepEqual(
    items
      .map(({ name }) => name)
      .filter(name => name !== 'everything')
      .sort(),
    ['echo', 'progress'],
  )
  for (const [index, id] of completed.entries()) {
    assert.equal((await second.api('getSession', { params: { id } })).state, 'closed')
    assert.ok(before[index]!.equals(await recordingOf(second, id)), `recording of ${id} changed`)
  }
  for (const { id } of interrupted) {
    const session = await second.closedSession(id)
    assert.ok(session.closeReason, 'it says why it ended')
    assert.ok((await recordingOf(second, id)).length > 0)
    const shown = await maestro(folder.path, ['session', 'show', id, '--json'])
    assert.equal(shown.code, 0, shown.stderr)
  }
  assert.equal((await second.api('getPool')).orphans, 0)
  await completeSession(second, 'echo', 'after-the-fall')
  assert.equal(await second.stop(), 0)
})

/** PostgreSQL is told to stop by its own supervisor, which may outlive Conductor by the time of a checkpoint. */
const isDatabase = (command: string): boolean => /postgres/.test(command)

const mayMount = process.platform === 'linux' && process.getuid?.() === 0
const mounted = mayMount ? (await run('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'])).code === 0 : false

test('a full disk ends what cannot be recorded, with a code, and spoils nothing recorded; with room again sessions work', {
  skip: mounted ? false : 'needs root and the right to mount a small disk',
}, async () => {
  await using folder = await temporaryFolder('small-disk')
  const data = join(folder.path, 'data')
  // One disk for the recordings and for the database, with room for both and for little else; this Conductor alone sees it.
  const mounts = [
    `mount -t tmpfs -o size=450m,mode=755 tmpfs ${folder.path}`,
    `mkdir -p ${data} ${folder.path}/state /var/lib/maestro`,
    `chmod 711 ${folder.path}/state`,
    `mount --bind ${folder.path}/state /var/lib/maestro`,
    'exec "$@"',
  ]
  await using conductor = await startConductor({ data, under: ['unshare', '--mount', 'sh', '-c', mounts.join(' && '), 'sh'] })
  await conductor.deploy(serverFolders.echo, { name: 'echo' })
  const kept = await completeSession(conductor, 'echo', 'before-the-flood')
  const before = await recordingOf(conductor, kept)
  const { mcpUrl, token } = await conductor.mint('echo')
  const running = await openRawSession({ mcpUrl, token }, 'in-the-flood')
  const { id } = await conductor.sessionOf('in-the-flood')

  const filler = join(`/proc/${conductor.pid}/root`, folder.path, 'filler')
  fill(filler)
  const message = 'x'.repeat(1 << 20)
  const codes = new Set<string | undefined>()
  await eventually('the session is over', async () => {
    const answer = await running.call('echo', { message })
    if (textOf(answer) === undefined) codes.add(codeOf(answer))
    return answer.status === 404
  })
  // The call whose frame could not be written is told why; those after it, that the session is gone.
  for (const code of codes) assert.match(String(code), /^(recording_unavailable|session_closed|session_not_found)$/)
  const late = await openRawSession({ mcpUrl, token }, 'too-late').then(
    session => session.call('echo', { message }),
    error => error,
  )
  assert.ok(late instanceof Error || textOf(late) === undefined, 'nothing runs unrecorded')
  assert.ok(before.equals(await recordingOf(conductor, kept)))

  rmSync(filler)
  await eventually('sessions work again', () => completeSession(conductor, 'echo', 'after-the-flood'), 30_000)
  assert.equal((await conductor.closedSession(id)).closeReason, 'recording_unavailable')
  assert.ok(before.equals(await recordingOf(conductor, kept)))
  assert.ok((await recordingOf(conductor, id)).length > 0)
  assert.equal(await conductor.stop(), 0)
})

function fill(path: string): void {
  const file = openSync(path, 'w')
  try {
    // The last bytes too: first by the mebibyte, then by the page.
    for (const chunk of [Buffer.alloc(1 << 20), Buffer.alloc(4096)]) {
      try {
        for (;;) writeSync(file, chunk)
      } catch (error) {
        assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC')
      }
    }
  } finally {
    closeSync(file)
  }
}
