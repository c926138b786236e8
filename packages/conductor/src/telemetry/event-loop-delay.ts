import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { World } from '../world.ts'

/** The delay is told over the last whole window of this length, ms. */
const windowMs = 30_000
const resolutionMs = 20

/** How late the event loop comes to what is due: the wait that every frame shares. */
export class EventLoopDelay {
  readonly #histogram = monitorEventLoopDelay({ resolution: resolutionMs })
  #lastP99Seconds: number | null = null
  #cancel = () => {}

  constructor(world: World) {
    this.#histogram.enable()
    const turn = () => {
      this.#lastP99Seconds = this.#now()
      this.#histogram.reset()
      this.#cancel = world.after(windowMs, turn)
    }
    this.#cancel = world.after(windowMs, turn)
  }

  get p99Seconds(): number {
    return this.#lastP99Seconds ?? this.#now()
  }

  close(): void {
    this.#cancel()
    this.#histogram.disable()
  }

  /** The timer that measures is itself due only every so often; only what comes on top is delay. */
  #now(): number {
    const p99Ms = this.#histogram.percentile(99) / 1e6
    return Number.isFinite(p99Ms) ? Math.max(0, p99Ms - resolutionMs) / 1000 : 0
  }
}
