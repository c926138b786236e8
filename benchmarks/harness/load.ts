import { cpuMicrosOf } from './cpu.ts'
import { Histogram } from './histogram.ts'
import { instantMs, type NoiseWatch, type Window } from './noise.ts'

export interface Pace {
  warmUpMs: number
  /** A phase ends when it has so many quiet windows, … */
  quietWindowsWanted: number
  /** … or when it has lasted so long; … */
  phaseMsMax: number
  /** … with fewer quiet ones than this all its windows count, and it is called contended. */
  quietWindowsMin: number
}

export const fullPace: Pace = { warmUpMs: 1200, quietWindowsWanted: 12, phaseMsMax: 14_000, quietWindowsMin: 4 }
export const quickPace: Pace = { warmUpMs: 500, quietWindowsWanted: 4, phaseMsMax: 1250, quietWindowsMin: 2 }

export interface Phase {
  calls: number
  callsPerSecond: number
  p50Ms: number
  p99Ms: number
  /** CPU time of the process in question per call, microseconds, over the whole phase; null where it was not asked for. */
  cpuMicrosPerCall: number | null
  contended: boolean
  windows: (Window & { calls: number })[]
  /** Of the calls that count: microseconds → how many. */
  latencyMicros: Histogram
}

/**
 * Closed loop: each caller sends its next call when it has the answer to the last. Counts the calls that ended in quiet
 * windows. `pid`: whose CPU time is counted. A call that fails ends the benchmark: there is no figure with errors.
 */
export async function load(
  callers: readonly (() => Promise<void>)[],
  watch: NoiseWatch,
  pace: Pace,
  pid: number | null,
): Promise<Phase> {
  let isOver = false
  const ended: number[] = []
  const tookMs: number[] = []
  const loops = callers.map(async call => {
    while (!isOver) {
      const startMs = performance.now()
      await call()
      const endMs = performance.now()
      ended.push(performance.timeOrigin + endMs)
      tookMs.push(endMs - startMs)
    }
  })
  const failed = Promise.all(loops).then(() => new Promise<never>(() => {}))
  failed.catch(() => {
    isOver = true
  })
  await Promise.race([pause(pace.warmUpMs), failed])

  const startMs = instantMs()
  const warm = ended.length
  const cpuBefore = pid === null ? 0 : cpuMicrosOf(pid)
  const within = () => watch.windows.filter(window => window.startMs >= startMs)
  const quiet = (window: Window) => watch.isQuiet(window.startMs, window.endMs)
  do await Promise.race([pause(100), failed])
  while (instantMs() - startMs < pace.phaseMsMax && within().filter(quiet).length < pace.quietWindowsWanted)
  const cpuMicros = pid === null ? null : cpuMicrosOf(pid) - cpuBefore
  const calls = ended.length - warm
  const endMs = instantMs()
  isOver = true
  await Promise.all(loops)

  const whole = within().filter(window => window.endMs <= endMs)
  const windows = (whole.length > 0 ? whole : [{ startMs, endMs, foreign: 0 }]).map(window => ({ ...window, calls: 0 }))
  const quietOnes = windows.filter(quiet)
  const contended = quietOnes.length < pace.quietWindowsMin
  const counted = new Set(contended ? windows : quietOnes)
  const latencyMicros = new Histogram()
  for (const [index, instant] of ended.entries()) {
    const window = windows.find(window => instant > window.startMs && instant <= window.endMs)
    if (!window) continue
    window.calls++
    if (counted.has(window)) latencyMicros.add(tookMs[index]!)
  }
  const countedMs = [...counted].reduce((sum, window) => sum + window.endMs - window.startMs, 0)
  return {
    calls: latencyMicros.total,
    callsPerSecond: (latencyMicros.total * 1000) / countedMs,
    p50Ms: latencyMicros.percentileMs(0.5),
    p99Ms: latencyMicros.percentileMs(0.99),
    cpuMicrosPerCall: cpuMicros === null ? null : cpuMicros / calls,
    contended,
    windows,
    latencyMicros,
  }
}

const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))
