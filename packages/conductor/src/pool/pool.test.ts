import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { PoolState, Runnable } from '../session/stages.ts'
import { MiB, runnable, type Setup, type SimulatedWorld, settle, setup } from './testing/simulated.ts'

describe('the pool', () => {
  const filled = async (parts: Setup, ...runnables: Runnable[]): Promise<PoolState> => {
    parts.pool.serve(runnables)
    await parts.world.advance(1000)
    return parts.pool.view()
  }
  /** Waits for a promise while the clock moves. */
  const during = async <T>(world: SimulatedWorld, promise: Promise<T>): Promise<T> => {
    promise.catch(() => {})
    await world.advance(500)
    return promise
  }

  it('starts what is served, no more at once than it may, and times it', async () => {
    const parts = setup()
    parts.pool.serve([runnable('alpha'), runnable('beta')])
    await parts.world.advance(5)
    assert.equal(parts.driver.starting, 2)
    await parts.world.advance(1000)
    const view = parts.pool.view()
    assert.equal(view.warm, 4)
    assert.deepEqual(
      view.deployments.map(one => [one.name, one.target, one.startMsP50]),
      [
        ['alpha', 2, 30],
        ['beta', 2, 30],
      ],
    )
  })

  it('leases a warm sandbox at once, counts the hit and refills', async () => {
    const parts = setup()
    await filled(parts, runnable('alpha'))
    const lease = await parts.pool.lease(runnable('alpha'))
    assert.deepEqual([lease.warm, lease.waitMs, lease.startMs], [true, 0, 30])
    await parts.world.advance(1000)
    const { warm, leased, hits, misses } = parts.pool.view()
    assert.deepEqual({ warm, leased, hits, misses }, { warm: 2, leased: 1, hits: 1, misses: 0 })
  })

  it('takes one that is still starting rather than start another, and counts a miss', async () => {
    const parts = setup()
    parts.pool.serve([runnable('alpha')])
    await parts.world.advance(5)
    const lease = await during(parts.world, parts.pool.lease(runnable('alpha')))
    assert.deepEqual([lease.warm, lease.waitMs, parts.pool.view().misses], [false, 5, 1])
  })

  it('never hands the answer of its own ping to the session, not even when it comes after the lease', async () => {
    const parts = setup()
    parts.pool.serve([runnable('alpha')])
    await parts.world.advance(12)
    const lease = await parts.pool.lease(runnable('alpha'))
    const frames: string[] = []
    lease.upstream.onFrame(frame => frames.push(Buffer.from(frame).toString()))
    lease.upstream.send(Buffer.from('{"jsonrpc":"2.0","id":1,"method":"initialize"}'))
    await parts.world.advance(100)
    assert.deepEqual(frames, ['{"jsonrpc":"2.0","id":1,"result":{}}'])
  })

  it('takes a server that answers no ping before initialize as warm after the time its first run took', async () => {
    const parts = setup()
    parts.pool.serve([runnable('alpha', { ping: false })])
    await parts.world.advance(99)
    assert.equal(parts.pool.view().warm, 0)
    await parts.world.advance(2)
    assert.equal(parts.pool.view().warm, 2)
  })

  it('starts a new one for a fresh lease and counts neither hit nor miss', async () => {
    const parts = setup()
    await filled(parts, runnable('alpha'))
    const lease = await during(parts.world, parts.pool.lease(runnable('alpha'), { fresh: true }))
    assert.equal(lease.warm, false)
    const { warm, hits, misses } = parts.pool.view()
    assert.deepEqual({ warm, hits, misses }, { warm: 2, hits: 0, misses: 0 })
  })

  it('ends what is warm for others before it refuses, and refuses with a time to come back', async () => {
    const parts = setup({ sandboxesMax: 2 })
    await filled(parts, runnable('alpha'))
    assert.equal(parts.pool.view().warm, 2)
    await during(parts.world, parts.pool.lease(runnable('beta')))
    await during(parts.world, parts.pool.lease(runnable('beta')))
    assert.deepEqual([parts.pool.view().warm, parts.pool.view().leased], [0, 2])
    await assert.rejects(parts.pool.lease(runnable('alpha')), { code: 'pool_exhausted', facts: { retry_after_ms: 1000 } })
  })

  it('drops what is warm of an older release or environment', async () => {
    const parts = setup()
    await filled(parts, runnable('alpha'))
    const before = new Set(parts.driver.alive)
    await filled(parts, runnable('alpha', { env: { KEY: 'new' } }))
    assert.ok([...parts.driver.alive].every(upstream => !before.has(upstream) && upstream.env['KEY'] === 'new'))
    assert.equal(parts.pool.view().warm, 2)
  })

  it('drops what is not served any more', async () => {
    const parts = setup()
    await filled(parts, runnable('alpha'))
    const view = await filled(parts)
    assert.deepEqual([view.warm, view.deployments, parts.driver.alive.size], [0, [], 0])
  })

  it('leaves a release that fails again and again alone for longer and longer, says so, and forgets it when it works', async () => {
    const parts = setup({ startsMax: 1, warmAtFirst: 1 })
    parts.driver.failing = true
    parts.pool.serve([runnable('alpha')])
    await parts.world.advance(60_000)
    assert.ok(parts.driver.started < 12, `${parts.driver.started} starts in a minute`)
    assert.match(
      parts.pool.view().deployments[0]?.lastError ?? '',
      /^sandbox_start_failed: told to fail \(\d times, next try in \d+ ms\)$/,
    )
    parts.driver.failing = false
    await parts.world.advance(120_000)
    assert.deepEqual([parts.pool.view().warm, parts.pool.view().deployments[0]?.lastError], [1, null])
  })

  it('replaces a warm sandbox that crashes and tells its last words', async () => {
    const parts = setup()
    await filled(parts, runnable('alpha'))
    for (const upstream of parts.driver.alive) upstream.crash()
    await settle()
    assert.match(parts.pool.view().deployments[0]?.lastError ?? '', /sandbox_crashed: exit code 1: last words/)
    await parts.world.advance(2000)
    assert.equal(parts.pool.view().warm, 2)
  })

  it('leases remote servers and recordings through their starters, outside of the bound', async () => {
    const parts = setup({ sandboxesMax: 1 })
    const remote: Runnable = { ...runnable('alpha'), runs: { kind: 'remote', url: 'https://example.com/mcp' } }
    const leases = [await parts.pool.lease(remote), await parts.pool.lease(remote)]
    assert.equal(parts.pool.view().deployments[0]?.leased, 2)
    assert.equal(parts.driver.started, 0)
    await during(parts.world, Promise.all(leases.map(lease => lease.release())))
    assert.equal(parts.pool.view().leased, 0)
  })

  it('gives a place back when a leased server dies before its lease is released', async () => {
    const parts = setup({ sandboxesMax: 1, warmAtFirst: 0 })
    const lease = await during(parts.world, parts.pool.lease(runnable('alpha')))
    for (const upstream of parts.driver.alive) upstream.crash()
    await settle()
    await during(parts.world, parts.pool.lease(runnable('beta')))
    await lease.release()
    assert.equal(parts.pool.view().leased, 1)
  })

  it('keeps more warm for what comes in crowds, tells why, and gives it up when they stay away', async () => {
    const parts = setup({ sandboxesMax: 50, startsMax: 4 })
    parts.pool.serve([runnable('alpha')])
    for (let minute = 0; minute < 20; minute++) {
      const leases = await during(parts.world, Promise.all(Array.from({ length: 6 }, () => parts.pool.lease(runnable('alpha')))))
      await during(parts.world, Promise.all(leases.map(lease => lease.release())))
      await parts.world.advance(59_000)
    }
    const [crowded] = parts.pool.view().deployments
    assert.ok(crowded!.warm >= 6 && crowded!.burst > 2 && crowded!.ratePerMinute > 3, JSON.stringify(crowded))
    assert.ok(crowded!.hitRatio! > 0.8)
    await parts.world.advance(2 * 3_600_000)
    assert.equal(parts.pool.view().warm, 0)
    assert.equal(parts.pool.view().evictions, 0)
    assert.equal((await during(parts.world, parts.pool.lease(runnable('alpha')))).warm, false)
    await parts.world.advance(1000)
    assert.ok(parts.pool.view().warm >= 1, 'does not wake at the first arrival')
  })

  it('freezes what waits, thaws what is leased, and leaves alone what has connections to answer', async () => {
    const parts = setup({ warmAtFirst: 1 })
    await filled(parts, runnable('alpha'), runnable('beta', { egress: ['example.com'] }))
    assert.equal(parts.pool.view().frozen, 0)
    await parts.world.advance(2000)
    assert.deepEqual(
      parts.pool.view().deployments.map(({ name, frozen }) => [name, frozen]),
      [
        ['alpha', 1],
        ['beta', 0],
      ],
    )
    const { upstream } = await parts.pool.lease(runnable('alpha'))
    assert.ok([...parts.driver.alive].every(({ id, frozen }) => id !== upstream.id || !frozen))
  })

  it('lets what nobody waits for give way to others on the CPU, until it is leased', async () => {
    const parts = setup({ warmAtFirst: 2 })
    const unhurried = () => [...parts.driver.alive].filter(one => one.unhurried).length
    const cold = await during(parts.world, parts.pool.lease(runnable('alpha')))
    assert.equal(cold.warm, false)
    assert.equal([...parts.driver.alive].find(({ id }) => id === cold.upstream.id)?.unhurried, false)
    const { warm } = await filled(parts, runnable('alpha'))
    assert.equal(unhurried(), warm)
    await parts.pool.lease(runnable('alpha'))
    assert.equal(unhurried(), warm - 1)
    // One that is still starting when somebody takes it.
    for (let left = warm - 1; left > 0; left--) await parts.pool.lease(runnable('alpha'))
    await parts.world.advance(30)
    const early = await during(parts.world, parts.pool.lease(runnable('alpha')))
    assert.equal(early.warm, false)
    assert.equal([...parts.driver.alive].find(({ id }) => id === early.upstream.id)?.unhurried, false)
  })

  it('holds no more than its memory allows, by what the sandboxes of a release really take', async () => {
    const parts = setup({ memoryBytesMax: 130 * MiB })
    const view = await filled(parts, runnable('alpha'), runnable('beta'))
    assert.deepEqual(
      view.deployments.map(one => one.memoryBytes),
      [40 * MiB, 40 * MiB],
    )
    assert.deepEqual([view.warm, view.memoryBytes], [3, 120 * MiB])
  })

  it('lets no tenant lease every place, and lets those in first who hold least', async () => {
    const parts = setup({ sandboxesMax: 4, warmAtFirst: 0 })
    const [noisy, quiet] = [runnable('alpha', { tenant: 'ten_noisy' }), runnable('beta', { tenant: 'ten_quiet' })]
    parts.pool.serve([noisy, quiet])
    const leases = await during(parts.world, Promise.all([1, 2, 3].map(() => parts.pool.lease(noisy))))
    await assert.rejects(parts.pool.lease(noisy), { code: 'pool_exhausted', message: /This tenant’s share of 3/ })
    await during(parts.world, parts.pool.lease(quiet))
    void leases[0]!.release()
    void leases[1]!.release()
    await settle()
    const order: string[] = []
    const waiting = [noisy, quiet].map(one => parts.pool.lease(one).then(() => order.push(one.name)))
    await settle()
    assert.equal(parts.pool.view().waiting, 2)
    await during(parts.world, Promise.all(waiting))
    assert.deepEqual(
      parts.pool.view().tenants.map(({ tenant, leased, leasedMax }) => [tenant, leased, leasedMax]),
      [
        ['ten_noisy', 2, 3],
        ['ten_quiet', 2, 3],
      ],
    )
  })

  it('counts starts, failures and how long a place was empty', async () => {
    const parts = setup({ warmAtFirst: 1 })
    await filled(parts, runnable('alpha'))
    await parts.pool.lease(runnable('alpha'))
    await parts.world.advance(1000)
    const { starts, startFailures, refillCount, refillSeconds } = parts.pool.counts()
    assert.deepEqual([starts, startFailures, refillCount], [parts.driver.started, 0, 1])
    assert.ok(refillSeconds > 0.02 && refillSeconds < 0.1, `${refillSeconds} s`)
    parts.driver.failing = true
    await assert.rejects(during(parts.world, parts.pool.lease(runnable('beta'))), { code: 'sandbox_start_failed' })
    assert.ok(parts.pool.counts().startFailures >= 1)
  })
})
