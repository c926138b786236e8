import { Demand } from '../demand.ts'
import { type PoolBounds, type PoolPlan, planPool, type ShelfState } from '../plan.ts'
import { placesOfTenantMax } from '../share.ts'
import { chooseVictim } from '../victim.ts'
import { Dice } from './random.ts'
import type { Arrival } from './traces.ts'

export interface Machine {
  sandboxesMax: number
  memoryBytesMax: number
  startsMax: number
  /** How long a start takes on average, ms; each takes from half to twice of it. */
  startMs: number
  memoryBytes: number
}

export interface Outcome {
  hits: number
  misses: number
  /** Sessions that found every place taken. */
  refused: number
  /** Memory of sandboxes nobody used, over time. */
  idleGiBHours: number
  /** Sandboxes that were started ahead and never used. */
  wasted: number
  idleAtEnd: number
  /** Each session in the order they came: whether it found a warm sandbox. */
  sessions: { atMs: number; tenant: string; warm: boolean }[]
}

export type Planner = (shelves: readonly ShelfState[], bounds: PoolBounds) => PoolPlan

/** One simulated sandbox. */
interface Box {
  release: string
  state: 'starting' | 'warm' | 'leased' | 'draining'
}

interface Shelf {
  demand: Demand
  tenant: string
  boxes: Box[]
  leased: number
  lastUsedMs: number
}

type Event = { atMs: number; order: number } & (
  | { what: 'arrival'; arrival: Arrival }
  | { what: 'started' | 'ended' | 'gone'; box: Box }
  | { what: 'plan' }
)

const planEveryMs = 5000
const endMs = 100
/** After the last session the pool is watched for so long, ms. */
const afterMs = 60 * 60_000

/**
 * A pool whose sandboxes take time to start and places to stand on, asked by a trace of arrivals. `check` sees every plan with what it was
 * made from.
 */
