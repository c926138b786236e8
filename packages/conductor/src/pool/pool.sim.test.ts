/**
 * Goal: the pool keeps its promises whatever sessions, deployments, releases and machines do, and in whatever order.
 * Method: random commands against a pool on a simulated clock, with a driver that starts slowly, fails, crashes and ends slowly.
 * Invariants, looked at after every command: no sandbox is leased twice; never more sandboxes exist than allowed; what the view counts is
 * what exists; nothing leased stands still. At the end: with sound servers every deployment is refilled to its target, and to nothing when
 * nobody came for long; after close nothing is left.
 * Replay a failure with SEED=<number>.
 */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { SandboxId } from '@maestro/contract'
import fc from 'fast-check'
import type { Lease } from '../session/stages.ts'
import { runnable, settle, setup } from './testing/simulated.ts'

const names = ['alpha', 'beta', 'gamma']
const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))

type Command =
  | { do: 'lease'; name: number; fresh: boolean; env: number }
  | { do: 'release'; which: number }
  | { do: 'crash'; which: number }
  | { do: 'advance'; ms: number }
  | { do: 'serve'; mask: number; env: number }
  | { do: 'fail'; failing: boolean }

const anyCommand: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('lease' as const), name: fc.nat(2), fresh: fc.boolean(), env: fc.nat(1) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('release' as const), which: fc.nat(9) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('crash' as const), which: fc.nat(9) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.nat(300) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('serve' as const), mask: fc.nat(7), env: fc.nat(1) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('fail' as const), failing: fc.boolean() }) },
)

describe('the pool under every order of events', () => {
  it(`keeps its promises (SEED=${seed})`, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(anyCommand, { maxLength: 60 }),
        fc.record({
          sandboxesMax: fc.integer({ min: 1, max: 6 }),
          warmAtFirst: fc.nat(3),
          startsMax: fc.integer({ min: 1, max: 3 }),
        }),
        simulate,
      ),
      { seed, numRuns: 1000 },
    )
  })
})

async function simulate(
  commands: Command[],
  bounds: { sandboxesMax: number; warmAtFirst: number; startsMax: number },
): Promise<void> {
  const { world, driver, pool } = setup(bounds)
  const held: Lease[] = []
  const everLeased = new Set<SandboxId>()
  const pending = new Set<Promise<void>>()
  const leaseOne = (command: Extract<Command, { do: 'lease' }>) => {
    const wanted = runnable(names[command.name]!, { env: { V: String(command.env) } })
    const done = pool.lease(wanted, { fresh: command.fresh }).then(
      lease => {
        assert.ok(!everLeased.has(lease.upstream.id), 'leased twice')
        assert.ok(!(lease.warm && command.fresh), 'fresh must not be warm')
        everLeased.add(lease.upstream.id)
        assert.ok(![...driver.alive].some(({ id, frozen }) => id === lease.upstream.id && frozen), 'leased and frozen')
        held.push(lease)
      },
      failure => assert.match(failure.code, /^(pool_exhausted|sandbox_start_failed)$/),
    )
    pending.add(done)
    void done.finally(() => pending.delete(done))
  }
  const check = () => {
    assert.ok(driver.existingMax <= bounds.sandboxesMax, `${driver.existingMax} sandboxes existed at once`)
    const view = pool.view()
    const counted = view.starting + view.warm + view.leased + view.draining
    assert.ok(counted <= bounds.sandboxesMax, 'the view counts more than may be')
    assert.ok(driver.alive.size + driver.starting <= counted, 'something runs that the view does not count')
  }

  for (const command of commands) {
    if (command.do === 'lease') leaseOne(command)
    else if (command.do === 'release') void held.splice(command.which % Math.max(1, held.length), 1)[0]?.release()
    else if (command.do === 'crash') [...driver.alive][command.which % Math.max(1, driver.alive.size)]?.crash()
    else if (command.do === 'advance') await world.advance(command.ms)
    else if (command.do === 'fail') driver.failing = command.failing
    else
      pool.serve(
        names.filter((_, index) => command.mask & (1 << index)).map(name => runnable(name, { env: { V: String(command.env) } })),
      )
    await settle()
    check()
  }

  driver.failing = false
  for (const lease of held.splice(0)) void lease.release()
  pool.serve(names.map(name => runnable(name)))
  await world.advance(200_000)
  assert.equal(pending.size, 0, 'a lease never settled')
  for (const lease of held.splice(0)) void lease.release()
  await world.advance(10_000)
  const view = pool.view()
  const target = view.deployments.reduce((sum, one) => sum + one.target, 0)
  assert.equal(view.warm, target, 'not refilled')
  assert.ok(target >= Math.min(bounds.sandboxesMax, names.length * bounds.warmAtFirst), 'a new release holds too few')
  if (bounds.warmAtFirst === 0) assert.equal(target, 0)
  assert.equal(view.starting + view.leased + view.draining, 0)
  assert.equal(view.frozen, view.warm, 'what waits takes CPU')

  if (commands.length % 8 === 0) {
    await world.advance(3 * 3_600_000)
    assert.equal(pool.view().warm, 0, 'warm though nobody came for hours')
  }

  const closed = pool.close()
  await world.advance(1000)
  await closed
  assert.equal(driver.alive.size + driver.starting, 0, 'something outlived the pool')
  await assert.rejects(pool.lease(runnable('alpha')), { code: 'conductor_draining' })
}
