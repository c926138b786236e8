/** Horizons over which arrivals are averaged, ms: one that sees a flash crowd within seconds, one that remembers an hour’s quiet use. */
const fastMs = 10_000
const slowMs = 15 * 60_000
/** Arrivals within one such window count as one burst, ms: about the time a refill takes. */
const windowMs = 500
/** How much the newest of such windows moves the burst size. */
const burstWeight = 0.1
const burstMax = 200
/** So many mean intervals without anybody are chance; more are not. */
const silenceMax = 5
/** A rate below this is none, so that a release nobody uses costs no work, per second. */
const forgotten = 1e-7

/**
 * How one release is asked for: the rate of arrivals by two exponentially weighted averages, and how much they come in bursts. Pure but for
 * what it remembers: the clock is handed in and never goes back. Constant work for each call, however long nobody asked.
 */
export class Demand {
  #fast = 0
  #slow = 0
  #atMs = 0
  #window = -1
  #inWindow = 0
  /** Averages of n and n² over windows that saw somebody, n the arrivals in it. */
  #count = 1
  #square = 1
  #lastMs: number | null = null
  #slowAtLast = 0

  arrived(nowMs: number): void {
    this.#advance(nowMs)
    this.#fast += 1000 / fastMs
    this.#slow += 1000 / slowMs
    this.#lastMs = nowMs
    this.#slowAtLast = this.#slow
    const window = Math.floor(nowMs / windowMs)
    if (window !== this.#window) this.#closeWindow()
    this.#window = window
    this.#inWindow++
  }

  /** When somebody asked last, or null. */
  get lastMs(): number | null {
    return this.#lastMs
  }

  /**
   * Arrivals per second to reckon with: the greater of what the last seconds and the last quarter of an hour show. Silence for much longer
   * than was usual says more than an average does: the use has changed, and the rate falls with its square.
   */
  ratePerSecond(nowMs: number): number {
    const average = this.#average(nowMs)
    if (average === 0 || this.#lastMs === null) return average
    const silence = (this.#slowAtLast * (nowMs - this.#lastMs)) / 1000 / (silenceMax * this.burst(nowMs))
    return silence > 1 ? average / silence ** 2 : average
  }

  /**
   * How many arrive together, at least 1. From the index of dispersion of counts: for bursts of a geometric size with mean b it is 2b − 1,
   * and 1 for arrivals that know nothing of each other, at whatever rate they come.
   */
  burst(nowMs: number): number {
    const inWindow = Math.floor(nowMs / windowMs) === this.#window ? this.#inWindow : 0
    // A burst that is under way and greater than what was known counts at once.
    const count = inWindow > this.#count ? this.#count + (inWindow - this.#count) / 4 : this.#count
    const square = inWindow > this.#count ? this.#square + (inWindow ** 2 - this.#square) / 4 : this.#square
    // Windows without anybody leave the ratio of the sums as it is; only the mean over all windows needs them.
    const meanOfAll = (this.#average(nowMs) * windowMs) / 1000
    const dispersion = square / count - meanOfAll
    return Math.min(burstMax, Math.max(1, (dispersion + 1) / 2))
  }

  #average(nowMs: number): number {
    this.#advance(nowMs)
    return Math.max(this.#fast, this.#slow)
  }

  #closeWindow(): void {
    if (this.#inWindow === 0) return
    this.#count += burstWeight * (this.#inWindow - this.#count)
    this.#square += burstWeight * (this.#inWindow ** 2 - this.#square)
    this.#inWindow = 0
  }

  #advance(nowMs: number): void {
    const ms = nowMs - this.#atMs
    if (ms <= 0) return
    this.#atMs = nowMs
    if (this.#slow < forgotten) {
      this.#fast = this.#slow = 0
      return
    }
    this.#fast *= Math.exp(-ms / fastMs)
    this.#slow *= Math.exp(-ms / slowMs)
  }
}