export function simulate(
  arrivals: readonly Arrival[],
  machine: Machine,
  options: { seed: number; planner?: Planner; check?(shelves: readonly ShelfState[], bounds: PoolBounds, plan: PoolPlan): void },
): Outcome {
  const dice = new Dice(options.seed)
  const queue = new EventQueue()
  const shelves = new Map<string, Shelf>()
  const outcome: Outcome = { hits: 0, misses: 0, refused: 0, idleGiBHours: 0, wasted: 0, idleAtEnd: 0, sessions: [] }
  const held = new Map<string, number>()
  let nowMs = 0
  let existing = 0
  let draining = 0
  let idle = 0

  for (const { release, tenant } of arrivals) {
    if (!shelves.has(release)) shelves.set(release, { demand: new Demand(), tenant, boxes: [], leased: 0, lastUsedMs: 0 })
    held.set(tenant, 0)
  }
  const leasedMax = placesOfTenantMax(machine.sandboxesMax, held.size)
  for (const arrival of arrivals) queue.add({ atMs: arrival.atMs, what: 'arrival', arrival })
  const untilMs = (arrivals.at(-1)?.atMs ?? 0) + afterMs
  for (let atMs = 0; atMs < untilMs; atMs += planEveryMs) queue.add({ atMs, what: 'plan' })

  const stateOf = (key: string, { demand, tenant, boxes, leased, lastUsedMs }: Shelf): ShelfState => ({
    key,
    tenant,
    served: true,
    starting: boxes.reduce((count, box) => count + Number(box.state === 'starting'), 0),
    warm: boxes.reduce((count, box) => count + Number(box.state === 'warm'), 0),
    leased,
    resting: false,
    ratePerSecond: demand.ratePerSecond(nowMs),
    burst: demand.burst(nowMs),
    startMs: machine.startMs,
    memoryBytes: machine.memoryBytes,
    floor: 0,
    lastUsedMs,
  })
  const leave = (box: Box) => {
    const { boxes } = shelves.get(box.release)!
    boxes.splice(boxes.indexOf(box), 1)
  }
  /** Ends one that nobody holds. */
  const give = (box: Box) => {
    leave(box)
    idle--
    draining++
    outcome.wasted++
    box.state = 'draining'
    queue.add({ atMs: nowMs + endMs, what: 'gone', box })
  }
  const plan = () => {
    const states = [...shelves].map(([key, shelf]) => stateOf(key, shelf))
    const bounds: PoolBounds = {
      sandboxesMax: machine.sandboxesMax,
      memoryBytesMax: machine.memoryBytesMax,
      startsMax: machine.startsMax,
      ahead: true,
      draining,
      drainingBytes: draining * machine.memoryBytes,
      waiting: 0,
    }
    const made = (options.planner ?? planPool)(states, bounds)
    options.check?.(states, bounds, made)
    for (const { key, count } of made.drop) {
      for (let left = count; left > 0; left--) give(shelves.get(key)!.boxes.at(-1)!)
    }
    for (const key of made.start) {
      const box: Box = { release: key, state: 'starting' }
      shelves.get(key)!.boxes.push(box)
      existing++
      idle++
      queue.add({ atMs: nowMs + machine.startMs * (0.5 + 1.5 * dice.next() ** 2), what: 'started', box })
    }
  }
  const arrive = ({ release, tenant, heldMs }: Arrival) => {
    const shelf = shelves.get(release)!
    shelf.demand.arrived(nowMs)
    shelf.lastUsedMs = nowMs
    const found = shelf.boxes.find(box => box.state === 'warm') ?? shelf.boxes[0]
    const free = found !== undefined || existing < machine.sandboxesMax
    const allowed = held.get(tenant)! < leasedMax
    const warm = allowed && found?.state === 'warm'
    outcome.sessions.push({ atMs: nowMs, tenant, warm })
    if (!allowed || !free) {
      // Somebody else's waiting sandbox makes room for the next time.
      const all = [...shelves.values()]
      const states = all.map(({ boxes, ...other }) => ({ ...other, idle: boxes.length, target: boxes.length }))
      const victim = allowed ? chooseVictim(states) : null
      if (victim !== null) give(all[victim]!.boxes[0]!)
      outcome.refused++
      return
    }
    const box: Box = found ?? { release, state: 'leased' }
    if (found) {
      leave(found)
      idle--
    } else existing++
    box.state = 'leased'
    shelf.leased++
    held.set(tenant, held.get(tenant)! + 1)
    outcome[warm ? 'hits' : 'misses']++
    queue.add({ atMs: nowMs + heldMs, what: 'ended', box })
  }

  for (let event = queue.take(); event && event.atMs <= untilMs; event = queue.take()) {
    outcome.idleGiBHours += (idle * machine.memoryBytes * (event.atMs - nowMs)) / 1024 ** 3 / 3_600_000
    nowMs = event.atMs
    if (event.what === 'arrival') arrive(event.arrival)
    else if (event.what === 'started') {
      if (event.box.state === 'starting') event.box.state = 'warm'
    } else if (event.what === 'ended') {
      const shelf = shelves.get(event.box.release)!
      shelf.leased--
      held.set(shelf.tenant, held.get(shelf.tenant)! - 1)
      draining++
      queue.add({ atMs: nowMs + endMs, what: 'gone', box: event.box })
    } else if (event.what === 'gone') {
      draining--
      existing--
    }
    plan()
  }
  outcome.idleAtEnd = idle
  return outcome
}

/** A heap by time, then by order of adding. */
class EventQueue {
  readonly #heap: Event[] = []
  #order = 0

  add(event: DistributiveOmit<Event, 'order'>): void {
    const heap = this.#heap
    heap.push({ ...event, order: this.#order++ } as Event)
    for (let at = heap.length - 1; at > 0; ) {
      const parent = (at - 1) >> 1
      if (!before(heap[at]!, heap[parent]!)) break
      ;[heap[at], heap[parent]] = [heap[parent]!, heap[at]!]
      at = parent
    }
  }

  take(): Event | null {
    const heap = this.#heap
    const first = heap[0]
    if (!first) return null
    const last = heap.pop()!
    if (heap.length === 0) return first
    heap[0] = last
    for (let at = 0; ; ) {
      const [left, right] = [2 * at + 1, 2 * at + 2]
      let least = at
      if (left < heap.length && before(heap[left]!, heap[least]!)) least = left
      if (right < heap.length && before(heap[right]!, heap[least]!)) least = right
      if (least === at) return first
      ;[heap[at], heap[least]] = [heap[least]!, heap[at]!]
      at = least
    }
  }
}

type DistributiveOmit<T, K extends keyof T> = T extends unknown ? Omit<T, K> : never

const before = (a: Event, b: Event): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
