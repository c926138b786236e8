import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { type PoolBounds, planPool, type ShelfState } from './plan.ts'
import { restMs } from './rest.ts'

const shelf = (key: string, changes: Partial<ShelfState> = {}): ShelfState => ({
  key,
  served: true,
  starting: 0,
  warm: 0,
  leased: 0,
  resting: false,
  ...changes,
})
const bounds = (changes: Partial<PoolBounds> = {}): PoolBounds => ({
  sandboxesMax: 100,
  warmPerDeployment: 2,
  startsMax: 100,
  draining: 0,
  waiting: 0,
  ...changes,
})

describe('planPool', () => {
  it('starts the emptiest shelf first', () => {
    const plan = planPool([shelf('a', { warm: 1 }), shelf('b')], bounds({ startsMax: 2 }))
    assert.deepEqual(plan.start, ['b', 'a'])
  })

  it('deals places out in turns where there are too few', () => {
    assert.deepEqual(planPool([shelf('a'), shelf('b'), shelf('c')], bounds({ sandboxesMax: 4 })).targets, [2, 1, 1])
  })

  it('keeps what is warm rather than end it for as good a use', () => {
    const plan = planPool([shelf('a', { warm: 1, leased: 1 }), shelf('b', { warm: 2 })], bounds({ sandboxesMax: 4 }))
    assert.deepEqual(plan, { targets: [1, 2], start: [], drop: [] })
  })

  it('takes from who has two for who has none', () => {
    const plan = planPool([shelf('a', { warm: 2 }), shelf('b')], bounds({ sandboxesMax: 2 }))
    assert.deepEqual(plan, { targets: [1, 1], start: [], drop: [{ key: 'a', count: 1 }] })
  })

  it('gives up what is not served and starts nothing for what rests', () => {
    const plan = planPool([shelf('a', { served: false, warm: 1, starting: 1 }), shelf('b', { resting: true })], bounds())
    assert.deepEqual(plan.drop, [{ key: 'a', count: 2 }])
    assert.deepEqual(plan.start, [])
  })

  it('never starts above a bound, never drops what it starts, never starves a shelf that others outdo by two', () => {
    const anyShelf = fc.record({
      served: fc.boolean(),
      starting: fc.nat(3),
      warm: fc.nat(4),
      leased: fc.nat(4),
      resting: fc.boolean(),
    })
    fc.assert(
      fc.property(
        fc.array(anyShelf, { maxLength: 6 }),
        fc.record({
          sandboxesMax: fc.nat(20),
          warmPerDeployment: fc.nat(4),
          startsMax: fc.nat(4),
          draining: fc.nat(3),
          waiting: fc.nat(3),
        }),
        (facts, limits) => {
          const shelves = facts.map((one, index) => ({ ...one, key: String(index) }))
          const { targets, start, drop } = planPool(shelves, limits)
          const existing = shelves.reduce((sum, one) => sum + one.starting + one.warm + one.leased, limits.draining)
          const starting = shelves.reduce((sum, one) => sum + one.starting, 0)
          assert.ok(start.length <= Math.max(0, limits.sandboxesMax - existing))
          assert.ok(start.length <= Math.max(0, limits.startsMax - starting))
          shelves.forEach((one, index) => {
            const started = start.filter(key => key === one.key).length
            const dropped = drop.find(({ key }) => key === one.key)?.count ?? 0
            assert.ok(targets[index]! <= (one.served ? limits.warmPerDeployment : 0))
            assert.ok(started === 0 || dropped === 0)
            assert.ok(one.starting + one.warm + started - dropped <= Math.max(targets[index]!, 0) || dropped > 0)
            if (one.resting) assert.equal(started, 0)
          })
          const served = targets.filter((_, index) => shelves[index]?.served)
          assert.ok(Math.max(0, ...served) - Math.min(...served, Number.POSITIVE_INFINITY) <= 1 || served.length === 0)
        },
      ),
    )
  })
})

describe('restMs', () => {
  it('doubles up to a minute', () => {
    assert.deepEqual([1, 2, 3, 9, 50].map(restMs), [250, 500, 1000, 60_000, 60_000])
  })
})
