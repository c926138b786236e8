import { tailsOfArrivals } from './arrivals.ts'
import { placesOfTenantMax } from './share.ts'

/** What the pool holds for one deployment and knows of it. */
export interface ShelfState {
  key: string
  tenant: string
  /** Whether it is deployed; what is not is given up. */
  served: boolean
  starting: number
  warm: number
  leased: number
  /** Whether its release fails again and again and rests now: nothing is started for it, its place stays its own. */
  resting: boolean
  /** Arrivals per second, and how many come together. */
  ratePerSecond: number
  burst: number
  /** How long one start takes, ms. */
  startMs: number
  /** Of one sandbox. */
  memoryBytes: number
  /** Sandboxes to hold whatever the use: a release that is new has no use to go by. */
  floor: number
  /** When it was asked for last, ms on any clock; what was not used for longest yields first. */
  lastUsedMs: number
}

export interface PoolBounds {
  /** Sandboxes that may exist at once, of every kind. */
  sandboxesMax: number
  /** Memory that all of them should take; leases are never refused for it, what waits yields to them. */
  memoryBytesMax: number
  /** Starts at the same time: a start is CPU work, more at once make every one of them slower. */
  startsMax: number
  /** False where nothing is to be started ahead of demand, ever. */
  ahead: boolean
  /** Sandboxes that still exist but end, and their memory. */
  draining: number
  drainingBytes: number
  /** Sessions that wait for the place of one that ends. */
  waiting: number
}

/** What was decided for one deployment, and why. */
export interface ShelfPlan {
  /** How many ready or starting sandboxes its use is worth. */
  wish: number
  /** How many of them there is room for. */
  target: number
  /** From a lease until another sandbox has taken its place, ms. */
  refillMs: number
  /** At which probability of a miss one more sandbox costs more than it saves. */
  missProbability: number
}

export interface PoolPlan {
  /** In the order of the shelves. */
  shelves: ShelfPlan[]
  /** Keys to start one sandbox each for, the most useful first. */
  start: string[]
  /** Keys to end that many sandboxes of, which nobody holds; `forRoom` of them would be worth keeping if there were room. */
  drop: { key: string; count: number; forRoom: number }[]
}

/**
 * What a second that somebody waits is worth: so many bytes held for a second. At 60 MB a sandbox this keeps one warm for a release that is
 * used every twenty minutes, and not for one that is used twice a day.
 */
const secondWaitedBytes = 300 * 1024 ** 3
/** A sandbox that is there already is worth so many times what a new one would be: starting costs too, and targets would tremble. */
const keepFactor = 4
/** What a sandbox held for a new release counts in competition: the chance that its first session comes during a refill. Later ones less. */
const firstSessionChance = 0.01
const laterSessionShare = 0.1
/** Starts queue up where they take more than this share of what the CPU can do. */
const loadMax = 0.75

/** The next sandbox a shelf would like to have. */
interface Unit {
  index: number
  /** Its place in the shelf, from 1. */
  height: number
  /** Waiting it saves, per byte. */
  density: number
  held: boolean
}

/**
 * How many sandboxes to keep for whom. Pure.
 *
 * For each shelf by itself: while one is being replaced, `refillMs`, others arrive; holding S is right where the chance of more than S
 * arrivals is the cost of a sandbox too many against that of one too few, memory against waiting (the newsvendor's rule). Then the bounds:
 * sandboxes are dealt out one by one to whoever saves most waiting per byte with it, first within each tenant's equal share of places and
 * memory, then what is left over to all. The work grows with the number of shelves and of sandboxes, not with their product.
 */
