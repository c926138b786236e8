import type { PoolCounts } from '../session/stages.ts'

/** Upper ends of the classes, seconds. */
const secondsMax = [0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30, 60] as const

/** How long it took to put a warm sandbox where one was leased, as a histogram. */
export class Refills {
  readonly #counts = secondsMax.map(() => 0)
  #count = 0
  #seconds = 0

  add(ms: number): void {
    const seconds = ms / 1000
    this.#count++
    this.#seconds += seconds
    const index = secondsMax.findIndex(max => seconds <= max)
    if (index >= 0) this.#counts[index]!++
  }

  get view(): Pick<PoolCounts, 'refills' | 'refillCount' | 'refillSeconds'> {
    return {
      refills: secondsMax.map((max, index) => ({ secondsMax: max, count: this.#counts[index]! })),
      refillCount: this.#count,
      refillSeconds: this.#seconds,
    }
  }
}
