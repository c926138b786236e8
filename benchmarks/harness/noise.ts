import { Worker } from 'node:worker_threads'

/** A stretch of time and the share of all CPUs that others than us used in it. Instants: Unix ms. */
export interface Window {
  startMs: number
  endMs: number
  foreign: number
}

export const windowMs = 250
/** A window in which others took more than this share of the machine is not counted. */
export const foreignShareMax = 0.15

export interface NoiseWatch extends AsyncDisposable {
  /** All windows since the start. */
  readonly windows: readonly Window[]
  /** Resolves when a window has ended after this instant: everything up to it can be judged. */
  settled(untilMs: number): Promise<void>
  /** Whether no window that touches this stretch was noisy. */
  isQuiet(startMs: number, endMs: number): boolean
}

/** Unix ms with fractions, on the same clock as the windows. */
export const instantMs = (): number => performance.timeOrigin + performance.now()

/** Watches how much CPU processes outside this one’s tree use, from /proc; where there is no /proc nothing is ever noisy. */
export function watchNoise(): NoiseWatch {
  const windows: Window[] = []
  const waiting = new Set<() => void>()
  const worker =
    process.platform === 'linux'
      ? new Worker(new URL('./noise-watcher.ts', import.meta.url), { workerData: { root: process.pid, windowMs } })
      : null
  worker?.on('message', (window: Window) => {
    windows.push(window)
    for (const check of waiting) check()
  })
  worker?.unref()
  return {
    windows,
    settled: untilMs =>
      new Promise(resolve => {
        const check = () => {
          if (worker !== null && (windows.at(-1)?.endMs ?? 0) < untilMs) return
          waiting.delete(check)
          clearInterval(alive)
          resolve()
        }
        // The worker alone does not keep the process alive.
        const alive = setInterval(check, windowMs)
        waiting.add(check)
        check()
      }),
    isQuiet: (startMs, endMs) =>
      windows.every(window => window.endMs <= startMs || window.startMs >= endMs || window.foreign <= foreignShareMax),
    async [Symbol.asyncDispose]() {
      await worker?.terminate()
    },
  }
}
