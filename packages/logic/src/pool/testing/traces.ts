import { Dice } from './random.ts'

/** One session that somebody opens. */
export interface Arrival {
  atMs: number
  release: string
  tenant: string
  /** How long its sandbox is held. */
  heldMs: number
}

const minute = 60_000
const hour = 60 * minute

interface Stream {
  release: string
  tenant?: string
  fromMs?: number
  untilMs: number
  /** Arrivals, or bursts of them, per second at a time. */
  ratePerSecond(atMs: number): number
  ratePerSecondMax: number
  burst?: number
  heldMs: number
}

/** Arrivals of a rate that changes, by thinning; a burst spreads over a fifth of a second. */
function arrivals(dice: Dice, stream: Stream): Arrival[] {
  const found: Arrival[] = []
  const { release, tenant = 'ten_a', ratePerSecondMax, burst = 1 } = stream
  for (let atMs = stream.fromMs ?? 0; ; ) {
    atMs += dice.exponential(1000 / ratePerSecondMax)
    if (atMs >= stream.untilMs) return found.sort((a, b) => a.atMs - b.atMs)
    if (dice.next() * ratePerSecondMax > stream.ratePerSecond(atMs)) continue
    for (let count = dice.geometric(burst); count > 0; count--) {
      found.push({ atMs: burst > 1 ? atMs + dice.next() * 200 : atMs, release, tenant, heldMs: dice.exponential(stream.heldMs) })
    }
  }
}

const constant = (ratePerSecond: number) => ({ ratePerSecond: () => ratePerSecond, ratePerSecondMax: ratePerSecond })
const merged = (...parts: Arrival[][]): Arrival[] => parts.flat().sort((a, b) => a.atMs - b.atMs)

/** Real shapes of use, each from its own dice. */
export const traces = {
  steady: (seed: number) => arrivals(new Dice(seed), { release: 'steady', untilMs: 20 * minute, ...constant(1.5), heldMs: 8000 }),
  bursty: (seed: number) =>
    arrivals(new Dice(seed), { release: 'bursty', untilMs: 1.5 * hour, ...constant(1 / 40), burst: 6, heldMs: 20_000 }),
  /** Two days in three hours: nobody at night, a session a second at noon. */
  diurnal: (seed: number) =>
    arrivals(new Dice(seed), {
      release: 'diurnal',
      untilMs: 3 * hour,
      ratePerSecond: atMs => 0.5 * (1 - Math.cos((2 * Math.PI * atMs) / (1.5 * hour))),
      ratePerSecondMax: 1,
      heldMs: 10_000,
    }),
  /** Hardly anybody, then eight sessions a second out of nowhere, for a minute and a half. */
  flash: (seed: number) =>
    arrivals(new Dice(seed), {
      release: 'flash',
      untilMs: 15 * minute,
      ratePerSecond: atMs => (atMs > flashFromMs && atMs < flashUntilMs ? 8 : 0.01),
      ratePerSecondMax: 8,
      heldMs: 3000,
    }),
  /** Fifty releases that somebody uses every half hour each. */
  rare: (seed: number) => {
    const dice = new Dice(seed)
    const one = (index: number) =>
      arrivals(dice, { release: `rare-${index}`, untilMs: hour, ...constant(1 / 1800), heldMs: 60_000 })
    return merged(...Array.from({ length: 50 }, (_, index) => one(index)))
  },
  /** A tenant that uses one release now and then, quietly. */
  quiet: (seed: number) =>
    arrivals(new Dice(seed), {
      release: 'quiet',
      tenant: 'ten_quiet',
      untilMs: 12 * minute,
      ...constant(1 / 8),
      heldMs: 5000,
    }),
  /** A tenant whose twelve releases are asked for in large bursts all the time. */
  noisy: (seed: number) => {
    const dice = new Dice(seed)
    const one = (index: number) =>
      arrivals(dice, {
        release: `noisy-${index}`,
        tenant: 'ten_noisy',
        fromMs: 5 * minute,
        untilMs: 12 * minute,
        ...constant(1 / 12),
        burst: 5,
        heldMs: 8000,
      })
    return merged(...Array.from({ length: 12 }, (_, index) => one(index)))
  },
  /** Most of an install’s life at once. */
  mix: (seed: number): Arrival[] => merged(traces.steady(seed), traces.bursty(seed), traces.flash(seed), traces.rare(seed)),
}

export const flashFromMs = 5 * minute
export const flashUntilMs = flashFromMs + 1.5 * minute
