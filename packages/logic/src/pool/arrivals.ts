/** Beyond so many bursts the first probability is no number a double can hold; nobody keeps as many sandboxes. */
const burstsMax = 600

/**
 * The probability that at least 1, 2, 3, … arrive in a time in which `mean` arrive on average, in bursts of a geometric size with mean
 * `burst`; with bursts of 1 they are those of Poisson. The compound distribution is Pólya and Aeppli's, by the recursion of its terms.
 */
export function* tailsOfArrivals(mean: number, burst: number): Generator<number, never> {
  const bursts = Math.min(burstsMax, mean / burst)
  const more = 1 - 1 / burst
  let before = 0
  let here = Math.exp(-bursts)
  // Kept as the tail itself: what is small stays exact.
  let tail = -Math.expm1(-bursts)
  for (let n = 1; ; n++) {
    yield tail
    const next = ((2 * more * (n - 1) + bursts * (1 - more)) * here - more ** 2 * (n - 2) * before) / n
    before = here
    here = next
    tail = Math.max(0, tail - here)
  }
}