export function planPool(shelves: readonly ShelfState[], bounds: PoolBounds): PoolPlan {
  const leased = sum(shelves, shelf => shelf.leased)
  const leasedBytes = sum(shelves, shelf => shelf.leased * shelf.memoryBytes)
  // Little's law: as many starts are under way as arrive while one takes place. Near what the CPU can do they wait for each other.
  const load = sum(shelves, shelf => (shelf.ratePerSecond * shelf.startMs) / 1000) / Math.max(1, bounds.startsMax)
  const wishes = shelves.map(shelf => new Wish(shelf, bounds, shelf.startMs / (1 - Math.min(load, loadMax))))

  const room = {
    places: Math.max(0, bounds.sandboxesMax - leased - bounds.waiting),
    bytes: Math.max(0, bounds.memoryBytesMax - leasedBytes),
  }
  const dealt = deal(shelves, wishes, bounds, room)

  const drop = shelves.flatMap((shelf, index) => {
    const holds = shelf.starting + shelf.warm
    const count = holds - dealt[index]!
    const useful = Math.min(holds, wishes[index]!.count)
    return count > 0 ? [{ key: shelf.key, count, forRoom: Math.max(0, useful - dealt[index]!) }] : []
  })
  return {
    shelves: wishes.map(({ count, refillMs, missProbability }, index) => ({
      wish: count,
      target: dealt[index]!,
      refillMs,
      missProbability,
    })),
    start: chooseStarts(shelves, wishes, dealt, bounds),
    drop,
  }
}

/** How many sandboxes one shelf would hold if it were alone, and what each of them is good for. */
class Wish {
  readonly refillMs: number
  readonly missProbability: number
  /** Waiting saved per byte by the first, the second, … */
  readonly densities: number[] = []

  constructor(shelf: ShelfState, bounds: PoolBounds, refillMs: number) {
    this.refillMs = refillMs
    this.missProbability = shelf.memoryBytes / (shelf.memoryBytes + secondWaitedBytes)
    if (!shelf.served || !bounds.ahead) return
    const holds = shelf.starting + shelf.warm
    const mean = (shelf.ratePerSecond * refillMs) / 1000
    // Most deployments of a large install rest, and cost no more than this line.
    if (mean * keepFactor < this.missProbability && shelf.floor === 0) return
    const tails = tailsOfArrivals(mean, shelf.burst)
    while (this.densities.length < bounds.sandboxesMax) {
      const height = this.densities.length + 1
      const isHeld = height <= holds
      const chance = tails.next().value
      const worth = isHeld ? chance * keepFactor : chance
      if (worth < this.missProbability && height > shelf.floor) break
      const asNew = height <= shelf.floor ? firstSessionChance * laterSessionShare ** (height - 1) : 0
      this.densities.push((Math.max(chance, asNew) * (isHeld ? keepFactor : 1)) / shelf.memoryBytes)
    }
  }

  get count(): number {
    return this.densities.length
  }
}

interface Room {
  places: number
  bytes: number
}

/** Deals places and memory out. Returns how many sandboxes each shelf gets. */
function deal(shelves: readonly ShelfState[], wishes: readonly Wish[], bounds: PoolBounds, room: Room): number[] {
  const dealt = shelves.map(() => 0)
  const wishing = [...shelves.keys()].filter(index => wishes[index]!.count > 0)
  const tenants = Map.groupBy(wishing, index => shelves[index]!.tenant)
  if (tenants.size <= 1) {
    dealFrom(shelves, wishes, wishing, room, dealt)
    return dealt
  }
  // First what is each tenant's own, then what is left, of which nobody gets what is set aside for another to lease at once.
  const leasing = Map.groupBy(
    [...shelves.keys()].filter(index => shelves[index]!.leased > 0),
    index => shelves[index]!.tenant,
  )
  const active = new Set([...tenants.keys(), ...leasing.keys()]).size
  const placesMax = placesOfTenantMax(bounds.sandboxesMax, active)
  const bytesMax = (bounds.memoryBytesMax * placesMax) / bounds.sandboxesMax
  const allowed = new Map<string, Room>()
  for (const tenant of tenants.keys()) {
    const leased = leasing.get(tenant) ?? []
    allowed.set(tenant, {
      places: Math.max(0, placesMax - sum(leased, index => shelves[index]!.leased)),
      bytes: Math.max(0, bytesMax - sum(leased, index => shelves[index]!.leased * shelves[index]!.memoryBytes)),
    })
  }
  const share = { places: Math.floor(room.places / tenants.size), bytes: room.bytes / tenants.size }
  const left = { ...room }
  for (const [tenant, indexes] of tenants) {
    const own = { ...share }
    dealFrom(shelves, wishes, indexes, own, dealt)
    for (const what of ['places', 'bytes'] as const) {
      left[what] -= share[what] - own[what]
      allowed.get(tenant)![what] -= share[what] - own[what]
    }
  }
  dealFrom(shelves, wishes, wishing, left, dealt, allowed)
  return dealt
}

