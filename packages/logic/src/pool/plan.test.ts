import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { tailsOfArrivals } from './arrivals.ts'
import { Demand } from './demand.ts'
import { type PoolBounds, planPool, type ShelfState } from './plan.ts'
import { restMs } from './rest.ts'
import { placesOfTenantMax } from './share.ts'
import { chooseVictim } from './victim.ts'

const MiB = 1024 ** 2

/** A release that is new: two are held for it, whatever its use. */
const shelf = (key: string, changes: Partial<ShelfState> = {}): ShelfState => ({
  key,
  tenant: 'ten_a',
  served: true,
  starting: 0,
  warm: 0,
  leased: 0,
  resting: false,
  ratePerSecond: 0,
  burst: 1,
  startMs: 200,
  memoryBytes: 60 * MiB,
  floor: 2,
  lastUsedMs: 0,
  ...changes,
})
const used = (key: string, ratePerSecond: number, changes: Partial<ShelfState> = {}) =>
  shelf(key, { ratePerSecond, floor: 0, ...changes })
const bounds = (changes: Partial<PoolBounds> = {}): PoolBounds => ({
  sandboxesMax: 100,
  memoryBytesMax: 1e12,
  startsMax: 100,
  ahead: true,
  draining: 0,
  drainingBytes: 0,
  waiting: 0,
  ...changes,
})
const targets = (shelves: ShelfState[], changes: Partial<PoolBounds> = {}) =>
  planPool(shelves, bounds(changes)).shelves.map(({ target }) => target)

