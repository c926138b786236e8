/**
 * Goal: the pool does with real sandboxes what its simulation does: it holds a new release warm, stops what waits, lets it go on for a
 * session, holds more for more use, and shows all of it, what is left over included, to the operator and nobody else.
 * Method: sessions of a real server, looked at through the API and `/metrics`.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { after, before } from 'node:test'
import { serverFolders } from '@maestro/testkit'
import { type RunningConductor, startConductor } from './support/conductor.ts'
import { eventually } from './support/eventually.ts'
import { openRawSession } from './support/raw-session.ts'

let conductor: RunningConductor
before(async () => {
  conductor = await startConductor()
  await conductor.deploy(serverFolders.echo, { name: 'echo' })
})
after(() => conductor?.[Symbol.asyncDispose]())

const echoLine = async () => (await conductor.api('getPool')).deployments.find(({ name }) => name === 'echo')!

/** Asks as a monitoring system does, with the key from the data folder. */
async function metrics(key = readFileSync(join(conductor.data, 'keys/operator.key'), 'utf8').trim()) {
  const url = new URL('/metrics', conductor.ready.apiUrl)
  const answer = await fetch(url, { headers: key === '' ? {} : { authorization: `Bearer ${key}` } })
  return { status: answer.status, type: answer.headers.get('content-type'), text: await answer.text() }
}
const valueIn = (text: string, name: string): number =>
  Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'm').exec(text)?.[1])

test('a new release is warm before its first session, frozen when it waits, and answers like any other when it is leased', async () => {
  const line = await eventually('warm and frozen', async () => {
    const found = await echoLine()
    return found?.warm === 2 && (found.frozen === 2 || (await isUnableToFreeze(found.warm))) ? found : null
  })
  assert.ok(line.memoryBytes !== null && line.memoryBytes > 10e6 && line.memoryBytes < 300e6, `${line.memoryBytes} bytes`)
  const session = await openRawSession(await conductor.mint('echo'), 'first')
  const { last } = await session.call('echo', { message: 'awake' })
  assert.deepEqual(last?.result?.['content'], [{ type: 'text', text: 'Echo: awake' }])
  await session.end()
  assert.equal((await conductor.sessionOf('first')).warm, true)
  assert.equal((await echoLine()).hits, 1)
})

test('use that comes in crowds is held for, and the pool says why', async () => {
  const token = await conductor.mint('echo')
  for (let round = 0; round < 3; round++) {
    const sessions = await Promise.all([1, 2, 3, 4].map(() => openRawSession(token, 'crowd')))
    await Promise.all(sessions.map(session => session.end()))
  }
  const line = await eventually('more warm than at first', async () => {
    const found = await echoLine()
    return found.warm > 2 && found.starting === 0 ? found : null
  })
  assert.ok(line.ratePerMinute > 1 && line.burst > 1 && line.refillMs > 10 && line.missProbability > 0, JSON.stringify(line))
})

test('metrics show the pool and that nothing is left over, to the operator alone', async () => {
  for (const key of ['', 'wrong']) assert.equal((await metrics(key)).status, 401)
  const { status, type, text } = await eventually('nothing ends any more', async () => {
    const { draining, leased } = await conductor.api('getPool')
    return draining + leased === 0 ? metrics() : null
  })
  assert.equal(status, 200)
  assert.match(type ?? '', /^text\/plain; version=0\.0\.4/)
  const pool = await conductor.api('getPool')
  assert.equal(valueIn(text, 'conductor_pool_hits_total'), pool.hits)
  assert.equal(valueIn(text, 'conductor_sessions_opened_total'), 13)
  assert.equal(valueIn(text, 'conductor_sessions_closed_total'), 13)
  assert.ok(valueIn(text, 'conductor_sandbox_starts_total') >= 13)
  assert.ok(valueIn(text, 'conductor_pool_refill_seconds_count') >= 1)
  assert.ok(valueIn(text, 'process_open_fds') > 10 && valueIn(text, 'process_resident_memory_bytes') > 30e6)
  for (const what of ['processes', 'mounts', 'cgroups', 'files']) assert.equal(valueIn(text, `conductor_leaked_${what}`), 0, what)
  assert.deepEqual(pool.leaks, { processes: 0, mounts: 0, cgroups: 0, files: 0 })
})

/** Without a control group of our own nothing can be frozen; then it must at least be warm. */
async function isUnableToFreeze(warm: number): Promise<boolean> {
  return warm === 2 && !/cgroup v/.test(conductor.log())
}
