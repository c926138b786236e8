import type { Leaks } from '@maestro/contract'
import type { World } from '../world.ts'
import type { SandboxDriver } from './sandbox.ts'

/** However often somebody asks, it is looked once in so long, ms. */
const lookEveryMs = 2000

/** What of ours should be gone from the machine, as of a moment ago. Null where the driver cannot look. */
export function createLeakMeter(driver: SandboxDriver, world: World): () => Promise<Leaks | null> {
  let look: Promise<Leaks | null> | null = null
  let lookedMs = 0
  return () => {
    const nowMs = world.monotonicMs()
    if (!look || nowMs - lookedMs >= lookEveryMs) {
      lookedMs = nowMs
      look = (driver.leaks?.() ?? Promise.resolve(null)).catch(error => {
        world.log.warn('sandbox.leaks_unknown', { why: String(error) })
        return null
      })
    }
    return look
  }
}