describe('planPool', () => {
  it('holds for new releases what it was told to, the first of each before the second of any', () => {
    const plan = planPool([shelf('a', { warm: 1 }), shelf('b')], bounds({ startsMax: 2 }))
    assert.deepEqual(plan.start, ['b', 'a'])
    assert.deepEqual(targets([shelf('a'), shelf('b'), shelf('c')], { sandboxesMax: 4 }), [2, 1, 1])
  })

  it('takes from who has two for who has none, and only then', () => {
    const plan = planPool([shelf('a', { warm: 2 }), shelf('b')], bounds({ sandboxesMax: 2 }))
    assert.deepEqual(plan.drop, [{ key: 'a', count: 1, forRoom: 1 }])
    const fair = planPool([shelf('a', { warm: 1, leased: 1 }), shelf('b', { warm: 2 })], bounds({ sandboxesMax: 4 }))
    assert.deepEqual([fair.start, fair.drop], [[], []])
  })

  it('gives up what is not served, starts nothing for what rests, and nothing at all where nothing may be started ahead', () => {
    const plan = planPool([shelf('a', { served: false, warm: 1, starting: 1 }), shelf('b', { resting: true })], bounds())
    assert.deepEqual(plan.drop, [{ key: 'a', count: 2, forRoom: 0 }])
    assert.deepEqual(plan.start, [])
    assert.deepEqual(targets([shelf('a'), used('b', 10)], { ahead: false }), [0, 0])
  })

  it('holds more for more use, for longer starts, for bursts, and for less memory', () => {
    const one = (changes: Partial<ShelfState>) => targets([used('a', 1, changes)])[0]!
    const usual = one({})
    assert.ok(one({ ratePerSecond: 4 }) > usual)
    assert.ok(one({ startMs: 2000 }) > usual)
    assert.ok(one({ burst: 5 }) > usual)
    assert.ok(one({ memoryBytes: 4096 * MiB }) < usual)
  })

  it('wakes at the first arrival and sleeps when nobody comes any more', () => {
    const demand = new Demand()
    const held = (nowMs: number, warm: number) =>
      targets([used('a', demand.ratePerSecond(nowMs), { burst: demand.burst(nowMs), warm })])[0]!
    assert.equal(held(0, 0), 0)
    demand.arrived(1000)
    assert.ok(held(1000, 0) >= 1)
    assert.ok(held(5 * 60_000, 1) >= 1, 'gone after five minutes')
    assert.equal(held(2 * 3_600_000, 1), 0)
  })

  it('gives places that are few to whoever saves most waiting with them, and where that is the same to what was used last', () => {
    assert.deepEqual(targets([used('a', 0.01), used('b', 5)], { sandboxesMax: 3 }), [0, 3])
    assert.deepEqual(
      targets([used('a', 0.01, { memoryBytes: 600 * MiB }), used('b', 0.01)], { memoryBytesMax: 600 * MiB }),
      [0, 1],
    )
    assert.deepEqual(targets([used('a', 0.001), used('b', 0.001, { lastUsedMs: 1 })], { sandboxesMax: 1 }), [0, 1])
  })

  it('leaves room for leased sandboxes first: what waits yields', () => {
    assert.deepEqual(targets([used('a', 5, { leased: 3 })], { memoryBytesMax: 240 * MiB }), [1])
    assert.deepEqual(targets([used('a', 5, { leased: 8 })], { memoryBytesMax: 240 * MiB }), [0])
  })

  it('keeps the share of a tenant from another that could use everything', () => {
    const shelves = [used('a', 50, { burst: 8 }), used('b', 1, { tenant: 'ten_b' })]
    const alone = targets([shelves[1]!])[0]!
    const [noisy, quiet] = targets(shelves, { sandboxesMax: 20 })
    assert.equal(quiet, alone)
    assert.ok(noisy! <= placesOfTenantMax(20, 2))
    assert.deepEqual(planPool(shelves, bounds({ startsMax: 2 })).start.toSorted(), ['a', 'b'])
  })

  it('never goes beyond a bound, never both starts and drops, whatever it is told', () => {
    const anyShelf = fc.record({
      tenant: fc.constantFrom('ten_a', 'ten_b', 'ten_c'),
      served: fc.boolean(),
      starting: fc.nat(3),
      warm: fc.nat(4),
      leased: fc.nat(4),
      resting: fc.boolean(),
      ratePerSecond: fc.double({ min: 0, max: 1000, noNaN: true }),
      burst: fc.double({ min: 1, max: 200, noNaN: true }),
      startMs: fc.double({ min: 1, max: 60_000, noNaN: true }),
      memoryBytes: fc.integer({ min: 1, max: 4096 * MiB }),
      floor: fc.nat(3),
      lastUsedMs: fc.nat(),
    })
    fc.assert(
      fc.property(
        fc.array(anyShelf, { maxLength: 6 }),
        fc.record({
          sandboxesMax: fc.nat(20),
          memoryBytesMax: fc.integer({ min: 0, max: 16_384 * MiB }),
          startsMax: fc.nat(4),
          ahead: fc.boolean(),
          draining: fc.nat(3),
          drainingBytes: fc.nat(100 * MiB),
          waiting: fc.nat(3),
        }),
        (facts, limits) => {
          const shelves = facts.map((one, index) => ({ ...one, key: String(index) }))
          const { shelves: plans, start, drop } = planPool(shelves, limits)
          const existing = shelves.reduce((sum, one) => sum + one.starting + one.warm + one.leased, limits.draining)
          const starting = shelves.reduce((sum, one) => sum + one.starting, 0)
          assert.ok(start.length <= Math.max(0, limits.sandboxesMax - existing))
          assert.ok(start.length <= Math.max(0, limits.startsMax - starting))
          shelves.forEach((one, index) => {
            const started = start.filter(key => key === one.key).length
            const dropped = drop.find(({ key }) => key === one.key)
            const { target, wish } = plans[index]!
            assert.ok(target <= wish && (one.served || wish === 0))
            assert.ok(started === 0 || !dropped)
            assert.equal(one.starting + one.warm - (dropped?.count ?? 0), Math.min(one.starting + one.warm, target))
            assert.ok((dropped?.forRoom ?? 0) <= (dropped?.count ?? 0))
            if (one.resting) assert.equal(started, 0)
          })
        },
      ),
    )
  })

  it('plans a thousand deployments, most of them at rest, in a few milliseconds', () => {
    const shelves = Array.from({ length: 1000 }, (_, index) => used(String(index), index % 20 === 0 ? 0.5 : 0))
    const beganMs = performance.now()
    for (let round = 0; round < 20; round++) planPool(shelves, bounds({ sandboxesMax: 64 }))
    const eachMs = (performance.now() - beganMs) / 20
    assert.ok(eachMs < 20, `${eachMs} ms for one plan`)
  })
})

