import { planFixed } from '../packages/logic/src/pool/testing/fixed.ts'
import { type Machine, type Outcome, type Planner, simulate } from '../packages/logic/src/pool/testing/simulate.ts'
import { traces } from '../packages/logic/src/pool/testing/traces.ts'
import type { Benchmark } from './bench.ts'

const MiB = 1024 ** 2
const machine: Machine = {
  sandboxesMax: 256,
  memoryBytesMax: 16_384 * MiB,
  startsMax: 4,
  startMs: 250,
  memoryBytes: 60 * MiB,
}
const planners: Record<string, Planner | undefined> = { planned: undefined, 'fixed 1': planFixed(1), 'fixed 2': planFixed(2) }

/** Nothing is started and no clock is read: the same seed gives the same figures on every machine. */
export const poolPlan: Benchmark = {
  what: 'what the pool keeps warm over simulated use, and how often that was right, beside a fixed number per deployment',
  run({ quick }) {
    const seeds = quick ? [1] : [1, 2, 3, 4, 5]
    const result: Record<string, Record<string, { warmHitRatio: number; idleGiBHours: number; unused: number }>> = {}
    process.stderr.write('trace     planner   hit ratio   idle GiB·h   started and never used\n')
    for (const [trace, make] of Object.entries(traces)) {
      const figures: (typeof result)[string] = {}
      result[trace] = figures
      for (const [name, planner] of Object.entries(planners)) {
        const outcomes = seeds.map(seed => simulate(make(seed), machine, { seed, ...(planner ? { planner } : {}) }))
        const mean = (of: (outcome: Outcome) => number) =>
          outcomes.reduce((sum, outcome) => sum + of(outcome), 0) / outcomes.length
        figures[name] = {
          warmHitRatio: rounded(mean(({ hits, sessions }) => hits / sessions.length)),
          idleGiBHours: rounded(mean(outcome => outcome.idleGiBHours)),
          unused: Math.round(mean(outcome => outcome.wasted)),
        }
        const { warmHitRatio, idleGiBHours, unused } = figures[name]
        const cells = [
          `${(100 * warmHitRatio).toFixed(1)} %`.padStart(9),
          idleGiBHours.toFixed(2).padStart(12),
          String(unused).padStart(24),
        ]
        process.stderr.write(`${trace.padEnd(10)}${name.padEnd(10)}${cells.join(' ')}\n`)
      }
    }
    return Promise.resolve({ machine, seeds: seeds.length, ...result })
  },
}

const rounded = (value: number): number => Math.round(value * 1e4) / 1e4
