/** What the pool holds for one deployment. */
export interface ShelfState {
  key: string
  /** Whether it is deployed; what is not is given up. */
  served: boolean
  starting: number
  warm: number
  leased: number
  /** Whether its release fails again and again and rests now: nothing is started for it, its place stays its own. */
  resting: boolean
}

export interface PoolBounds {
  /** Sandboxes that may exist at once, of every kind. */
  sandboxesMax: number
  warmPerDeployment: number
  /** Starts at the same time: a start is CPU work, more at once make every one of them slower. */
  startsMax: number
  /** Sandboxes that still exist but end. */
  draining: number
  /** Sessions that wait for the place of one that ends. */
  waiting: number
}

export interface PoolPlan {
  /** How many ready or starting sandboxes each shelf should hold, in the order of the shelves. */
  targets: number[]
  /** Keys to start one sandbox each for, the emptiest shelf first. */
  start: string[]
  /** Keys to end that many sandboxes of, which nobody holds. */
  drop: { key: string; count: number }[]
}

/**
 * How many sandboxes to keep for whom. Pure. Every served deployment gets the same number; where the bound does not allow that, places
 * are dealt out in turns, so that nobody has two before everybody has one. What is there already is kept where that is as fair.
 */
export function planPool(shelves: readonly ShelfState[], bounds: PoolBounds): PoolPlan {
  const leased = sum(shelves.map(shelf => shelf.leased))
  const targets = deal(shelves, bounds.warmPerDeployment, bounds.sandboxesMax - leased - bounds.waiting)
  const drop = shelves.flatMap((shelf, index) => {
    const count = shelf.starting + shelf.warm - targets[index]!
    return count > 0 ? [{ key: shelf.key, count }] : []
  })

  const starting = sum(shelves.map(shelf => shelf.starting))
  const existing = sum(shelves.map(shelf => shelf.starting + shelf.warm)) + leased + bounds.draining
  // What is dropped still exists until it has ended, so it makes no room in this round.
  let room = Math.min(bounds.startsMax - starting, bounds.sandboxesMax - existing)
  const start: string[] = []
  for (let height = 0; height < bounds.warmPerDeployment && room > 0; height++) {
    shelves.forEach((shelf, index) => {
      const holds = shelf.starting + shelf.warm
      if (room <= 0 || shelf.resting || holds > height || targets[index]! <= height) return
      start.push(shelf.key)
      room--
    })
  }
  return { targets, start, drop }
}

/** Deals `places` out in turns. In a turn that does not reach all, those come first who would lose a sandbox otherwise. */
function deal(shelves: readonly ShelfState[], turns: number, places: number): number[] {
  const dealt = shelves.map(() => 0)
  let left = places
  for (let turn = 0; turn < turns; turn++) {
    const wishing = [...shelves.keys()].filter(index => shelves[index]!.served)
    const [holding, empty] = [true, false].map(wanted =>
      wishing.filter(index => shelves[index]!.starting + shelves[index]!.warm > turn === wanted),
    )
    for (const index of [...holding!, ...empty!]) {
      if (left <= 0) return dealt
      dealt[index]!++
      left--
    }
  }
  return dealt
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0)