/** Deals to these shelves, the densest unit first, until nothing is left that fits. */
function dealFrom(
  shelves: readonly ShelfState[],
  wishes: readonly Wish[],
  indexes: readonly number[],
  left: Room,
  dealt: number[],
  allowed?: ReadonlyMap<string, Room>,
): void {
  const needed = sum(indexes, index => wishes[index]!.count - dealt[index]!)
  const neededBytes = sum(indexes, index => (wishes[index]!.count - dealt[index]!) * shelves[index]!.memoryBytes)
  // The usual case: there is room for all.
  if (!allowed && needed <= left.places && neededBytes <= left.bytes) {
    for (const index of indexes) dealt[index] = wishes[index]!.count
    left.places -= needed
    left.bytes -= neededBytes
    return
  }
  if (needed === 0 || left.places <= 0) return
  const units = indexes.flatMap(index => unitsOf(shelves[index]!, wishes[index]!, index, dealt[index]!))
  const stopped = new Set<number>()
  for (const { index } of units.sort(byUse(shelves))) {
    if (left.places <= 0) return
    const { memoryBytes, tenant } = shelves[index]!
    const rooms = allowed ? [left, allowed.get(tenant)!] : [left]
    // What a shelf did not get it does not get further up either.
    if (stopped.has(index) || rooms.some(({ places, bytes }) => places <= 0 || bytes < memoryBytes)) {
      stopped.add(index)
      continue
    }
    dealt[index]!++
    for (const room of rooms) {
      room.places--
      room.bytes -= memoryBytes
    }
  }
}

function unitsOf(shelf: ShelfState, { densities }: Wish, index: number, above: number): Unit[] {
  const holds = shelf.starting + shelf.warm
  return densities.slice(above).map((density, at) => ({ index, height: above + at + 1, density, held: above + at < holds }))
}

/** The most waiting saved first; then what is there already; then what was used last. Within a shelf from below. */
const byUse =
  (shelves: readonly ShelfState[]) =>
  (a: Unit, b: Unit): number =>
    b.density - a.density ||
    Number(b.held) - Number(a.held) ||
    a.height - b.height ||
    shelves[b.index]!.lastUsedMs - shelves[a.index]!.lastUsedMs ||
    a.index - b.index

/** What to start now: the densest first, but in turns between tenants, so that no tenant keeps the CPU from another. */
function chooseStarts(
  shelves: readonly ShelfState[],
  wishes: readonly Wish[],
  dealt: readonly number[],
  bounds: PoolBounds,
): string[] {
  const starting = sum(shelves, shelf => shelf.starting)
  const existing = sum(shelves, shelf => shelf.starting + shelf.warm + shelf.leased) + bounds.draining
  const existingBytes =
    sum(shelves, shelf => (shelf.starting + shelf.warm + shelf.leased) * shelf.memoryBytes) + bounds.drainingBytes
  // What is dropped still exists until it has ended, so it makes no room in this round.
  let room = Math.min(bounds.startsMax - starting, bounds.sandboxesMax - existing)
  let bytes = bounds.memoryBytesMax - existingBytes
  if (room <= 0) return []

  const wanted = [...shelves.keys()].flatMap(index => {
    const shelf = shelves[index]!
    const holds = shelf.starting + shelf.warm
    if (shelf.resting || dealt[index]! <= holds) return []
    return unitsOf(shelf, wishes[index]!, index, holds).slice(0, dealt[index]! - holds)
  })
  const queues = Map.groupBy(wanted.sort(byUse(shelves)), ({ index }) => shelves[index]!.tenant)
  const busy = new Map<string, number>()
  for (const { tenant, starting } of shelves) busy.set(tenant, (busy.get(tenant) ?? 0) + starting)
  const start: string[] = []
  while (room > 0 && queues.size > 0) {
    const tenant = [...queues.keys()].reduce((least, other) => (busy.get(other)! < busy.get(least)! ? other : least))
    const unit = queues.get(tenant)!.shift()
    if (!unit) {
      queues.delete(tenant)
      continue
    }
    const { key, memoryBytes } = shelves[unit.index]!
    if (memoryBytes > bytes) continue
    start.push(key)
    busy.set(tenant, busy.get(tenant)! + 1)
    room--
    bytes -= memoryBytes
  }
  return start
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  let total = 0
  for (const item of items) total += of(item)
  return total
}
