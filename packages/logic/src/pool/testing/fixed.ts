import type { ShelfState } from '../plan.ts'
import type { Planner } from './simulate.ts'

/** What the pool is measured against: the same number of warm sandboxes for every deployment, in turns while there are places. */
export const planFixed =
  (warm: number): Planner =>
  (shelves, bounds) => {
    let places = bounds.sandboxesMax - shelves.reduce((sum, shelf) => sum + shelf.leased, 0)
    const targets = shelves.map(() => 0)
    for (let turn = 0; turn < warm; turn++) {
      shelves.forEach((_, index) => {
        if (places-- > 0) targets[index]!++
      })
    }
    const holds = ({ starting, warm }: ShelfState) => starting + warm
    let room = Math.min(
      bounds.startsMax - shelves.reduce((sum, shelf) => sum + shelf.starting, 0),
      bounds.sandboxesMax - shelves.reduce((sum, shelf) => sum + holds(shelf) + shelf.leased, bounds.draining),
    )
    const start = shelves.flatMap((shelf, index) => {
      const count = Math.max(0, Math.min(room, targets[index]! - holds(shelf)))
      room -= count
      return Array<string>(count).fill(shelf.key)
    })
    const drop = shelves.flatMap((shelf, index) => {
      const count = holds(shelf) - targets[index]!
      return count > 0 ? [{ key: shelf.key, count, forRoom: 0 }] : []
    })
    return { shelves: targets.map(target => ({ wish: target, target, refillMs: 0, missProbability: 0 })), start, drop }
  }