describe('tailsOfArrivals', () => {
  const first = (count: number, mean: number, burst: number) =>
    Array.from({ length: count }, (_, index) => index).reduce<{ list: number[]; tails: Iterator<number> }>(
      ({ list, tails }) => ({ list: [...list, tails.next().value], tails }),
      { list: [], tails: tailsOfArrivals(mean, burst) },
    ).list
  const near = (actual: number[], expected: number[]) =>
    assert.ok(
      actual.every((value, index) => Math.abs(value - expected[index]!) < 1e-12),
      `${actual} for ${expected}`,
    )

  it('is Poisson’s where nobody comes in bursts', () => {
    const e = Math.exp(-2)
    near(first(3, 2, 1), [1 - e, 1 - 3 * e, 1 - 5 * e])
  })

  it('is the sum over bursts of geometric sizes where they do', () => {
    // Mean 3 in bursts of 2: Poisson(1.5) many, each 1, 2, … with a half, a quarter, …; k of them make n in (n−1 over k−1) ways.
    const exactly = (n: number) => {
      let total = n === 0 ? Math.exp(-1.5) : 0
      let poisson = Math.exp(-1.5)
      let ways = 1
      for (let k = 1; k <= n; k++) {
        poisson *= 1.5 / k
        total += poisson * ways * 0.5 ** n
        ways *= (n - k) / k
      }
      return total
    }
    const tail = (n: number) => 1 - Array.from({ length: n }, (_, index) => exactly(index)).reduce((sum, one) => sum + one, 0)
    near(first(6, 3, 2), [1, 2, 3, 4, 5, 6].map(tail))
  })
})

describe('Demand', () => {
  it('finds the rate of steady use, and that nobody comes in bursts', () => {
    const demand = new Demand()
    for (let atMs = 0; atMs < 3_600_000; atMs += 2000) demand.arrived(atMs)
    assert.ok(Math.abs(demand.ratePerSecond(3_600_000) - 0.5) < 0.1)
    assert.ok(demand.burst(3_600_000) < 1.1)
  })

  it('finds how many come together', () => {
    const demand = new Demand()
    for (let atMs = 0; atMs < 3_600_000; atMs += 60_000) for (let count = 0; count < 9; count++) demand.arrived(atMs + count)
    // Bursts of always nine count as geometric ones with mean five: as large as nine they are often enough.
    assert.ok(Math.abs(demand.burst(3_600_000) - 5) < 0.5)
  })
})

describe('placesOfTenantMax', () => {
  it('leaves a tenant alone everything, and beside others never all', () => {
    assert.deepEqual(
      [
        [64, 1],
        [64, 2],
        [64, 4],
        [3, 2],
        [1, 2],
        [10, 20],
      ].map(([places, tenants]) => placesOfTenantMax(places!, tenants!)),
      [64, 48, 40, 2, 1, 10],
    )
  })
})

describe('chooseVictim', () => {
  const one = (changes: Partial<Parameters<typeof chooseVictim>[0][number]>) => ({
    tenant: 'ten_a',
    idle: 1,
    leased: 0,
    target: 1,
    lastUsedMs: 0,
    ...changes,
  })

  it('takes from the tenant that holds most, what is beyond its target, then what was not used for longest', () => {
    assert.equal(chooseVictim([one({ tenant: 'ten_b', target: 0 }), one({ leased: 3, lastUsedMs: 9 })]), 1)
    assert.equal(chooseVictim([one({}), one({ target: 0, lastUsedMs: 9 })]), 1)
    assert.equal(chooseVictim([one({ lastUsedMs: 2 }), one({ lastUsedMs: 1 }), one({ idle: 0 })]), 1)
    assert.equal(chooseVictim([one({ idle: 0, leased: 5 })]), null)
  })
})

describe('restMs', () => {
  it('doubles up to a minute', () => {
    assert.deepEqual([1, 2, 3, 9, 50].map(restMs), [250, 500, 1000, 60_000, 60_000])
  })
})
