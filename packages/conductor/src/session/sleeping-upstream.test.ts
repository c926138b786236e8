import assert from 'node:assert/strict'
import test from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { type FakeUpstream, fakeUpstream } from './fake-stages.ts'
import { SleepingUpstream } from './sleeping-upstream.ts'
import type { Lease, Rebuild } from './stages.ts'

const frame = (n: number) => Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: n, method: 'ping' }))

function bench() {
  const servers: FakeUpstream[] = []
  const told: string[] = []
  let refusal: Error | null = null
  const lease = (): Lease => {
    const upstream = fakeUpstream(({ id }, self) => self.say({ id: id!, result: { server: servers.indexOf(self) } }))
    servers.push(upstream)
    return { id: 'lea_fake' as Lease['id'], upstream, warm: true, waitMs: 0, startMs: 0, release: () => upstream.close() }
  }
  const upstream = new SleepingUpstream({
    lease: lease(),
    leaseAgain: async () => {
      if (refusal) throw refusal
      return lease()
    },
    now: () => 0,
    onWoken: ({ how }) => told.push(`woken by ${how}`),
    onNotWoken: cause => told.push(`not woken: ${(cause as Error).message}`),
    onLost: () => told.push('lost'),
  })
  const heard: string[] = []
  upstream.onFrame(bytes => heard.push(Buffer.from(bytes).toString()))
  const refuse = (why: Error | null) => {
    refusal = why
  }
  return { upstream, servers, told, heard, refuse }
}

const same: Rebuild = { how: 'whole', run: async () => true }
const rest = async () => {
  for (let round = 0; round < 5; round++) await turn()
}

test('asleep it holds no sandbox; a frame brings another up and reaches it after what was kept', async () => {
  const { upstream, servers, told, heard } = bench()
  await upstream.sleep(same)
  assert.equal(servers[0]!.isClosed, true)
  upstream.send(frame(1))
  upstream.send(frame(2))
  assert.ok(upstream.pendingBytes > 0)
  await rest()
  assert.deepEqual(told, ['woken by whole'])
  assert.deepEqual(
    servers[1]!.received.map(({ id }) => id),
    [1, 2],
  )
  assert.deepEqual(
    heard.map(text => JSON.parse(text).result.server),
    [1, 1],
  )
})

test('where no sandbox can be had it says so, and the next frame tries again', async () => {
  const { upstream, servers, told, refuse } = bench()
  await upstream.sleep(same)
  refuse(new Error('full'))
  upstream.send(frame(1))
  await rest()
  assert.deepEqual(told, ['not woken: full'])
  assert.equal(upstream.isAsleep, true)
  refuse(null)
  upstream.send(frame(2))
  await rest()
  assert.deepEqual(
    servers[1]!.received.map(({ id }) => id),
    [2],
    'what was answered with the reason is not sent after all',
  )
})

test('a server that answers otherwise than before is not handed to the session', async () => {
  const { upstream, servers, told, heard } = bench()
  await upstream.sleep({ how: 'whole', run: async () => false })
  upstream.send(frame(1))
  await rest()
  assert.deepEqual(told, ['lost'])
  assert.deepEqual(heard, [])
  assert.equal(servers[1]!.isClosed, true)
})

test('it exits when its server does while it is awake, and never for having slept', async () => {
  const { upstream, servers } = bench()
  let exits = 0
  void upstream.exited.then(() => exits++)
  await upstream.sleep(same)
  await rest()
  assert.equal(exits, 0)
  upstream.send(frame(1))
  await rest()
  servers[1]!.exit({ code: 7 })
  assert.equal((await upstream.exited).code, 7)
})

test('closing it asleep, or on its way up, leaves nothing', async () => {
  for (const send of [false, true]) {
    const { upstream, servers } = bench()
    await upstream.sleep(same)
    if (send) upstream.send(frame(1))
    await upstream.close()
    assert.equal((await upstream.exited).reason, 'closed')
    assert.ok(servers.every(server => server.isClosed))
  }
})

test('frozen it keeps its server, which stands still until the next frame', async () => {
  const { upstream, servers, told } = bench()
  assert.equal(upstream.freeze(), false, 'not where it cannot be done')
  const acts: string[] = []
  Object.assign(servers[0]!, { freeze: () => acts.push('freeze') > 0, thaw: () => acts.push('thaw') })
  assert.equal(upstream.freeze(), true)
  assert.equal(upstream.isAsleep, true)
  upstream.send(frame(1))
  assert.deepEqual(acts, ['freeze', 'thaw'])
  assert.deepEqual(told, ['woken by frozen'])
  assert.deepEqual(
    servers[0]!.received.map(({ id }) => id),
    [1],
  )
  upstream.freeze()
  await upstream.close()
  assert.equal(servers[0]!.isClosed, true)
})

test('a reader that paused while it slept finds the new server paused', async () => {
  const { upstream, servers } = bench()
  await upstream.sleep(same)
  upstream.pause()
  upstream.send(frame(1))
  await rest()
  assert.equal(servers[1]!.isPaused, true)
})
