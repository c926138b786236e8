/**
 * Goal: a session that nobody speaks to costs no sandbox, and its client never learns of it.
 * Method: real servers, a short idleness, and a look at the pool, the processes and the answers before and after.
 */
import assert from 'node:assert/strict'
import test, { after, before } from 'node:test'
import { serverFolders } from '@maestro/testkit'
import { type RunningConductor, startConductor } from './support/conductor.ts'
import { eventually } from './support/eventually.ts'
import { openRawSession, type RawAnswer } from './support/raw-session.ts'

let conductor: RunningConductor
before(async () => {
  conductor = await startConductor({ env: { MAESTRO_HIBERNATE_IDLE_MS: '300', MAESTRO_WARM: '1' } })
})
after(() => conductor?.[Symbol.asyncDispose]())

const textOf = ({ last }: RawAnswer): string | undefined =>
  (last?.result?.['content'] as { text: string }[] | undefined)?.[0]?.text
const stateOf = async (client: string) => (await conductor.sessionOf(client)).state
const isHibernated = (client: string) => eventually('hibernated', async () => (await stateOf(client)) === 'hibernated')
const leased = async () => (await conductor.api('getPool')).leased

async function deployed(source: string, name: string, options: Parameters<RunningConductor['deploy']>[1] = {}) {
  await conductor.deploy(source, { name, ...options })
  return conductor.mint(name)
}

test('a server that keeps state is brought back to where it was, without a sandbox in between', async () => {
  const memory = await deployed('@modelcontextprotocol/server-memory', 'memory', {
    env: { MEMORY_FILE_PATH: { value: '/home/sandbox/memory.jsonl' } },
  })
  const session = await openRawSession(memory, 'sleeper')
  const entities = [{ name: 'ada', entityType: 'person', observations: ['wrote the first program'] }]
  await session.call('create_entities', { entities })
  await isHibernated('sleeper')
  await eventually('the sandbox is gone', async () => (await leased()) === 0)

  const graph = await session.call('read_graph')
  assert.match(textOf(graph) ?? '', /wrote the first program/)
  assert.equal(await stateOf('sleeper'), 'ready')
  await isHibernated('sleeper')
  assert.match(textOf(await session.call('read_graph')) ?? '', /ada/, 'and once more')
  await session.end()

  const closed = await conductor.closedSession((await conductor.sessionOf('sleeper')).id)
  const replay = await conductor.api('replaySession', { params: { id: closed.id } })
  assert.equal(replay.identical, true, 'the tape is that of one server')
})

test('memory of a process comes back too', async () => {
  const counter = await deployed(serverFolders.zoo, 'counter', { args: ['counter'] })
  const session = await openRawSession(counter, 'counting')
  await session.call('add', { by: 40 })
  await isHibernated('counting')
  assert.equal(textOf(await session.call('add', { by: 2 })), '42')
  await session.end()
})

test('requests that come while it wakes are all answered, in order', async () => {
  const session = await openRawSession(await conductor.mint('counter'), 'hasty')
  await session.call('add', { by: 1 })
  await isHibernated('hasty')
  const answers = await Promise.all(Array.from({ length: 8 }, () => session.call('add', { by: 1 })))
  assert.deepEqual(answers.map(textOf).toSorted(), ['2', '3', '4', '5', '6', '7', '8', '9'])
  await session.end()
})

test('a server that does not answer the same again keeps its sandbox, which stands still', async () => {
  const clock = await deployed(serverFolders.zoo, 'clock', { args: ['clock'] })
  const session = await openRawSession(clock, 'watcher')
  await session.call('uptime')
  await eventually('it was looked into', async () => conductor.log().includes('not_deterministic'))
  await isHibernated('watcher')
  assert.ok((await leased()) >= 1)
  assert.match(textOf(await session.call('uptime')) ?? '', /^\d/)
  await session.end()
})

test('so does one that got its secret only when it was leased', async () => {
  await conductor.api('putSecret', { params: { name: 'late' }, body: { value: 'told-at-lease' } })
  const env = { TOKEN: { secret: 'late' } }
  const clock = await deployed(serverFolders.zoo, 'clock-with-secret', { args: ['clock'], env })
  const warm = async () => (await conductor.api('getPool')).deployments.find(({ name }) => name === 'clock-with-secret')?.warm
  await eventually('one waits for its secret', async () => (await warm()) === 1)
  const session = await openRawSession(clock, 'trusted')
  assert.equal((await conductor.sessionOf('trusted')).warm, true)
  await session.call('uptime')
  await isHibernated('trusted')
  assert.match(textOf(await session.call('uptime')) ?? '', /^\d/)
  await session.end()
})

test('a hibernated session ends when its client says so, and leaves nothing', async () => {
  const session = await openRawSession(await conductor.mint('counter'), 'gone')
  await isHibernated('gone')
  await session.end()
  const row = await conductor.closedSession((await conductor.sessionOf('gone')).id)
  assert.equal(row.closeReason, 'client')
  assert.equal(await leased(), 0)
})
