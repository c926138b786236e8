/**
 * Durations counted by value, kept to three significant digits: small enough to commit, exact enough to compute any
 * percentile from again.
 */
export class Histogram {
  readonly #counts = new Map<number, number>()
  #total = 0

  add(ms: number, count = 1): void {
    const micros = roundMicros(ms * 1000)
    this.#counts.set(micros, (this.#counts.get(micros) ?? 0) + count)
    this.#total += count
  }

  merge(other: Histogram): void {
    for (const [micros, count] of other.#counts) this.add(micros / 1000, count)
  }

  get total(): number {
    return this.#total
  }

  /** The smallest value that at least `share` of all values do not exceed (nearest rank), ms; NaN where there is none. */
  percentileMs(share: number): number {
    const rank = Math.max(1, Math.ceil(share * this.#total))
    let seen = 0
    for (const [micros, count] of this.#sorted()) {
      seen += count
      if (seen >= rank) return micros / 1000
    }
    return Number.NaN
  }

  /** Microseconds → how often. */
  toJSON(): Record<string, number> {
    return Object.fromEntries(this.#sorted())
  }

  #sorted(): [number, number][] {
    return [...this.#counts].sort(([a], [b]) => a - b)
  }
}

function roundMicros(micros: number): number {
  if (micros < 1000) return Math.round(micros)
  const step = 10 ** (Math.floor(Math.log10(micros)) - 2)
  return Math.round(micros / step) * step
}
