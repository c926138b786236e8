/**
 * Goal: the planner keeps warm what will be asked for, and nothing else, whatever the use looks like.
 * Method: traces of real shapes (steady, bursty, diurnal, a flash crowd, many rare releases, a quiet beside a noisy tenant, all at once) ask
 * a simulated pool whose starts take time and of which few may happen at once; what it did is compared with a fixed number per deployment.
 * Invariants, looked at in every plan: nothing is started beyond places, memory or starts at once; nothing both grows and shrinks; no shelf
 * gets more than it is worth; while a second tenant wants something, no tenant gets everything. At the end: an hour unused is nothing warm.
 * Replay a failure with SEED=<number>; more seeds with SEEDS=<count>. The table of all traces is printed by `npm run bench pool-plan`.
 */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { PoolBounds, PoolPlan, ShelfState } from './plan.ts'
import { planFixed } from './testing/fixed.ts'
import { type Machine, type Outcome, simulate } from './testing/simulate.ts'
import { type Arrival, flashFromMs, flashUntilMs, traces } from './testing/traces.ts'

const firstSeed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
const seeds = Array.from({ length: Number(process.env['SEEDS'] ?? 1) }, (_, index) => firstSeed + index)

const MiB = 1024 ** 2
const roomy: Machine = { sandboxesMax: 256, memoryBytesMax: 16_384 * MiB, startsMax: 4, startMs: 250, memoryBytes: 60 * MiB }

/** What has to hold of every plan. */
function check(shelves: readonly ShelfState[], bounds: PoolBounds, { shelves: plans, start, drop }: PoolPlan): void {
  const total = (of: (shelf: ShelfState) => number) => shelves.reduce((sum, shelf) => sum + of(shelf), 0)
  const leased = total(shelf => shelf.leased)
  const existing = total(shelf => shelf.starting + shelf.warm) + leased + bounds.draining
  const bytesOf = (counts: (shelf: ShelfState, index: number) => number) =>
    shelves.reduce((sum, shelf, index) => sum + counts(shelf, index) * shelf.memoryBytes, 0)
  assert.ok(start.length === 0 || existing + start.length <= bounds.sandboxesMax, 'more sandboxes than may be')
  assert.ok(start.length === 0 || total(shelf => shelf.starting) + start.length <= bounds.startsMax, 'more starts than may be')
  const existingBytes = bytesOf(shelf => shelf.starting + shelf.warm + shelf.leased) + bounds.drainingBytes
  const startBytes = start.reduce((sum, key) => sum + shelves.find(shelf => shelf.key === key)!.memoryBytes, 0)
  assert.ok(start.length === 0 || existingBytes + startBytes <= bounds.memoryBytesMax, 'more memory than may be')

  const targets = plans.reduce((sum, plan) => sum + plan.target, 0)
  assert.ok(targets <= Math.max(0, bounds.sandboxesMax - leased), 'targets beyond the places')
  assert.ok(bytesOf((_, index) => plans[index]!.target) <= Math.max(0, bounds.memoryBytesMax - bytesOf(shelf => shelf.leased)))
  for (const [index, plan] of plans.entries()) assert.ok(plan.target <= plan.wish, `target above wish of ${shelves[index]!.key}`)
  for (const { key } of drop) assert.ok(!start.includes(key), 'both started and dropped')

  const wishes = Map.groupBy(plans.keys(), index => shelves[index]!.tenant)
  const sumOf = (indexes: number[], of: (plan: PoolPlan['shelves'][number]) => number) =>
    indexes.reduce((sum, index) => sum + of(plans[index]!), 0)
  const wanting = [...wishes.values()].filter(indexes => sumOf(indexes, plan => plan.wish) > 0)
  const places = Math.max(0, bounds.sandboxesMax - leased)
  const bytes = Math.max(0, bounds.memoryBytesMax - bytesOf(shelf => shelf.leased))
  for (const indexes of wanting) {
    const largest = Math.max(...indexes.map(index => shelves[index]!.memoryBytes))
    const share = Math.min(Math.floor(places / wanting.length), Math.floor(bytes / wanting.length / largest))
    const wish = sumOf(indexes, plan => plan.wish)
    assert.ok(sumOf(indexes, plan => plan.target) >= Math.min(wish, share), 'a tenant got less than its share')
  }
}

const run = (arrivals: readonly Arrival[], seed: number, machine = roomy) => simulate(arrivals, machine, { seed, check })

/** The share of sessions that found a warm sandbox, of those that came after the pool had seen some use. */
function hitRatio({ sessions }: Outcome, fromMs = 0, untilMs = Number.POSITIVE_INFINITY, tenant?: string): number {
  const counted = sessions.filter(
    session => session.atMs >= fromMs && session.atMs < untilMs && (tenant === undefined || session.tenant === tenant),
  )
  return counted.filter(({ warm }) => warm).length / Math.max(1, counted.length)
}

const second = 1000
const minute = 60 * second

for (const seed of seeds) {
  describe(`the planner (SEED=${seed})`, () => {
    for (const [name, warmedUpMs] of [
      ['steady', minute],
      ['bursty', 15 * minute],
      ['diurnal', 15 * minute],
    ] as const) {
      it(`serves at least 85 % warm where use is ${name}, and keeps nothing when it ends`, () => {
        const outcome = run(traces[name](seed), seed)
        const ratio = hitRatio(outcome, warmedUpMs)
        assert.ok(ratio >= 0.85, `${(100 * ratio).toFixed(1)} % warm`)
        assert.equal(outcome.refused, 0)
        assert.equal(outcome.idleAtEnd, 0)
      })
    }

    it('catches up with a flash crowd in ten seconds', () => {
      const outcome = run(traces.flash(seed), seed)
      const ratio = hitRatio(outcome, flashFromMs + 10 * second, flashUntilMs)
      assert.ok(ratio >= 0.85, `${(100 * ratio).toFixed(1)} % warm`)
      assert.equal(outcome.idleAtEnd, 0)
    })

    it('does no harm to a quiet tenant beside a noisy one, though places and memory are few', () => {
      const few: Machine = { ...roomy, sandboxesMax: 40, memoryBytesMax: 40 * roomy.memoryBytes, startsMax: 2 }
      const alone = run(traces.quiet(seed), seed, few)
      const both = [...traces.quiet(seed), ...traces.noisy(seed)].sort((a, b) => a.atMs - b.atMs)
      const beside = run(both, seed, few)
      const [quietly, beset] = [alone, beside].map(outcome =>
        hitRatio(outcome, 2 * minute, Number.POSITIVE_INFINITY, 'ten_quiet'),
      )
      assert.ok(beset! >= quietly! - 0.05, `${beset} warm beside the noisy tenant, ${quietly} alone`)
    })

    it('serves more sessions warm than a fixed number per deployment does with at least as much memory', () => {
      const mix = traces.mix(seed)
      const planned = run(mix, seed)
      const fixed = simulate(mix, roomy, { seed, planner: planFixed(1) })
      assert.ok(fixed.idleGiBHours >= planned.idleGiBHours, `${planned.idleGiBHours} GiB·h, fixed ${fixed.idleGiBHours}`)
      assert.ok(hitRatio(planned) > hitRatio(fixed), `${hitRatio(planned)} warm, fixed ${hitRatio(fixed)}`)
    })
  })
}
