/** So many starts are remembered. */
const keptMax = 100

/** How long the last starts took, ms. */
export class StartTimes {
  #kept: number[] = []
  #sumMs = 0

  add(startMs: number): void {
    this.#kept.push(startMs)
    this.#sumMs += startMs
    if (this.#kept.length > keptMax) this.#sumMs -= this.#kept.shift()!
  }

  /** Their mean, or null before the first start. */
  get meanMs(): number | null {
    return this.#kept.length === 0 ? null : this.#sumMs / this.#kept.length
  }

  /** The nearest-rank percentile, or null before the first start. */
  percentile(share: number): number | null {
    if (this.#kept.length === 0) return null
    const sorted = this.#kept.toSorted((a, b) => a - b)
    return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? null
  }
}
