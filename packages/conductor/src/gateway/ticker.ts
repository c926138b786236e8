import type { World } from '../world.ts'

/** Something that must look at the clock now and then. */
export interface Ticking {
  tick(nowMs: number): void
}

/** One coarse timer for all open requests and streams: a timer of its own for each would cost more than they do. */
export interface Ticker {
  add(item: Ticking): void
  delete(item: Ticking): void
  nowMs(): number
}

/** Runs only while there is something to tick. One item’s failure is logged and keeps no other from its turn. */
export function createTicker(world: World, everyMs: number): Ticker {
  const items = new Set<Ticking>()
  let isArmed = false

  function arm(): void {
    isArmed = true
    world.after(everyMs, () => {
      isArmed = false
      const nowMs = world.monotonicMs()
      for (const item of items) {
        try {
          item.tick(nowMs)
        } catch (error) {
          items.delete(item)
          world.log.error('gateway.tick_failed', error)
        }
      }
      if (items.size > 0 && !isArmed) arm()
    })
  }

  return {
    add(item) {
      items.add(item)
      if (!isArmed) arm()
    },
    delete: item => void items.delete(item),
    nowMs: () => world.monotonicMs(),
  }
}
